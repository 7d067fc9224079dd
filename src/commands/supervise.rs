//! `netrun supervise`: watch over one container; netrun itself types it.

use std::io;
use std::path::PathBuf;

use super::values::parse;
use crate::engine::daemon;
use crate::engine::host::Host;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::{ContainerId, Namespace};

/// Watch over one container
#[derive(Debug, Clone, PartialEq, clap::Parser)]
#[command(name = daemon::VERB)]
pub struct Args {
    /// The containerd namespace
    #[arg(value_name = "NAMESPACE", value_parser = parse::<Namespace>)]
    pub namespace: Namespace,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,

    /// containerd's socket
    #[arg(value_name = "ADDRESS")]
    pub address: PathBuf,
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
pub fn supervise(args: &Args) -> Result<(), Failure> {
    let host = Host::new(args.address.clone(), args.namespace.clone());
    Ok(daemon::main(host).map_err(NoEventLoop)?)
}
