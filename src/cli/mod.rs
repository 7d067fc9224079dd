//! Argument grammar, rendering, progress and exit codes: alone in printing and in knowing a terminal.

use std::process::ExitCode;

pub mod dispatch;
pub mod docker;
pub mod error;
pub mod exit;
pub mod format;
pub mod grammar;
pub mod output;
pub mod usage;
pub mod words;

use error::Style;
use exit::Family;
use usage::UsageError;

use crate::model::class::Explain;

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    let (words, cli) = match read_words() {
        Ok(words) => {
            let cli = grammar::parse(&words);
            (words, cli)
        }
        Err(error) => (Vec::new(), Err(error)),
    };
    let code = match cli {
        Err(UsageError::Help(help)) => match help.print() {
            Ok(()) => 0,
            Err(_) => 1,
        },
        Err(error) => {
            error::report(&error, style_of_words(&words));
            exit::code(family_of_words(&words), error.class())
        }
        Ok(cli) => run(cli),
    };
    ExitCode::from(code)
}

fn run(cli: grammar::Cli) -> u8 {
    let family = cli.verb.family();
    let style = match cli.global.format.as_deref() {
        Some("json") => Style::Json,
        _ => Style::Text,
    };
    match dispatch::dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            error::report(error.as_ref(), style);
            exit::code(family, error.class())
        }
    }
}

/// The words of the command line; what containers get must be UTF-8, so all of it must.
fn read_words() -> Result<Vec<String>, UsageError> {
    let not_text = |word: std::ffi::OsString| UsageError::NotText(format!("{word:?}"));
    let words = std::env::args_os().map(|word| word.into_string().map_err(not_text));
    words.collect()
}

/// The family of a verb whose command line could not be parsed.
fn family_of_words(words: &[String]) -> Family {
    let process = |word: &&String| matches!(word.as_str(), "run" | "exec" | "wait" | "attach");
    match words.iter().skip(1).find(|word| !word.starts_with('-')) {
        Some(verb) if process(&verb) => Family::Process,
        _ => Family::Object,
    }
}

/// How to print an error of a command line that could not be parsed.
fn style_of_words(words: &[String]) -> Style {
    let before_command = words.iter().take_while(|word| *word != "--");
    let line: Vec<&str> = before_command.map(String::as_str).collect();
    let json =
        line.contains(&"--format=json") || line.windows(2).any(|w| w == ["--format", "json"]);
    if json { Style::Json } else { Style::Text }
}
