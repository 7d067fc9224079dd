//! What a supervisor does first: its orders, up to a running process.
//!
//! Invariant: a launch that fails leaves nothing of its run, and nothing at all of a container that
//! it made.

use std::os::fd::OwnedFd;

use jiff::Timestamp;

use super::attachment;
use super::claim::Claim;
use super::error::Error;
use super::launch::{self, Job, Root, Running};
use super::plan::Plan;
use super::ports::{self, Reservation};
use super::steps::Step;
use super::teardown::{Process, Scope, remove_tree, teardown};
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;
use crate::model::record::{Exit, Record};
use crate::sys::lock::Lock;

/// What a launch, or an adoption, results in.
#[derive(Debug)]
pub struct Up {
    /// The claim.
    pub claim: Claim,
    /// The record.
    pub record: Record,
    /// The process.
    pub running: Running,
    /// The ports that it publishes.
    pub ports: Reservation,
}

/// Creates a container and starts it.
///
/// # Errors
/// Whatever kept it from running; what was made is taken down again.
pub async fn launch_new(
    job: Job<'_>,
    mut plan: Plan,
    pipes: Vec<OwnedFd>,
    publish: bool,
) -> Result<Option<Up>, Error> {
    let id = plan.record.id.clone();
    let (claim, lock) = take(job, &id).await?;
    plan.record.provisional = true;
    let held = match prepare(job, &mut plan.record).await {
        Ok(held) => held,
        Err(error) => {
            release(job).await;
            return Err(error);
        }
    };
    let mut record = plan.record.clone();
    let started = match launch::create_record(job, &plan).await {
        Ok(()) => launch::start(job, &mut record, Root::New(&plan), pipes, publish).await,
        Err(error @ Error::NameTaken { .. }) => {
            release(job).await;
            return Err(error);
        }
        Err(error) => {
            // Whether it was written is anybody's guess; another's must not be taken for ours.
            let written = job.host.record(&id).await;
            if !written.is_ok_and(|written| written.created == record.created) {
                release(job).await;
                return Err(error);
            }
            Err(error)
        }
    };
    finish_launch(job, (claim, held), record, started, lock).await
}

/// Starts a container that exists, with a fresh network namespace and fresh attachments.
///
/// # Errors
/// Whatever kept it from running; what was made is taken down again.
pub async fn launch_existing(
    job: Job<'_>,
    id: &ContainerId,
    pipes: Vec<OwnedFd>,
    publish: bool,
) -> Result<Option<Up>, Error> {
    let (claim, lock) = take(job, id).await?;
    let begun = async {
        let mut record = job.host.record(id).await?;
        if attachment::is_unfinished(&record) {
            // A reboot, or a supervisor that died, left its last run unfinished.
            teardown(job, &mut record, Scope::Run, Process::Unknown).await?;
        }
        let held = prepare(job, &mut record).await?;
        job.steps
            .run(Step::Record, job.host.update(&record))
            .await?;
        Ok((record, held))
    };
    let (mut record, held) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            release(job).await;
            return Err(error);
        }
    };
    let started = launch::start(job, &mut record, Root::Existing, pipes, publish).await;
    finish_launch(job, (claim, held), record, started, lock).await
}

/// What must stand in the record before it is written: that a start begins, and the ports of the
/// host that the kernel chose.
async fn prepare(job: Job<'_>, record: &mut Record) -> Result<Reservation, Error> {
    launch::begin(record)?;
    job.steps
        .run(Step::Ports, ports::reserve(job.host, record))
        .await
}

/// A launch that failed is taken down at once, by the one way down.
async fn finish_launch(
    job: Job<'_>,
    (claim, ports): (Claim, Reservation),
    mut record: Record,
    started: Result<Running, Error>,
    lock: Lock,
) -> Result<Option<Up>, Error> {
    let error = match started {
        Ok(running) => {
            return Ok(Some(Up {
                claim,
                record,
                running,
                ports,
            }));
        }
        Err(error) => error,
    };
    let gone = record.provisional || record.auto_remove;
    let scope = if gone { Scope::Container } else { Scope::Run };
    if scope == Scope::Run {
        record.exit = Some(failed_start(&error));
    }
    let down = teardown(job, &mut record, scope, Process::Unknown).await;
    if down.is_ok() {
        release(job).await;
        forget_lock(job, scope, Some(lock));
    }
    // What could not be undone matters more than why it had to be.
    down.and(Err(error))
}

/// How a container that could not be started has "ended", as docker has it.
fn failed_start(error: &Error) -> Exit {
    let status = match error.class() {
        Class::CommandNotFound => 127,
        Class::CommandNotExecutable => 126,
        _ => 125,
    };
    Exit {
        status,
        at: Timestamp::now(),
        reason: Some(error.to_string()),
    }
}

/// Claims the container, then takes its lock.
async fn take(job: Job<'_>, id: &ContainerId) -> Result<(Claim, Lock), Error> {
    let claim = claim(job, id).await?;
    match lock(job).await {
        Ok(lock) => Ok((claim, lock)),
        Err(error) => {
            release(job).await;
            Err(error)
        }
    }
}

async fn claim(job: Job<'_>, id: &ContainerId) -> Result<Claim, Error> {
    let claimed = job
        .steps
        .run(Step::Claim, async { Claim::fresh(job.paths) })
        .await?;
    claimed.ok_or_else(|| Error::NameTaken {
        id: id.clone(),
        state: "is running",
    })
}

async fn lock(job: Job<'_>) -> Result<Lock, Error> {
    let path = &job.paths.lock;
    let take = async {
        Lock::exclusive(path)
            .await
            .map_err(Error::file("lock", path))
    };
    job.steps.run(Step::Lock, take).await
}

/// Gives the run directory up. Where something is left behind it stays, for the next command to
/// find and to finish.
pub async fn release(job: Job<'_>) {
    // What stays is found by the next command: a run directory without a supervisor.
    let _ = job
        .steps
        .run(Step::Release, async { remove_tree(&job.paths.run) })
        .await;
}

/// The lock of a container that is gone goes with it.
pub fn forget_lock(job: Job<'_>, scope: Scope, lock: Option<Lock>) {
    if scope == Scope::Container {
        // A file that stays is an empty one, and is used again by the next of this name.
        let _ = lock.map(|lock| lock.remove(&job.paths.lock));
    }
}
