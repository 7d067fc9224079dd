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
use super::orders::release;
use super::paths::Paths;
use super::plan::Plan;
use super::protocol::{Assignment, Event, Orders, Request};
use super::session::{PipeEnds, Session};
use super::steps::{Fault, Step, Steps, Taken};
use super::teardown::{Process, Scope, teardown};
use crate::containerd::TaskState;
use crate::model::id::ContainerId;
use crate::model::record::Exit;
use crate::sys::lock::Lock;

/// How often a command goes back to the beginning because a supervisor ended under its hands.
const TRIES: usize = 3;

/// Creates a container and starts nothing.
///
/// # Errors
/// The first failure; what was made is undone.
pub async fn create(host: &Host, plan: &Plan) -> Result<(), Error> {
    let record = &plan.record;
    let paths = Paths::new(&record.namespace, &record.id);
    let steps = Steps::new();
    let job = Job {
        host,
        steps: &steps,
        paths: &paths,
    };
    let lock = lock(&paths).await?;
    launch::create_record(job, plan).await?;
    let made = async {
        launch::prepare_root(job, plan).await?;
        job.steps
            .run(Step::Files, async { etc::make(&paths, record) })
            .await
    };
    let Err(error) = made.await else {
        return Ok(());
    };
    let mut record = record.clone();
    teardown(job, &mut record, Scope::Container, Process::Unknown).await?;
    drop(lock.remove(&paths.lock));
    Err(error)
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
    foreground: bool,
    fault: Option<Fault>,
) -> Orders {
    Orders {
        address: host.address.clone(),
        namespace: host.namespace.clone(),
        id: id.clone(),
        task: Assignment::Start,
        foreground,
        fault,
    }
}

/// Asks a supervisor for something that ends with its last event. None if there is no supervisor.
pub(super) async fn ask(
    host: &Host,
    id: &ContainerId,
    request: &Request,
) -> Result<Option<Event>, Error> {
    let paths = Paths::new(&host.namespace, id);
    let session = Session::open(id, &paths, request, PipeEnds::default()).await?;
    let Some(mut session) = session else {
        return Ok(None);
    };
    match session.event().await {
        Ok(Event::Failed(report)) => Err(report.into()),
        Ok(event) => Ok(Some(event)),
        // It ended before it heard us, or died: whoever asked looks again.
        Err(Error::SupervisorGone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
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
    match ask(host, id, &Request::Stop { timeout, signal }).await? {
        Some(Event::Exited { exit, .. }) => Ok(Some(exit)),
        Some(_) => Ok(None),
        None => Ok(host.record(id).await?.exit),
    }
}

/// Signals a container's process.
///
/// # Errors
/// There is no such container, or it does not run.
pub async fn kill(host: &Host, id: &ContainerId, signal: i32) -> Result<(), Error> {
    if ask(host, id, &Request::Signal { number: signal })
        .await?
        .is_some()
    {
        return Ok(());
    }
    host.record(id).await?;
    Err(not_running(id))
}

/// The error of a command that needs a running container.
pub fn not_running(id: &ContainerId) -> Error {
    Error::WrongState {
        id: id.clone(),
        state: "is not running",
        hint: "start it (netrun start)",
    }
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
        if let Some(exit) = host.record(id).await?.exit {
            return Ok(exit);
        }
    }
    Err(not_running(id))
}

/// Waits until a supervisor is not on its way down; one that is gone is down.
///
/// # Errors
/// Something is left behind.
pub async fn settle(host: &Host, id: &ContainerId) -> Result<(), Error> {
    ask(host, id, &Request::Settle).await.map(drop)
}

/// Removes a container with all that was made for it; returns the steps taken.
///
/// # Errors
/// There is none, it runs and `force` is not given, or something is left behind.
pub async fn remove(host: &Host, id: &ContainerId, force: bool) -> Result<Vec<Taken>, Error> {
    let paths = Paths::new(&host.namespace, id);
    for _ in 0..TRIES {
        if supervision(&paths) != Supervision::Alive {
            break;
        }
        if !force {
            check_ended(host, id).await?;
        }
        if let Some(Event::Exited { steps, .. }) = ask(host, id, &Request::Remove).await? {
            // It may have been on its way to a stop, not to a removal, when it heard us.
            if matches!(host.record(id).await, Err(Error::NoSuchContainer { .. })) {
                return Ok(steps);
            }
        }
    }
    remove_stopped(host, id, &paths).await
}

/// A process that has ended is no obstacle, even if its supervisor is still at work.
async fn check_ended(host: &Host, id: &ContainerId) -> Result<(), Error> {
    match host.client().await?.task(id.as_str()).await {
        Ok(task) if task.state == TaskState::Stopped => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Error::WrongState {
            id: id.clone(),
            state: "is running",
            hint: "stop it first (netrun stop), or remove it by force (netrun rm -f)",
        }),
    }
}

async fn remove_stopped(host: &Host, id: &ContainerId, paths: &Paths) -> Result<Vec<Taken>, Error> {
    // Where a supervisor died, its run directory goes as well.
    let claim = Claim::adopt(paths).await?;
    let lock = lock(paths).await?;
    let steps = Steps::new();
    let job = Job {
        host,
        steps: &steps,
        paths,
    };
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
    teardown(job, &mut record, Scope::Container, Process::Unknown).await?;
    if claim.is_some() {
        release(job).await;
    }
    drop(lock.remove(&paths.lock));
    Ok(steps.taken())
}
