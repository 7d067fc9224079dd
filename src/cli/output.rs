//! The one way to write: results to stdout, everything else to stderr.
//!
//! Invariant: a reader that has gone away is no trouble; a full disk is.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use crate::engine::log::Stream;
use crate::model::class::{Class, Explain};

/// The results cannot be written, for another reason than a reader who has seen enough.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The kernel refuses.
    #[error("cannot write the results")]
    Write(#[source] io::Error),
    /// Bytes that are no text would go to a terminal.
    #[error("an archive is not written to a terminal")]
    Terminal,
}

impl Explain for OutputError {
    fn class(&self) -> Class {
        match self {
            Self::Write(_) => Class::Failed,
            Self::Terminal => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Write(_) => None,
            Self::Terminal => Some("give -o FILE, or send it to a pipe".to_owned()),
        }
    }
}

/// Writes results as they are, and sees to it that they have left this process.
pub fn results(bytes: &[u8]) -> Result<(), OutputError> {
    write_results(&mut io::stdout().lock(), bytes)
}

fn write_results(to: &mut impl Write, bytes: &[u8]) -> Result<(), OutputError> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::Write(error)),
        _ => Ok(()),
    }
}

/// Writes results; false once nobody reads them any more.
pub fn results_to_reader(bytes: &[u8]) -> Result<bool, OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(OutputError::Write(error)),
    }
}

/// Writes a part of what a container has written to where it comes from; breaks once nobody reads.
pub fn pass_on(stream: Stream, bytes: &[u8]) -> Result<ControlFlow<()>, OutputError> {
    let written = match stream {
        Stream::Stdout => io::stdout()
            .write_all(bytes)
            .and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(bytes),
    };
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(OutputError::Write(error)),
    }
}

/// Standard output as a stream of bytes for somebody else to write; a terminal, which would show
/// them, is refused. Where it is not wanted, any stream will do.
pub fn stream_for_bytes(wanted: bool) -> Result<OwnedFd, OutputError> {
    if wanted && io::stdout().is_terminal() {
        return Err(OutputError::Terminal);
    }
    io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(OutputError::Write)
}

/// Writes one line of results.
pub fn line(text: &str) -> Result<(), OutputError> {
    results(format!("{text}\n").as_bytes())
}

/// Says something to the person at the terminal. That nobody listens is no reason to fail.
pub fn note(text: &str) {
    // One write, so that lines of several processes do not mix.
    io::stderr().write_all(format!("{text}\n").as_bytes()).ok();
}

/// Asks something; the answer is typed on the same line.
pub fn ask(question: &str) {
    io::stderr().write_all(question.as_bytes()).ok();
}

/// The text without what would command a terminal or turn its direction: such characters become
/// visible, line feeds and tabs stay. For what others have written: registries, images, plugins.
pub fn tame(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let keep = |c: char| matches!(c, '\n' | '\t') || !c.is_control() && !turns(c);
    if text.chars().all(keep) {
        return text.to_owned();
    }
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        match keep(c) {
            true => tamed.push(c),
            false => tamed.extend(c.escape_debug()),
        }
    }
    tamed
}

/// Says that something is not as it should be, and that netrun goes on.
pub fn warning(text: &str) {
    note(&format!("{} {}", label("warning:", "33"), tame(text)));
}

/// A word that begins a diagnostic, coloured (by an ANSI colour number) where that is wanted.
pub fn label(word: &str, colour: &str) -> String {
    match colours_wanted() {
        true => format!("\x1b[1;{colour}m{word}\x1b[0m"),
        false => word.to_owned(),
    }
}

/// Whether stderr shows colours to somebody who wants them.
pub fn colours_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && is_lively()
}

/// Whether stderr is a terminal that can move its cursor.
pub fn is_lively() -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    !term.is_empty() && term != "dumb" && io::stderr().is_terminal()
}

/// An error with its causes in one line, where it is told in passing.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    tame(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_command_a_terminal_is_shown_instead() {
        assert_eq!(tame("a\tb\nä"), "a\tb\nä");
        assert_eq!(tame("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(tame("\x1b[31mred\r\0\u{9b}"), "\\u{1b}[31mred\\r\\0\\u{9b}");
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        assert!(write_results(&mut Failing(io::ErrorKind::BrokenPipe), b"x").is_ok());
        assert!(write_results(&mut Failing(io::ErrorKind::StorageFull), b"x").is_err());
    }
}
