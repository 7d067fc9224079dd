//! A container held still for as long as a client needs it, so that its files do not change
//! meanwhile.
//!
//! Invariant: what was frozen for a client goes on when that client is gone, however it went; what
//! somebody else has frozen stays so. A mark beside the socket tells whoever adopts the container.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::error::Error;
use super::host::Host;
use super::launch::Job;
use super::paths::Paths;
use super::protocol::{Event, Request};
use super::reach::reach;
use super::report::Report;
use super::serve::tell;
use super::session::{PipeEnds, Session};
use super::supervisor::Supervisor;
use crate::containerd::{Task, TaskState};
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;
use crate::sys::channel::Channel;
use crate::sys::usage::is_frozen;

/// How long after a failure containerd is told again to let it go on, and how often at most where it
/// answers.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: u32 = 5;

/// A container that is held; it goes on when this is dropped.
#[derive(Debug)]
pub struct Hold(Session);

impl Hold {
    /// Lets it go on, and waits until it does.
    pub async fn release(mut self) {
        // A supervisor that died is replaced by one that lets it go on, too.
        if self.0.ask(&Request::Detach).await.is_ok() {
            let _ = self.0.event().await;
        }
    }
}

/// Freezes a container. Nothing if it does not run.
///
/// # Errors
/// containerd cannot freeze it.
pub async fn hold(host: &Host, id: &ContainerId) -> Result<Option<Hold>, Error> {
    let held = match reach(host, id, &Request::Hold, PipeEnds::default()).await {
        // It has ended, or waits to be started again.
        Err(error) if error.class() == Class::WrongState => return Ok(None),
        held => held?,
    };
    Ok(held.and_then(|(session, event)| match event {
        Event::Started { .. } => Some(Hold(session)),
        _ => None,
    }))
}

/// Holds the container until the client says that it is done, or is gone.
pub async fn serve(supervisor: &Rc<Supervisor>, mut channel: Channel) {
    let started = Event::Started {
        steps: Vec::new(),
        stdin: None,
    };
    let frozen = match freeze(supervisor).await {
        Ok(frozen) => frozen,
        Err(error) => return tell(&channel, &Event::Failed(Report::of(&error))).await,
    };
    tell(&channel, &started).await;
    tokio::select! {
        _ = channel.receive::<Request>() => {}
        _ = supervisor.over() => {}
    }
    if frozen {
        thaw(supervisor).await;
    }
    tell(&channel, &started).await;
}

/// Freezes it for one more client; says whether it is ours to let go on.
async fn freeze(supervisor: &Supervisor) -> Result<bool, Error> {
    let mut holders = supervisor.holders.lock().await;
    if *holders == 0 {
        if is_frozen(supervisor.running.pid) {
            return Ok(false);
        }
        let mark = supervisor.paths.held();
        fs::write(&mark, "").map_err(Error::file("write", &mark))?;
        let client = supervisor.host.client().await?;
        if let Err(error) = client.pause_task(supervisor.id().as_str()).await {
            unmark(&supervisor.paths);
            return Err(error.into());
        }
    }
    *holders += 1;
    Ok(true)
}

/// Lets it go on after the last client for whom it was held.
async fn thaw(supervisor: &Supervisor) {
    let mut holders = supervisor.holders.lock().await;
    *holders -= 1;
    let mut refused = 0;
    while *holders == 0 && refused < TRIES && !supervisor.ended() {
        match go_on(&supervisor.host, &supervisor.id()).await {
            Ok(()) => break,
            // While containerd is away we do not give up; nobody waits for us.
            Err(error) if error.class() == Class::Unavailable => {}
            // Somebody else may have let it go on.
            Err(_) if !is_frozen(supervisor.running.pid) => break,
            Err(_) => refused += 1,
        }
        supervisor.host.release();
        sleep(PAUSE).await;
    }
    if *holders == 0 {
        unmark(&supervisor.paths);
    }
}

/// Lets go on what a supervisor held that died.
pub async fn let_go(job: Job<'_>, id: &ContainerId, task: &Task) {
    let held = job.paths.held().exists();
    if held && task.state == TaskState::Paused && go_on(job.host, id).await.is_err() {
        // The mark stays, for the next who adopts it.
        return;
    }
    unmark(job.paths);
}

async fn go_on(host: &Host, id: &ContainerId) -> Result<(), Error> {
    Ok(host.client().await?.resume_task(id.as_str()).await?)
}

fn unmark(paths: &Paths) {
    // One that stays does harm only to a container that somebody else has frozen when it is adopted.
    let _ = fs::remove_file(paths.held());
}
