//! What is wrong with a command line, before any verb acts.
//!
//! Invariant: help and the version come out as clap makes them; everything else is an error that
//! can be explained.

use clap::error::ErrorKind;

use super::format::TemplateError;
use super::words::NotSupported;
use crate::commands::values::Refused;
use crate::model::class::{Class, Explain};

/// Why a command line was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Help or the version was asked for, or nothing at all: to be printed as clap says it.
    #[error("help was asked for")]
    Help(clap::Error),
    /// The words do not fit the grammar.
    #[error("{}", message(.0))]
    Grammar(clap::Error),
    /// docker has it, netrun does not yet.
    #[error(transparent)]
    NotSupported(#[from] NotSupported),
    /// A word is not UTF-8.
    #[error("the word {0} is not UTF-8")]
    NotText(String),
    /// What `--format` says is wrong.
    #[error("--format cannot be understood")]
    Format(#[from] TemplateError),
}

impl From<clap::Error> for UsageError {
    fn from(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Self::Help(error),
            _ => Self::Grammar(error),
        }
    }
}

impl Explain for UsageError {
    fn class(&self) -> Class {
        match self {
            Self::NotSupported(_) => Class::Unsupported,
            Self::Grammar(error) => refusal(error).map_or(Class::InvalidInput, Explain::class),
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Grammar(error) => Some(match refusal(error).and_then(Explain::hint) {
                Some(hint) => hint,
                None => advice(error),
            }),
            Self::NotSupported(NotSupported::Verb(verb)) => match verb.as_str() {
                "container" => Some("leave that word out: netrun ps, netrun rm".to_owned()),
                "image" => Some("netrun images, netrun pull and netrun rmi exist".to_owned()),
                _ => None,
            },
            Self::NotSupported(NotSupported::Option { verb, .. }) => Some(match verb.as_str() {
                "run" | "create" => format!(
                    "netrun {verb} --help lists the options; what belongs to the command of the \
                     container goes after --"
                ),
                _ => format!("netrun {verb} --help lists the options"),
            }),
            Self::Format(error) => error.hint(),
            Self::NotText(_) | Self::Help(_) => None,
        }
    }
}

/// What the type of an option's value said against it.
fn refusal(error: &clap::Error) -> Option<&dyn Explain> {
    let source = std::error::Error::source(error)?;
    let refused: &Refused = source.downcast_ref()?;
    Some(refused)
}

/// The first paragraph of clap's words, which is what is wrong.
fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.split("\n\n").next().unwrap_or(text);
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    lines.join(" ")
}

/// What clap proposes, else how to get help.
fn advice(error: &clap::Error) -> String {
    let text = error.render().to_string();
    // No name of ours begins with a dash, so that "--" would not help.
    let tips: Vec<&str> = (text.lines())
        .filter_map(|line| line.trim().strip_prefix("tip: "))
        .filter(|tip| !tip.starts_with("to pass "))
        .collect();
    let source = std::error::Error::source(error);
    if source.is_some_and(|source| source.is::<std::num::ParseIntError>()) {
        return "write a whole number".to_owned();
    }
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    match usage {
        _ if !tips.is_empty() => tips.join("; "),
        Some(usage) if error.kind() != ErrorKind::InvalidSubcommand => format!("usage: {usage}"),
        _ => "netrun --help lists the verbs, netrun VERB --help its options".to_owned(),
    }
}
