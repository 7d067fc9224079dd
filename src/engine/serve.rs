//! What a supervisor does for those who talk to it.
//!
//! Invariant: only the death of the client that launched a foreground run ends its container; every
//! other client may come and go.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::attendance;
use super::connect;
use super::error::Error;
use super::exec;
use super::hold;
use super::policy;
use super::protocol::{Event, Launcher, Request};
use super::report::Report;
use super::restart::is_an_end;
use super::supervisor::{Outcome, Supervisor};
use crate::model::class::{Class, Explain};
use crate::model::signal::Signal;
use crate::sys::channel::Channel;
use crate::sys::usage::is_frozen;

/// SIGKILL.
const KILL: i32 = 9;

/// How long whoever killed a process waits for its end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long after a failure the end of standard input is told again, and how often at most where
/// containerd answers.
const CLOSE_PAUSE: Duration = Duration::from_millis(500);
const CLOSE_TRIES: u32 = 5;

/// Serves the client that launched the run.
pub async fn launcher(supervisor: &Rc<Supervisor>, channel: Channel, client: Launcher) {
    match client {
        Launcher::Leaves => tell(&channel, &started(supervisor)).await,
        Launcher::Stays => reader(supervisor, channel, false).await,
        Launcher::Owns => reader(supervisor, channel, true).await,
    }
}

/// Serves a client whose pipes get the output, and whose container this is if it `owns` it.
async fn reader(supervisor: &Rc<Supervisor>, mut channel: Channel, owns: bool) {
    let pid = channel.peer_pid().ok().flatten();
    let here = attendance::enter(&supervisor.paths.run, pid);
    let left = match channel.send(&started(supervisor), &[]).await {
        Ok(()) => session(supervisor, &mut channel).await,
        Err(_) => Left::Vanished,
    };
    drop(here);
    match left {
        Left::Told => until_we_are_gone(channel),
        Left::Vanished if owns => {
            supervisor.shall_stay_ended().await;
            stop(supervisor, None, None).await;
            // One that only called the launch off, too late, waits for the end.
            tell(&channel, &farewell(supervisor, supervisor.over().await)).await;
            until_we_are_gone(channel);
        }
        Left::Vanished | Left::Detached => {}
    }
}

/// Serves any other client, by its first request.
pub async fn client(
    supervisor: &Rc<Supervisor>,
    mut channel: Channel,
    request: Request,
    pipes: Vec<OwnedFd>,
) {
    match request {
        Request::Attach { .. } | Request::Exec(_) | Request::Hold if supervisor.ended() => {
            refuse(&channel, &Error::not_running(&supervisor.id())).await;
        }
        Request::Exec(_) if is_frozen(supervisor.running.pid) => {
            refuse(&channel, &Error::paused(&supervisor.id())).await;
        }
        Request::Attach { owns } => attach(supervisor, channel, pipes, owns).await,
        Request::Exec(wanted) => exec::serve(supervisor, channel, wanted, pipes).await,
        Request::Hold => hold::serve(supervisor, channel).await,
        Request::Wait => {
            if session(supervisor, &mut channel).await == Left::Told {
                until_we_are_gone(channel);
            }
        }
        Request::Settle => tell(&channel, &settled(supervisor).await).await,
        Request::Stop {
            timeout,
            signal,
            keep,
        } => {
            supervisor.remove.set(supervisor.remove.get() && !keep);
            supervisor.shall_stay_ended().await;
            stop(supervisor, timeout, signal).await;
            say_ended(supervisor, &channel).await;
            until_we_are_gone(channel);
        }
        Request::Remove { force: false } if !supervisor.ended() => {
            refuse(&channel, &Error::running(&supervisor.id())).await;
        }
        Request::Remove { .. } => {
            supervisor.remove.set(true);
            supervisor.going_down.set(true);
            // A process that has ended already needs no signal.
            let _ = supervisor.signal(KILL).await;
            thaw(supervisor).await;
            tell(&channel, &farewell(supervisor, supervisor.over().await)).await;
            until_we_are_gone(channel);
        }
        Request::Connect { attachment, again } => {
            let done = connect::attach(supervisor, *attachment, again).await;
            answer(supervisor, &channel, done).await;
        }
        Request::Disconnect { network, again } => {
            let done = connect::detach(supervisor, &network, again).await;
            answer(supervisor, &channel, done).await;
        }
        Request::Policy { policy } => {
            let done = policy::apply(supervisor, policy).await;
            answer(supervisor, &channel, done).await;
        }
        Request::Signal { number } => {
            let done = kill(supervisor, number).await;
            // Without an answer it asks again, and reaches the successor.
            if !supervisor.appointed.get() {
                answer(supervisor, &channel, done).await;
            }
        }
        // These belong to a session, and there is none.
        Request::Resize { .. } | Request::CloseStdin | Request::Detach => {}
    }
}

/// Leaves a connection for the kernel to close, with all that we are: whoever asked sees us gone by it.
fn until_we_are_gone(channel: Channel) {
    std::mem::forget(channel);
}

/// What there is to say once it is not on its way down.
async fn settled(supervisor: &Supervisor) -> Event {
    match supervisor.going_down.get() || supervisor.ended() {
        true => farewell(supervisor, supervisor.over().await),
        false => started(supervisor),
    }
}

/// Waits for the end and says how it came.
async fn say_ended(supervisor: &Supervisor, channel: &Channel) {
    let outcome = supervisor.over().await;
    supervisor.announce("stop", &[]).await;
    // Without an answer it asks again, and reaches the successor.
    if !supervisor.appointed.get() {
        tell(channel, &farewell(supervisor, outcome)).await;
    }
}

/// Sends an event to a client that may have gone.
pub async fn tell(channel: &Channel, event: &Event) {
    let _ = channel.send(event, &[]).await;
}

/// Says that it was done, or why not.
async fn answer(supervisor: &Supervisor, channel: &Channel, done: Result<(), Error>) {
    match done {
        Ok(()) => tell(channel, &started(supervisor)).await,
        Err(error) => refuse(channel, &error).await,
    }
}

async fn refuse(channel: &Channel, error: &Error) {
    tell(channel, &Event::Failed(Report::of(error))).await;
}

/// Signals the process; after SIGKILL, as docker has it, it is seen to have ended.
async fn kill(supervisor: &Supervisor, number: i32) -> Result<(), Error> {
    let (ends, has_policy) = {
        let record = supervisor.record.borrow();
        (is_an_end(&record, number), !record.restart.is_no())
    };
    if ends {
        // Who kills it wants it to end.
        supervisor.shall_stay_ended().await;
    }
    match supervisor.signal(number).await {
        // It would have been started again: the kill was not in vain.
        Err(_) if ends && supervisor.ended() && has_policy => {
            supervisor.over().await;
            return Ok(());
        }
        signalled => signalled?,
    }
    if number == KILL {
        thaw(supervisor).await;
        let ended = timeout(KILL_PATIENCE, process_ended(supervisor)).await;
        let late = |_| Error::DoesNotEnd {
            id: supervisor.id(),
        };
        ended.map_err(late)?;
    }
    Ok(())
}

async fn process_ended(supervisor: &Supervisor) {
    match &supervisor.running.pidfd {
        Some(pidfd) => drop(pidfd.ended().await),
        None => drop(supervisor.over().await),
    }
}

async fn attach(supervisor: &Rc<Supervisor>, channel: Channel, pipes: Vec<OwnedFd>, owns: bool) {
    if supervisor.running.outputs.attach(pipes).is_ok() {
        reader(supervisor, channel, owns).await;
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
    /// The container goes on without it.
    Detached,
    /// It was told the end.
    Told,
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
                return Left::Told;
            }
        };
        match request {
            Ok(Some((Request::Detach, _))) => return Left::Detached,
            Ok(Some((request, _))) => obey(supervisor, request).await,
            Ok(None) | Err(_) => return Left::Vanished,
        }
    }
}

async fn obey(supervisor: &Rc<Supervisor>, request: Request) {
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
        Request::CloseStdin if !supervisor.record.borrow().process.stdin_stays => {
            close_stdin(supervisor, "");
        }
        _ => {}
    }
}

/// Says that standard input has ended. A process that is not told waits for ever, so that while
/// containerd is away we do not give up; nobody waits for us.
pub fn close_stdin(supervisor: &Rc<Supervisor>, exec_id: &str) {
    let (supervisor, exec_id) = (supervisor.clone(), exec_id.to_owned());
    tokio::task::spawn_local(async move {
        let id = supervisor.id();
        let close = async || {
            let client = supervisor.host.client().await?;
            Ok::<_, Error>(client.close_stdin(id.as_str(), &exec_id).await?)
        };
        let mut refused = 0;
        while refused < CLOSE_TRIES && !supervisor.ended() {
            match close().await.map_err(|error| error.class()) {
                Ok(()) | Err(Class::NotFound) => return,
                Err(Class::Unavailable) => {}
                // What containerd says while it goes down has many codes.
                Err(_) => refused += 1,
            }
            supervisor.host.release();
            sleep(CLOSE_PAUSE).await;
        }
    });
}

/// A frozen container takes no signal, not even SIGKILL, until it goes on.
async fn thaw(supervisor: &Supervisor) {
    if is_frozen(supervisor.running.pid)
        && let Ok(client) = supervisor.host.client().await
    {
        // One that went on in the meantime needs no help.
        let _ = client.resume_task(supervisor.id().as_str()).await;
    }
}

/// Asks the process to stop; when its time is up, makes it.
pub async fn stop(supervisor: &Supervisor, seconds: Option<u32>, number: Option<i32>) {
    supervisor.going_down.set(true);
    let process = supervisor.record.borrow().process.clone();
    let own = process.stop_signal.parse().unwrap_or(Signal::TERM).number();
    let asked: Result<(), Error> = supervisor.signal(number.unwrap_or(own)).await;
    thaw(supervisor).await;
    let patience = Duration::from_secs(seconds.unwrap_or(process.stop_timeout).into());
    let waited = timeout(patience, process_ended(supervisor));
    if asked.is_err() || waited.await.is_err() {
        // A process that has ended in the meantime needs no signal.
        let _ = supervisor.signal(KILL).await;
    }
}
