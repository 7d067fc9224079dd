//! `netrun rm`: what was typed.

use super::values::parse;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun rm web
  netrun rm -f $(netrun ps -aq)";

/// Remove containers and all that was made for them
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kill it if it runs, and do not mind if it does not exist
    #[arg(short, long)]
    pub force: bool,

    /// Remove its anonymous volumes too
    #[arg(short, long)]
    pub volumes: bool,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}
