//! What is made from the grammar: man pages, the page about docker, and the scripts for shells.
//!
//! Invariant: nothing here knows a verb or an option by name; the shells ask `netrun complete`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, ValueEnum};

use super::docker;
use super::grammar::Cli;
use super::output;
use crate::model::class::{Class, Explain, Failure};

/// Print the completions of a shell
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "\
Examples:
  netrun completion bash >/etc/bash_completion.d/netrun
  netrun completion zsh >/usr/local/share/zsh/site-functions/_netrun
  netrun completion fish >/etc/fish/completions/netrun.fish")]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// The shells that can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Make what is made from the grammar
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// What: man, into a directory, or docker, to standard output
    #[command(subcommand)]
    pub what: What,
}

/// What is made.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum What {
    /// Write the man pages into a directory
    Man {
        /// The directory
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
    /// Print the page about docker's verbs and options
    Docker,
}

/// A page cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub struct GenerateError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for GenerateError {
    fn class(&self) -> Class {
        Class::Failed
    }
}

/// The grammar, with everything that clap adds to it.
fn grammar() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

/// Makes it.
///
/// # Errors
/// It cannot be written.
pub fn generate(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Docker => output::results(docker::table(&grammar()).as_bytes())?,
        What::Man { directory } => man(&grammar(), "netrun", directory)?,
    }
    Ok(())
}

/// The page of a verb, and those of the verbs below it.
fn man(command: &Command, name: &str, directory: &Path) -> Result<(), GenerateError> {
    let path = directory.join(format!("{name}.1"));
    let failed = |source| GenerateError {
        path: path.clone(),
        source,
    };
    let mut page = Vec::new();
    let title = name.to_uppercase();
    let made = clap_mangen::Man::new(command.clone()).title(title);
    made.render(&mut page).map_err(failed)?;
    std::fs::write(&path, page).map_err(failed)?;
    for verb in command.get_subcommands() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            man(verb, &format!("{name}-{}", verb.get_name()), directory)?;
        }
    }
    Ok(())
}

/// The script of a shell: it asks netrun what may follow.
pub fn completion(shell: Shell) -> String {
    let script = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    script.to_owned()
}

const BASH: &str = r#"# netrun's completions for bash; also for docker, where that is a link to netrun.
_netrun() {
    local word=${COMP_WORDS[COMP_CWORD]} line
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        COMPREPLY+=("$line")
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 0 ]]; then
        compopt -o filenames -o default
    fi
    # bash parts words at colons, and wants only what stands behind the last one.
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
    fi
}
complete -F _netrun netrun
"#;

const ZSH: &str = r#"#compdef netrun
# netrun's completions for zsh.
_netrun() {
    local -a found
    local line
    while IFS= read -r line; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        _describe netrun found
    else
        _files
    fi
}
if [[ $funcstack[1] == _netrun ]]; then
    _netrun "$@"
else
    compdef _netrun netrun
fi
"#;

const FISH: &str = r#"# netrun's completions for fish.
function __netrun_complete
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    set -l found (netrun complete -- $words 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c netrun -f -a '(__netrun_complete)'
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        let own = std::env::temp_dir().join(format!("netrun-man-{}", std::process::id()));
        std::fs::create_dir(&own).unwrap();
        man(&grammar(), "netrun", &own).unwrap();
        let page = std::fs::read_to_string(own.join("netrun-run.1")).unwrap();
        assert!(
            page.contains("read\\-only") && page.contains(".SH"),
            "{page}"
        );
        assert!(own.join("netrun-volume-create.1").exists());
        assert!(!own.join("netrun-supervise.1").exists());
        std::fs::remove_dir_all(own).unwrap();
    }
}
