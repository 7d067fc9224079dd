//! The way up: from a record to a running process.
//!
//! Invariant: the record comes first; nothing is cancelled half-way, for a client that breaks off
//! inside `Tasks.Create` leaves a shim that containerd does not list.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::attachment;
use super::error::Error;
use super::etc;
use super::fifos::Fifos;
use super::host::{Host, encode};
use super::join;
use super::log_driver::LogWriter;
use super::paths::Paths;
use super::plan::Plan;
use super::ports::Reservation;
use super::stdio::Outputs;
use super::steps::{Step, Steps};
use super::{image_mounts, user_lookup, volumes};
use crate::containerd::{Container, Mount};
use crate::model::record::{EXTENSION, Log, NetworkMode, Record};
use crate::network::CniResult;
use crate::sys::mount::mount_memory;
use crate::sys::pidfd::PidFd;
use crate::sys::{netns, process};

/// How long an ADD that nobody wants any more may go on.
const ADD_PATIENCE: Duration = Duration::from_secs(3);

/// Everything a launch or a teardown works with.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// containerd.
    pub host: &'a Host,
    /// The steps.
    pub steps: &'a Steps,
    /// Where the container's things lie.
    pub paths: &'a Paths,
}

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    /// The process; none where its pid means nothing to us (another pid namespace).
    pub pidfd: Option<PidFd>,
    /// Its pid as containerd tells it.
    pub pid: u32,
    /// Its FIFOs.
    pub fifos: Fifos,
    /// Its outputs.
    pub outputs: Rc<Outputs>,
    /// The ports of the host that it publishes, until it is down.
    pub ports: RefCell<Reservation>,
}

/// The root file system of a container to be started.
#[derive(Debug, Clone, Copy)]
pub enum Root<'a> {
    /// It is prepared now, by this plan.
    New(&'a Plan),
    /// It exists.
    Existing,
}

/// Writes the record of a new container.
///
/// # Errors
/// [`Error::NameTaken`], or containerd's refusal.
pub async fn create_record(job: Job<'_>, plan: &Plan) -> Result<(), Error> {
    job.steps
        .run(Step::Record, write_record(job.host, plan))
        .await
}

async fn write_record(host: &Host, plan: &Plan) -> Result<(), Error> {
    let record = &plan.record;
    let container = Container {
        id: record.id.to_string(),
        labels: containerd_labels(record),
        image: record.image.clone(),
        runtime: record.process.runtime.clone(),
        spec: plan.spec.clone().into_bytes(),
        snapshotter: record.snapshotter.clone(),
        snapshot_key: record.id.to_string(),
        extensions: [(EXTENSION.to_owned(), encode(record)?)].into(),
    };
    match host.client().await?.create_container(container).await {
        Err(error) if error.already_exists() => Err(Error::NameTaken {
            id: record.id.clone(),
            state: "exists",
        }),
        outcome => Ok(outcome?),
    }
}

/// User labels for ctr and nerdctl to see and filter by; containerd takes 4,096 bytes each at most.
fn containerd_labels(record: &Record) -> std::collections::HashMap<String, String> {
    let fits = |(key, value): &(&String, &String)| key.len() + value.len() <= 4096;
    record
        .labels
        .iter()
        .filter(fits)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Prepares the root file system of a new container and writes its final spec.
///
/// # Errors
/// Containerd's refusal, or a user that the image does not have.
pub async fn prepare_root(job: Job<'_>, plan: &Plan) -> Result<Vec<Mount>, Error> {
    let record = &plan.record;
    let key = record.id.as_str();
    let prepare = async {
        let client = job.host.client().await?;
        Ok(client
            .prepare_snapshot(&record.snapshotter, key, &record.parent)
            .await?)
    };
    let mounts = job.steps.run(Step::Snapshot, prepare).await?;
    if record.mounts.iter().any(|mount| mount.volume.is_some()) {
        let volumes = volumes::prepare(record, &mounts);
        job.steps.run(Step::Volumes, volumes).await?;
    }
    if plan.look_up_user {
        job.steps
            .run(
                Step::User,
                user_lookup::finish_spec(job.host, plan, &mounts),
            )
            .await?;
    }
    // After the user's step, which writes the whole spec.
    if image_mounts::any(record) {
        let views = image_mounts::prepare(job.host, record);
        job.steps.run(Step::Images, views).await?;
    }
    Ok(mounts)
}

/// Starts a container whose record is written; `early` writes the results into it beside the start.
///
/// # Errors
/// The first failure; what was made is still there, and is the caller's to tear down.
pub async fn start(
    job: Job<'_>,
    record: &mut Record,
    root: Root<'_>,
    pipes: Vec<OwnedFd>,
    early: bool,
) -> Result<Running, Error> {
    let fifos = Fifos::new(
        job.paths.fifos(""),
        record.process.terminal,
        record.process.stdin,
    );
    job.steps
        .run(Step::Files, async {
            etc::make(job.paths, record, &job.host.address)
        })
        .await?;
    let outputs = job
        .steps
        .run(Step::Fifos, async {
            open_stdio(job, &record.log, &fifos, pipes)
        })
        .await?;

    let (ready, netns_is_ready) = oneshot::channel();
    let networks = attach_all(job, record, ready);
    let task = create_task(job, record, root, &fifos, netns_is_ready);
    let (results, pid) = future::join(networks, task).await;
    let results = results?;
    let pid = pid?;

    job.steps
        .run(Step::Names, async {
            etc::fill(job.paths, record, &results).await
        })
        .await?;
    let pidfd = open_process(record, pid);
    keep_results(record, &results);
    let start = job.steps.run(Step::Start, start_process(job.host, record));
    match early {
        // Whoever asks for its addresses next must find them. That it was started is not said yet.
        true => future::join(start, publish(job, record)).await.0?,
        false => start.await?,
    }
    record.provisional = false;
    Ok(Running {
        pidfd,
        pid,
        fifos,
        outputs: Rc::new(outputs),
        ports: RefCell::default(),
    })
}

/// Opens a container's process by the pid that containerd tells. None if that pid means nothing, or
/// somebody else, to us: containerd may live in another pid namespace, and is asked instead then.
pub fn open_process(record: &Record, pid: u32) -> Option<PidFd> {
    let pidfd = PidFd::open(pid).ok()?;
    // Every container has a cgroup of its own by this name. What is read after the process was
    // opened is its own, unless it has ended.
    process::in_cgroup(pid, &record.id.netns_name(&record.namespace)).then_some(pidfd)
}

fn open_stdio(
    job: Job<'_>,
    log: &Log,
    fifos: &Fifos,
    pipes: Vec<OwnedFd>,
) -> Result<Outputs, Error> {
    fifos.make()?;
    let outputs = Outputs::open(fifos, LogWriter::open(job.paths, log)?)?;
    outputs
        .attach(pipes)
        .map_err(Error::file("attach to", job.paths.fifos("")))?;
    Ok(outputs)
}

/// Makes the namespace, says so, and attaches the networks in order.
async fn attach_all(
    job: Job<'_>,
    record: &Record,
    ready: oneshot::Sender<()>,
) -> Result<Vec<CniResult>, Error> {
    if let NetworkMode::Own(path) = &record.network.mode {
        let failed = |source| Error::Netns {
            action: "make",
            path: path.clone(),
            source,
        };
        let make = async { netns::create(path).await.map_err(failed) };
        job.steps.run(Step::Netns, make).await?;
    }
    if let NetworkMode::Joined(joined) = &record.network.mode
        && !netns::exists(&joined.path)
    {
        if let Some(other) = joined.container.clone() {
            let id = record.id.clone();
            return Err(Error::NoNetworkToShare { id, other });
        }
        return Err(Error::Netns {
            action: "join",
            path: joined.path.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        });
    }
    // The other side may have failed already; its error is told, not this.
    let mut ready = Some(ready);
    let mut tell = || ready.take().map(|ready| ready.send(()));
    if !record.needs_interfaces {
        let _ = tell();
    }
    let mut results = Vec::new();
    for attachment in &record.network.attachments {
        let add = unless_abandoned(job, attachment::add(record, attachment));
        results.push(
            job.steps
                .run_on(Step::Attach, &attachment.network, add)
                .await?,
        );
    }
    if results.len() > 1 {
        attachment::order_routes(record).await?;
    }
    let _ = tell();
    Ok(results)
}

/// A plugin may hang, and whoever gives up must not wait for its deadline. But one that is killed
/// may leave what nobody can attribute, so it gets a moment to come to its end.
async fn unless_abandoned<T>(
    job: Job<'_>,
    add: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(add);
    tokio::select! {
        biased;
        added = &mut add => return added,
        () = job.steps.abandoned() => {}
    }
    // What it has done is undone either way.
    let _ = timeout(ADD_PATIENCE, add).await;
    Err(Error::Abandoned)
}

/// Creates the task as soon as its root and its network namespace are there.
async fn create_task(
    job: Job<'_>,
    record: &Record,
    root: Root<'_>,
    fifos: &Fifos,
    netns_is_ready: oneshot::Receiver<()>,
) -> Result<u32, Error> {
    let id = record.id.as_str();
    let mounts = match root {
        Root::New(plan) => prepare_root(job, plan).await?,
        Root::Existing => {
            job.host
                .client()
                .await?
                .snapshot_mounts(&record.snapshotter, id)
                .await?
        }
    };
    share(job, record).await?;
    if netns_is_ready.await.is_err() {
        // The network side failed, and its error is the one that is told.
        return Ok(0);
    }
    let create = async {
        Ok(job
            .host
            .client()
            .await?
            .create_task(id, mounts, fifos.stdio())
            .await?)
    };
    job.steps.run(Step::Task, create).await
}

/// What it shares with other containers, or lets others share.
async fn share(job: Job<'_>, record: &Record) -> Result<(), Error> {
    if let Some(bytes) = record.shared_memory {
        let at = job.paths.shm();
        let mount = async {
            let made = std::fs::create_dir(&at).and_then(|()| mount_memory(&at, bytes));
            made.map_err(Error::file("mount", &at))
        };
        job.steps.run(Step::SharedMemory, mount).await?;
    }
    if !record.joins.is_empty() {
        let join = join::write(job.host, record);
        job.steps.run(Step::Join, join).await?;
    }
    Ok(())
}

fn keep_results(record: &mut Record, results: &[CniResult]) {
    for (attachment, result) in record.network.attachments.iter_mut().zip(results) {
        attachment.result = Some(result.to_value());
    }
    record.started = Some(Timestamp::now());
}

async fn start_process(host: &Host, record: &Record) -> Result<(), Error> {
    let client = host.client().await?;
    client.start_process(record.id.as_str(), "").await?;
    Ok(())
}

/// Writes what is known of a start into the record. What cannot be written is known to others as
/// well: the results to the plugins' own cache, the start to containerd.
pub async fn publish(job: Job<'_>, record: &Record) {
    let _ = job.steps.run(Step::Results, job.host.update(record)).await;
}

/// Says in the record that a start begins now: what it makes belongs to this boot.
///
/// # Errors
/// The boot id cannot be read.
pub fn begin(record: &mut Record) -> Result<(), Error> {
    let boot_id = process::boot_id().map_err(Error::file("read", "/proc/sys/kernel/random"))?;
    record.boot_id = boot_id;
    record.started = None;
    record.exit = None;
    for attachment in &mut record.network.attachments {
        attachment.result = None;
    }
    Ok(())
}
