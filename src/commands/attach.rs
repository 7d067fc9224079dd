//! `netrun attach`: take the streams of a running container.

use super::attached::{self, Attached, Heir};
use super::context::Context;
use super::values::parse;
use crate::engine::control::not_running;
use crate::engine::protocol::{Launcher, Request};
use crate::engine::session::Session;
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

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// Attaches to a running container.
///
/// # Errors
/// There is none, or it does not run.
pub async fn attach(context: &Context<'_>, args: &Args) -> Result<Attached, Failure> {
    let id = &args.container;
    let record = context.host.record(id).await?;
    let terminal = record.process.terminal;
    let (pipes, ends) = attached::pipes(terminal)?;
    let paths = context.host.paths(id)?;
    let session = Session::open(id, &paths, &Request::Attach, ends).await?;
    let session = session.ok_or_else(|| not_running(id))?;
    let interactive = record.process.stdin && !args.no_stdin;
    let heir = Heir::new(&context.settings, id, Launcher::Stays);
    Ok(Attached::wait(session, pipes, terminal, interactive, Some(heir)).await?)
}
