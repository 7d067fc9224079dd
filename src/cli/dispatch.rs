//! One arm per verb: its typed arguments go to its command, what that gives is printed.
//!
//! Invariant: an arm decides nothing; which exit code a failure has is decided in `exit`.

use std::io;
use std::path::Path;

use super::error::Style;
use super::exit::{Family, code};
use super::format::Format;
use super::grammar::{Cli, SystemVerb, Verb};
use super::progress::PullProgress;
use super::{error, further, images, networks, output, session, show, views};
use crate::commands::context::{Audience, Context};
use crate::commands::each::Each;
use crate::commands::interrupt::interruptible;
use crate::commands::settings::GlobalArgs;
use crate::commands::{
    attach, create, env_out, exec, gc, kill, netns, pull, restart, rm, run, start, stop, supervise,
    wait,
};
use crate::image::PullEvent;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::sys::terminal;

/// Carries out a command line; gives the exit code, which is the process's own where there is one.
/// `format` is what `--format` asks for.
pub fn dispatch(cli: Cli, format: Option<Format>) -> Result<u8, Failure> {
    if let Verb::Netns(netns::Args {
        verb: netns::Verb::Exec(args),
    }) = &cli.verb
    {
        // It becomes the command, which must not find threads of ours.
        let unbound = |hidden: &Path, error: &io::Error| {
            output::warning(&format!("{} stays as it is: {error}", hidden.display()));
        };
        return Err(netns::exec(args, unbound));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(supervise::NoEventLoop)?;
    match &cli.verb {
        Verb::Cni(args) => runtime.block_on(views::cni(&cli.global, args, format.as_ref())),
        Verb::Netns(args) => runtime.block_on(show_netns(args, format.as_ref())),
        _ => runtime.block_on(act(&cli.global, cli.verb, format)),
    }
}

async fn act(global: &GlobalArgs, verb: Verb, format: Option<Format>) -> Result<u8, Failure> {
    let audience = People(pull_progress(&verb));
    session::check_terminal(wants_terminal(&verb, global.as_docker))?;
    let context = context(global, &verb, &audience).await?;
    let style = Style::of(format.as_ref());
    match verb {
        Verb::Run(args) => run_and_show(&context, &audience, &args, format.as_ref()).await,
        Verb::Create(args) => {
            let mut signals = session::catch_signals()?;
            let create = create::create(&context, &args);
            show_created(&interruptible(&context, signals.interrupt(), create).await?)
        }
        Verb::Start(args) if args.attach || args.interactive => {
            let [id] = args.containers.as_slice() else {
                return Err(session::SessionError::OneAtATime.into());
            };
            let mut attached = start::start_attached(&context, id, args.interactive).await?;
            attached.wishes = args.keys.wishes();
            session::drive(attached, session::Role::Client, session::catch_signals()?).await
        }
        Verb::Start(args) => each_line(start::start(&context, &args.containers).await, style),
        Verb::Stop(args) => each_line(stop::stop(&context, &args).await, style),
        Verb::Kill(args) => each_line(kill::kill(&context, &args).await, style),
        Verb::Restart(args) => each_line(restart::restart(&context, &args).await, style),
        Verb::Rm(args) => each_line(rm::rm(&context, &args).await, style),
        Verb::Wait(args) => {
            let outcomes = wait::wait(&context, &args).await;
            wait_status(outcomes, style, global.as_docker)
        }
        Verb::Exec(args) => match exec::exec(&context, &args).await? {
            Some(mut attached) => {
                attached.wishes = args.keys.wishes();
                let role = session::Role::Owner { timings: false };
                session::drive(attached, role, session::catch_signals()?).await
            }
            None => Ok(0),
        },
        Verb::Attach(args) => {
            let mut attached = attach::attach(&context, &args).await?;
            session::check_input(&attached)?;
            attached.wishes = args.keys.wishes();
            attached.wishes.proxy = args.proxy.sig_proxy;
            session::drive(attached, session::Role::Client, session::catch_signals()?).await
        }
        Verb::Gc(_) => show_gc(gc::gc(&context).await?, style),
        verb @ (Verb::Pull(_) | Verb::Load(_) | Verb::Import(_) | Verb::Commit(_)) => {
            let mut signals = session::catch_signals()?;
            let fetch = images::act(&context, verb, format.as_ref());
            interruptible(&context, signals.interrupt(), fetch).await
        }
        other => look(&context, other, format.as_ref()).await,
    }
}

/// The verbs that print what there is.
async fn look(context: &Context<'_>, verb: Verb, format: Option<&Format>) -> Result<u8, Failure> {
    match verb {
        Verb::Logs(args) => views::logs(context, &args).await,
        Verb::Network(args) => networks::act(context, &args.verb, format).await,
        Verb::Port(args) => views::port(context, &args).await,
        Verb::Ps(args) => views::ps(context, &args, format).await,
        Verb::Inspect(args) => views::inspect(context, &args, format).await,
        Verb::Images(args) => views::images(context, &args, format).await,
        Verb::Rmi(args) => views::rmi(context, &args, format).await,
        Verb::Version(_) => views::version(context, format).await,
        Verb::Info(_) => views::info(context, format).await,
        Verb::Further(verb) => further::act(context, verb, format).await,
        Verb::System(SystemVerb::Prune(args)) => further::prune_all(context, &args, format).await,
        Verb::Steps(_) => show_steps(),
        about_images => images::act(context, about_images, format).await,
    }
}

async fn show_netns(args: &netns::Args, format: Option<&Format>) -> Result<u8, Failure> {
    let style = Style::of(format);
    match &args.verb {
        netns::Verb::Add(args) => each_line(netns::add(&args.names).await, style),
        netns::Verb::Ls(args) => views::netns(args, format),
        netns::Verb::Rm(args) => each_line(netns::rm(args), style),
        netns::Verb::Id(args) => {
            let numbered = netns::id(args).into_iter();
            let lines = numbered.map(|one| one.map(|(id, name)| format!("{id} {name}")));
            each_line(lines.collect(), style)
        }
        // It has become its command before there was an event loop.
        netns::Verb::Exec(_) => Ok(0),
    }
}

fn show_created(id: &ContainerId) -> Result<u8, Failure> {
    output::line(id.as_str())?;
    Ok(0)
}

/// What the verb works with; those that touch no container take over from no supervisor.
async fn context<'a>(
    global: &GlobalArgs,
    verb: &Verb,
    audience: &'a People,
) -> Result<Context<'a>, Failure> {
    match verb {
        Verb::Gc(_) | Verb::Version(_) => Context::without_adoption(global, audience),
        Verb::Further(verb) if verb.is_of_the_shell() => {
            Context::without_adoption(global, audience)
        }
        _ => Context::new(global, audience).await,
    }
}

fn show_steps() -> Result<u8, Failure> {
    for step in crate::engine::steps::Step::ALL {
        output::line(step.name())?;
    }
    Ok(0)
}

async fn run_and_show(
    context: &Context<'_>,
    audience: &People,
    args: &run::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let mut signals = session::catch_signals()?;
    let outcome = run::run(context, args, signals.interrupt()).await?;
    audience.0.finish();
    match outcome {
        run::Outcome::Detached { id, steps } => {
            if let Some(format) = format {
                let started = env_out::started(context, &id, steps).await?;
                let document = match show::started::show(&started, format) {
                    Ok(document) => document,
                    Err(error) => {
                        // A run that fails leaves nothing.
                        run::undo(context, &id).await?;
                        return Err(error.into());
                    }
                };
                output::results(document.as_bytes())?;
                return Ok(0);
            }
            output::line(id.as_str())?;
            if args.container.timings {
                session::show_timings(&steps);
            }
            Ok(0)
        }
        run::Outcome::Attached(attached) => {
            let role = session::Role::Owner {
                timings: args.container.timings,
            };
            session::drive(*attached, role, signals).await
        }
    }
}

/// Prints a line for each that was done, and an error for each that was not; the exit code is that
/// of the first failure.
pub(super) fn each_line<T: std::fmt::Display>(
    outcomes: Each<T>,
    style: Style,
) -> Result<u8, Failure> {
    let mut first = 0;
    for outcome in outcomes {
        match outcome {
            Ok(done) => output::line(&done.to_string())?,
            Err(failure) => first = tell(failure.as_ref(), first, style),
        }
    }
    Ok(first)
}

/// Prints an error that does not end the verb; gives the exit code so far, which is the first one's.
pub(super) fn tell(failure: &dyn Explain, first: u8, style: Style) -> u8 {
    error::report(failure, style);
    match first {
        0 => code(Family::Object, failure.class()),
        first => first,
    }
}

/// Prints the exit statuses; the last one is the exit code, unless something failed. docker's own is
/// about its failures alone.
fn wait_status(outcomes: Each<Option<u32>>, style: Style, as_docker: bool) -> Result<u8, Failure> {
    let family = match as_docker {
        true => Family::Object,
        false => Family::Process,
    };
    let (mut last, mut failed) = (0, None);
    for outcome in outcomes {
        match outcome {
            Ok(None) => {}
            Ok(Some(status)) => {
                output::line(&status.to_string())?;
                last = u8::try_from(status).unwrap_or(u8::MAX);
            }
            Err(failure) => {
                error::report(failure.as_ref(), style);
                failed = failed.or(Some(code(family, failure.class())));
            }
        }
    }
    Ok(match failed {
        Some(code) => code,
        None if as_docker => 0,
        None => last,
    })
}

fn show_gc(swept: crate::engine::recover::Swept, style: Style) -> Result<u8, Failure> {
    for line in &swept.done {
        output::line(line)?;
    }
    for failure in &swept.failures {
        error::report(failure, style);
    }
    Ok(if swept.failures.is_empty() {
        0
    } else {
        code(Family::Object, Class::LeftBehind)
    })
}

/// Whether our own terminal is to become the process's. With docker's name `-t` alone needs none, which is
/// how CI jobs get colours.
fn wants_terminal(verb: &Verb, as_docker: bool) -> bool {
    match verb {
        Verb::Run(args) => args.container.tty && !args.detach && (!as_docker || args.gives_stdin()),
        Verb::Exec(args) => args.tty && !args.detach && (!as_docker || args.interactive),
        _ => false,
    }
}

/// How a pull looks, for the verbs that may come to one.
fn pull_progress(verb: &Verb) -> PullProgress {
    match verb {
        Verb::Run(run::Args { container, .. }) | Verb::Create(create::Args { container }) => {
            progress(1, container.quiet, pull::ProgressStyle::Auto)
        }
        Verb::Pull(args) => progress(args.images.len(), args.quiet, args.progress),
        Verb::Push(args) => progress(1, args.quiet, args.progress),
        Verb::Load(args) => progress(1, args.quiet, args.progress),
        _ => PullProgress::Quiet,
    }
}

fn progress(images: usize, quiet: bool, style: pull::ProgressStyle) -> PullProgress {
    match quiet {
        true => PullProgress::Quiet,
        false => PullProgress::new(images, style),
    }
}

/// The people at the terminal, and the pull that they are shown.
struct People(PullProgress);

impl Audience for People {
    fn warn(&self, text: &str) {
        output::warning(text);
    }

    fn pulling(&self, image: &str, event: PullEvent<'_>) {
        self.0.show(image, &event);
    }

    fn pulled(&self) {
        self.0.finish();
    }

    fn window(&self) -> Option<(u16, u16)> {
        terminal::own_size()
    }
}
