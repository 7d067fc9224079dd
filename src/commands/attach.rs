//! `netrun attach`: what was typed.

use super::values::parse;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun attach shell      ctrl-p ctrl-q leaves it running";

/// Attach to a running container's input and output, and pass signals on
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Leave its standard input alone
    #[arg(long)]
    pub no_stdin: bool,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}
