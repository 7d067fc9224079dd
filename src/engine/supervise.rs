//! The supervisor: one small process for each running container, from its start to its end.
//!
//! Invariant: it holds its claim as long as it lives; what it starts it takes down; idle it waits on
//! a pidfd, two FIFOs and a socket, and holds no connection to containerd.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::ready;
use tokio::net::UnixListener;
use tokio::sync::mpsc::WeakSender;
use tokio::time::{sleep, timeout};

use super::adopt;
use super::bound;
use super::claim::Claim;
use super::error::Error;
use super::exec;
use super::exit;
use super::health;
use super::host::Host;
use super::launch::Job;
use super::orders::{attended, forget_lock, launch_existing, launch_new, relaunch, release};
use super::paths::Paths;
use super::protocol::{Assignment, Event, Launcher, MAX_LINE, Orders, Request};
use super::report::Report;
use super::restart::{self, Early};
use super::serve;
use super::steps::Steps;
use super::supervisor::{Outcome, Supervisor};
use super::teardown::{self, Scope, teardown};
use super::time_limit;
use crate::model::record::Exit;
use crate::sys::cgroup::Cgroup;
use crate::sys::channel::{Channel, accept};
use crate::sys::lock::Lock;

/// How long the connection to containerd is kept after a start: what ends sooner is a short job, and
/// its end is seen without connecting again.
const KEEP_CONNECTION: Duration = Duration::from_secs(1);

/// The cgroup that all supervisors share.
pub const CGROUP: &str = "netrun";

/// A foreground run that is shorter than this does not write its addresses into the record.
const SHORT_RUN: Duration = Duration::from_millis(100);

/// How long clients may take to read their last event.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long after a connection could not be taken the next one is tried.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The supervisor's whole life. Failures are told to whoever gave the orders.
pub async fn supervise(mut control: Channel, host: Host) {
    // Whether containerd can be reached is told when it is needed.
    let orders = control
        .receive::<Orders>()
        .map(|orders| orders.ok().flatten());
    let Some((orders, pipes)) = meanwhile(orders, host.client()).await else {
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

/// Waits for something, and gets ready for it meanwhile: no longer than that can still be of use.
async fn meanwhile<T, U>(
    wanted: impl Future<Output = Option<T>>,
    ready: impl Future<Output = U>,
) -> Option<T> {
    tokio::pin!(wanted, ready);
    tokio::select! {
        biased;
        _ = &mut ready => wanted.await,
        got = &mut wanted => {
            let got = got?;
            ready.await;
            Some(got)
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
    let publish = orders.client == Launcher::Leaves;
    let adopted = matches!(orders.task, Assignment::Adopt);
    let quick = match orders.task {
        Assignment::Restart { quick } => quick,
        _ => 0,
    };
    // Nobody has learned the name of a container that is new.
    let is_new = matches!(orders.task, Assignment::Run(_));
    let launch = async {
        match orders.task {
            Assignment::Run(plan) => launch_new(job, *plan, pipes, publish).await,
            Assignment::Start => launch_existing(job, &orders.id, pipes, publish).await,
            Assignment::Adopt => adopt::adopt(job, &orders.id, pipes).await,
            Assignment::Restart { quick } => relaunch(job, &orders.id, quick).await,
        }
    };
    let wanted_by = control.as_mut().filter(|_| is_new);
    let up = match attended(launch, wanted_by, &steps).await {
        Ok(Some(up)) => up,
        Ok(None) if adopted => {
            restart::after_adoption(&host, &orders.id).await;
            return Ok(());
        }
        Ok(None) => return Ok(()),
        Err(error) => return Err((error, control.take())),
    };
    let supervisor = Rc::new(Supervisor::new(
        up.record,
        up.running,
        host,
        steps,
        paths,
        up.published,
    ));
    exec::inherit(&supervisor, up.execs);
    tokio::task::spawn_local(health::watch(supervisor.clone(), adopted));
    tokio::task::spawn_local(bound::watch(supervisor.clone()));
    tokio::task::spawn_local(time_limit::watch(supervisor.clone()));
    let clients = Clients {
        launcher: control.take(),
        is: orders.client,
        early: up.early,
    };
    run(supervisor.clone(), up.claim, clients, quick).await;
    bound::end_scope(&supervisor).await;
    Ok(())
}

/// Those who are there from the beginning.
struct Clients {
    /// Who gave the orders.
    launcher: Option<Channel>,
    /// What that one is to the container.
    is: Launcher,
    /// Who asked before it ran.
    early: Vec<Early>,
}

/// From the start to the end. `quick` runs before this one were short.
async fn run(supervisor: Rc<Supervisor>, mut claim: Claim, there: Clients, quick: u32) {
    let (clients, mut all_told) = tokio::sync::mpsc::channel::<()>(1);
    spawn_helpers(&supervisor, there, &clients);
    if let Some(listener) = claim.take_listener() {
        let served = serve_clients(supervisor.clone(), listener, clients.downgrade());
        tokio::task::spawn_local(served);
    }

    let known = exit::gone(&supervisor).await;
    supervisor.going_down.set(true);
    let outcome = take_down(&supervisor, known).await;
    supervisor.cgroup.borrow_mut().take();
    note_late_stop(&supervisor).await;
    // Whoever is told must find the container free: to be removed, started again, or adopted.
    drop(claim);
    if matches!(outcome, Outcome::Down(_)) && !supervisor.remove.get() {
        let record = supervisor.record.borrow().clone();
        let always = supervisor.again.get();
        let successor = restart::appoint(&supervisor.host, &record, always, quick).await;
        supervisor.appointed.set(successor);
    }
    supervisor.outcome.send_replace(Some(outcome));
    drop(clients);
    // Each client's task holds a sender; the channel ends when the last one has been told.
    let _ = timeout(FAREWELL, all_told.recv()).await;
    // However slow a client is, what was written before the end is its.
    supervisor.running.outputs.delivered().await;
    let _ = supervisor.delivering.write().await;
}

fn spawn_helpers(
    supervisor: &Rc<Supervisor>,
    there: Clients,
    clients: &tokio::sync::mpsc::Sender<()>,
) {
    let client = there.is;
    if let Some(control) = there.launcher {
        let ours = supervisor.clone();
        let held = clients.clone();
        tokio::task::spawn_local(async move {
            serve::launcher(&ours, control, client).await;
            drop(held);
        });
    }
    for early in there.early {
        let (ours, held) = (supervisor.clone(), clients.clone());
        tokio::task::spawn_local(async move {
            serve::client(&ours, early.channel, early.request, early.pipes).await;
            drop(held);
        });
    }
    let ours = supervisor.clone();
    tokio::task::spawn_local(async move {
        if client != Launcher::Leaves {
            // What ends before anybody can ask for its addresses need not tell them.
            sleep(SHORT_RUN).await;
        }
        ours.publish().await;
        sleep(KEEP_CONNECTION).await;
        ours.host.release();
        // Costly on some kernels, and of no use to a short run.
        *ours.cgroup.borrow_mut() = Some(Cgroup::enter(CGROUP));
        ours.host.keep_released(KEEP_CONNECTION).await;
    });
}

/// Somebody may have stopped it while it was taken down already: that it ended by itself stands in
/// the record then, and that it is to stay so does not.
async fn note_late_stop(supervisor: &Supervisor) {
    let mut record = supervisor.record.borrow().clone();
    let policy = !record.restart.is_no() && !supervisor.remove.get();
    if policy && supervisor.stopped.get() && !record.stopped {
        record.stopped = true;
        // Where it cannot be written nobody is appointed all the same.
        let _ = supervisor.host.update(&record).await;
        supervisor.record.replace(record);
    }
}

/// Serves whoever asks, from those on who came during the launch.
async fn serve_clients(ours: Rc<Supervisor>, listener: UnixListener, held: WeakSender<()>) {
    loop {
        let Ok(mut channel) = accept(&listener, MAX_LINE).await else {
            // It may have left already, or descriptors are short for a while.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (ours, held) = (ours.clone(), held.upgrade());
        tokio::task::spawn_local(async move {
            if let Ok(Some((request, pipes))) = channel.receive::<Request>().await {
                serve::client(&ours, channel, request, pipes).await;
            }
            drop(held);
        });
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
    record.stopped = supervisor.stopped.get();
    let process = teardown::Process::Gone {
        exit: match known {
            Some(exit) => ready(time_limit::judged(supervisor, exit)).boxed_local(),
            None => exit::status(supervisor)
                .map(|exit| time_limit::judged(supervisor, exit))
                .boxed_local(),
        },
        outputs: &supervisor.running.outputs,
    };
    let down = teardown(job, &mut record, scope, process).await;
    // Whoever finds the run directory gone may start it again at once.
    drop(supervisor.running.ports.take());
    if down.is_ok() {
        release(job).await;
        forget_lock(job, scope, lock.ok());
    }
    let exit = record.exit.clone();
    let exit = exit.unwrap_or_else(|| exit::forgotten(supervisor));
    supervisor.record.replace(record);
    match down {
        Err(error) => Outcome::Failed(Report::of(&error)),
        Ok(()) => Outcome::Down(exit),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn without_orders_nothing_is_waited_for() {
        let containerd_hangs = || pending::<()>();
        assert_eq!(
            meanwhile(async { None::<()> }, containerd_hangs()).await,
            None
        );
        let (sender, orders) = tokio::sync::oneshot::channel::<()>();
        let dies_later = async {
            sleep(Duration::from_millis(1)).await;
            drop(sender);
        };
        let waiting = meanwhile(orders.map(Result::ok), containerd_hangs());
        assert_eq!(futures_util::join!(dies_later, waiting).1, None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn with_orders_what_was_begun_is_finished() {
        let ready = Cell::new(false);
        let gets_ready = async {
            sleep(Duration::from_millis(1)).await;
            ready.set(true);
        };
        assert_eq!(meanwhile(async { Some(1) }, gets_ready).await, Some(1));
        assert!(ready.get());
        let orders = async {
            sleep(Duration::from_millis(1)).await;
            Some(2)
        };
        assert_eq!(meanwhile(orders, async {}).await, Some(2));
    }
}
