//! Adoption: a new supervisor goes on where one died.
//!
//! Invariant: the shim holds both ends of the FIFOs, so nothing was lost in between; what is found
//! half-made is taken down, by the one way down; what may run is never taken for ended.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::attachment;
use super::attendance;
use super::claim::Claim;
use super::connect;
use super::error::Error;
use super::fifos::Fifos;
use super::hold;
use super::inherit::{self, Inherited};
use super::launch::{self, Job, Running};
use super::log_driver::LogWriter;
use super::orders::{Up, forget_lock, release};
use super::ports;
use super::stdio::Outputs;
use super::steps::Step;
use super::teardown::{Process, Scope, teardown};
use crate::containerd::{Task, TaskState};
use crate::model::id::ContainerId;
use crate::model::record::Record;
use crate::sys::lock::Lock;
use crate::sys::process;

/// How long a task may be in a state that containerd cannot name, and how often it is asked.
const STATE_LIMIT: Duration = Duration::from_secs(10);
const STATE_PAUSE: Duration = Duration::from_millis(200);

/// Takes over a container; its output goes to `pipes`, too. None if there is nothing that runs (any more).
///
/// # Errors
/// containerd cannot be reached or cannot say whether it runs, or something is left behind: the next
/// command tries again.
pub async fn adopt(
    job: Job<'_>,
    id: &ContainerId,
    pipes: Vec<OwnedFd>,
) -> Result<Option<Up>, Error> {
    let Some(claim) = claim(job).await? else {
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
    if !attachment::is_unfinished(&record) {
        // Somebody else has finished it in the meantime, or all but the run directory was gone.
        release(job).await;
        return Ok(None);
    }
    let fifos = Fifos::new(
        job.paths.fifos(""),
        record.process.terminal,
        record.process.stdin,
    );
    let _open = inherit::let_shims_open(job.paths);
    match task(job, id).await? {
        Some(task) if matches!(task.state, TaskState::Running | TaskState::Paused) => {
            let (running, execs) = take_over(job, &mut record, fifos, &task, pipes).await?;
            Ok(Some(Up {
                claim,
                early: Vec::new(),
                record,
                running,
                published: true,
                execs,
            }))
        }
        task => {
            let scope = finish(job, &mut record, &fifos, task.as_ref()).await?;
            forget_lock(job, scope, Some(lock));
            Ok(None)
        }
    }
}

/// The claim of a supervisor that died, or a fresh one where even its run directory is gone.
async fn claim(job: Job<'_>) -> Result<Option<Claim>, Error> {
    match Claim::adopt(job.paths).await? {
        None if !job.paths.run.is_dir() => Claim::fresh(job.paths, &job.host.address),
        claim => Ok(claim),
    }
}

/// What containerd says of the task; none if it knows none. A shim that does not answer in time makes
/// it say that it cannot tell, and then the process may well run.
async fn task(job: Job<'_>, id: &ContainerId) -> Result<Option<Task>, Error> {
    let client = job.host.client().await?;
    let deadline = Instant::now() + STATE_LIMIT;
    while Instant::now() < deadline {
        match client.task(id.as_str()).await {
            Ok(task) if task.state == TaskState::Unknown => sleep(STATE_PAUSE).await,
            Ok(task) => return Ok(Some(task)),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::UnknownState { id: id.clone() })
}

async fn take_over(
    job: Job<'_>,
    record: &mut Record,
    fifos: Fifos,
    task: &Task,
    pipes: Vec<OwnedFd>,
) -> Result<(Running, Vec<Inherited>), Error> {
    // Those that are there are left.
    inherit::find_fifos(record, job.paths);
    fifos.make()?;
    let outputs = Outputs::open_held(&fifos, LogWriter::open(job.paths, &record.log)?)?;
    let outputs = Rc::new(outputs);
    outputs
        .attach(pipes)
        .map_err(Error::file("attach to", job.paths.fifos("")))?;
    read_when_all_are_back(job, outputs.clone());
    hold::let_go(job, &record.id, task).await;
    let execs = inherit::execs(job, record.id.as_str()).await;
    let known = record.clone();
    complete(record, task);
    connect::settle(job, record).await;
    if *record != known {
        let update = job.host.update(record);
        job.steps.run(Step::Results, update).await?;
    }
    let running = Running {
        pidfd: launch::open_process(record, task.pid),
        pid: task.pid,
        fifos,
        outputs,
        ports: RefCell::new(ports::hold_again(record.network.published())),
    };
    Ok((running, execs))
}

/// What is written before its readers have come back from the dead supervisor waits for them.
fn read_when_all_are_back(job: Job<'_>, outputs: Rc<Outputs>) {
    let run = job.paths.run.clone();
    attendance::expect_back(&run);
    tokio::task::spawn_local(async move {
        attendance::all_back(&run).await;
        outputs.begin();
    });
}

/// Says in the record what the dead supervisor had no time to say.
fn complete(record: &mut Record, task: &Task) {
    record.provisional = false;
    record.started = record.started.or_else(|| {
        let age = process::age(task.pid)?;
        Timestamp::now().checked_sub(age).ok()
    });
}

/// What is not running is taken down: to the last thing if it never ran, or should not stay.
async fn finish(
    job: Job<'_>,
    record: &mut Record,
    fifos: &Fifos,
    task: Option<&Task>,
) -> Result<Scope, Error> {
    // A process that has ended was started, though nobody had the time to say so.
    let ran = task.is_some_and(|task| task.state == TaskState::Stopped);
    record.provisional &= !ran;
    let gone = record.provisional || record.auto_remove;
    let scope = if gone { Scope::Container } else { Scope::Run };
    // A task that is deleted with unread output makes containerd wait for seconds.
    let log = LogWriter::open(job.paths, &record.log).ok().flatten();
    let outputs = Outputs::open(fifos, log).ok();
    teardown(job, record, scope, Process::Unknown).await?;
    drop(outputs);
    release(job).await;
    Ok(scope)
}
