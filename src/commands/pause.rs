//! `netrun pause` and `netrun unpause`: freeze containers, and let them go on.
//!
//! Invariant: containerd does it; the record knows nothing of it, and a stop lets a frozen one go on.

use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::containerd::TaskState;
use crate::engine::error::Error;
use crate::model::class::Failure;
use crate::model::id::ContainerId;

/// Freeze all processes of containers
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun pause web && netrun unpause web")]
pub struct Args {
    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// Let frozen containers go on
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun pause web db && netrun unpause web db")]
pub struct UnpauseArgs {
    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// Freezes containers that run.
pub async fn pause(context: &Context<'_>, containers: &[ContainerId]) -> Each<ContainerId> {
    each(containers, async |id| switch(context, id, true).await).await
}

/// Lets containers that are frozen go on.
pub async fn unpause(context: &Context<'_>, containers: &[ContainerId]) -> Each<ContainerId> {
    each(containers, async |id| switch(context, id, false).await).await
}

async fn switch(
    context: &Context<'_>,
    id: ContainerId,
    freeze: bool,
) -> Result<ContainerId, Failure> {
    context.host.record(&id).await?;
    let client = context.host.client().await?;
    let state = match client.task(id.as_str()).await {
        Ok(task) => task.state,
        Err(error) if error.is_not_found() => return Err(Error::not_running(&id).into()),
        Err(error) => return Err(Error::from(error).into()),
    };
    let refused = |state, hint| Error::WrongState {
        id: id.clone(),
        state,
        hint,
    };
    let done = match (freeze, state) {
        (true, TaskState::Running) => client.pause_task(id.as_str()).await,
        (false, TaskState::Paused) => client.resume_task(id.as_str()).await,
        (true, TaskState::Paused) => {
            return Err(refused("is paused already", "let it go on (netrun unpause)").into());
        }
        (false, TaskState::Running) => return Err(refused("is not paused", "").into()),
        _ => return Err(Error::not_running(&id).into()),
    };
    done.map_err(Error::from)?;
    Ok(id)
}
