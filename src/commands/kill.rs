//! `netrun kill`: signal containers.

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::control;
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

/// Signals the containers.
pub async fn kill(context: &Context<'_>, args: &Args) -> Each<ContainerId> {
    each(&args.containers, async |id| {
        control::kill(&context.host, &id, args.signal.number()).await?;
        Ok(id)
    })
    .await
}
