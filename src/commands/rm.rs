//! `netrun rm`: remove containers and all that was made for them.

use futures_util::future::join;

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::{control, volumes};
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

/// Removes the containers, all at once. By force one that does not exist is no failure, only not among
/// the removed, as docker has it.
pub async fn rm(context: &Context<'_>, args: &Args) -> Each<ContainerId> {
    let removed = each(&args.containers, async |id| {
        // Which volumes are its own is not known any more once it is gone.
        let record = match args.volumes {
            true => context.host.record(&id).await.ok(),
            false => None,
        };
        match control::remove(&context.host, &id, args.force, context.fault).await {
            Err(error) if args.force && error.class() == Class::NotFound => {
                context.audience.warn(&error.to_string());
                return Ok(None);
            }
            outcome => drop(outcome?),
        }
        if let Some(record) = record {
            volumes::remove_anonymous(&context.host, &record).await?;
        }
        Ok(Some(id))
    });
    let (removed, ()) = join(removed, context.forget_dead_pulls()).await;
    let removed = removed.into_iter();
    removed.filter_map(Result::transpose).collect()
}
