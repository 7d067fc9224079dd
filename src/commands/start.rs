//! `netrun start`: what was typed.

use super::values::parse;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun start web
  netrun start -ai shell      see its output and type into it";

/// Start containers that do not run; each gets a fresh network namespace
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Attach to its output and pass signals on; the exit code is its own
    #[arg(short, long)]
    pub attach: bool,

    /// Attach to its standard input
    #[arg(short, long)]
    pub interactive: bool,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}
