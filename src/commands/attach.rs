//! `netrun attach`: take the streams of a running container.

use super::attached::{self, Attached, Heir, KeysArgs, ProxyArgs};
use super::context::Context;
use super::values::parse;
use crate::engine::error::Error;
use crate::engine::protocol::{Launcher, Request};
use crate::engine::reach::reach;
use crate::model::class::Failure;
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

    /// The keys that leave it running.
    #[command(flatten)]
    pub keys: KeysArgs,

    /// Whether signals are passed on.
    #[command(flatten)]
    pub proxy: ProxyArgs,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// Attaches to a running container.
///
/// # Errors
/// There is none, or it does not run.
pub async fn attach(context: &Context<'_>, args: &Args) -> Result<Attached, Failure> {
    attach_to(context, &args.container, !args.no_stdin).await
}

/// Attaches to a running container, to its standard input if it has one and that is `wanted`.
///
/// # Errors
/// There is none, or it does not run.
pub async fn attach_to(
    context: &Context<'_>,
    id: &ContainerId,
    wanted: bool,
) -> Result<Attached, Failure> {
    let record = context.host.record(id).await?;
    let terminal = record.process.terminal;
    let (pipes, ends) = attached::pipes(terminal)?;
    let interactive = record.process.stdin && wanted;
    let heir = Heir::new(&context.settings, id, Launcher::Stays);
    let reached = reach(&context.host, id, &Request::Attach { owns: false }, ends).await?;
    let attached = reached
        .and_then(|reached| Attached::reached(reached, pipes, terminal, interactive, Some(heir)));
    attached.ok_or_else(|| Error::not_running(id).into())
}
