//! `netrun run`: make a container and start it.
//!
//! Invariant: what cannot work is refused before the supervisor gets its orders; from then on it
//! alone makes, and undoes.

use super::attached::{self, Attached, Heir};
use super::cidfile::CidFile;
use super::container::ContainerArgs;
use super::context::Context;
use super::prepare;
use crate::engine::protocol::{Assignment, Launcher, Orders};
use crate::engine::session::{PipeEnds, Session};
use crate::engine::steps::Taken;
use crate::model::class::Failure;
use crate::model::id::ContainerId;

const EXAMPLES: &str = "\
Examples:
  netrun run --rm -it alpine:3.14 sh
  netrun run -d --name web --net mynet -e MODE=test -v ./site:/site:ro nginx
  netrun run alpine:3.14 --net mynet ip addr      options may stand after the image, too
  netrun run alpine:3.14 -- --net mynet           but after -- everything is the command's

The exit code is the process's own, 128 and the number of the signal that ended it, 127 if the
command was not found, 126 if it cannot be invoked, 125 if netrun failed before.";

/// Make a container from an image and run a command in it
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "netrun run [OPTIONS] IMAGE [OPTIONS] [--] [COMMAND [ARG]...]"
)]
pub struct Args {
    /// Leave it running, and print its name
    #[arg(short, long)]
    pub detach: bool,

    /// How the container is made.
    #[command(flatten)]
    pub container: ContainerArgs,
}

/// What came of a `run`.
#[derive(Debug)]
pub enum Outcome {
    /// It runs, and nobody waits for it.
    Detached {
        /// Its name.
        id: ContainerId,
        /// The steps taken.
        steps: Vec<Taken>,
    },
    /// It runs, and its streams are the caller's.
    Attached(Box<Attached>),
}

/// Makes a container and starts it.
///
/// # Errors
/// Whatever kept it from running; nothing of it is left then.
pub async fn run(context: &Context<'_>, args: &Args) -> Result<Outcome, Failure> {
    let cidfile = args
        .container
        .cidfile
        .as_deref()
        .map(CidFile::claim)
        .transpose()?;
    let id = prepare::name(context, &args.container);
    // It gets ready while the image is looked up; without orders it ends by itself.
    let (address, namespace) = (&context.settings.address, &context.settings.namespace);
    let mut session = Session::spawn(address, namespace, &id)?;
    let plan = prepare::plan(context, &args.container, &id).await?;
    let orders = Orders {
        address: address.clone(),
        namespace: namespace.clone(),
        id: id.clone(),
        task: Assignment::Run(Box::new(plan)),
        client: match args.detach {
            true => Launcher::Leaves,
            false => Launcher::Owns,
        },
        fault: context.fault,
    };
    if args.detach {
        session.order(&orders, PipeEnds::default()).await?;
        let (_, steps) = session.started().await?;
        cidfile.map(|file| file.write(&id)).transpose()?;
        return Ok(Outcome::Detached { id, steps });
    }
    let terminal = args.container.tty;
    let (pipes, ends) = attached::pipes(terminal)?;
    session.order(&orders, ends).await?;
    let interactive = args.container.interactive;
    let heir = Heir::new(&context.settings, &id, Launcher::Owns);
    let attached = Attached::wait(session, pipes, terminal, interactive, Some(heir)).await?;
    cidfile.map(|file| file.write(&id)).transpose()?;
    Ok(Outcome::Attached(Box::new(attached)))
}
