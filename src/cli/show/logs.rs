//! `netrun logs`: lines, each to the stream that it was written to.

use std::ops::ControlFlow;

use super::exact_time;
use crate::cli::output;
use crate::engine::lines::Line;
use crate::engine::logs::Logs;
use crate::model::class::Failure;

/// What lines begin with.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// The time of their writing.
    pub timestamps: bool,
    /// What docker has attributes for, and a blank behind them; there are none here.
    pub details: bool,
}

/// Prints a log until it ends, or until nobody reads any more.
///
/// # Errors
/// The log cannot be read, or the lines cannot be written.
pub async fn show(mut logs: Logs<'_>, form: Lines) -> Result<(), Failure> {
    while let Some(lines) = logs.next().await? {
        // One write for all that follow each other in one stream.
        for run in lines.chunk_by(|one, next| one.stream == next.stream) {
            let bytes = joined(run, form);
            if output::pass_on(run[0].stream, &bytes)? == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn joined(lines: &[Line], form: Lines) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        if form.timestamps && line.begins {
            bytes.extend_from_slice(exact_time(line.time).as_bytes());
            bytes.push(b' ');
        }
        if form.details && line.begins {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(&line.bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::Stream;

    #[test]
    fn a_line_has_one_time_at_its_beginning() {
        let line = |text: &str, begins| Line {
            time: "2026-01-01T12:00:00.25Z".parse().unwrap(),
            stream: Stream::Stdout,
            bytes: text.as_bytes().to_vec(),
            begins,
        };
        let lines = [line("a", true), line("b\n", false), line("c\n", true)];
        let text = |timestamps, details| {
            let form = Lines {
                timestamps,
                details,
            };
            String::from_utf8(joined(&lines, form)).unwrap()
        };
        assert_eq!(text(false, false), "ab\nc\n");
        let time = "2026-01-01T12:00:00.250000000Z";
        assert_eq!(text(true, false), format!("{time} ab\n{time} c\n"));
        assert_eq!(text(true, true), format!("{time}  ab\n{time}  c\n"));
        assert_eq!(text(false, true), " ab\n c\n");
    }
}
