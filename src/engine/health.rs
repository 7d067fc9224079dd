//! How a container's health is: the supervisor asks, and writes the answers down for everybody.
//!
//! Invariant: the file is replaced as a whole, so a reader sees one state or the next. A check is an
//! exec like any other; one that takes too long is killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::error::Error;
use super::exec;
use super::paths::Paths;
use super::protocol::{Event, Exec, MAX_LINE};
use super::serve;
use super::supervisor::Supervisor;
use crate::model::health::{Health, HealthCheck, HealthStatus, OnUnhealthy, Probe};
use crate::model::signal::Signal;
use crate::sys::channel::Channel;
use crate::sys::ready::Ready;
use crate::sys::usage::is_frozen;

/// So much of what a check writes is kept, in bytes.
const KEPT: usize = 4096;

/// The health as the supervisor wrote it last; nothing is known before the first check.
pub fn read(paths: &Paths) -> Health {
    let text = std::fs::read(paths.health()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes the health.
///
/// # Errors
/// [`Error::File`].
pub fn write(paths: &Paths, health: &Health) -> Result<(), Error> {
    let path = paths.health();
    let draft = path.with_extension("new");
    let bytes = serde_json::to_vec(health).map_err(|source| Error::Record {
        id: path.display().to_string(),
        source,
    })?;
    std::fs::write(&draft, bytes)
        .and_then(|()| std::fs::rename(&draft, &path))
        .map_err(Error::file("write", path))
}

/// Checks the container's health as long as it runs; goes on where a dead supervisor was.
pub async fn watch(supervisor: Rc<Supervisor>, adopted: bool) {
    let (check, started) = {
        let record = supervisor.record.borrow();
        (record.health.clone(), record.started)
    };
    let Some(check) = check else {
        return;
    };
    let mut health = match adopted {
        true => read(&supervisor.paths),
        false => Health::default(),
    };
    // Where it cannot be written it is still acted upon.
    let _ = write(&supervisor.paths, &health);
    let started = started.unwrap_or_else(Timestamp::now);
    loop {
        let age = || Duration::try_from(Timestamp::now().duration_since(started));
        sleep(health.pause(&check, age().unwrap_or_default())).await;
        let age = age().unwrap_or_default();
        if is_frozen(supervisor.running.pid) {
            // It cannot answer, and is not to be blamed for that.
            continue;
        }
        let probe = probe(&supervisor, &check).await;
        if supervisor.going_down.get() {
            return;
        }
        let changed = health.take(probe, &check, age);
        let _ = write(&supervisor.paths, &health);
        if changed {
            let action = format!("health_status: {}", health.status);
            supervisor.announce(&action, &[]).await;
        }
        if changed && health.status == HealthStatus::Unhealthy {
            act(&supervisor, check.on_failure).await;
        }
    }
}

async fn act(supervisor: &Rc<Supervisor>, action: OnUnhealthy) {
    match action {
        OnUnhealthy::None => {}
        // A process that has ended already needs no signal.
        OnUnhealthy::Kill => drop(supervisor.signal(Signal::KILL.number()).await),
        OnUnhealthy::Stop => {
            supervisor.shall_stay_ended().await;
            serve::stop(supervisor, None, None).await;
        }
        OnUnhealthy::Restart => {
            supervisor.again.set(true);
            serve::stop(supervisor, None, None).await;
        }
    }
}

/// Runs the check once.
async fn probe(supervisor: &Rc<Supervisor>, check: &HealthCheck) -> Probe {
    let start = Timestamp::now();
    let answer = timeout(check.timeout, run(supervisor, check)).await;
    let (exit_code, output) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => (-1, chain(&error)),
        Err(_) => {
            let seconds = check.timeout.as_secs_f64();
            (-1, format!("Health check exceeded timeout ({seconds}s)"))
        }
    };
    Probe {
        start,
        end: Timestamp::now(),
        exit_code,
        output,
    }
}

/// An error with its causes: whoever reads the log of checks sees nothing else.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Runs the check as a client of ours would: its status, and the beginning of what it wrote. When
/// this is given up, the client is gone, and the process is killed.
async fn run(supervisor: &Rc<Supervisor>, check: &HealthCheck) -> Result<(i32, String), Error> {
    let failed = |source| Error::Supervisor {
        action: "check the health through",
        id: supervisor.id(),
        source,
    };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut ours = Channel::new(ours, MAX_LINE).map_err(failed)?;
    let theirs = Channel::new(theirs, MAX_LINE).map_err(failed)?;
    let (stdout, stdout_end) = io::pipe().map_err(failed)?;
    let (stderr, stderr_end) = io::pipe().map_err(failed)?;
    let wanted = Exec {
        privileged: false,
        args: check.command.clone(),
        env: Vec::new(),
        workdir: None,
        user: None,
        terminal: false,
        window: None,
        stdin: false,
        detach: false,
    };
    let supervisor = supervisor.clone();
    tokio::task::spawn_local(async move {
        let ends = vec![stdout_end.into(), stderr_end.into()];
        exec::serve(&supervisor, theirs, wanted, ends).await;
    });
    let status = async {
        loop {
            match ours.receive::<Event>().await.map_err(failed)? {
                Some((Event::Exited { exit, .. }, _)) => {
                    return Ok::<_, Error>(i32::try_from(exit.status).unwrap_or(-1));
                }
                Some((Event::Failed(report), _)) => return Err(report.into()),
                Some(_) => {}
                None => return Ok(-1),
            }
        }
    };
    let (status, stdout, stderr) =
        tokio::join!(status, beginning(stdout.into()), beginning(stderr.into()));
    let mut output = [stdout, stderr].concat();
    output.truncate(KEPT);
    Ok((status?, String::from_utf8_lossy(&output).into_owned()))
}

/// Reads a pipe to its end, and keeps the beginning.
async fn beginning(pipe: OwnedFd) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; KEPT];
    let Ok(pipe) = Ready::reader(pipe) else {
        return kept;
    };
    while let Ok(count @ 1..) = pipe
        .read(|fd| Ok(nix::unistd::read(fd, &mut buffer)?))
        .await
    {
        let room = KEPT - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    kept
}
