//! `netrun create`: make a container and start nothing.

use super::cidfile::CidFile;
use super::container::ContainerArgs;
use super::context::Context;
use super::{pidfile, prepare};
use crate::engine::control;
use crate::model::class::Failure;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun create --name web --net mynet nginx && netrun start web";

/// Make a container without starting it, and print its name
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "netrun create [OPTIONS] IMAGE [OPTIONS] [--] [COMMAND [ARG]...]"
)]
pub struct Args {
    /// How the container is made.
    #[command(flatten)]
    pub container: ContainerArgs,
}

/// Makes a container; returns its name.
///
/// # Errors
/// Whatever kept it from being made; nothing of it is left then.
pub async fn create(context: &Context<'_>, args: &Args) -> Result<ContainerId, Failure> {
    let cidfile = args
        .container
        .cidfile
        .as_deref()
        .map(CidFile::claim)
        .transpose()?;
    let id = prepare::name(context, &args.container);
    let plan = prepare::plan(context, &args.container, &id).await?;
    pidfile::make_way(context, &args.container, &id).await?;
    control::create(&context.host, plan, context.fault).await?;
    cidfile.map(|file| file.write(&id)).transpose()?;
    Ok(id)
}
