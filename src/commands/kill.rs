//! `netrun kill`: what was typed.

use super::values::parse;
use crate::model::id::ContainerId;
use crate::model::signal::Signal;

const EXAMPLES: &str = "\
Examples:
  netrun kill web
  netrun kill -s HUP web";

/// Send a signal to containers
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The signal, by name or number
    #[arg(
        short,
        long,
        value_name = "SIGNAL",
        default_value = "SIGKILL",
        value_parser = parse::<Signal>
    )]
    pub signal: Signal,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}
