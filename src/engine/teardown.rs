//! The one way down: the only code that undoes anything.
//!
//! Invariant: every step can be repeated, what is absent is done, a failure does not stop the pass,
//! and the record stays until nothing of ours is left. The network is never taken away before the
//! process is gone.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join};
use tokio::time::{sleep, timeout};

use super::attachment;
use super::error::Error;
use super::forgotten;
use super::image_mounts;
use super::launch::Job;
use super::neighbours;
use super::stdio::Outputs;
use super::steps::Step;
use super::volumes;
use crate::containerd::{self, Client, Exited};
use crate::model::record::{Exit, NetworkMode, Record};
use crate::sys::mount::unmount;
use crate::sys::netns;

/// How long a killed process may take to end.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// How often, and how long apart, containerd is asked again whose shim has just died.
const SHIM_TRIES: u32 = 40;
const SHIM_PAUSE: Duration = Duration::from_millis(100);

/// How long the FIFOs of an ended process may take to reach their end. On a busy machine the shim may
/// be slow; a process that left the container's pid namespace can hold them open for ever.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// SIGKILL.
const KILL: u32 = 9;

/// How far down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What belongs to a run: task, network, namespace. The container can be started again.
    Run,
    /// Everything.
    Container,
}

/// What is known of the process when teardown begins.
pub enum Process<'a> {
    /// It is gone.
    Gone {
        /// How it ended, as soon as containerd knows.
        exit: LocalBoxFuture<'a, Exit>,
        /// Its outputs, which we are reading.
        outputs: &'a Outputs,
    },
    /// Nobody knows; containerd is asked.
    Unknown,
}

/// Takes a container down. The record is updated, or deleted as the last thing.
///
/// # Errors
/// [`Error::LeftBehind`] with everything that failed; what could be undone is undone.
pub async fn teardown(
    job: Job<'_>,
    record: &mut Record,
    scope: Scope,
    process: Process<'_>,
) -> Result<(), Error> {
    let mut pass = Pass::new(job);
    let thorough = matches!(process, Process::Unknown);
    if thorough && !pass.end_process(record).await {
        // The network must not be taken away under a process that may run.
        return pass.outcome(record);
    }
    let before = record.clone();
    let (task, network) = join(
        task_down(job, record, scope, process),
        network_down(job, &before, thorough),
    )
    .await;
    pass.failures.extend(task);
    pass.failures.extend(network);
    if scope == Scope::Container {
        pass.remove_record(record).await;
    } else if pass.failures.is_empty() {
        pass.mark_down(record).await;
    }
    pass.outcome(record)
}

/// One pass on the way down, with what failed in it.
struct Pass<'a> {
    job: Job<'a>,
    failures: Vec<Error>,
}

impl<'a> Pass<'a> {
    fn new(job: Job<'a>) -> Pass<'a> {
        let failures = Vec::new();
        Pass { job, failures }
    }

    fn note<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        outcome.map_err(|error| self.failures.push(error)).ok()
    }

    fn outcome(mut self, record: &Record) -> Result<(), Error> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let first = Box::new(self.failures.remove(0));
        Err(Error::LeftBehind {
            id: record.id.clone(),
            first,
            failures: self.failures,
        })
    }

    /// Makes sure that the process has ended; false if it may still run.
    async fn end_process(&mut self, record: &mut Record) -> bool {
        let killed = self.job.steps.run(Step::Kill, kill(self.job, record)).await;
        let Some(exited) = self.note(killed) else {
            return false;
        };
        if let Some(Exited { status, at }) = exited {
            record.exit = Some(Exit::new(status, at));
        }
        true
    }

    /// Whoever finishes a removal that was broken off must know that it was one: what has lost its
    /// snapshot is no stopped container.
    async fn announce_removal(&mut self, record: &mut Record) {
        let known = record.provisional || (record.auto_remove && !record.boot_id.is_empty());
        if known {
            return;
        }
        record.keep_volumes = !record.auto_remove;
        (record.auto_remove, record.provisional) = (true, true);
        let update = self.job.host.update(record);
        let announced = self.job.steps.run(Step::Exit, update).await;
        self.note(announced);
    }

    /// A record whose run is completely down is not mistaken for one that died half-way.
    async fn mark_down(&mut self, record: &mut Record) {
        if record.boot_id.is_empty() || record.exit.is_some() {
            return;
        }
        let unknown = Exit::new(UNKNOWN_STATUS, jiff::Timestamp::now());
        record.exit = Some(unknown.because("nobody saw how the process ended"));
        let update = self
            .job
            .steps
            .run(Step::Exit, self.job.host.update(record))
            .await;
        self.note(update);
    }

    async fn remove_root(&mut self, record: &Record) {
        let remove = async {
            let client = self.job.host.client().await?;
            let (snapshotter, key) = (&record.snapshotter, record.id.as_str());
            absent_is_done(client.remove_snapshot(snapshotter, key).await)
        };
        let removed = self.job.steps.run(Step::SnapshotRemove, remove).await;
        self.note(removed);
        if image_mounts::any(record) {
            let remove = image_mounts::remove(self.job.host, record);
            let removed = self.job.steps.run(Step::ImagesRemove, remove).await;
            self.note(removed);
        }
        if !record.keep_volumes {
            let remove = volumes::remove_anonymous(self.job.host, record);
            let removed = self.job.steps.run(Step::VolumesRemove, remove).await;
            self.note(removed);
        }
        let state = &self.job.paths.state;
        let files = async { remove_tree(state) };
        let removed = self.job.steps.run(Step::FilesRemove, files).await;
        self.note(removed);
    }

    async fn remove_record(&mut self, record: &Record) {
        if !self.failures.is_empty() {
            return;
        }
        let delete = async {
            let client = self.job.host.client().await?;
            absent_is_done(client.delete_container(record.id.as_str()).await)
        };
        let deleted = self.job.steps.run(Step::RecordRemove, delete).await;
        self.note(deleted);
    }
}

/// The status of a process whose end nobody saw.
pub const UNKNOWN_STATUS: u32 = 255;

/// Kills whatever runs, and waits for its end. None if containerd knows no task.
async fn kill(job: Job<'_>, record: &Record) -> Result<Option<Exited>, Error> {
    let client = job.host.client().await?;
    let id = record.id.as_str();
    match client.kill_process(id, "", KILL, true).await {
        Ok(()) => {}
        Err(error) if error.is_not_found() => {
            // No task, or a task whose process has ended: only containerd can tell them apart.
            if client
                .task(id)
                .await
                .is_err_and(|error| error.is_not_found())
            {
                return Ok(None);
            }
        }
        // A task that was created but never started refuses signals on some versions; deleting it
        // is what ends it.
        Err(_) => {}
    }
    match timeout(KILL_DEADLINE, end_of(&client, id)).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Error::DoesNotEnd {
            id: record.id.clone(),
        }),
    }
}

/// Waits for the end of a task; none if containerd knows none. Where the shim has died a moment ago,
/// containerd passes that on (`ttrpc: closed`) until it has noticed and cleaned up after it.
async fn end_of(client: &Client, id: &str) -> Result<Option<Exited>, containerd::Error> {
    let mut tries = SHIM_TRIES;
    loop {
        match client.wait_process(id, "").await {
            Ok(exited) => return Ok(Some(exited)),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => sleep(SHIM_PAUSE).await,
        }
        tries -= 1;
    }
}

/// Learns how the process ended, deletes the task, then what it was made of; returns what failed.
async fn task_down(
    job: Job<'_>,
    record: &mut Record,
    scope: Scope,
    process: Process<'_>,
) -> Vec<Error> {
    let mut pass = Pass::new(job);
    if let Process::Gone { exit, outputs } = process {
        let drain = async {
            outputs.drain(DRAIN_DEADLINE).await;
            Ok(())
        };
        let (drained, exit) = join(job.steps.run(Step::Drain, drain), exit).await;
        pass.note(drained);
        record.exit = Some(exit);
    }
    if scope == Scope::Container {
        pass.announce_removal(record).await;
    } else if record.exit.is_some() {
        pass.note(job.steps.run(Step::Exit, job.host.update(record)).await);
    }
    let delete = job.steps.run(Step::TaskDelete, delete_task(job, record));
    if pass.note(delete.await) != Some(true) {
        let remove = forgotten::remove(record, &job.host.address);
        pass.note(job.steps.run(Step::Forgotten, remove).await);
    }
    if record.shared_memory.is_some() {
        let at = job.paths.shm();
        let unmount = async { unmount(&at).map_err(Error::file("unmount", &at)) };
        pass.note(job.steps.run(Step::SharedMemoryRemove, unmount).await);
    }
    if scope == Scope::Container {
        pass.remove_root(record).await;
    }
    pass.failures
}

/// False if containerd knows no such task.
async fn delete_task(job: Job<'_>, record: &Record) -> Result<bool, Error> {
    let client = job.host.client().await?;
    match client.delete_task(record.id.as_str()).await {
        Err(error) if error.is_not_found() => Ok(false),
        outcome => Ok(outcome.map(|_| true)?),
    }
}

/// Detaches the networks in reverse order, then removes the namespace; returns what failed. While
/// something of an attachment is left the namespace stays: the next DEL needs it.
async fn network_down(job: Job<'_>, record: &Record, thorough: bool) -> Vec<Error> {
    let mut pass = Pass::new(job);
    let leave = neighbours::leave_all(record);
    pass.note(job.steps.run(Step::NamesRemove, leave).await);
    for attached in record.network.attachments.iter().rev() {
        if attachment::may_be_attached(record, attached) {
            let del = attachment::del(record, attached, thorough);
            let detached = job.steps.run_on(Step::Detach, &attached.network, del).await;
            pass.note(detached);
        }
    }
    let ours = pass.failures.is_empty() && attachment::made_netns(record);
    if let (NetworkMode::Own(path), true) = (&record.network.mode, ours) {
        let remove = async { remove_netns(path) };
        pass.note(job.steps.run(Step::NetnsRemove, remove).await);
    }
    pass.failures
}

fn remove_netns(path: &Path) -> Result<(), Error> {
    netns::remove(path).map_err(|source| Error::Netns {
        action: "remove",
        path: path.to_owned(),
        source,
    })
}

fn absent_is_done(outcome: Result<(), containerd::Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Removes a directory with all that is in it; absence is success.
///
/// # Errors
/// [`Error::File`].
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}
