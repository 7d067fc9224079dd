//! An attached process: its streams connected to ours, our signals passed on to it.
//!
//! Invariant: the terminal is as it was when we leave, however we leave.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use super::output;
use crate::commands::attached::Attached;
use crate::engine::protocol::Event;
use crate::engine::steps::Taken;
use crate::model::class::{Class, Explain, Failure};

/// Several containers, and one terminal.
#[derive(Debug, thiserror::Error)]
#[error("only one container can be attached to at a time")]
pub struct OneAtATime;

impl Explain for OneAtATime {
    fn class(&self) -> Class {
        Class::InvalidInput
    }
}

/// What our going means to the process.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// It ends with us; its steps may be wanted.
    Owner {
        /// Print the steps.
        timings: bool,
    },
    /// It goes on without us.
    Client,
}

/// Connects the streams until the process has ended; gives its exit status.
///
/// # Errors
/// The supervisor's, or the terminal's.
pub async fn drive(mut attached: Attached, role: Role) -> Result<u8, Failure> {
    let stdout = copy(attached.pipes.stdout, io::stdout());
    let stderr = attached.pipes.stderr.map(|pipe| copy(pipe, io::stderr()));
    if let Some(path) = attached.stdin {
        std::thread::spawn(move || {
            let mut fifo = OpenOptions::new().write(true).open(path)?;
            io::copy(&mut io::stdin().lock(), &mut fifo)
        });
    }
    loop {
        match attached.session.event().await? {
            Event::Exited { exit, steps } => {
                drop(stdout.join());
                drop(stderr.map(|thread| thread.join()));
                if let Role::Owner { timings: true } = role {
                    show_timings(&steps);
                }
                return Ok(u8::try_from(exit.status).unwrap_or(u8::MAX));
            }
            Event::Failed(report) => return Err(report.into()),
            Event::Started { .. } | Event::Removed => {}
        }
    }
}

fn copy(pipe: OwnedFd, mut to: impl Write + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = std::fs::File::from(pipe);
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(count) = pipe.read(&mut buffer) {
            if count == 0
                || to
                    .write_all(&buffer[..count])
                    .and_then(|()| to.flush())
                    .is_err()
            {
                break;
            }
        }
    })
}

/// Prints the steps as a table.
pub fn show_timings(steps: &[Taken]) {
    for step in steps {
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        output::note(&format!(
            "{:>9.2} {:>9.2}  {} {}",
            milliseconds(step.began),
            milliseconds(step.took),
            step.step,
            step.object
        ));
    }
}
