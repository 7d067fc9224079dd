//! Restart policies: a supervisor whose container ended appoints its successor, which waits its
//! turn and starts the container again.
//!
//! Invariant: nobody restarts what somebody stopped: the word is in the record before the successor
//! looks. While it waits it holds the claim and can be asked, so a stop or a removal ends the
//! waiting at once.

use std::os::fd::OwnedFd;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::claim::Claim;
use super::error::Error;
use super::host::Host;
use super::launch::Job;
use super::orders::{forget_lock, release};
use super::protocol::{Assignment, Event, Launcher, MAX_LINE, Orders, Request};
use super::report::Report;
use super::serve::tell;
use super::session::{PipeEnds, Session};
use super::teardown::{Process, Scope, teardown};
use crate::model::id::ContainerId;
use crate::model::record::{Exit, Record};
use crate::model::restart::{LONG_RUN, pause};
use crate::model::signal::Signal;
use crate::sys::channel::{Channel, accept};
use crate::sys::lock::Lock;

/// How long a client that has connected may take to say what it wants.
const ASKING: Duration = Duration::from_secs(1);

/// Somebody who asked while the container waited to be started again, to be answered after.
#[derive(Debug)]
pub struct Early {
    /// Where to answer.
    pub channel: Channel,
    /// What was asked.
    pub request: Request,
    /// The descriptors that came along.
    pub pipes: Vec<OwnedFd>,
}

/// A successor whose turn has come.
#[derive(Debug)]
pub struct Rested {
    /// The claim.
    pub claim: Claim,
    /// Those who asked meanwhile.
    pub early: Vec<Early>,
}

/// Appoints the successor of a container's supervisor if its policy wants it started again, or if
/// `always`. To be called when its run is down and its claim is given up; `quick` runs in a row
/// before this one were short. Says whether there is one.
pub async fn appoint(host: &Host, record: &Record, always: bool, quick: u32) -> bool {
    let Some(exit) = &record.exit else {
        return false;
    };
    let wanted = record.restart.restarts(exit.status, record.restarts);
    if record.stopped || !(wanted || always) {
        return false;
    }
    let quick = match ran_for(record, exit) < LONG_RUN {
        true => quick + 1,
        false => 0,
    };
    let orders = Orders {
        address: host.address.clone(),
        namespace: host.namespace.clone(),
        id: record.id.clone(),
        task: Assignment::Restart { quick },
        client: Launcher::Leaves,
        fault: None,
    };
    // Where no process can be made, what ended stays ended.
    Session::launch(&orders, PipeEnds::default()).await.is_ok()
}

/// As [`appoint`], where a supervisor died and nothing was left to take over.
pub async fn after_adoption(host: &Host, id: &ContainerId) {
    // One that is gone has no policy.
    if let Ok(record) = host.record(id).await {
        appoint(host, &record, false, 0).await;
    }
}

fn ran_for(record: &Record, exit: &Exit) -> Duration {
    let started: Timestamp = record.started.unwrap_or(exit.at);
    Duration::try_from(exit.at.duration_since(started)).unwrap_or_default()
}

/// Waits until it is time to start the container again. None if it shall not be.
///
/// # Errors
/// containerd cannot be reached, or a removal leaves something behind.
pub async fn rest(job: Job<'_>, id: &ContainerId, quick: u32) -> Result<Option<Rested>, Error> {
    let Some(mut claim) = Claim::fresh(job.paths, &job.host.address)? else {
        // Somebody else started it.
        return Ok(None);
    };
    let known = job.host.record(id).await;
    let mut record = match known {
        Ok(record) if !record.stopped => record,
        // It was stopped or removed before we held the claim.
        Ok(_) | Err(Error::NoSuchContainer { .. }) => {
            release(job).await;
            return Ok(None);
        }
        Err(error) => {
            release(job).await;
            return Err(error);
        }
    };
    job.host.release();
    let Some(listener) = claim.take_listener() else {
        return Ok(None);
    };
    let mut early = Vec::new();
    let turn = sleep(pause(quick));
    tokio::pin!(turn);
    loop {
        let mut channel = tokio::select! {
            () = &mut turn => break,
            accepted = accept(&listener, MAX_LINE) => match accepted {
                Ok(channel) => channel,
                Err(_) => continue,
            },
        };
        // Whoever connects asks at once; one that does not must not hold up the start.
        let Ok(Ok(Some((request, pipes)))) = timeout(ASKING, channel.receive::<Request>()).await
        else {
            continue;
        };
        let asker = Early {
            channel,
            request,
            pipes,
        };
        match asked(job, &mut record, asker).await {
            Asked::Waits(asker) => early.push(asker),
            Asked::Answered => {}
            Asked::Ends { channel, remove } => {
                let event = end(job, record, remove).await;
                drop(claim);
                tell(&channel, &event).await;
                return Ok(None);
            }
        }
    }
    claim.give_listener(listener);
    Ok(Some(Rested { claim, early }))
}

/// What became of a request to a container that waits.
enum Asked {
    /// It is answered when the container runs.
    Waits(Early),
    /// It has been answered.
    Answered,
    /// It ends the waiting, and is answered then.
    Ends { channel: Channel, remove: bool },
}

async fn asked(job: Job<'_>, record: &mut Record, asker: Early) -> Asked {
    let event = match asker.request {
        Request::Wait | Request::Settle => return Asked::Waits(asker),
        Request::Stop { .. } | Request::Remove { force: true } => {
            return Asked::Ends {
                remove: matches!(asker.request, Request::Remove { .. }),
                channel: asker.channel,
            };
        }
        // Whoever kills it wants it to end, and it has.
        Request::Signal { number } if is_an_end(record, number) => {
            return Asked::Ends {
                channel: asker.channel,
                remove: false,
            };
        }
        Request::Policy { policy } => {
            record.restart = policy;
            if !goes_on(record) {
                return Asked::Ends {
                    channel: asker.channel,
                    remove: false,
                };
            }
            let written = job.host.update(record).await;
            job.host.release();
            match written {
                Ok(()) => Event::Started {
                    steps: Vec::new(),
                    stdin: None,
                },
                Err(error) => Event::Failed(Report::of(&error)),
            }
        }
        _ => Event::Failed(Report::of(&Error::restarting(&record.id))),
    };
    tell(&asker.channel, &event).await;
    Asked::Answered
}

/// Whether a signal is to end a container: SIGKILL, or the one that asks it to stop.
pub fn is_an_end(record: &Record, number: i32) -> bool {
    let stops = record.process.stop_signal.parse::<Signal>();
    number == Signal::KILL.number() || stops.is_ok_and(|stops| stops.number() == number)
}

/// Whether its policy, as it is now, wants it started again.
fn goes_on(record: &Record) -> bool {
    let exit = record.exit.as_ref();
    exit.is_some_and(|exit| record.restart.restarts(exit.status, record.restarts))
}

/// Whether it has ended and is to be started again, for nobody stopped it.
pub fn comes_again(record: &Record) -> bool {
    !record.stopped && goes_on(record)
}

/// Ends the waiting: it stays as it is, or goes.
async fn end(job: Job<'_>, mut record: Record, remove: bool) -> Event {
    let lock = Lock::exclusive(&job.paths.lock).await.ok();
    record.stopped = true;
    let (scope, ended) = match remove {
        true => {
            let down = teardown(job, &mut record, Scope::Container, Process::Unknown).await;
            (Scope::Container, down)
        }
        false => (Scope::Run, job.host.update(&record).await),
    };
    if ended.is_ok() {
        release(job).await;
        forget_lock(job, scope, lock);
    }
    match (ended, record.exit) {
        (Err(error), _) => Event::Failed(Report::of(&error)),
        (Ok(()), Some(exit)) => Event::Exited {
            exit,
            steps: job.steps.taken(),
        },
        (Ok(()), None) => Event::Removed,
    }
}
