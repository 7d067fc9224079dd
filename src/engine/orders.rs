//! What a supervisor does first: its orders, up to a running process.
//!
//! Invariant: a launch that fails leaves nothing of its run, and nothing at all of a container that
//! it made.

use std::os::fd::OwnedFd;

use jiff::Timestamp;

use super::attachment;
use super::claim::{self, Claim};
use super::error::Error;
use super::host::Host;
use super::inherit::Inherited;
use super::launch::{self, Job, Root, Running};
use super::paths::Paths;
use super::plan::Plan;
use super::ports::{self, Reservation};
use super::protocol::Request;
use super::restart::{self, Early, Rested};
use super::steps::{Step, Steps};
use super::teardown::{Process, Scope, teardown};
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;
use crate::model::record::{Exit, NetworkMode, Record};
use crate::sys::channel::Channel;
use crate::sys::lock::Lock;

/// What a launch, or an adoption, results in.
#[derive(Debug)]
pub struct Up {
    /// The claim.
    pub claim: Claim,
    /// Those who asked before it ran.
    pub early: Vec<Early>,
    /// The record.
    pub record: Record,
    /// The process.
    pub running: Running,
    /// containerd's record says all that this one says.
    pub published: bool,
    /// The detached execs of a supervisor before.
    pub execs: Vec<Inherited>,
}

/// Launches, and says so to the steps if the client that wants it is gone in between.
pub async fn attended<T>(
    launch: impl Future<Output = T>,
    client: Option<&mut Channel>,
    steps: &Steps,
) -> T {
    tokio::pin!(launch);
    if let Some(client) = client {
        tokio::select! {
            biased;
            done = &mut launch => return done,
            // Until it is told of the start it has nothing to say.
            _ = client.receive::<Request>() => steps.abandon(),
        }
    }
    launch.await
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
    let free = async {
        name_is_free(job, &plan.record).await?;
        prepare(job, &mut plan.record).await
    };
    let held = match free.await {
        Ok(held) => held,
        Err(error) => {
            give_up(job, &id, lock).await;
            return Err(error);
        }
    };
    let mut record = plan.record.clone();
    let started = match launch::create_record(job, &plan).await {
        Ok(()) => launch::start(job, &mut record, Root::New(&plan), pipes, publish).await,
        Err(error @ Error::NameTaken { .. }) => {
            give_up(job, &id, lock).await;
            return Err(error);
        }
        Err(error) => {
            if !was_written(job, &record).await {
                give_up(job, &id, lock).await;
                return Err(error);
            }
            Err(error)
        }
    };
    let started = started.inspect(|running| drop(running.ports.replace(held)));
    // That it was started is still to be said.
    finish_launch(job, (claim, lock), record, started, false).await
}

/// Whether a record was written by a call that failed; another's must not be taken for ours.
pub async fn was_written(job: Job<'_>, record: &Record) -> bool {
    let written = job.host.record(&record.id).await;
    written.is_ok_and(|written| written.created == record.created)
}

/// Whatever has the name already must not be taken for ours: we would undo it.
async fn name_is_free(job: Job<'_>, record: &Record) -> Result<(), Error> {
    let Err(taken) = free_netns(record) else {
        return Ok(());
    };
    match job.host.record(&record.id).await {
        Ok(_) => Err(Error::NameTaken {
            id: record.id.clone(),
            state: "exists",
        }),
        Err(_) => Err(taken),
    }
}

fn free_netns(record: &Record) -> Result<(), Error> {
    match &record.network.mode {
        NetworkMode::Own(path) if path.symlink_metadata().is_ok() => Err(Error::NetnsTaken {
            id: record.id.clone(),
            path: path.clone(),
        }),
        _ => Ok(()),
    }
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
    let by_somebody = |record: &mut Record| {
        record.restarts = 0;
        record.stopped = false;
    };
    launch_again(job, id, (claim, lock), by_somebody, (pipes, publish)).await
}

/// Starts a container by its restart policy, once its turn has come. None if it shall not be.
///
/// # Errors
/// As [`launch_existing`].
pub async fn relaunch(job: Job<'_>, id: &ContainerId, quick: u32) -> Result<Option<Up>, Error> {
    let Some(Rested { claim, early }) = restart::rest(job, id, quick).await? else {
        return Ok(None);
    };
    let lock = match lock(job).await {
        Ok(lock) => lock,
        Err(error) => {
            release(job).await;
            return Err(error);
        }
    };
    let by_policy = |record: &mut Record| record.restarts += 1;
    let up = launch_again(job, id, (claim, lock), by_policy, (Vec::new(), true)).await?;
    Ok(up.map(|up| Up { early, ..up }))
}

async fn launch_again(
    job: Job<'_>,
    id: &ContainerId,
    (claim, lock): (Claim, Lock),
    note: impl FnOnce(&mut Record),
    (pipes, publish): (Vec<OwnedFd>, bool),
) -> Result<Option<Up>, Error> {
    let begun = async {
        let mut record = job.host.record(id).await?;
        finish_last(job, &mut record).await?;
        free_netns(&record)?;
        let held = prepare(job, &mut record).await?;
        note(&mut record);
        job.steps
            .run(Step::Record, job.host.update(&record))
            .await?;
        Ok((record, held))
    };
    let (mut record, held) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            give_up(job, id, lock).await;
            return Err(error);
        }
    };
    let started = launch::start(job, &mut record, Root::Existing, pipes, publish).await;
    let started = started.inspect(|running| drop(running.ports.replace(held)));
    finish_launch(job, (claim, lock), record, started, publish).await
}

/// What must stand in the record before it is written: that a start begins, and the ports of the
/// host that the kernel chose.
async fn prepare(job: Job<'_>, record: &mut Record) -> Result<Reservation, Error> {
    launch::begin(record)?;
    let reserve = ports::reserve(job.host, record);
    job.steps.run(Step::Ports, reserve).await
}

/// A reboot, or somebody who died, left the last run unfinished, or the container half-made.
async fn finish_last(job: Job<'_>, record: &mut Record) -> Result<(), Error> {
    if record.provisional {
        teardown(job, record, Scope::Container, Process::Unknown).await?;
        return Err(Error::WrongState {
            id: record.id.clone(),
            state: "was left half made or half removed, and is gone now",
            hint: "make it again",
        });
    }
    match attachment::is_unfinished(record) {
        true => teardown(job, record, Scope::Run, Process::Unknown).await,
        false => Ok(()),
    }
}

/// A launch that failed is taken down at once, by the one way down.
async fn finish_launch(
    job: Job<'_>,
    (claim, lock): (Claim, Lock),
    mut record: Record,
    started: Result<Running, Error>,
    published: bool,
) -> Result<Option<Up>, Error> {
    let error = match started {
        Ok(running) => {
            return Ok(Some(Up {
                claim,
                early: Vec::new(),
                record,
                running,
                published,
                execs: Vec::new(),
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
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        reason += &format!(": {next}");
        cause = next.source();
    }
    Exit::new(status, Timestamp::now()).because(&reason)
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
        .run(Step::Claim, async {
            Claim::fresh(job.paths, &job.host.address)
        })
        .await?;
    if let Err(elsewhere) = job.host.paths(id) {
        if claimed.is_some() {
            release(job).await;
        }
        return Err(elsewhere);
    }
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
        .run(Step::Release, async { claim::remove(job.paths) })
        .await;
}

/// Gives up before anything was made.
async fn give_up(job: Job<'_>, id: &ContainerId, lock: Lock) {
    release(job).await;
    forget_unowned(job.host, job.paths, id, lock).await;
}

/// The lock of a container that is gone goes with it.
pub fn forget_lock(job: Job<'_>, scope: Scope, lock: Option<Lock>) {
    if scope == Scope::Container {
        // A file that stays is an empty one, and is used again by the next of this name.
        let _ = lock.map(|lock| lock.remove(&job.paths.lock));
    }
}

/// As [`forget_lock`], after a failure: only if there is no container of ours, whose lock it would be.
pub async fn forget_unowned(host: &Host, paths: &Paths, id: &ContainerId, lock: Lock) {
    let known = host.record(id).await;
    if let Err(Error::NoSuchContainer { .. } | Error::Foreign { .. }) = known {
        // A file that stays is swept by `gc`.
        let _ = lock.remove(&paths.lock);
    }
}
