//! `netrun start`: start containers that exist.

use super::attach::attach_to;
use super::attached::{self, Attached, Heir, KeysArgs};
use super::context::Context;
use super::each::{Each, each};
use super::values::parse;
use crate::engine::control::{self, start_orders};
use crate::engine::protocol::Launcher;
use crate::engine::session::Session;
use crate::model::class::Failure;
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

    /// The keys that leave it running.
    #[command(flatten)]
    pub keys: KeysArgs,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// Starts the containers and waits for none of them. One that runs is left as it is.
pub async fn start(context: &Context<'_>, containers: &[ContainerId]) -> Each<ContainerId> {
    each(containers, async |id| {
        control::start(&context.host, &id, context.fault).await?;
        Ok(id)
    })
    .await
}

/// Starts one container, unless it runs, and keeps its streams.
///
/// # Errors
/// Whatever kept it from running.
pub async fn start_attached(
    context: &Context<'_>,
    id: &ContainerId,
    interactive: bool,
) -> Result<Attached, Failure> {
    let record = context.host.record(id).await?;
    let terminal = record.process.terminal;
    let (pipes, ends) = attached::pipes(terminal)?;
    // One on its way down is waited for; one that runs is left as it is.
    if control::settle(&context.host, id).await? {
        return attach_to(context, id, interactive).await;
    }
    let orders = start_orders(&context.host, id, Launcher::Stays, context.fault);
    let session = Session::launch(&orders, ends).await?;
    let heir = Heir::new(&context.settings, id, Launcher::Stays);
    Ok(Attached::wait(session, pipes, terminal, interactive, Some(heir)).await?)
}
