//! Adoption: a new supervisor goes on where one died.
//!
//! Invariant: the shim holds both ends of the FIFOs, so nothing was lost in between; what is found
//! half-made is taken down, by the one way down.

use std::fs;
use std::rc::Rc;

use super::claim::Claim;
use super::error::Error;
use super::launch::{Job, Running};
use super::log::Writer;
use super::orders::{Up, forget_lock, release};
use super::ports;
use super::stdio::{Fifos, Outputs};
use super::teardown::{Process, Scope, teardown};
use crate::containerd::{Task, TaskState};
use crate::model::id::ContainerId;
use crate::model::record::Record;
use crate::sys::lock::Lock;
use crate::sys::pidfd::PidFd;

/// SIGKILL.
const KILL: u32 = 9;

/// Takes over a container. None if there is nothing that runs (any more).
///
/// # Errors
/// containerd cannot be reached, or something is left behind: the next command tries again.
pub async fn adopt(job: Job<'_>, id: &ContainerId) -> Result<Option<Up>, Error> {
    let Some(claim) = Claim::adopt(job.paths).await? else {
        return Ok(None);
    };
    let lock_file = &job.paths.lock;
    let lock = Lock::exclusive(lock_file)
        .await
        .map_err(Error::file("lock", lock_file))?;
    let mut record = match job.host.record(id).await {
        Ok(record) => record,
        Err(Error::NoSuchContainer { .. } | Error::Foreign { .. }) => {
            // The supervisor died before the record was written, or after it was deleted.
            release(job).await;
            forget_lock(job, Scope::Container, Some(lock));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let fifos = Fifos::new(
        job.paths.fifos(""),
        record.process.terminal,
        record.process.stdin,
    );
    let task = job.host.client().await?.task(id.as_str()).await;
    match task {
        Ok(task) if matches!(task.state, TaskState::Running | TaskState::Paused) => {
            let running = take_over(job, &mut record, fifos, &task).await?;
            Ok(Some(Up {
                claim,
                ports: ports::hold_again(&record.network.ports),
                record,
                running,
            }))
        }
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => {
            let scope = finish(job, &mut record, &fifos).await?;
            forget_lock(job, scope, Some(lock));
            Ok(None)
        }
    }
}

async fn take_over(
    job: Job<'_>,
    record: &mut Record,
    fifos: Fifos,
    task: &Task,
) -> Result<Running, Error> {
    let log = job.paths.log();
    let writer = Writer::open(&log).map_err(Error::file("open the log", log))?;
    let outputs = Outputs::open(&fifos, Some(writer))?;
    end_execs(job, record.id.as_str()).await;
    // The socket of the dead supervisor is in the way of ours.
    let _ = fs::remove_file(job.paths.run.join(super::paths::SOCKET));
    record.provisional = false;
    let pidfd = PidFd::open(task.pid).ok();
    Ok(Running {
        pidfd,
        pid: task.pid,
        fifos,
        outputs: Rc::new(outputs),
    })
}

/// What is not running is taken down: to the last thing if it never ran, or should not stay.
async fn finish(job: Job<'_>, record: &mut Record, fifos: &Fifos) -> Result<Scope, Error> {
    let gone = record.provisional || record.auto_remove;
    let scope = if gone { Scope::Container } else { Scope::Run };
    // A task that is deleted with unread output makes containerd wait for seconds.
    let outputs = Outputs::open(fifos, Writer::open(&job.paths.log()).ok()).ok();
    teardown(job, record, scope, Process::Unknown).await?;
    drop(outputs);
    release(job).await;
    Ok(scope)
}

/// The clients of the execs lost them with the supervisor; their processes would block for ever.
async fn end_execs(job: Job<'_>, id: &str) {
    let Ok(entries) = fs::read_dir(&job.paths.run) else {
        return;
    };
    let Ok(client) = job.host.client().await else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(exec_id) = name.to_str().and_then(|name| name.strip_prefix("exec-")) else {
            continue;
        };
        let terminal = !entry.path().join("stderr").exists();
        let fifos = Fifos::new(entry.path(), terminal, false);
        let outputs = Outputs::open(&fifos, None);
        if client.kill_process(id, exec_id, KILL, false).await.is_ok() {
            drop(client.wait_process(id, exec_id).await);
        }
        drop(client.delete_exec(id, exec_id).await);
        drop(outputs);
        fifos.remove();
    }
}
