//! What kind of trouble an error is: the language in which rooms tell each other what went wrong.
//!
//! Invariant: no code recognises an error by its text; it asks for the class.

use std::error::Error;

use serde::{Deserialize, Serialize};

/// What kind of trouble an error is. Exit codes and retries follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// The named object does not exist.
    NotFound,
    /// An object of that name exists already.
    AlreadyExists,
    /// What the user, a file or an image asked for is malformed or cannot mean anything.
    InvalidInput,
    /// The object exists but is in the wrong state (running, in use, stopped).
    WrongState,
    /// The kernel, containerd or a registry refuses for lack of rights.
    Denied,
    /// containerd, a registry or a plugin cannot be reached.
    Unavailable,
    /// Something (containerd, a registry, a plugin, a killed process) did not end within our own deadline.
    Timeout,
    /// It took longer than the user gave it (exit code 124).
    Late,
    /// netrun does not have this yet, or this host cannot do it.
    Unsupported,
    /// Something of ours is still there; `netrun gc` finishes it.
    LeftBehind,
    /// A signal of this number called it off (exit code 128 and the number).
    Interrupted(u8),
    /// The command to run does not exist in the container (exit code 127).
    CommandNotFound,
    /// The command to run exists but cannot be invoked (exit code 126).
    CommandNotExecutable,
    /// Anything else: an effect failed for a reason of its own.
    Failed,
}

/// Any explained error: what a command fails with.
pub type Failure = Box<dyn Explain>;

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Failure {
        Box::new(error)
    }
}

/// An error that can be explained: its class, and where one is known the command that mends it.
pub trait Explain: Error + Send + Sync + 'static {
    /// What kind of trouble this is.
    fn class(&self) -> Class;

    /// What to do next, one sentence or one command; nothing where we do not know.
    fn hint(&self) -> Option<String> {
        None
    }
}
