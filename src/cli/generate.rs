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
    local rest=${COMP_LINE:0:COMP_POINT} word line i head
    local -a words=()
    # bash parts words at colons and equal signs; what nothing stands between is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i == 0 || $rest == [[:space:]]* ]]; then
            words+=("")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        [[ $rest == "$word"* ]] || word=$rest
        rest=${rest#"$word"}
        words[-1]+=$word
    done
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        COMPREPLY+=("$line")
    done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 0 ]]; then
        compopt -o filenames -o default
        return
    fi
    [[ ${COMPREPLY[0]} != *: ]] || compopt -o nospace
    # It wants only what stands behind the last of them.
    head=${words[-1]}
    while [[ -n $head && ! (${head: -1} == [:=] && $COMP_WORDBREAKS == *"${head: -1}"*) ]]; do
        head=${head%?}
    done
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -F _netrun netrun
[[ $(readlink -f "$(type -P docker)") != */netrun ]] || complete -F _netrun docker
"#;

const ZSH: &str = r#"#compdef netrun
# netrun's completions for zsh; also for docker, where that is a link to netrun.
_netrun() {
    local -a found sides
    local line name
    while IFS= read -r line; do
        name=${line%%$'\t'*}
        if [[ $name == *: ]]; then
            sides+=("$name")
        else
            found+=("${name//:/\\:}:${line#*$'\t'}")
        fi
    done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ! ${#found} && ! ${#sides} )); then
        _files
        return
    fi
    # A path follows at once.
    (( ! ${#sides} )) || compadd -S '' -- "${sides[@]}"
    (( ! ${#found} )) || _describe netrun found
}
if [[ $funcstack[1] == _netrun ]]; then
    _netrun "$@"
else
    compdef _netrun netrun
    [[ ${commands[docker]:A} != */netrun ]] || compdef _netrun docker
fi
"#;

const FISH: &str = r#"# netrun's completions for fish; also for docker, where that is a link to netrun.
function __netrun_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c netrun -f -a '(__netrun_complete)'
if string match -q '*/netrun' -- (realpath (command -s docker; or echo /) 2>/dev/null)
    complete -c docker -f -a '(__netrun_complete)'
end
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
