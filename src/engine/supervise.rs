//! The supervisor: one small process for each running container, from its start to its end.
//!
//! Invariant: it holds its claim as long as it lives; what it starts it takes down; idle it waits on
//! a pidfd, two FIFOs and a socket, and holds no connection to containerd.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, ready};
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::adopt;
use super::claim::Claim;
use super::error::Error;
use super::host::Host;
use super::launch::{Job, Running, publish_results};
use super::orders::{forget_lock, launch_existing, launch_new, release};
use super::paths::{Paths, SOCKET};
use super::ports::Reservation;
use super::protocol::{Assignment, Event, MAX_LINE, Orders, Request};
use super::report::Report;
use super::serve;
use super::steps::Steps;
use super::teardown::{self, Scope, UNKNOWN_STATUS, teardown};
use crate::containerd::Exited;
use crate::model::id::ContainerId;
use crate::model::record::{Exit, Record};
use crate::sys::cgroup::Cgroup;
use crate::sys::channel::{Channel, accept, listen};
use crate::sys::lock::Lock;

/// How long the connection to containerd is kept after a start: what ends sooner is a short job, and
/// its end is seen without connecting again.
const KEEP_CONNECTION: Duration = Duration::from_secs(1);

/// The cgroup that all supervisors share.
const CGROUP: &str = "netrun";

/// A foreground run that is shorter than this does not write its addresses into the record.
const SHORT_RUN: Duration = Duration::from_millis(100);

/// How long clients may take to read their last event.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often, and how long apart, containerd is asked for an exit status while it cannot be reached.
const STATUS_TRIES: u32 = 20;
const STATUS_PAUSE: Duration = Duration::from_millis(500);

/// What there is to tell when a run is over.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The process ended, and its run is down; the container, too, if it was to be removed.
    Down(Exit),
    /// Something is left behind.
    Failed(Report),
}

/// A running container and its supervisor's hands on it.
#[derive(Debug)]
pub struct Supervisor {
    /// containerd.
    pub host: Host,
    /// The steps taken.
    pub steps: Steps,
    /// Where things lie.
    pub paths: Paths,
    /// The container's record.
    pub record: RefCell<Record>,
    /// The process.
    pub running: Running,
    /// The ports of the host that it publishes, until it is down.
    pub ports: RefCell<Reservation>,
    /// Remove the container when it ends.
    pub remove: Cell<bool>,
    /// Says how it ended, once it has.
    pub outcome: watch::Sender<Option<Outcome>>,
    /// The cgroup that supervisors share, once this one has lived for a while.
    pub cgroup: RefCell<Option<Cgroup>>,
    /// The record says what the networks gave.
    pub published: Cell<bool>,
    /// Held while the record is written about the start.
    pub publishing: Mutex<()>,
    /// It has ended, or was told to.
    pub going_down: Cell<bool>,
    /// How many execs there were: their names come from it.
    pub execs: Cell<u64>,
}

impl Supervisor {
    /// The name of the container.
    pub fn id(&self) -> ContainerId {
        self.record.borrow().id.clone()
    }

    /// Signals the first process.
    ///
    /// # Errors
    /// The process has ended, or containerd refuses.
    pub async fn signal(&self, number: i32) -> Result<(), Error> {
        let id = self.id();
        match &self.running.pidfd {
            Some(pidfd) => {
                let failed = |source| Error::Supervisor {
                    action: "signal through",
                    id,
                    source,
                };
                pidfd.signal(number).map_err(failed)
            }
            None => {
                let number = u32::try_from(number).unwrap_or(0);
                let client = self.host.client().await?;
                Ok(client.kill_process(id.as_str(), "", number, false).await?)
            }
        }
    }

    /// Writes what the networks gave into the record, once, and not after the end.
    pub async fn publish(&self) {
        let _publishing = self.publishing.lock().await;
        if self.going_down.get() || self.published.replace(true) {
            return;
        }
        let job = Job {
            host: &self.host,
            steps: &self.steps,
            paths: &self.paths,
        };
        let record = self.record.borrow().clone();
        publish_results(job, &record).await;
    }

    /// Waits until the run is over.
    pub async fn over(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        loop {
            if let Some(outcome) = outcome.borrow_and_update().clone() {
                return outcome;
            }
            // The sender lives as long as we do.
            let _ = outcome.changed().await;
        }
    }
}

/// The supervisor's whole life. Failures are told to whoever gave the orders.
pub async fn supervise(mut control: Channel, host: Host) {
    // Whether containerd can be reached is told when it is needed.
    let (orders, _) = join(control.receive::<Orders>(), host.client()).await;
    let Ok(Some((orders, pipes))) = orders else {
        return;
    };
    if let Err(error) = obey(host, orders, pipes, &mut Some(control)).await {
        let (error, control) = error;
        if let Some(control) = control {
            // Whoever gave the orders may be gone.
            let _ = control.send(&Event::Failed(Report::of(&error)), &[]).await;
        }
    }
}

type Failure = (Error, Option<Channel>);

async fn obey(
    host: Host,
    orders: Orders,
    pipes: Vec<OwnedFd>,
    control: &mut Option<Channel>,
) -> Result<(), Failure> {
    let client = control
        .as_ref()
        .and_then(|control| control.peer_pid().ok().flatten());
    let steps = Steps::with_fault(orders.fault, client);
    let paths = Paths::new(&orders.namespace, &orders.id);
    let job = Job {
        host: &host,
        steps: &steps,
        paths: &paths,
    };
    let publish = !orders.foreground;
    let launch = async {
        match orders.task {
            Assignment::Run(plan) => launch_new(job, *plan, pipes, publish).await,
            Assignment::Start => launch_existing(job, &orders.id, pipes, publish).await,
            Assignment::Adopt => adopt::adopt(job, &orders.id).await,
        }
    };
    let wanted_by = control.as_mut().filter(|_| orders.foreground);
    let up = match attended(launch, wanted_by, &steps).await {
        Ok(Some(up)) => up,
        Ok(None) => return Ok(()),
        Err(error) => return Err((error, control.take())),
    };
    let supervisor = Rc::new(Supervisor {
        remove: Cell::new(up.record.auto_remove),
        record: RefCell::new(up.record),
        running: up.running,
        ports: RefCell::new(up.ports),
        host,
        steps,
        paths,
        outcome: watch::Sender::new(None),
        cgroup: RefCell::new(None),
        published: Cell::new(publish),
        publishing: Mutex::new(()),
        going_down: Cell::new(false),
        execs: Cell::new(0),
    });
    run(supervisor, up.claim, control.take(), orders.foreground).await;
    Ok(())
}

/// Launches, and says so to the steps if the client that wants it is gone in between.
async fn attended<T>(
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

/// From the start to the end.
async fn run(supervisor: Rc<Supervisor>, claim: Claim, control: Option<Channel>, foreground: bool) {
    let (clients, mut all_told) = tokio::sync::mpsc::channel::<()>(1);
    spawn_helpers(&supervisor, control, foreground, &clients);

    let known = gone(&supervisor).await;
    supervisor.going_down.set(true);
    let outcome = take_down(&supervisor, known).await;
    supervisor.cgroup.borrow_mut().take();
    supervisor.ports.take();
    // Whoever is told must find the container free: to be removed, started again, or adopted.
    drop(claim);
    supervisor.outcome.send_replace(Some(outcome));
    drop(clients);
    // Each client's task holds a sender; the channel ends when the last one has been told.
    let _ = timeout(FAREWELL, all_told.recv()).await;
}

fn spawn_helpers(
    supervisor: &Rc<Supervisor>,
    control: Option<Channel>,
    foreground: bool,
    clients: &tokio::sync::mpsc::Sender<()>,
) {
    if let Some(control) = control {
        let ours = supervisor.clone();
        let held = clients.clone();
        tokio::task::spawn_local(async move {
            serve::launcher(&ours, control, foreground).await;
            drop(held);
        });
    }
    if let Ok(listener) = listen(&supervisor.paths.run, SOCKET) {
        let (ours, held) = (supervisor.clone(), clients.downgrade());
        tokio::task::spawn_local(async move {
            while let Ok(mut channel) = accept(&listener, MAX_LINE).await {
                let (ours, held) = (ours.clone(), held.upgrade());
                tokio::task::spawn_local(async move {
                    if let Ok(Some((request, pipes))) = channel.receive::<Request>().await {
                        serve::client(&ours, channel, request, pipes).await;
                    }
                    drop(held);
                });
            }
        });
    }
    let ours = supervisor.clone();
    tokio::task::spawn_local(async move {
        if foreground {
            // What ends before anybody can ask for its addresses need not tell them.
            sleep(SHORT_RUN).await;
        }
        ours.publish().await;
        sleep(KEEP_CONNECTION).await;
        ours.host.release();
        // Costly on some kernels, and of no use to a short run.
        *ours.cgroup.borrow_mut() = Some(Cgroup::enter(CGROUP));
    });
}

/// Waits until the process is gone; says how it ended where that is known at once.
async fn gone(supervisor: &Supervisor) -> Option<Exit> {
    match &supervisor.running.pidfd {
        Some(pidfd) => {
            // An event loop that fails is followed by asking containerd, which waits as well.
            let _ = pidfd.ended().await;
            None
        }
        None => Some(exit_status(supervisor).await),
    }
}

/// Finds out how the process ended. The pidfd runs ahead of the shim: only Wait knows when
/// containerd does.
async fn exit_status(supervisor: &Supervisor) -> Exit {
    let id = supervisor.id();
    for _ in 0..STATUS_TRIES {
        let waited = match supervisor.host.client().await {
            Ok(client) => client.wait_process(id.as_str(), "").await,
            Err(Error::Containerd(error)) => Err(error),
            Err(_) => break,
        };
        match waited {
            Ok(Exited { status, at }) => {
                let reason = None;
                return Exit { status, at, reason };
            }
            Err(error) if error.is_not_found() => break,
            Err(_) => {
                supervisor.host.release();
                sleep(STATUS_PAUSE).await;
            }
        }
    }
    forgotten_exit(supervisor)
}

/// containerd has forgotten the task: the kernel may know.
fn forgotten_exit(supervisor: &Supervisor) -> Exit {
    let status = supervisor
        .running
        .pidfd
        .as_ref()
        .and_then(|pidfd| pidfd.exit_status());
    let reason = match status {
        Some(_) => None,
        None => Some("containerd does not know the container's process any more".to_owned()),
    };
    Exit {
        status: status.unwrap_or(UNKNOWN_STATUS),
        at: Timestamp::now(),
        reason,
    }
}

async fn take_down(supervisor: &Supervisor, known: Option<Exit>) -> Outcome {
    let job = Job {
        host: &supervisor.host,
        steps: &supervisor.steps,
        paths: &supervisor.paths,
    };
    // Nobody else holds it long: a transition waits for a supervisor that lives, not the reverse.
    let lock = Lock::exclusive(&supervisor.paths.lock).await;
    // What is being written about the start must not come after what is written about the end.
    let _published = supervisor.publishing.lock().await;
    let scope = match supervisor.remove.get() {
        true => Scope::Container,
        false => Scope::Run,
    };
    let mut record = supervisor.record.borrow().clone();
    let process = teardown::Process::Gone {
        exit: match known {
            Some(exit) => ready(exit).boxed_local(),
            None => exit_status(supervisor).boxed_local(),
        },
        outputs: &supervisor.running.outputs,
    };
    let down = teardown(job, &mut record, scope, process).await;
    if down.is_ok() {
        release(job).await;
        forget_lock(job, scope, lock.ok());
    }
    let exit = record.exit.unwrap_or_else(|| forgotten_exit(supervisor));
    match down {
        Err(error) => Outcome::Failed(Report::of(&error)),
        Ok(()) => Outcome::Down(exit),
    }
}
