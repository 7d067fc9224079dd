//! `netrun exec`: a further process in a running container.

use std::path::PathBuf;

use super::attached::{self, Attached, KeysArgs};
use super::context::Context;
use super::options::{Unfit, files};
use super::values::{EnvVar, parse};
use crate::engine::error::Error;
use crate::engine::protocol::{Exec, Request};
use crate::engine::reach::reach;
use crate::engine::session::PipeEnds;
use crate::model::class::Failure;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun exec -it web sh
  netrun exec -u nobody -w /tmp -e MODE=test web env

The exit code is the process's own, 128 and the number of the signal that ended it, 127 if the
command was not found, 126 if it cannot be invoked, 125 if netrun failed before.";

/// Run a command in a running container
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,

    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,

    /// Do not wait for it
    #[arg(short, long)]
    pub detach: bool,

    /// Set a variable; NAME alone passes on the value that it has here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = parse::<EnvVar>)]
    pub env: Vec<EnvVar>,

    /// Read variables from a file, one NAME=VALUE a line; -e wins over it
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,

    /// Give the command all rights of the host
    #[arg(long)]
    pub privileged: bool,

    /// The directory that the command starts in
    #[arg(short, long, value_name = "PATH")]
    pub workdir: Option<String>,

    /// Who runs it: names of the image, or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,

    /// The keys that leave it running.
    #[command(flatten)]
    pub keys: KeysArgs,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,

    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
}

/// The files' variables, then those of the command line, which win.
fn env(args: &Args) -> Result<Vec<String>, Unfit> {
    let mut env = files::env(&args.env_files)?;
    env.extend(args.env.iter().filter_map(EnvVar::resolved));
    Ok(env)
}

/// Starts the process. None if nobody is to wait for it.
///
/// # Errors
/// There is no such container, it does not run, or the process cannot be started.
pub async fn exec(context: &Context<'_>, args: &Args) -> Result<Option<Attached>, Failure> {
    let id = &args.container;
    let request = Request::Exec(Exec {
        args: args.command.clone(),
        env: env(args)?,
        privileged: args.privileged,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        terminal: args.tty,
        window: context.audience.window(),
        stdin: args.interactive,
        detach: args.detach,
    });
    let (pipes, ends) = attached::pipes(args.tty)?;
    let ends = if args.detach {
        PipeEnds::default()
    } else {
        ends
    };
    let Some(reached) = reach(&context.host, id, &request, ends).await? else {
        context.host.record(id).await?;
        return Err(Error::not_running(id).into());
    };
    match Attached::reached(reached, pipes, args.tty, args.interactive, None) {
        None => Err(Error::not_running(id).into()),
        attached => Ok(attached.filter(|_| !args.detach)),
    }
}
