//! What can be wrong with a `hosts.toml`.
//!
//! Invariant: every variant names the file.

use std::io;
use std::path::PathBuf;

use crate::model::class::{Class, Explain};

/// A `hosts.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or not of the shape that containerd documents.
    #[error("{} is malformed", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// It names a host that is no HTTP address.
    #[error("{} names {url:?}, which is no address of a registry", .path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The address as given.
        url: String,
    },
    /// It allows something that nobody knows.
    #[error("{} has the capability {capability:?}", .path.display())]
    Capability {
        /// The file.
        path: PathBuf,
        /// The capability as given.
        capability: String,
    },
    /// It gives a time that is none.
    #[error("{} has the time-out {text:?}", .path.display())]
    Duration {
        /// The file.
        path: PathBuf,
        /// The time as given.
        text: String,
    },
}

impl Explain for HostsError {
    fn class(&self) -> Class {
        match self {
            HostsError::Read { .. } => Class::Failed,
            HostsError::Parse { .. }
            | HostsError::Address { .. }
            | HostsError::Capability { .. }
            | HostsError::Duration { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let (HostsError::Read { path, .. }
        | HostsError::Parse { path, .. }
        | HostsError::Address { path, .. }
        | HostsError::Capability { path, .. }
        | HostsError::Duration { path, .. }) = self;
        let known = match self {
            HostsError::Capability { .. } => "; the capabilities are pull, resolve and push",
            HostsError::Duration { .. } => "; a time-out is written 500ms, 5s or 1m30s",
            _ => "",
        };
        Some(format!("mend or remove {}{known}", path.display()))
    }
}
