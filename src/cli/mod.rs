//! Argument grammar, rendering, progress and exit codes: alone in printing and in knowing a terminal.

use std::process::ExitCode;

pub mod complete;
pub mod detach;
pub mod dispatch;
pub mod docker;
pub mod error;
pub mod exit;
pub mod format;
pub mod further;
pub mod generate;
pub mod grammar;
mod images;
pub mod networks;
pub mod output;
pub mod progress;
mod prompt;
mod scopes;
pub mod session;
pub mod show;
pub mod signals;
mod streams;
pub mod usage;
mod views;
pub mod words;

use clap::{CommandFactory, Parser};

use error::Style;
use exit::Family;
use format::Format;
use grammar::Cli;
use usage::UsageError;

use crate::commands::supervise;
use crate::engine::daemon;
use crate::model::class::Explain;

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    let words = match read_words() {
        Ok(words) => words,
        // Whose exit codes these are its verb says all the same.
        Err(error) => {
            let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
            return ExitCode::from(refuse(&error, &words.collect::<Vec<_>>()));
        }
    };
    if words.get(1).is_some_and(|word| word == daemon::VERB) {
        return ExitCode::from(watch(&words));
    }
    let (cli, format) = match read_request(&words) {
        Ok(request) => request,
        Err(error) => return ExitCode::from(refuse(&error, &words)),
    };
    let as_docker = cli.global.as_docker;
    let family = cli.verb.family(as_docker);
    let gives_status = cli.verb.gives_status();
    let style = Style::of(format.as_ref());
    let code = match dispatch::dispatch(cli, format) {
        // Only the code of a failure is another under docker's name.
        Ok(status) if gives_status => return ExitCode::from(status),
        Ok(code) => code,
        Err(error) => {
            error::report(error.as_ref(), style);
            exit::code(family, error.class())
        }
    };
    ExitCode::from(match as_docker {
        true => exit::dockers(family, code, true),
        false => code,
    })
}

/// Becomes a supervisor. Its line is written by netrun itself, and has a grammar of its own: that of
/// all verbs would take a megabyte in each of them, and time of each start.
fn watch(words: &[String]) -> u8 {
    let args = match supervise::Args::try_parse_from(&words[1..]) {
        Ok(args) => args,
        Err(error) => return refuse(&error.into(), &[]),
    };
    let Err(error) = supervise::supervise(&args) else {
        return 0;
    };
    error::report(error.as_ref(), Style::Text);
    exit::code(Family::Object, error.class())
}

/// The words of the command line; what containers get must be UTF-8, so all of it must.
fn read_words() -> Result<Vec<String>, UsageError> {
    let not_text = |word: std::ffi::OsString| UsageError::NotText(format!("{word:?}"));
    let words = std::env::args_os().map(|word| word.into_string().map_err(not_text));
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    Ok(docker::without_its_options(words)?)
}

fn read_request(words: &[String]) -> Result<(Cli, Option<Format>), UsageError> {
    let cli = grammar::parse(words)?;
    let format = cli.global.format.as_deref();
    // As with docker, one that is empty was not given.
    let given = format.filter(|text| !text.trim().is_empty());
    let format = given.map(str::parse).transpose()?;
    Ok((cli, format))
}

/// Says what is wrong with a command line, or gives the help that it asked for.
fn refuse(error: &UsageError, words: &[String]) -> u8 {
    if let UsageError::Help(help) = error {
        // clap writes help that was not asked for to stderr; a closed pipe ends quietly.
        help.print().ok();
        return u8::try_from(help.exit_code()).unwrap_or(2);
    }
    error::report(error, style_of_words(words));
    let family = family_of_words(words);
    let code = exit::code(family, error.class());
    match docker::is_its_name(words) {
        true => exit::dockers(family, code, false),
        false => code,
    }
}

/// The family of a verb whose command line could not be parsed.
fn family_of_words(words: &[String]) -> Family {
    match words::verb(&Cli::command(), words).as_deref() {
        Some("exec") => Family::Exec,
        Some("run" | "wait") => Family::Process,
        Some("cni") => Family::Cnitool,
        _ => Family::Object,
    }
}

/// How to print an error of a command line that could not be parsed.
fn style_of_words(words: &[String]) -> Style {
    let before_command = words.iter().take_while(|word| *word != "--");
    let line: Vec<&str> = before_command.map(String::as_str).collect();
    let apart = line.windows(2).any(|pair| pair == ["--format", "json"]);
    match apart || line.contains(&"--format=json") {
        true => Style::Json,
        false => Style::Text,
    }
}
