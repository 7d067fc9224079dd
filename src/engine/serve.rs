//! What a supervisor does for those who talk to it.
//!
//! Invariant: only the death of the client that launched a foreground run ends its container; every
//! other client may come and go.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::connect;
use super::error::Error;
use super::exec;
use super::protocol::{Event, Request};
use super::report::Report;
use super::supervise::{Outcome, Supervisor};
use crate::model::signal::Signal;
use crate::sys::channel::Channel;

/// SIGKILL.
const KILL: i32 = 9;

/// How long it takes at most until an event that has happened has been seen.
const SETTLE: Duration = Duration::from_millis(20);

/// Serves the client that launched the run.
pub async fn launcher(supervisor: &Rc<Supervisor>, mut channel: Channel, foreground: bool) {
    let told = channel.send(&started(supervisor), &[]).await;
    if !foreground {
        return;
    }
    if told.is_ok() && session(supervisor, &mut channel).await == Left::Properly {
        return;
    }
    stop(supervisor, None, None).await;
}

/// Serves any other client, by its first request.
pub async fn client(
    supervisor: &Rc<Supervisor>,
    mut channel: Channel,
    request: Request,
    pipes: Vec<OwnedFd>,
) {
    match request {
        Request::Attach => attach(supervisor, &mut channel, pipes).await,
        Request::Exec(wanted) => exec::serve(supervisor, channel, wanted, pipes).await,
        Request::Wait => {
            session(supervisor, &mut channel).await;
        }
        Request::Settle => {
            // An end that was a moment before this request may not have been seen yet.
            sleep(SETTLE).await;
            let event = match supervisor.going_down.get() {
                true => farewell(supervisor, supervisor.over().await),
                false => started(supervisor),
            };
            tell(&channel, &event).await;
        }
        Request::Stop { timeout, signal } => {
            stop(supervisor, timeout, signal).await;
            tell(&channel, &farewell(supervisor, supervisor.over().await)).await;
        }
        Request::Remove => {
            supervisor.remove.set(true);
            supervisor.going_down.set(true);
            // A process that has ended already needs no signal.
            let _ = supervisor.signal(KILL).await;
            tell(&channel, &farewell(supervisor, supervisor.over().await)).await;
        }
        Request::Signal { number } => {
            let outcome = supervisor.signal(number).await;
            tell(&channel, &answer(supervisor, outcome)).await;
        }
        Request::Connect(attachment) => {
            let outcome = connect::attach(supervisor, *attachment).await;
            tell(&channel, &answer(supervisor, outcome)).await;
        }
        Request::Disconnect { network } => {
            let outcome = connect::detach(supervisor, &network).await;
            tell(&channel, &answer(supervisor, outcome)).await;
        }
        // These belong to a session, and there is none.
        Request::Resize { .. } | Request::CloseStdin | Request::Detach => {}
    }
}

/// Sends an event to a client that may have gone.
pub async fn tell(channel: &Channel, event: &Event) {
    let _ = channel.send(event, &[]).await;
}

async fn attach(supervisor: &Rc<Supervisor>, channel: &mut Channel, pipes: Vec<OwnedFd>) {
    if supervisor.running.outputs.attach(pipes).is_err() {
        return;
    }
    tell(channel, &started(supervisor)).await;
    session(supervisor, channel).await;
}

/// What a client is told of what it asked for.
fn answer(supervisor: &Supervisor, outcome: Result<(), Error>) -> Event {
    match outcome {
        Ok(()) => started(supervisor),
        Err(error) => Event::Failed(Report::of(&error)),
    }
}

fn started(supervisor: &Supervisor) -> Event {
    Event::Started {
        steps: supervisor.steps.taken(),
        stdin: supervisor.running.fifos.stdin(),
    }
}

/// The last event of a connection.
fn farewell(supervisor: &Supervisor, outcome: Outcome) -> Event {
    match outcome {
        Outcome::Failed(report) => Event::Failed(report),
        Outcome::Down(exit) => Event::Exited {
            exit,
            steps: supervisor.steps.taken(),
        },
    }
}

/// How a client's session ended.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// It detached, or it was told the end.
    Properly,
    /// It is gone without a word.
    Vanished,
}

/// Obeys a client until it leaves or everything is over.
async fn session(supervisor: &Rc<Supervisor>, channel: &mut Channel) -> Left {
    loop {
        let request = tokio::select! {
            biased;
            request = channel.receive::<Request>() => request,
            outcome = supervisor.over() => {
                tell(channel, &farewell(supervisor, outcome)).await;
                return Left::Properly;
            }
        };
        match request {
            Ok(Some((Request::Detach, _))) => return Left::Properly,
            Ok(Some((request, _))) => obey(supervisor, request).await,
            Ok(None) | Err(_) => return Left::Vanished,
        }
    }
}

async fn obey(supervisor: &Supervisor, request: Request) {
    let id = supervisor.id();
    // The process may end at any moment; what it cannot take any more is lost as it would be on a
    // terminal.
    match request {
        Request::Signal { number } => drop(supervisor.signal(number).await),
        Request::Resize { width, height } => {
            if let Ok(client) = supervisor.host.client().await {
                drop(client.resize(id.as_str(), "", (width, height)).await);
            }
        }
        Request::CloseStdin => {
            if let Ok(client) = supervisor.host.client().await {
                drop(client.close_stdin(id.as_str(), "").await);
            }
        }
        _ => {}
    }
}

/// Asks the process to stop; when its time is up, makes it.
async fn stop(supervisor: &Supervisor, seconds: Option<u32>, number: Option<i32>) {
    supervisor.going_down.set(true);
    let process = supervisor.record.borrow().process.clone();
    let own = process.stop_signal.parse().unwrap_or(Signal::TERM).number();
    let asked: Result<(), Error> = supervisor.signal(number.unwrap_or(own)).await;
    let patience = Duration::from_secs(seconds.unwrap_or(process.stop_timeout).into());
    let waited = timeout(patience, async {
        match &supervisor.running.pidfd {
            Some(pidfd) => drop(pidfd.ended().await),
            None => drop(supervisor.over().await),
        }
    });
    if asked.is_err() || waited.await.is_err() {
        // A process that has ended in the meantime needs no signal.
        let _ = supervisor.signal(KILL).await;
    }
}
