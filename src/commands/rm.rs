//! `netrun rm`: remove containers and all that was made for them.

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::control;
use crate::model::class::{Class, Explain};
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

/// Removes the containers, all at once.
pub async fn rm(context: &Context<'_>, args: &Args) -> Each<ContainerId> {
    each(&args.containers, async |id| {
        match control::remove(&context.host, &id, args.force).await {
            Err(error) if args.force && error.class() == Class::NotFound => Ok(id),
            outcome => {
                outcome?;
                Ok(id)
            }
        }
    })
    .await
}
