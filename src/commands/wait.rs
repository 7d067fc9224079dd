//! `netrun wait`: what was typed.

use super::values::parse;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun wait job      the last container's status is the exit code, too";

/// Wait until containers end, and print their exit statuses
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}
