//! `netrun wait`: wait until containers have ended.

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::control;
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

/// Waits for the containers; gives their exit statuses.
pub async fn wait(context: &Context<'_>, args: &Args) -> Each<u32> {
    each(&args.containers, async |id| {
        Ok(control::wait(&context.host, &id).await?.status)
    })
    .await
}
