//! `netrun supervise`: what was typed; netrun itself types it.

use super::values::parse;
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
