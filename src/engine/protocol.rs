//! What is said over a supervisor's socket: one JSON object a line, both ways.
//!
//! Invariant: the descriptors of a request come with its first byte and are owned by whoever
//! receives them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::report::Report;
use super::steps::{Fault, Taken};
use crate::model::id::{ContainerId, Namespace};
use crate::model::record::{Attachment, Exit};
use crate::model::restart::RestartPolicy;

/// The longest line taken from a peer, in bytes: a plan with its spec fits well.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// What a new supervisor is told before anything else.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// containerd's socket.
    pub address: PathBuf,
    /// The namespace.
    pub namespace: Namespace,
    /// The container.
    pub id: ContainerId,
    /// What to do.
    pub task: Assignment,
    /// What the client that gives the orders is to the container.
    pub client: Launcher,
    /// A fault to inject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What the client that gives the orders is to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Launcher {
    /// It waits for the start only (`run -d`, `start`).
    Leaves,
    /// It stays, and may go at any time (`start -a`).
    Stays,
    /// It stays, and the container ends with it (`run`).
    Owns,
}

/// Why a supervisor is started.
#[derive(Debug, Serialize, Deserialize)]
pub enum Assignment {
    /// Create the container and start it.
    Run(Box<Plan>),
    /// Start a container that exists.
    Start,
    /// Go on where a supervisor died.
    Adopt,
    /// Wait for some time, then start a container again, as its policy says.
    Restart {
        /// How many runs in a row were short: the more, the longer is waited.
        quick: u32,
    },
}

/// What a client asks of a supervisor. The first request on a connection decides what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Copy the output to the descriptors that come along: stdout, then stderr unless there is a
    /// terminal.
    Attach {
        /// The client is the one that launched a foreground run: its end ends the container.
        owns: bool,
    },
    /// Run a further process; its output goes to the descriptors that come along.
    Exec(Exec),
    /// Say when it has ended.
    Wait,
    /// Say when it is not on its way down: at once if it runs, else when it is down.
    Settle,
    /// Ask it to stop, then make it; say when it is down.
    Stop {
        /// How many seconds it has; its own time-out if none.
        timeout: Option<u32>,
        /// The signal that asks; its own if none.
        signal: Option<i32>,
        /// It is started again by who asks, and stays for that though it was to be removed.
        #[serde(default)]
        keep: bool,
    },
    /// Freeze it until this connection ends, or more is said; then say that it goes on.
    Hold,
    /// Attach a network; one without an interface's name is given a free one.
    Connect {
        /// What is to be.
        attachment: Box<Attachment>,
        /// A supervisor died with this in hand, and may have done it.
        again: bool,
    },
    /// Detach a network.
    Disconnect {
        /// Its name.
        network: String,
        /// As with `Connect`.
        again: bool,
    },
    /// Have another restart policy.
    Policy {
        /// The policy.
        policy: RestartPolicy,
    },
    /// Remove everything; say when it is gone.
    Remove {
        /// Make it stop at once if it runs, else that is refused.
        force: bool,
    },
    /// Signal the process of this connection: the exec's, else the container's.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// The terminal of this connection has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The client's standard input has ended.
    CloseStdin,
    /// The client leaves; the process goes on.
    Detach,
}

impl Request {
    /// What is asked of the next supervisor, where one died with this in hand.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        if let Self::Connect { again, .. } | Self::Disconnect { again, .. } = &mut self {
            *again = true;
        }
        self
    }
}

/// A further process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// Its command.
    pub args: Vec<String>,
    /// Environment variables beside the container's, `K=V`.
    pub env: Vec<String>,
    /// Its working directory, if not the container's.
    pub workdir: Option<String>,
    /// Its user, if not the container's.
    pub user: Option<String>,
    /// It has all rights of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// It has a terminal.
    pub terminal: bool,
    /// Columns and rows of the client's own terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(u16, u16)>,
    /// Its standard input is kept open.
    pub stdin: bool,
    /// Nobody waits for it.
    pub detach: bool,
}

/// What a supervisor tells a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// The process runs. An exec's FIFO directory is named.
    Started {
        /// The steps taken.
        steps: Vec<Taken>,
        /// Where standard input's FIFO lies, if there is one.
        stdin: Option<PathBuf>,
    },
    /// The process has ended, and what belonged to its run is gone.
    Exited {
        /// How.
        exit: Exit,
        /// The steps taken since the supervisor's start.
        steps: Vec<Taken>,
    },
    /// The container is gone.
    Removed,
    /// What was asked for failed.
    Failed(Report),
}
