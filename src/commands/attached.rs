//! A process whose streams are in the caller's hands: what `run`, `exec`, `attach` and `start -a`
//! have in common.
//!
//! Invariant: nothing here touches a terminal; whoever has the streams connects them.

use std::path::PathBuf;

use super::settings::Settings;
use super::values::parse;
use crate::engine::error::Error;
use crate::engine::host::Host;
use crate::engine::protocol::{Assignment, Event, Launcher, Orders, Request};
use crate::engine::reach::reach;
use crate::engine::session::{PipeEnds, Pipes, Session};
use crate::engine::steps::Taken;
use crate::model::detach_keys::DetachSequence;
use crate::model::id::{ContainerId, Namespace};
use crate::model::record::Exit;

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
    /// What its client wants of the session.
    pub wishes: Wishes,
}

/// What a client wants of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The keys that leave it running.
    pub keys: DetachSequence,
    /// Signals that come are passed on.
    pub proxy: bool,
    /// Its standard output is wanted.
    pub stdout: bool,
    /// Its standard error is wanted.
    pub stderr: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            keys: DetachSequence::default(),
            proxy: true,
            stdout: true,
            stderr: true,
        }
    }
}

/// The keys that leave a container running.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None)]
pub struct KeysArgs {
    /// The keys that leave it running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = parse::<DetachSequence>)]
    pub detach_keys: Option<DetachSequence>,
}

impl KeysArgs {
    /// What they say of a session.
    pub fn wishes(&self) -> Wishes {
        Wishes {
            keys: self.detach_keys.clone().unwrap_or_default(),
            ..Wishes::default()
        }
    }
}

/// Whether signals are passed on.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(about = None, long_about = None)]
pub struct ProxyArgs {
    /// Pass signals on to it; =false leaves it alone when they come
    #[arg(
        long,
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub sig_proxy: bool,
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
        let owns = self.client == Launcher::Owns;
        let reached = reach(&host, &self.id, &Request::Attach { owns }, ends).await?;
        Ok(reached.and_then(|(session, first)| {
            matches!(first, Event::Started { .. }).then_some((session, pipes))
        }))
    }

    /// How it ended, where another command saw to its end before we could take over. What it wrote
    /// meanwhile is in its log.
    pub async fn exit(&self) -> Option<Exit> {
        let host = Host::new(self.address.clone(), self.namespace.clone());
        host.record(&self.id).await.ok()?.exit
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
            wishes: Wishes::default(),
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
            wishes: Wishes::default(),
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
