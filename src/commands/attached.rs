//! A process whose streams are in the caller's hands: what `run`, `exec`, `attach` and `start -a`
//! have in common.
//!
//! Invariant: nothing here touches a terminal; whoever has the streams connects them.

use std::path::PathBuf;

use crate::engine::error::Error;
use crate::engine::protocol::Event;
use crate::engine::session::{PipeEnds, Pipes, Session};
use crate::engine::steps::Taken;

/// A started process.
#[derive(Debug)]
pub struct Attached {
    /// The connection to its supervisor.
    pub session: Session,
    /// Where its output comes from.
    pub pipes: Pipes,
    /// Where its input goes, if it has any and this caller may write to it.
    pub stdin: Option<PathBuf>,
    /// It has a terminal.
    pub terminal: bool,
    /// The steps taken to start it.
    pub steps: Vec<Taken>,
}

impl Attached {
    /// Takes the streams of what a supervisor was asked for. None if it did not start.
    pub fn reached(
        (session, first): (Session, Event),
        pipes: Pipes,
        terminal: bool,
        interactive: bool,
    ) -> Option<Attached> {
        let Event::Started { steps, stdin } = first else {
            return None;
        };
        Some(Attached {
            session,
            pipes,
            stdin: stdin.filter(|_| interactive),
            terminal,
            steps,
        })
    }

    /// Waits for the start of what a session was opened for.
    ///
    /// # Errors
    /// What the supervisor met.
    pub async fn wait(
        mut session: Session,
        pipes: Pipes,
        terminal: bool,
        interactive: bool,
    ) -> Result<Attached, Error> {
        let (stdin, steps) = session.started().await?;
        let stdin = stdin.filter(|_| interactive);
        Ok(Attached {
            session,
            pipes,
            stdin,
            terminal,
            steps,
        })
    }
}

/// Makes the pipes of a process.
///
/// # Errors
/// Too many descriptors are open.
pub fn pipes(terminal: bool) -> Result<(Pipes, PipeEnds), Error> {
    Pipes::new(terminal).map_err(Error::file("make", "pipes"))
}
