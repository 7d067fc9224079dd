//! What commands do to containers that exist: through their supervisor where one lives, else by
//! themselves under the container's lock.
//!
//! Invariant: a live supervisor does every teardown of its container; nobody waits for it with the
//! container's lock in hand.

use super::claim::{Claim, Supervision, supervision};
use super::error::Error;
use super::etc;
use super::host::Host;
use super::launch::{self, Job};
use super::orders::{forget_unowned, release, was_written};
use super::paths::Paths;
use super::plan::Plan;
use super::protocol::{Assignment, Event, Launcher, Orders, Request};
use super::reach::ask;
use super::restart::{comes_again, is_an_end};
use super::session::{PipeEnds, Session};
use super::steps::{Fault, Step, Steps, Taken};
use super::teardown::{Process, Scope, teardown};
use crate::containerd::TaskState;
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;
use crate::model::record::Exit;
use crate::sys::lock::Lock;

/// How often a command goes back to the beginning because somebody else changed the state under its
/// hands.
const TRIES: usize = 3;

/// Creates a container and starts nothing.
///
/// # Errors
/// The first failure; what was made is undone.
pub async fn create(host: &Host, mut plan: Plan, fault: Option<Fault>) -> Result<(), Error> {
    let paths = host.paths(&plan.record.id)?;
    let steps = Steps::of_command(fault);
    let job = Job {
        host,
        steps: &steps,
        paths: &paths,
    };
    let lock = lock(&paths).await?;
    // Until its maker says that it is whole, whoever finds it finds something half-made.
    plan.record.provisional = true;
    let mut record = plan.record.clone();
    let error = match make(job, &plan).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // Another's, of the same name, may have been there before.
    if matches!(error, Error::NameTaken { .. }) || !was_written(job, &record).await {
        forget_unowned(host, &paths, &record.id, lock).await;
        return Err(error);
    }
    teardown(job, &mut record, Scope::Container, Process::Unknown).await?;
    drop(lock.remove(&paths.lock));
    Err(error)
}

async fn make(job: Job<'_>, plan: &Plan) -> Result<(), Error> {
    launch::create_record(job, plan).await?;
    launch::prepare_root(job, plan).await?;
    let mut record = plan.record.clone();
    let files = async { etc::make(job.paths, &record, &job.host.address) };
    job.steps.run(Step::Files, files).await?;
    record.provisional = false;
    job.steps.run(Step::Results, job.host.update(&record)).await
}

async fn lock(paths: &Paths) -> Result<Lock, Error> {
    Lock::exclusive(&paths.lock)
        .await
        .map_err(Error::file("lock", &paths.lock))
}

/// The orders to start a container that exists.
pub fn start_orders(
    host: &Host,
    id: &ContainerId,
    client: Launcher,
    fault: Option<Fault>,
) -> Orders {
    Orders {
        address: host.address.clone(),
        namespace: host.namespace.clone(),
        id: id.clone(),
        task: Assignment::Start,
        client,
        fault,
    }
}

/// Starts a container, with a fresh network namespace and fresh attachments. One that runs is left
/// as it is; one on its way down is waited for.
///
/// # Errors
/// Whatever kept it from running.
pub async fn start(host: &Host, id: &ContainerId, fault: Option<Fault>) -> Result<(), Error> {
    let mut tries = TRIES;
    while !settle(host, id).await? {
        let orders = start_orders(host, id, Launcher::Leaves, fault);
        let mut session = Session::launch(&orders, PipeEnds::default()).await?;
        tries -= 1;
        match session.started().await {
            // Somebody else began to start it after we looked.
            Err(error) if error.class() == Class::AlreadyExists && tries > 0 => {}
            outcome => return outcome.map(drop),
        }
    }
    Ok(())
}

/// Stops a container; one that does not run is stopped already. Returns how it ended, if it ran.
///
/// # Errors
/// There is no such container, or something is left behind.
pub async fn stop(
    host: &Host,
    id: &ContainerId,
    timeout: Option<u32>,
    signal: Option<i32>,
) -> Result<Option<Exit>, Error> {
    let keep = false;
    end(
        host,
        id,
        &Request::Stop {
            timeout,
            signal,
            keep,
        },
    )
    .await
}

/// Stops a container and starts it again; one that was to be removed when it ends is not, this time.
///
/// # Errors
/// As [`stop`] and [`start`].
pub async fn restart(
    host: &Host,
    id: &ContainerId,
    (timeout, signal): (Option<u32>, Option<i32>),
    fault: Option<Fault>,
) -> Result<(), Error> {
    let keep = true;
    end(
        host,
        id,
        &Request::Stop {
            timeout,
            signal,
            keep,
        },
    )
    .await?;
    start(host, id, fault).await
}

async fn end(host: &Host, id: &ContainerId, request: &Request) -> Result<Option<Exit>, Error> {
    for _ in 0..TRIES {
        match ask(host, id, request).await? {
            Some(Event::Exited { exit, .. }) => return Ok(Some(exit)),
            Some(_) => return Ok(None),
            None => {}
        }
        let record = host.record(id).await?;
        if record.restart.is_no() || record.stopped {
            return Ok(record.exit);
        }
        note_stop(host, id).await?;
    }
    Err(Error::not_running(id))
}

/// Says in the record of a container that nobody runs that it was stopped. Whoever is about to start
/// it again looks there, and can be asked from then on.
async fn note_stop(host: &Host, id: &ContainerId) -> Result<(), Error> {
    let paths = Paths::new(&host.namespace, id);
    let lock = lock(&paths).await?;
    // A supervisor that starts it again writes the record as well: it is asked itself.
    if supervision(&paths) == Supervision::Alive {
        return Ok(());
    }
    let note = async {
        let mut record = host.record(id).await?;
        record.stopped = true;
        host.update(&record).await
    };
    let noted = note.await;
    if noted.is_err() {
        forget_unowned(host, &paths, id, lock).await;
    }
    noted
}

/// Signals a container's process; after SIGKILL it has ended.
///
/// # Errors
/// There is no such container, or it does not run.
pub async fn kill(host: &Host, id: &ContainerId, number: i32) -> Result<(), Error> {
    if ask(host, id, &Request::Signal { number }).await?.is_some() {
        return Ok(());
    }
    let record = host.record(id).await?;
    if is_an_end(&record, number) && comes_again(&record) {
        // Nobody has it in hand at this moment, but somebody is about to.
        return stop(host, id, Some(0), Some(number)).await.map(drop);
    }
    Err(Error::not_running(id))
}

/// Waits until a container does not run (any more).
///
/// # Errors
/// There is no such container.
pub async fn wait(host: &Host, id: &ContainerId) -> Result<Exit, Error> {
    for _ in 0..TRIES {
        if let Some(Event::Exited { exit, .. }) = ask(host, id, &Request::Wait).await? {
            return Ok(exit);
        }
        let record = host.record(id).await?;
        // As with docker, one that never ran has ended well.
        let never_ran = || Exit::new(0, record.created);
        let new = record.started.is_none() && supervision(&host.paths(id)?) == Supervision::None;
        // None yet if it has been started since we asked.
        if let Some(exit) = record.exit.or_else(|| new.then(never_ran)) {
            return Ok(exit);
        }
    }
    Err(Error::not_running(id))
}

/// Waits until a supervisor is not on its way up or down; says whether the container runs then.
///
/// # Errors
/// Something is left behind.
pub async fn settle(host: &Host, id: &ContainerId) -> Result<bool, Error> {
    let settled = ask(host, id, &Request::Settle).await?;
    Ok(matches!(settled, Some(Event::Started { .. })))
}

/// Removes a container with all that was made for it; returns the steps taken.
///
/// # Errors
/// There is none, it runs and `force` is not given, or something is left behind.
pub async fn remove(
    host: &Host,
    id: &ContainerId,
    force: bool,
    fault: Option<Fault>,
) -> Result<Vec<Taken>, Error> {
    let paths = host.paths(id)?;
    let steps = Steps::of_command(fault);
    let job = Job {
        host,
        steps: &steps,
        paths: &paths,
    };
    for _ in 0..TRIES {
        // To remove what a dead supervisor left nobody need take it over first.
        if !force || supervision(&paths) == Supervision::Alive {
            let answer = ask(host, id, &Request::Remove { force }).await?;
            if let Some(Event::Exited { steps, .. }) = answer {
                // It may have been on its way to a stop, not to a removal, when it heard us.
                if matches!(host.record(id).await, Err(Error::NoSuchContainer { .. })) {
                    return Ok(steps);
                }
            }
        }
        if let Some(steps) = remove_unsupervised(job, id, force).await? {
            return Ok(steps);
        }
    }
    Err(Error::WrongState {
        id: id.clone(),
        state: "is started again and again by others",
        hint: "end what starts it, then try again",
    })
}

/// Removes what nobody runs. None if somebody does.
async fn remove_unsupervised(
    job: Job<'_>,
    id: &ContainerId,
    force: bool,
) -> Result<Option<Vec<Taken>>, Error> {
    let (host, paths) = (job.host, job.paths);
    // Where a supervisor died, its run directory goes as well.
    let claim = Claim::adopt(paths).await?;
    let lock = lock(paths).await?;
    if claim.is_none() && supervision(paths) != Supervision::None {
        // Somebody claimed it before we had the lock, and is waiting for it.
        return Ok(None);
    }
    let mut record = match host.record(id).await {
        Ok(record) => record,
        Err(error) => {
            if claim.is_some() {
                // Its supervisor died when all but this was gone.
                release(job).await;
            }
            // Nobody's lock.
            drop(lock.remove(&paths.lock));
            return Err(error);
        }
    };
    if !force {
        check_ended(host, id).await?;
    }
    teardown(job, &mut record, Scope::Container, Process::Unknown).await?;
    if claim.is_some() {
        release(job).await;
    }
    drop(lock.remove(&paths.lock));
    Ok(Some(job.steps.taken()))
}

/// Without a supervisor only containerd can say whether something runs nonetheless.
async fn check_ended(host: &Host, id: &ContainerId) -> Result<(), Error> {
    match host.client().await?.task(id.as_str()).await {
        Ok(task) if task.state == TaskState::Stopped => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Error::running(id)),
    }
}
