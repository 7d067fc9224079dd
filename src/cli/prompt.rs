//! Asking the person at the terminal for a name or a secret.
//!
//! Invariant: a secret is never shown, and the terminal is as it was afterwards, whatever key is
//! pressed.

use std::io::{self, IsTerminal, Read};

use super::output;
use crate::model::class::{Class, Explain};
use crate::sys::terminal::RawMode;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Nobody is there to be asked.
    #[error("there is no terminal to ask for {0} at")]
    NoTerminal(&'static str),
    /// The person gave up.
    #[error("no {0} was given")]
    Given(&'static str),
    /// Nobody said yes or no.
    #[error("nobody answered whether to go on: standard input has ended")]
    Unanswered,
    /// Standard input cannot be read.
    #[error("cannot read {what} from standard input")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Explain for PromptError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::Failed,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Unanswered => Some("-f goes on without asking".to_owned()),
            _ => Some("give -u USER and --password-stdin".to_owned()),
        }
    }
}

/// Asks for a line that may be seen.
pub fn line(what: &'static str) -> Result<String, PromptError> {
    check(what)?;
    output::ask(&format!("{what}: "));
    let mut text = String::new();
    let read = io::stdin().read_line(&mut text);
    read.map_err(|source| PromptError::Read { what, source })?;
    given(what, text.trim())
}

/// Asks for a secret.
pub fn secret(what: &'static str) -> Result<String, PromptError> {
    check(what)?;
    output::ask(&format!("{what}: "));
    let failed = |source| PromptError::Read { what, source };
    let raw = RawMode::enter().map_err(failed)?;
    let keys = io::stdin().lock().bytes();
    let typed = edited(keys).map_err(failed)?;
    drop(raw);
    output::note("");
    given(what, &typed.unwrap_or_default())
}

/// Whether the person agrees, or had agreed by `-f`. The answer may come from a pipe (`yes |`).
pub fn confirm(agreed: bool, what: &str) -> Result<bool, PromptError> {
    if agreed {
        return Ok(true);
    }
    output::note(&format!("{} {what}", output::label("warning:", "33")));
    output::ask("Go on? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    let what = "an answer";
    match read.map_err(|source| PromptError::Read { what, source })? {
        0 => Err(PromptError::Unanswered),
        _ => Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str())),
    }
}

/// All of standard input, for a program that gives the secret; the line end is not part of it.
pub fn piped(what: &'static str) -> Result<String, PromptError> {
    let mut text = String::new();
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|source| PromptError::Read { what, source })?;
    given(what, text.trim_end_matches(['\r', '\n']))
}

fn check(what: &'static str) -> Result<(), PromptError> {
    match io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(PromptError::NoTerminal(what)),
    }
}

fn given(what: &'static str, text: &str) -> Result<String, PromptError> {
    match text.is_empty() {
        true => Err(PromptError::Given(what)),
        false => Ok(text.to_owned()),
    }
}

/// The line that the keys of a raw terminal make; nothing if it was given up.
fn edited(keys: impl Iterator<Item = io::Result<u8>>) -> io::Result<Option<String>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE_LINE: u8 = 21;
    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\r' | b'\n' | END => break,
            INTERRUPT => return Ok(None),
            8 | 127 => {
                // A character may be several bytes.
                while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            ERASE_LINE => line.clear(),
            byte => line.push(byte),
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Option<String> {
        edited(keys.bytes().map(Ok)).unwrap()
    }

    #[test]
    fn keys_make_a_line() {
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(typed("secret\rrest"), line("secret"));
        assert_eq!(typed("aü\u{7f}b\n"), line("ab"));
        assert_eq!(typed("\u{8}x\u{15}y\u{4}"), line("y"));
        assert_eq!(typed("half"), line("half"));
        assert_eq!(typed("abc\u{3}"), None);
    }
}
