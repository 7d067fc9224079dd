//! How a container's run ended.
//!
//! Invariant: the status is the process's own, unless the reason says why it is not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status: the process's own, or 128 and the signal's number; 255 if unknown.
    pub status: u32,
    /// When it ended, as far as known.
    pub at: Timestamp,
    /// Why the status is not the process's own, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The kernel killed in it for lack of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
}

impl Exit {
    /// An end with the process's own status.
    pub fn new(status: u32, at: Timestamp) -> Exit {
        Exit {
            status,
            at,
            reason: None,
            out_of_memory: false,
        }
    }

    /// The same, with the reason why the status is not the process's own.
    #[must_use]
    pub fn because(self, reason: &str) -> Exit {
        Exit {
            reason: Some(reason.to_owned()),
            ..self
        }
    }
}
