//! A process whose streams are in the caller's hands: what `run`, `exec`, `attach` and `start -a`
//! have in common.
//!
//! Invariant: nothing here touches a terminal; whoever has the streams connects them.

use std::path::PathBuf;

use super::settings::Settings;
use crate::engine::error::Error;
use crate::engine::host::Host;
use crate::engine::protocol::{Assignment, Event, Launcher, Orders, Request};
use crate::engine::reach::reach;
use crate::engine::session::{PipeEnds, Pipes, Session};
use crate::engine::steps::Taken;
use crate::model::id::{ContainerId, Namespace};

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
    /// How to go on if the supervisor dies; an exec dies with it.
    pub heir: Option<Heir>,
}

/// Who goes on where a supervisor died, for the client that had its streams.
#[derive(Debug, Clone)]
pub struct Heir {
    address: PathBuf,
    namespace: Namespace,
    id: ContainerId,
    client: Launcher,
}

impl Heir {
    /// For a container, and what its client is to it.
    pub fn new(settings: &Settings, id: &ContainerId, client: Launcher) -> Heir {
        Heir {
            address: settings.address.clone(),
            namespace: settings.namespace.clone(),
            id: id.clone(),
            client,
        }
    }

    /// Starts a new supervisor; output comes from new pipes. None if there is nothing that runs.
    ///
    /// # Errors
    /// What the new supervisor met.
    pub async fn take_over(&self, terminal: bool) -> Result<Option<(Session, Pipes)>, Error> {
        let (pipes, ends) = pipes(terminal)?;
        let orders = Orders {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
            id: self.id.clone(),
            task: Assignment::Adopt,
            client: self.client,
            fault: None,
        };
        let mut session = Session::launch(&orders, ends).await?;
        match session.started().await {
            Ok(_) => return Ok(Some((session, pipes))),
            Err(Error::SupervisorGone { .. }) => {}
            Err(error) => return Err(error),
        }
        // Another command may have been faster.
        let (pipes, ends) = self::pipes(terminal)?;
        let host = Host::new(self.address.clone(), self.namespace.clone());
        let reached = reach(&host, &self.id, &Request::Attach, ends).await?;
        Ok(reached.and_then(|(session, first)| {
            matches!(first, Event::Started { .. }).then_some((session, pipes))
        }))
    }
}

impl Attached {
    /// Takes the streams of what a supervisor was asked for. None if it did not start.
    pub fn reached(
        (session, first): (Session, Event),
        pipes: Pipes,
        terminal: bool,
        interactive: bool,
        heir: Option<Heir>,
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
            heir,
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
        heir: Option<Heir>,
    ) -> Result<Attached, Error> {
        let (stdin, steps) = session.started().await?;
        let stdin = stdin.filter(|_| interactive);
        Ok(Attached {
            session,
            pipes,
            stdin,
            terminal,
            steps,
            heir,
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
