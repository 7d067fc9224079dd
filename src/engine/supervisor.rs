//! A running container in the hands of its supervisor: what is known of it, and what can be done.
//!
//! Invariant: one of it exists for each run, from the start of the process to the end of its
//! teardown; whoever serves, checks or ends the container shares it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::{Mutex, RwLock, watch};
use tokio::time::timeout;

use super::announce::{Subject, announce};
use super::error::Error;
use super::host::Host;
use super::launch::{self, Job, Running};
use super::paths::Paths;
use super::report::Report;
use super::steps::Steps;
use crate::model::id::ContainerId;
use crate::model::record::{Exit, Record};
use crate::sys::cgroup::Cgroup;

/// How long a stop waits at most until it stands in the record.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// Remove the container when it ends.
    pub remove: Cell<bool>,
    /// Says how it ended, once it has.
    pub outcome: watch::Sender<Option<Outcome>>,
    /// The cgroup that supervisors share, once this one has lived for a while.
    pub cgroup: RefCell<Option<Cgroup>>,
    /// The record says what the networks gave, and that it was started.
    pub published: Cell<bool>,
    /// Held while the record is written about the start.
    pub publishing: Mutex<()>,
    /// It has ended, or was told to.
    pub going_down: Cell<bool>,
    /// Somebody stopped it: its policy is not asked.
    pub stopped: Cell<bool>,
    /// Its time was up.
    pub timed_out: Cell<bool>,
    /// It is started again, whatever its policy.
    pub again: Cell<bool>,
    /// A successor starts it again: whoever asks it to stop now must ask that one.
    pub appointed: Cell<bool>,
    /// How many execs there were: their names come from it.
    pub execs: Cell<u64>,
    /// For how many clients it is frozen now.
    pub holders: Mutex<usize>,
    /// Held for reading while a client has output of an exec to take.
    pub delivering: RwLock<()>,
}

impl Supervisor {
    /// A supervisor whose container runs; `published` if the record says all about its start.
    pub fn new(
        record: Record,
        running: Running,
        host: Host,
        steps: Steps,
        paths: Paths,
        published: bool,
    ) -> Supervisor {
        Supervisor {
            remove: Cell::new(record.auto_remove),
            stopped: Cell::new(record.stopped),
            record: RefCell::new(record),
            running,
            host,
            steps,
            paths,
            outcome: watch::Sender::new(None),
            cgroup: RefCell::new(None),
            published: Cell::new(published),
            publishing: Mutex::new(()),
            going_down: Cell::new(false),
            timed_out: Cell::new(false),
            again: Cell::new(false),
            appointed: Cell::new(false),
            execs: Cell::new(0),
            holders: Mutex::new(0),
            delivering: RwLock::new(()),
        }
    }

    /// The name of the container.
    pub fn id(&self) -> ContainerId {
        self.record.borrow().id.clone()
    }

    /// Whether the first process has ended; without a pidfd, as far as we have been told.
    pub fn ended(&self) -> bool {
        match &self.running.pidfd {
            Some(pidfd) => pidfd.has_ended(),
            None => self.going_down.get(),
        }
    }

    /// Signals the first process.
    ///
    /// # Errors
    /// The process has ended, or containerd refuses.
    pub async fn signal(&self, number: i32) -> Result<(), Error> {
        let id = self.id();
        if self.running.pidfd.is_some() && self.ended() {
            return Err(Error::not_running(&id));
        }
        // Whoever listens hears of it before what comes of it.
        let text = number.to_string();
        self.announce("kill", &[("signal", &text)]).await;
        match &self.running.pidfd {
            Some(pidfd) => {
                let failed = |source| Error::Supervisor {
                    action: "signal through",
                    id,
                    source,
                };
                match self.ended() {
                    true => Err(Error::not_running(&self.id())),
                    false => pidfd.signal(number).map_err(failed),
                }
            }
            None => {
                let number = u32::try_from(number).unwrap_or(0);
                let client = self.host.client().await?;
                Ok(client.kill_process(id.as_str(), "", number, false).await?)
            }
        }
    }

    /// Tells of something that containerd cannot see.
    pub async fn announce(&self, action: &str, attributes: &[(&str, &str)]) {
        let id = self.id();
        announce(
            &self.host,
            Subject::Container(id.as_str()),
            action,
            attributes,
        )
        .await;
    }

    /// Somebody wants it to end: its policy is not asked. Where it has one, that stands in the record
    /// before the process is told, so that everybody sees it, and a successor of ours knows.
    pub async fn shall_stay_ended(&self) {
        self.stopped.set(true);
        if self.record.borrow().restart.is_no() || self.ended() {
            return;
        }
        // Where it cannot be written in time we know it all the same.
        let _ = timeout(PATIENCE, self.write_stopped()).await;
    }

    async fn write_stopped(&self) -> Result<(), Error> {
        let _publishing = self.publishing.lock().await;
        // From its end on the record is its teardown's.
        let mut record = self.record.borrow().clone();
        if record.stopped || self.ended() {
            return Ok(());
        }
        record.stopped = true;
        self.host.update(&record).await?;
        self.record.replace(record);
        Ok(())
    }

    /// Writes what is known of the start into the record, once, and not after the end.
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
        launch::publish(job, &record).await;
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
