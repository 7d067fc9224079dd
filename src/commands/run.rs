//! `netrun run`: make a container and start it.
//!
//! Invariant: what cannot work is refused before the supervisor gets its orders; from then on it
//! alone makes, and undoes.

use std::path::PathBuf;
use std::time::Duration;

use super::attached::{self, Attached, Heir, KeysArgs, ProxyArgs, Wishes};
use super::cidfile::CidFile;
use super::container::ContainerArgs;
use super::context::Context;
use super::interrupt::abandon_pull;
use super::values::{parse, seconds};
use super::{env_out, pidfile, prepare};
use crate::engine::control;
use crate::engine::error::Error;
use crate::engine::host::Host;
use crate::engine::protocol::{Assignment, Launcher, Orders};
use crate::engine::ready::{NotReady, until_ready};
use crate::engine::session::{PipeEnds, Session};
use crate::engine::steps::Taken;
use crate::engine::view;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::ready::Readiness;
use crate::model::record::LogDriver;

const EXAMPLES: &str = "\
Examples:
  netrun run --rm -it alpine:3.14 sh
  netrun run -d --name web --net mynet -e MODE=test -v ./site:/site:ro nginx
  netrun run -d --wait=tcp:5432 --name db postgres
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

    /// With -d: return when it is ready: healthy, tcp:PORT, http:PORT/PATH or log:REGEX; if nothing is
    /// said, when it is healthy, or without a health check when it runs
    #[arg(
        long,
        value_name = "CONDITION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        requires = "detach",
        value_parser = parse::<Readiness>
    )]
    pub wait: Option<Readiness>,

    /// How long to wait for that
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = seconds)]
    pub wait_timeout: Duration,

    /// Attach to stdin, stdout or stderr, and to none that is not named
    #[arg(
        short = 'a',
        long = "attach",
        value_name = "STREAM",
        ignore_case = true,
        conflicts_with = "detach"
    )]
    pub streams: Vec<StreamName>,

    /// The keys that leave it running.
    #[command(flatten)]
    pub keys: KeysArgs,

    /// Whether signals are passed on.
    #[command(flatten)]
    pub proxy: ProxyArgs,

    /// With -d: append NAME_IP=, NAME_PORT_80=, NAME_PORT_53_UDP= and more to a file, for GITHUB_ENV or a
    /// shell's source
    #[arg(long, value_name = "PATH", requires = "detach")]
    pub env_out: Vec<PathBuf>,

    /// With -d: print more than its name: json, or a template such as '{{.IPAddress}}'
    #[arg(long, value_name = "FORMAT", requires = "detach")]
    pub format: Option<String>,

    /// How the container is made.
    #[command(flatten)]
    pub container: ContainerArgs,
}

/// The streams that can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StreamName {
    /// Standard input, which -i keeps open.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Args {
    fn wishes(&self) -> Wishes {
        let all = self.streams.is_empty();
        Wishes {
            proxy: self.proxy.sig_proxy,
            stdout: all || self.streams.contains(&StreamName::Stdout),
            stderr: all || self.streams.contains(&StreamName::Stderr),
            ..self.keys.wishes()
        }
    }

    /// Our standard input is its own.
    pub fn gives_stdin(&self) -> bool {
        let all = self.streams.is_empty();
        self.container.interactive && (all || self.streams.contains(&StreamName::Stdin))
    }
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

/// A signal came before the process ran.
#[derive(Debug, thiserror::Error)]
#[error("the run was called off by a signal; nothing of it is left")]
pub struct CalledOff {
    signal: u8,
}

impl Explain for CalledOff {
    fn class(&self) -> Class {
        Class::Interrupted(self.signal)
    }
}

/// A line of a log is waited for that nobody writes.
#[derive(Debug, thiserror::Error)]
#[error("--wait={0} cannot be seen with --log-driver none")]
pub struct NoLog(String);

impl Explain for NoLog {
    fn class(&self) -> Class {
        Class::InvalidInput
    }
}

/// Makes a container and starts it, unless a signal comes first, whose number `interrupt` gives.
///
/// # Errors
/// Whatever kept it from running; nothing of it is left then.
pub async fn run(
    context: &Context<'_>,
    args: &Args,
    interrupt: impl Future<Output = u8>,
) -> Result<Outcome, Failure> {
    let cidfile = args
        .container
        .cidfile
        .as_deref()
        .map(CidFile::claim)
        .transpose()?;
    check(args)?;
    tokio::pin!(interrupt);
    let id = prepare::name(context, &args.container);
    // It gets ready while the image is looked up; without orders it ends by itself.
    let (address, namespace) = (&context.settings.address, &context.settings.namespace);
    let session = Session::spawn(address, namespace, &id)?;
    let mut plan = tokio::select! {
        biased;
        plan = prepare::plan(context, &args.container, &id) => plan?,
        signal = &mut interrupt => {
            abandon_pull(context).await;
            return Err(CalledOff { signal }.into());
        }
    };
    if args.wait == Some(Readiness::Healthy) && plan.record.health.is_none() {
        return Err(Error::no_health_check(&id).into());
    }
    // Nobody was to give it any input: who comes by to give some does not end it.
    plan.record.process.stdin_stays = args.detach && args.container.interactive;
    pidfile::make_way(context, &args.container, &id).await?;
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
        let (_, _, steps) = started(session, interrupt.as_mut()).await?;
        if let Some(readiness) = &args.wait {
            ready(context, args, &id, readiness, interrupt).await?;
        }
        report(context, args, &id, cidfile).await?;
        return Ok(Outcome::Detached { id, steps });
    }
    let terminal = args.container.tty;
    let (pipes, ends) = attached::pipes(terminal)?;
    session.order(&orders, ends).await?;
    let (session, stdin, steps) = started(session, interrupt).await?;
    report(context, args, &id, cidfile).await?;
    Ok(Outcome::Attached(Box::new(Attached {
        session,
        pipes,
        stdin: stdin.filter(|_| args.gives_stdin()),
        terminal,
        steps,
        heir: Some(Heir::new(&context.settings, &id, Launcher::Owns)),
        wishes: args.wishes(),
    })))
}

/// Refuses what could only fail once the container runs.
fn check(args: &Args) -> Result<(), Failure> {
    for path in &args.env_out {
        env_out::check(path)?;
    }
    pidfile::check(&args.container)?;
    let keeps_log = args.container.process.log().driver != LogDriver::None;
    match &args.wait {
        Some(readiness @ Readiness::Log(_)) if !keeps_log => {
            Err(NoLog(readiness.to_string()).into())
        }
        _ => Ok(()),
    }
}

/// Tells scripts of it where that is wanted; one that they cannot be told of is removed.
async fn report(
    context: &Context<'_>,
    args: &Args,
    id: &ContainerId,
    cidfile: Option<CidFile>,
) -> Result<(), Failure> {
    if let Err(error) = write_files(context, args, id, cidfile).await {
        // A run that fails leaves nothing.
        removed(&context.host, id).await?;
        return Err(error);
    }
    Ok(())
}

async fn write_files(
    context: &Context<'_>,
    args: &Args,
    id: &ContainerId,
    cidfile: Option<CidFile>,
) -> Result<(), Failure> {
    pidfile::write(context, &args.container, id).await?;
    if !args.env_out.is_empty() {
        let view = view::one(&context.host, id).await?;
        for path in &args.env_out {
            env_out::append(path, &view)?;
        }
    }
    cidfile.map(|file| file.write(id)).transpose()?;
    Ok(())
}

/// Waits until the container is ready. One that is not, and was to be removed, is gone then.
async fn ready(
    context: &Context<'_>,
    args: &Args,
    id: &ContainerId,
    readiness: &Readiness,
    interrupt: impl Future<Output = u8>,
) -> Result<(), Failure> {
    let host = &context.host;
    let signal = tokio::select! {
        biased;
        waited = until_ready(host, id, readiness, args.wait_timeout) => {
            let Err(mut error) = waited else {
                return Ok(());
            };
            if args.container.rm {
                removed(host, id).await?;
                if let NotReady::Late { removed, .. } = &mut error {
                    *removed = true;
                }
            }
            return Err(error.into());
        }
        signal = interrupt => signal,
    };
    removed(host, id).await?;
    Err(CalledOff { signal }.into())
}

/// Removes a container that was started in vain.
///
/// # Errors
/// Something is left behind.
pub async fn undo(context: &Context<'_>, id: &ContainerId) -> Result<(), Failure> {
    removed(&context.host, id).await
}

/// Removes it, unless it has gone by itself.
async fn removed(host: &Host, id: &ContainerId) -> Result<(), Failure> {
    match control::remove(host, id, true, None).await {
        Err(error) if error.class() != Class::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Waits for the start. A signal calls it off, and what was made is gone then; or it came too late.
async fn started(
    mut session: Session,
    interrupt: impl Future<Output = u8>,
) -> Result<(Session, Option<PathBuf>, Vec<Taken>), Failure> {
    let signal = tokio::select! {
        biased;
        started = session.started() => {
            let (stdin, steps) = started?;
            return Ok((session, stdin, steps));
        }
        signal = interrupt => signal,
    };
    session.call_off();
    match session.started().await {
        Ok((stdin, steps)) => Ok((session, stdin, steps)),
        Err(error) if error.class() == Class::LeftBehind => Err(error.into()),
        Err(_) => Err(CalledOff { signal }.into()),
    }
}
