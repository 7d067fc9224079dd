//! Named steps: every effect on the host passes through [`Steps::run`].
//!
//! Invariant: an effect that is not a step does not exist: timings, fail points and the crash tests
//! are made from the list below.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::error::Error;
use crate::model::class::{Class, Explain};

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// An effect on the host, in the order in which a container's life takes them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Step {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Step {
            /// All steps.
            pub const ALL: &[Step] = &[$(Step::$variant),*];

            /// The step's name, as `--timings` and fail points have it.
            pub fn name(self) -> &'static str {
                match self { $(Step::$variant => $name,)* }
            }
        }
    };
}

steps! {
    /// Claim the run directory with the supervisor's lock in it.
    Claim = "claim",
    /// Take the container's lock.
    Lock = "lock",
    /// Choose the published ports of the host and hold them.
    Ports = "ports",
    /// Create containerd's record, with all that is needed to undo the rest.
    Record = "record",
    /// Make hosts, hostname and resolv.conf.
    Files = "files",
    /// Make the FIFOs.
    Fifos = "fifos",
    /// Prepare the snapshot.
    Snapshot = "snapshot",
    /// Make the volumes that are not there.
    Volumes = "volumes",
    /// Look up the user in the image and write the final spec.
    User = "user",
    /// Make the network namespace.
    Netns = "netns",
    /// Run the ADD of one network's plugins.
    Attach = "attach",
    /// Mount the memory that other containers may share.
    SharedMemory = "shared-memory",
    /// Find the containers whose namespaces are shared.
    Join = "join",
    /// Create the task: shim, runc, the process before its first instruction.
    Task = "task",
    /// Fill hosts and resolv.conf with what the networks gave.
    Names = "names",
    /// Start the process.
    Start = "start",
    /// Write into the record what is known of the start, or that the container is made.
    Results = "results",
    /// Signal the process and wait for its end.
    Kill = "kill",
    /// Read the FIFOs to their end.
    Drain = "drain",
    /// Write into the record how the process ended, or that the container is being removed.
    Exit = "exit",
    /// Delete the task.
    TaskDelete = "task-delete",
    /// Remove a shim and runc's state that containerd has forgotten.
    Forgotten = "forgotten",
    /// Take its names out of its neighbours' hosts files.
    NamesRemove = "names-remove",
    /// Unmount the memory that others may share.
    SharedMemoryRemove = "shared-memory-remove",
    /// Run the DEL of one network's plugins.
    Detach = "detach",
    /// Unmount and unlink the network namespace.
    NetnsRemove = "netns-remove",
    /// Remove the snapshot.
    SnapshotRemove = "snapshot-remove",
    /// Remove the volumes that were made for it alone.
    VolumesRemove = "volumes-remove",
    /// Remove the state directory.
    FilesRemove = "files-remove",
    /// Delete containerd's record.
    RecordRemove = "record-remove",
    /// Remove the run directory.
    Release = "release",
}

impl Step {
    /// Whether it belongs to the way up: the steps stand in order, and `start` is the last one.
    fn leads_up(self) -> bool {
        self as usize <= Step::Start as usize
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Which.
    pub step: Step,
    /// On what, where there are several (a network's name).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// When it began, in microseconds since the supervisor's start.
    pub began: u64,
    /// How long it took, in microseconds.
    pub took: u64,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// A fault to inject, `STEP:before|after:error|kill-supervisor|kill-cli`: how the crash tests reach
/// every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    step: Step,
    after: bool,
    kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum FaultKind {
    Error,
    KillSupervisor,
    KillCli,
}

/// A fault that nobody can read.
#[derive(Debug, thiserror::Error)]
#[error("the fault {0:?} is not STEP:before|after:error|kill-supervisor|kill-cli")]
pub struct InvalidFault(String);

impl Explain for InvalidFault {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("unset NETRUN_FAILPOINT, or name a step that `netrun steps` prints".to_owned())
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Fault, InvalidFault> {
        let invalid = || InvalidFault(text.to_owned());
        let mut words = text.split(':');
        let (Some(step), Some(when), Some(kind), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(invalid());
        };
        let step = Step::ALL
            .iter()
            .find(|known| known.name() == step)
            .ok_or_else(invalid)?;
        let after = match when {
            "before" => false,
            "after" => true,
            _ => return Err(invalid()),
        };
        let kind = match kind {
            "error" => FaultKind::Error,
            "kill-supervisor" => FaultKind::KillSupervisor,
            "kill-cli" => FaultKind::KillCli,
            _ => return Err(invalid()),
        };
        Ok(Fault {
            step: *step,
            after,
            kind,
        })
    }
}

/// Takes steps, measures them, and lets faults happen where a test asks for them.
#[derive(Debug)]
pub struct Steps {
    epoch: Instant,
    taken: RefCell<Vec<Taken>>,
    fault: Cell<Option<Fault>>,
    client: Option<u32>,
    abandoned: watch::Sender<bool>,
}

impl Steps {
    /// Steps without faults.
    pub fn new() -> Steps {
        Steps::with_fault(None, None)
    }

    /// The steps of a command that works by itself: it is supervisor and client in one.
    pub fn of_command(fault: Option<Fault>) -> Steps {
        Steps::with_fault(fault, Some(std::process::id()))
    }

    /// Steps with at most one fault; `client` is the pid that `kill-cli` kills.
    pub fn with_fault(fault: Option<Fault>, client: Option<u32>) -> Steps {
        Steps {
            epoch: Instant::now(),
            taken: RefCell::default(),
            fault: Cell::new(fault),
            client,
            abandoned: watch::Sender::new(false),
        }
    }

    /// Says that nobody wants the launch any more: no further step up is taken.
    pub fn abandon(&self) {
        self.abandoned.send_replace(true);
    }

    /// Waits until nobody wants the launch any more.
    pub async fn abandoned(&self) {
        // The sender lives as long as we do.
        let _ = self.abandoned.subscribe().wait_for(|gone| *gone).await;
    }

    /// Takes a step.
    ///
    /// # Errors
    /// What `work` returns, or [`Error::Injected`].
    pub fn run<'a, T: 'a>(
        &'a self,
        step: Step,
        work: impl Future<Output = Result<T, Error>> + 'a,
    ) -> impl Future<Output = Result<T, Error>> + 'a {
        self.run_on(step, "", work)
    }

    /// Takes a step on one of several objects.
    ///
    /// # Errors
    /// As [`Steps::run`].
    pub fn run_on<'a, T: 'a>(
        &'a self,
        step: Step,
        object: &'a str,
        work: impl Future<Output = Result<T, Error>> + 'a,
    ) -> impl Future<Output = Result<T, Error>> + 'a {
        // What a step takes is given back after it. A supervisor would keep room for all of them
        // otherwise, as long as its container runs.
        let work = work.boxed_local();
        async move {
            let began = self.epoch.elapsed();
            let outcome = self.with_faults(step, work).await;
            self.taken.borrow_mut().push(Taken {
                step,
                object: object.to_owned(),
                began: micros(began),
                took: micros(self.epoch.elapsed().saturating_sub(began)),
                failed: outcome.is_err(),
            });
            outcome
        }
    }

    async fn with_faults<T>(
        &self,
        step: Step,
        work: LocalBoxFuture<'_, Result<T, Error>>,
    ) -> Result<T, Error> {
        self.fault_at(step, false)?;
        if *self.abandoned.borrow() && step.leads_up() {
            return Err(Error::Abandoned);
        }
        let done = work.await?;
        self.fault_at(step, true)?;
        Ok(done)
    }

    fn fault_at(&self, step: Step, after: bool) -> Result<(), Error> {
        let Some(fault) = self.fault.get() else {
            return Ok(());
        };
        if fault.step != step || fault.after != after {
            return Ok(());
        }
        // Once only: the clean-up that follows must be free to pass the same step.
        self.fault.set(None);
        match fault.kind {
            FaultKind::Error => return Err(Error::Injected { step }),
            // Neither kill can fail in a way that matters to the test that asked for it.
            FaultKind::KillSupervisor => {
                let _ = raise(Signal::SIGKILL);
            }
            FaultKind::KillCli => {
                let client = self.client.and_then(|pid| i32::try_from(pid).ok());
                if let Some(pid) = client {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        Ok(())
    }

    /// The steps taken so far, in the order in which they ended.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.borrow().clone()
    }
}

impl Default for Steps {
    fn default() -> Steps {
        Steps::new()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn steps_are_recorded_with_their_outcome() {
        let steps = Steps::new();
        assert_eq!(steps.run(Step::Netns, async { Ok(7) }).await.unwrap(), 7);
        let fails = async { Err::<(), _>(Error::Injected { step: Step::Attach }) };
        steps
            .run_on(Step::Attach, "mynet", fails)
            .await
            .unwrap_err();
        let taken = steps.taken();
        assert_eq!((taken[0].step, taken[0].failed), (Step::Netns, false));
        assert_eq!((taken[1].object.as_str(), taken[1].failed), ("mynet", true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_fault_happens_once_where_it_is_asked_for() {
        let steps = Steps::with_fault(Some("task:after:error".parse().unwrap()), None);
        let ran = Cell::new(0);
        let work = || async {
            ran.set(ran.get() + 1);
            Ok(())
        };
        steps.run(Step::Netns, work()).await.unwrap();
        assert!(matches!(
            steps.run(Step::Task, work()).await,
            Err(Error::Injected { .. })
        ));
        steps.run(Step::Task, work()).await.unwrap();
        assert_eq!(ran.get(), 3);
    }

    #[test]
    fn every_step_can_be_named_in_a_fault() {
        for step in Step::ALL {
            let fault: Fault = format!("{step}:before:kill-cli").parse().unwrap();
            assert_eq!((fault.step, fault.after), (*step, false));
        }
        for bad in [
            "",
            "task",
            "task:during:error",
            "nope:before:error",
            "task:before:error:x",
        ] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }
}
