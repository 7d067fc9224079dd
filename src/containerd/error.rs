//! What containerd refuses, and which class of trouble that is.
//!
//! Invariant: classes come from gRPC codes. The one exception is a table of runc's phrases for a
//! command that cannot be run, which reach us as code Unknown.

use std::io;
use std::path::PathBuf;

use tonic::{Code, Status};

use crate::model::class::{Class, Explain};

/// A call to containerd that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the socket.
    #[error("cannot connect to containerd at {}", .address.display())]
    Connect {
        /// The socket's path.
        address: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody answers at the socket who does not speak gRPC.
    #[error("containerd does not speak gRPC at its socket")]
    Handshake(#[source] tonic::transport::Error),
    /// A value cannot travel as a header.
    #[error("the {what} {value:?} cannot be sent to containerd")]
    Header {
        /// Which header.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// containerd refused a call.
    #[error("containerd could not {operation}")]
    Call {
        /// What was asked for, as an imperative: `create task web`.
        operation: String,
        /// Its answer.
        source: Refusal,
    },
    /// A document is larger than any that is sound: its digest, and the most that is read, bytes.
    #[error("{0} has more than {1} bytes, too many for a manifest or a configuration")]
    TooLarge(String, usize),
    /// An answer lacks what it must hold.
    #[error("containerd answered without {what}")]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
}

/// containerd's answer to a call that it refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    message: String,
}

impl Error {
    pub(super) fn call(operation: &str, status: Status) -> Error {
        let source = Refusal {
            code: status.code(),
            message: status.message().to_owned(),
        };
        Error::Call {
            operation: operation.to_owned(),
            source,
        }
    }

    /// Whether the object asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.class() == Class::NotFound
    }

    /// Whether the object to be made exists already.
    pub fn already_exists(&self) -> bool {
        self.class() == Class::AlreadyExists
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Error::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Class::Denied
            }
            Error::Connect { .. } | Error::Handshake(_) => Class::Unavailable,
            Error::Header { .. } | Error::TooLarge(..) => Class::InvalidInput,
            Error::Incomplete { .. } => Class::Failed,
            Error::Call { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        if let Error::Call { source, .. } = self
            && let Some(hint) = source.hint()
        {
            return Some(hint.to_owned());
        }
        let hint = match (self, self.class()) {
            (Error::Connect { .. }, Class::Denied) => "run netrun as root (sudo netrun ...)",
            (Error::Connect { .. }, _) => {
                "start containerd (systemctl start containerd), or name its socket with \
                 --address or CONTAINERD_ADDRESS"
            }
            (_, Class::CommandNotFound) => {
                "the container's files and PATH have no such command: check how it is written"
            }
            (_, Class::CommandNotExecutable) => {
                "give a program that may be executed (chmod +x), or its interpreter before it"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Refusal {
    fn hint(&self) -> Option<&'static str> {
        let says = |phrase: &&str| self.message.contains(phrase);
        let found = HINTS.iter().find(|(phrases, _)| phrases.iter().all(says));
        found.map(|(_, hint)| *hint)
    }

    fn class(&self) -> Class {
        match self.code {
            Code::NotFound => Class::NotFound,
            Code::AlreadyExists => Class::AlreadyExists,
            Code::InvalidArgument | Code::OutOfRange => Class::InvalidInput,
            Code::FailedPrecondition => Class::WrongState,
            Code::PermissionDenied | Code::Unauthenticated => Class::Denied,
            Code::Unavailable => Class::Unavailable,
            // tonic cancels a call whose deadline has passed on our side.
            Code::DeadlineExceeded | Code::Cancelled => Class::Timeout,
            Code::Unimplemented => Class::Unsupported,
            Code::Unknown => runc_class(&self.message),
            _ => Class::Failed,
        }
    }
}

/// What runc 1.1 says of a command that it cannot run: the phrase, and what it means. The first
/// phrase that occurs decides.
const RUNC_PHRASES: [(&str, Class); 5] = [
    ("executable file not found in $PATH", Class::CommandNotFound),
    ("exec: permission denied", Class::CommandNotExecutable),
    (": permission denied", Class::CommandNotExecutable),
    (": is a directory", Class::CommandNotExecutable),
    (": no such file or directory", Class::CommandNotFound),
];

/// What containerd or runc says all of, and what to do about it.
const HINTS: [(&[&str], &str); 7] = [
    (
        &["snapshotter not loaded"],
        "check --snapshotter, CONTAINERD_SNAPSHOTTER and netrun.toml; ctr plugins ls lists those that this \
         containerd has",
    ),
    (
        &["failed to resolve runtime path"],
        "check --runtime: runc, or a shim such as io.containerd.runc.v2 whose program is in \
         containerd's PATH, or the path of one",
    ),
    (
        &["init: mkdir ", "not a directory"],
        "what -w or the image's WORKDIR names, or a part of it, is a file in the container: name a \
         directory with -w",
    ),
    (
        &["pids.max: invalid argument"],
        "the kernel has no place for so many: give --pids-limit 4194304 at most, or -1 for any number",
    ),
    (
        &[NO_DIRECTORY],
        "the container has no such working directory: check -w",
    ),
    (
        &["error mounting", "not a directory"],
        "a directory is mounted at a directory only, and a file at a file: check -v and --mount",
    ),
    (
        &["open /proc/sys/"],
        "this kernel has no such parameter, or not in a container: check --sysctl",
    ),
];

/// What runc says of a working directory that is missing, before the reason.
const NO_DIRECTORY: &str = "chdir to cwd";

fn runc_class(message: &str) -> Class {
    // Only the failure to start the process itself speaks of "exec:"; a mount that fails has the
    // same endings.
    let Some(at) = message.find("exec: ").or(message.find(NO_DIRECTORY)) else {
        return Class::Failed;
    };
    let found = RUNC_PHRASES
        .iter()
        .find(|(phrase, _)| message[at..].contains(phrase));
    found.map_or(Class::Failed, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runcs_phrases_for_commands_that_cannot_run_have_classes() {
        let prefix = "failed to create shim task: OCI runtime create failed: runc create failed: \
                      unable to start container process: ";
        for (text, class) in [
            (
                "exec: \"nope\": executable file not found in $PATH: unknown",
                Class::CommandNotFound,
            ),
            (
                "exec: \"/nope\": stat /nope: no such file or directory: unknown",
                Class::CommandNotFound,
            ),
            (
                "exec: \"/etc/passwd\": permission denied: unknown",
                Class::CommandNotExecutable,
            ),
            (
                "exec: \"/etc\": is a directory: unknown",
                Class::CommandNotExecutable,
            ),
            (
                "exec: \"/etc\": permission denied: unknown",
                Class::CommandNotExecutable,
            ),
            (
                "chdir to cwd (\"/nope\") set in config.json failed: no such file or directory",
                Class::CommandNotFound,
            ),
            (
                "error mounting \"/x\" to rootfs at \"/y\": no such file or directory",
                Class::Failed,
            ),
        ] {
            let error = Error::call(
                "create task web",
                Status::unknown(format!("{prefix}{text}")),
            );
            assert_eq!(error.class(), class, "{text}");
        }
    }

    #[test]
    fn codes_not_texts_decide_the_class() {
        let error = Error::call("x", Status::not_found("whatever it says"));
        assert!(error.is_not_found());
        let error = Error::call("x", Status::internal("container not found"));
        assert!(!error.is_not_found());
    }
}
