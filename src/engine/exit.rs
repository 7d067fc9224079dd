//! When and how a container's first process ended: the pidfd says when, containerd says how.
//!
//! Invariant: that it has ended is believed of the pidfd, or of containerd in so many words; that
//! containerd cannot be reached says nothing.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::error::Error;
use super::spec::cgroup;
use super::supervisor::Supervisor;
use super::teardown::UNKNOWN_STATUS;
use crate::containerd::Exited;
use crate::model::class::{Class, Explain};
use crate::model::record::Exit;
use crate::sys::usage::ran_out_of_memory;

/// How long containerd may take to say how a process ended that has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a failure containerd is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits until the process is gone; says how it ended where that is known at once.
pub async fn gone(supervisor: &Supervisor) -> Option<Exit> {
    match &supervisor.running.pidfd {
        Some(pidfd) if pidfd.ended().await.is_ok() => None,
        _ => Some(told(supervisor).await),
    }
}

/// Finds out how a process ended that is gone. The pidfd runs ahead of the shim: only Wait knows
/// when containerd does.
pub async fn status(supervisor: &Supervisor) -> Exit {
    match timeout(PATIENCE, told(supervisor)).await {
        Ok(exit) => exit,
        Err(_) => untold(
            supervisor,
            "containerd did not say in time how the process ended",
        ),
    }
}

/// containerd has forgotten the task.
pub fn forgotten(supervisor: &Supervisor) -> Exit {
    untold(
        supervisor,
        "containerd does not know the container's process any more",
    )
}

/// Waits until containerd says how the process ended, or that it knows none.
async fn told(supervisor: &Supervisor) -> Exit {
    loop {
        match wait(supervisor).await {
            Ok(Exited { status, at }) => {
                let out_of_memory = ran_out_of_memory(&cgroup(&supervisor.record.borrow()));
                return Exit {
                    out_of_memory,
                    ..Exit::new(status, at)
                };
            }
            Err(error) if error.class() == Class::NotFound => return forgotten(supervisor),
            Err(_) => {
                supervisor.host.release();
                sleep(PAUSE).await;
            }
        }
    }
}

async fn wait(supervisor: &Supervisor) -> Result<Exited, Error> {
    let client = supervisor.host.client().await?;
    Ok(client.wait_process(supervisor.id().as_str(), "").await?)
}

/// How a process ended of which containerd tells nothing: the kernel may know.
fn untold(supervisor: &Supervisor, reason: &str) -> Exit {
    let pidfd = supervisor.running.pidfd.as_ref();
    let status = pidfd.and_then(|pidfd| pidfd.exit_status());
    let exit = Exit::new(status.unwrap_or(UNKNOWN_STATUS), Timestamp::now());
    match status {
        Some(_) => exit,
        None => exit.because(reason),
    }
}
