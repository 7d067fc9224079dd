//! `netrun supervise`: watch over one container; netrun itself types it.

use std::io;

use super::values::parse;
use crate::engine::daemon;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::{ContainerId, Namespace};

/// Watch over one container
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// The containerd namespace
    #[arg(value_name = "NAMESPACE", value_parser = parse::<Namespace>)]
    pub namespace: Namespace,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// The event loop cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an event loop")]
pub struct NoEventLoop(#[source] pub io::Error);

impl Explain for NoEventLoop {
    fn class(&self) -> Class {
        Class::Failed
    }
}

/// Runs the supervisor, whose orders come over standard input.
///
/// # Errors
/// Standard input is no socket.
pub fn supervise() -> Result<(), Failure> {
    Ok(daemon::main().map_err(NoEventLoop)?)
}
