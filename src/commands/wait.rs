//! `netrun wait`: wait until containers have ended, or are in another state.

use clap::ValueEnum;
use futures_util::future::select_ok;

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::control;
use crate::engine::ready::{NotReady, until_gone, until_healthy, until_running};
use crate::model::class::Failure;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun wait job                                 the last container's status is the exit code, too
  netrun wait --condition healthy db
  netrun wait --exit-first-match server client    until the first of them has ended";

/// Wait until containers end, and print their exit statuses
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to wait for: exited, running, healthy or removed; statuses are printed for exited only
    #[arg(
        long,
        value_name = "STATE",
        value_enum,
        default_value_t = Condition::Exited,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub condition: Condition,

    /// Wait for the first of the containers instead of all
    #[arg(long)]
    pub exit_first_match: bool,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// It does not run (any more).
    #[value(alias = "stopped")]
    Exited,
    /// It runs.
    Running,
    /// Its health check says that it is.
    Healthy,
    /// It is gone.
    Removed,
}

/// Waits for the containers; gives their exit statuses where it was waited for their ends.
pub async fn wait(context: &Context<'_>, args: &Args) -> Each<Option<u32>> {
    let one = async |id: ContainerId| reached(context, args.condition, &id).await;
    if !args.exit_first_match {
        return each(&args.containers, one).await;
    }
    let all = args.containers.iter().map(|id| Box::pin(one(id.clone())));
    vec![select_ok(all).await.map(|(first, _)| first)]
}

async fn reached(
    context: &Context<'_>,
    condition: Condition,
    id: &ContainerId,
) -> Result<Option<u32>, Failure> {
    let host = &context.host;
    let outcome: Result<(), NotReady> = match condition {
        Condition::Exited => return Ok(Some(control::wait(host, id).await?.status)),
        Condition::Running => until_running(host, id).await,
        Condition::Healthy => until_healthy(host, id).await,
        Condition::Removed => until_gone(host, id).await,
    };
    Ok(outcome.map(|()| None)?)
}
