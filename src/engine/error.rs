//! What can go wrong in the life of a container.

use std::io;
use std::path::PathBuf;

use super::ports::PortError;
use super::report::Report;
use super::steps::Step;
use crate::containerd;
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;

/// What to do where more is said than fits a record.
const TOO_LARGE: &str = "the command with its arguments, labels, published ports (about 1800 are possible, \
    each of a range counts) and options stand in it: give fewer, or the long ones in a file (-v)";

/// An effect of the engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// containerd refused.
    #[error(transparent)]
    Containerd(#[from] containerd::Error),
    /// No such container.
    #[error("there is no container \"{id}\"")]
    NoSuchContainer {
        /// The name that was asked for.
        id: String,
    },
    /// The name is taken.
    #[error("the name \"{id}\" is taken by a container that {state}")]
    NameTaken {
        /// The name.
        id: ContainerId,
        /// What the holder does: `is running`.
        state: &'static str,
    },
    /// The container is not in a state for this.
    #[error("container \"{id}\" {state}")]
    WrongState {
        /// Which.
        id: ContainerId,
        /// `is running`, `is not running`, ...
        state: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The name belongs to another containerd of this host.
    #[error("container \"{id}\" belongs to the containerd at {}", .address.display())]
    Elsewhere {
        /// Which.
        id: ContainerId,
        /// The other containerd's socket.
        address: PathBuf,
    },
    /// There is a network namespace of the container's name already.
    #[error("there is a network namespace {} already, which netrun did not make for \"{id}\"", .path.display())]
    NetnsTaken {
        /// The container that would have had it.
        id: ContainerId,
        /// Its path.
        path: PathBuf,
    },
    /// A record was not written by netrun, or by a newer one.
    #[error("the record of container \"{id}\" cannot be read")]
    Record {
        /// Whose.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A record is larger than allowed.
    #[error(
        "the record of container \"{id}\" would have {bytes} bytes, at most {max} are possible"
    )]
    RecordTooLarge {
        /// Whose.
        id: ContainerId,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// What a container is to be is more than a supervisor takes.
    #[error(
        "container \"{id}\" would have too much environment, command or published ports, at most {max} bytes are possible"
    )]
    PlanTooLarge {
        /// Whose.
        id: ContainerId,
        /// The limit.
        max: usize,
    },
    /// A container was not made by netrun.
    #[error("container \"{id}\" was not made by netrun")]
    Foreign {
        /// Which.
        id: String,
    },
    /// A published port cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A network could not be attached.
    #[error("cannot attach network \"{network}\" to container \"{id}\"")]
    Attach {
        /// The container.
        id: ContainerId,
        /// The network.
        network: String,
        /// Why.
        source: Report,
    },
    /// A network could not be detached.
    #[error("cannot detach network \"{network}\" from container \"{id}\"")]
    Detach {
        /// The container.
        id: ContainerId,
        /// The network.
        network: String,
        /// Why.
        source: Report,
    },
    /// The container has the network already.
    #[error("container \"{id}\" is attached to network \"{network}\" already")]
    Attached {
        /// The container.
        id: ContainerId,
        /// The network.
        network: String,
    },
    /// The container has not the network.
    #[error("container \"{id}\" is not attached to network \"{network}\"")]
    NotAttached {
        /// The container.
        id: ContainerId,
        /// The network.
        network: String,
    },
    /// The network's file is gone.
    #[error("network \"{network}\" is gone")]
    NetworkGone {
        /// The network.
        network: String,
    },
    /// The image or its user cannot be used.
    #[error("container \"{id}\" cannot be made from its image")]
    Image {
        /// The container.
        id: ContainerId,
        /// Why.
        source: Report,
    },
    /// A further command of the container cannot be run as it was asked for.
    #[error("the command cannot be run in container \"{id}\"")]
    Exec {
        /// The container.
        id: ContainerId,
        /// Why.
        source: Report,
    },
    /// The container whose network is shared is not there, or has none now.
    #[error("container \"{id}\" shares the network of container \"{other}\", which has none now")]
    NoNetworkToShare {
        /// The container.
        id: ContainerId,
        /// The other.
        other: ContainerId,
    },
    /// A network namespace could not be made or removed.
    #[error("cannot {action} the network namespace {}", .path.display())]
    Netns {
        /// What was to be done.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory of ours could not be handled.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Changes of a log cannot be seen.
    #[error("cannot watch {}", .path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The supervisor could not be started or reached.
    #[error("cannot {action} the supervisor of container \"{id}\"")]
    Supervisor {
        /// What was to be done.
        action: &'static str,
        /// Whose.
        id: ContainerId,
        /// Why.
        source: io::Error,
    },
    /// The supervisor ended without an answer.
    #[error("the supervisor of container \"{id}\" ended without an answer")]
    SupervisorGone {
        /// Whose.
        id: ContainerId,
    },
    /// containerd does not know whether a container runs.
    #[error("containerd cannot tell whether container \"{id}\" runs: its shim does not answer")]
    UnknownState {
        /// Which.
        id: ContainerId,
    },
    /// The process did not end even by SIGKILL.
    #[error("the process of container \"{id}\" does not end after SIGKILL")]
    DoesNotEnd {
        /// Whose.
        id: ContainerId,
    },
    /// Something of the container is still there.
    #[error("container \"{id}\" is not completely gone: {} of its steps down failed", .failures.len() + 1)]
    LeftBehind {
        /// Which.
        id: ContainerId,
        /// The first failure, as the cause.
        #[source]
        first: Box<Error>,
        /// The others.
        failures: Vec<Error>,
    },
    /// Another process met it.
    #[error(transparent)]
    Reported(#[from] Report),
    /// What a container changed cannot be told.
    #[error(
        "what container \"{id}\" changed cannot be told: the snapshotter {snapshotter} keeps no layer of it"
    )]
    NoChanges {
        /// Which.
        id: ContainerId,
        /// Its snapshotter.
        snapshotter: String,
    },
    /// A container may not write there.
    #[error("container \"{id}\" may not write to {}: it is mounted read-only", .path.display())]
    ReadOnly {
        /// Which.
        id: ContainerId,
        /// Where, in it.
        path: PathBuf,
    },
    /// The client that wanted it is gone.
    #[error("the client that wanted the container is gone")]
    Abandoned,
    /// A test asked for it.
    #[error("a fault was injected at step {step}")]
    Injected {
        /// Where.
        step: Step,
    },
}

impl Error {
    /// Names a file operation.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File {
            action,
            path,
            source,
        }
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Error::Containerd(error) => error.class(),
            Error::NoSuchContainer { .. } => Class::NotFound,
            Error::NameTaken { .. } | Error::Attached { .. } | Error::NetnsTaken { .. } => {
                Class::AlreadyExists
            }
            Error::NotAttached { .. } | Error::NetworkGone { .. } => Class::NotFound,
            Error::WrongState { .. }
            | Error::Foreign { .. }
            | Error::Elsewhere { .. }
            | Error::NoNetworkToShare { .. } => Class::WrongState,
            Error::RecordTooLarge { .. } | Error::PlanTooLarge { .. } => Class::InvalidInput,
            Error::Attach { source, .. }
            | Error::Detach { source, .. }
            | Error::Image { source, .. } => source.class(),
            Error::Netns { source, .. }
            | Error::File { source, .. }
            | Error::Watch { source, .. } => io_class(source),
            Error::LeftBehind { .. } => Class::LeftBehind,
            Error::Exec { .. } => Class::CommandNotExecutable,
            Error::NoChanges { .. } => Class::Unsupported,
            Error::Reported(report) => report.class(),
            Error::Port(error) => error.class(),
            Error::SupervisorGone { .. } | Error::UnknownState { .. } => Class::Unavailable,
            Error::DoesNotEnd { .. } => Class::Timeout,
            Error::Abandoned
            | Error::ReadOnly { .. }
            | Error::Record { .. }
            | Error::Supervisor { .. }
            | Error::Injected { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Containerd(error) => error.hint(),
            Error::NoSuchContainer { .. } => Some("netrun ps -a lists all containers".to_owned()),
            Error::NameTaken { id, .. } => Some(format!(
                "remove it (netrun rm -f {id}), or choose another --name"
            )),
            Error::Elsewhere { address, .. } => Some(format!(
                "netrun --address {} ..., or choose another --name",
                address.display()
            )),
            Error::NetnsTaken { path, .. } => Some(format!(
                "choose another --name, or remove it (ip netns del {})",
                path.file_name().unwrap_or_default().display()
            )),
            Error::WrongState { hint, .. } if !hint.is_empty() => Some((*hint).to_owned()),
            Error::Attach { source, .. }
            | Error::Detach { source, .. }
            | Error::Exec { source, .. }
            | Error::Image { source, .. } => source.hint(),
            Error::NetworkGone { network } => {
                Some(format!("make it again: netrun network create {network}"))
            }
            Error::RecordTooLarge { .. } | Error::PlanTooLarge { .. } => Some(TOO_LARGE.to_owned()),
            Error::NoNetworkToShare { other, .. } => Some(format!(
                "start it first (netrun start {other}); if it was removed, make both again"
            )),
            Error::NotAttached { id, .. } => {
                Some(format!("netrun inspect {id} shows its networks"))
            }
            Error::LeftBehind { .. } | Error::SupervisorGone { .. } => {
                Some("netrun gc finishes what is left".to_owned())
            }
            Error::UnknownState { .. } => Some(
                "try again; if it stays so, the shim hangs: killing it (ps ax | grep containerd-shim) \
                 ends the container"
                    .to_owned(),
            ),
            Error::Foreign { id } => Some(format!(
                "remove it with what made it, for instance ctr container rm {id}"
            )),
            Error::Netns { source, .. } | Error::File { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("run netrun as root (sudo netrun ...)".to_owned())
            }
            Error::DoesNotEnd { .. } => Some("it ends when what it waits for answers: a disk, NFS".into()),
            Error::ReadOnly { id, .. } => Some(format!(
                "netrun inspect {id} shows its mounts; write to the host's side of it"
            )),
            Error::Reported(report) => report.hint(),
            Error::Port(error) => error.hint(),
            Error::Watch { .. } => Some(
                "if too many files are open, raise the limit: \
                 sysctl -w fs.inotify.max_user_instances=1024"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn io_class(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Class::Denied,
        io::ErrorKind::AlreadyExists => Class::AlreadyExists,
        _ => Class::Failed,
    }
}
