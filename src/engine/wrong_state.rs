//! What a container cannot do in the state that it is in.
//!
//! Invariant: whoever is refused is told the state, and how to leave it.

use super::error::Error;
use crate::model::id::ContainerId;

impl Error {
    /// A command needs a running container.
    pub fn not_running(id: &ContainerId) -> Error {
        Error::WrongState {
            id: id.clone(),
            state: "is not running",
            hint: "start it (netrun start)",
        }
    }

    /// A command needs a container that is not paused.
    pub fn paused(id: &ContainerId) -> Error {
        Error::WrongState {
            id: id.clone(),
            state: "is paused",
            hint: "let it go on first (netrun unpause)",
        }
    }

    /// A command needs a container that does not run.
    pub fn running(id: &ContainerId) -> Error {
        Error::WrongState {
            id: id.clone(),
            state: "is running",
            hint: "stop it first (netrun stop), or remove it by force (netrun rm -f)",
        }
    }

    /// A command needs a container that runs now, not in a while.
    pub fn restarting(id: &ContainerId) -> Error {
        Error::WrongState {
            id: id.clone(),
            state: "waits to be started again",
            hint: "try again when it runs; netrun stop ends the waiting",
        }
    }

    /// A command waits for a health that nobody checks.
    pub fn no_health_check(id: &ContainerId) -> Error {
        Error::WrongState {
            id: id.clone(),
            state: "has no health check",
            hint: "give it one with --health-cmd",
        }
    }
}
