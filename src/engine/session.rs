//! The client's side of a supervisor: start one, talk to one.
//!
//! Invariant: a supervisor inherits nothing: no descriptor, no environment, no directory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use super::daemon;
use super::error::Error;
use super::paths::{Paths, SOCKET};
use super::protocol::{Event, MAX_LINE, Orders, Request};
use crate::model::id::{ContainerId, Namespace};
use crate::sys::channel::Channel;

/// How long a supervisor that has told the end is waited for.
const LAST: Duration = Duration::from_millis(500);

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Session {
    id: ContainerId,
    channel: Channel,
}

/// The client's ends of the pipes through which output comes.
#[derive(Debug)]
pub struct Pipes {
    /// Standard output, or everything from a terminal.
    pub stdout: OwnedFd,
    /// Standard error; none from a terminal.
    pub stderr: Option<OwnedFd>,
}

/// The supervisor's ends of the pipes; closed here with the last clone.
#[derive(Debug, Clone, Default)]
pub struct PipeEnds(Rc<Vec<OwnedFd>>);

impl Pipes {
    /// Makes the pipes for a process with or without a terminal.
    ///
    /// # Errors
    /// Too many descriptors.
    pub fn new(terminal: bool) -> io::Result<(Pipes, PipeEnds)> {
        let (stdout, stdout_end) = io::pipe()?;
        let mut ends = vec![OwnedFd::from(stdout_end)];
        let mut stderr = None;
        if !terminal {
            let (read, write) = io::pipe()?;
            stderr = Some(OwnedFd::from(read));
            ends.push(write.into());
        }
        Ok((
            Pipes {
                stdout: stdout.into(),
                stderr,
            },
            PipeEnds(Rc::new(ends)),
        ))
    }
}

impl Session {
    /// Starts a supervisor, which gets ready while its orders are still being made.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(
        address: &Path,
        namespace: &Namespace,
        id: &ContainerId,
    ) -> Result<Session, Error> {
        let failed = |source| Error::Supervisor {
            action: "start",
            id: id.clone(),
            source,
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        spawn(address, namespace, id, theirs.into()).map_err(failed)?;
        let channel = Channel::new(ours, MAX_LINE).map_err(failed)?;
        let id = id.clone();
        Ok(Session { id, channel })
    }

    /// Gives a supervisor its orders.
    ///
    /// # Errors
    /// [`Error::SupervisorGone`] if it died, [`Error::PlanTooLarge`].
    pub async fn order(&self, orders: &Orders, pipes: PipeEnds) -> Result<(), Error> {
        let ends: Vec<_> = pipes.0.iter().map(AsFd::as_fd).collect();
        let sent = self.channel.send(orders, &ends).await;
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Error::PlanTooLarge {
                id: self.id.clone(),
                max: MAX_LINE,
            },
            _ => Error::SupervisorGone {
                id: self.id.clone(),
            },
        })
    }

    /// Starts a supervisor and gives it its orders.
    ///
    /// # Errors
    /// The program cannot be started.
    pub async fn launch(orders: &Orders, pipes: PipeEnds) -> Result<Session, Error> {
        let session = Session::spawn(&orders.address, &orders.namespace, &orders.id)?;
        session.order(orders, pipes).await?;
        Ok(session)
    }

    /// Talks to the supervisor of a running container. None if it has none.
    ///
    /// # Errors
    /// The request cannot be sent.
    pub async fn open(
        id: &ContainerId,
        paths: &Paths,
        request: &Request,
        pipes: PipeEnds,
    ) -> Result<Option<Session>, Error> {
        let Some(channel) = connect(&paths.run) else {
            return Ok(None);
        };
        let ends: Vec<_> = pipes.0.iter().map(AsFd::as_fd).collect();
        // One that ends at this moment is as good as none.
        let sent = channel.send(request, &ends).await;
        Ok(sent.is_ok().then(|| Session {
            id: id.clone(),
            channel,
        }))
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Error::SupervisorGone`] if it died.
    pub async fn event(&mut self) -> Result<Event, Error> {
        match self.channel.receive::<Event>().await {
            Ok(Some((event, _))) => Ok(event),
            Ok(None) | Err(_) => Err(Error::SupervisorGone {
                id: self.id.clone(),
            }),
        }
    }

    /// Waits until a supervisor that has told the end has gone itself: it is the last of it all. Not for
    /// long: it stays while somebody is slow to take his output.
    pub async fn over(&mut self) {
        let _ = timeout(LAST, self.event()).await;
    }

    /// Whether the supervisor died before it had read what was asked.
    pub fn was_unheard(&self) -> bool {
        self.channel.was_reset()
    }

    /// Waits until the process runs; says where its standard input is, and which steps were taken.
    ///
    /// # Errors
    /// What the supervisor met.
    pub async fn started(&mut self) -> Result<(Option<PathBuf>, Vec<super::steps::Taken>), Error> {
        loop {
            match self.event().await? {
                Event::Started { stdin, steps } => return Ok((stdin, steps)),
                Event::Failed(report) => return Err(report.into()),
                Event::Exited { .. } | Event::Removed => {}
            }
        }
    }

    /// Calls a launch off: what it made is taken down. Its outcome still comes.
    pub fn call_off(&self) {
        // A supervisor that is gone will be noticed where its events are awaited.
        self.channel.finish().ok();
    }

    /// Asks for something in the course of the session.
    ///
    /// # Errors
    /// [`Error::SupervisorGone`] if it died.
    pub async fn ask(&self, request: &Request) -> Result<(), Error> {
        let sent = self.channel.send(request, &[]).await;
        sent.map_err(|_| Error::SupervisorGone {
            id: self.id.clone(),
        })
    }
}

fn connect(run: &Path) -> Option<Channel> {
    Channel::connect(run, SOCKET, MAX_LINE).ok()
}

fn spawn(
    address: &Path,
    namespace: &Namespace,
    id: &ContainerId,
    control: OwnedFd,
) -> io::Result<()> {
    let child = Command::new("/proc/self/exe")
        .arg0("netrun")
        .arg(daemon::VERB)
        .arg(namespace.as_str())
        .arg(id.as_str())
        .arg(address)
        .env_clear()
        // Plugins and runc are looked for here.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir("/")
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // It outlives us, and is init's to reap.
    drop(child);
    Ok(())
}
