//! The verbs beside a container's life: volumes, files, what is going on, upkeep, and help for shells.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use std::io::{self, IsTerminal};

use clap::Subcommand;

use super::error::Style;
use super::format::Format;
use super::{complete, dispatch, generate, output, prompt, scopes, show};
use crate::commands::context::Context;
use crate::commands::{
    cp, events, export, pause, prune, rename, scope, stats, top, update, volume,
};
use crate::model::class::Failure;

/// Further verbs.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Further {
    Pause(pause::Args),
    Unpause(pause::UnpauseArgs),
    Update(update::Args),
    Rename(rename::Args),
    Cp(cp::Args),
    Diff(export::DiffArgs),
    Export(export::ExportArgs),
    Top(top::Args),
    Stats(stats::Args),
    Events(events::Args),
    Volume(volume::Args),
    Scope(scope::Args),
    Container(prune::ContainerArgs),
    Completion(generate::CompletionArgs),
    #[command(hide = true)]
    Generate(generate::Args),
    #[command(hide = true)]
    Complete(complete::Args),
}

impl Further {
    /// The `--format` that stood among its own options.
    pub fn format(&self) -> Option<&String> {
        match self {
            Self::Stats(args) => args.format.as_ref(),
            Self::Events(args) => args.format.as_ref(),
            Self::Volume(args) => match &args.verb {
                volume::Verb::Ls(args) => args.format.as_ref(),
                volume::Verb::Inspect(args) => args.format.as_ref(),
                _ => None,
            },
            Self::Scope(args) => match &args.verb {
                scope::Verb::Ls(args) => args.format.as_ref(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it has nothing to do with containers.
    pub fn is_of_the_shell(&self) -> bool {
        matches!(
            self,
            Self::Completion(_) | Self::Generate(_) | Self::Complete(_) | Self::Rename(_)
        )
    }
}

/// Carries a verb out; gives the exit code.
pub async fn act(
    context: &Context<'_>,
    verb: Further,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let style = Style::of(format);
    match verb {
        Further::Pause(args) => {
            dispatch::each_line(pause::pause(context, &args.containers).await, style)
        }
        Further::Unpause(args) => {
            dispatch::each_line(pause::unpause(context, &args.containers).await, style)
        }
        Further::Update(args) => dispatch::each_line(update::update(context, &args).await?, style),
        Further::Rename(args) => rename::rename(&args).map(|()| 0),
        Further::Cp(args) => cp::cp(context, &args, io::stdout()).await.map(|()| 0),
        Further::Export(args) => {
            if args.output.is_none() && io::stdout().is_terminal() {
                return Err(output::OutputError::Terminal.into());
            }
            export::export(context, &args, io::stdout())
                .await
                .map(|()| 0)
        }
        Further::Diff(args) => {
            let mut text = String::new();
            for (change, path) in export::diff(context, &args).await? {
                text += &format!("{} {}\n", change.letter(), path.display());
            }
            print(&text)
        }
        Further::Top(args) => print(&(top::top(context, &args).await?.join("\n") + "\n")),
        Further::Stats(args) => show_stats(context, &args, format).await,
        Further::Events(args) => show_events(context, &args, format).await,
        Further::Volume(args) => volumes(context, args.verb, format).await,
        Further::Scope(args) => scopes::act(context, &args.verb, format).await,
        Further::Container(args) => {
            let prune::ContainerVerb::Prune(args) = args.verb;
            let question = "This removes all containers that do not run.";
            match prompt::confirm(args.force, question)? {
                true => pruned(&prune::containers(context, &args.filters).await?, style),
                false => Ok(0),
            }
        }
        Further::Completion(args) => print(&generate::completion(args.shell)),
        Further::Generate(args) => Ok(generate::generate(&args).map(|()| 0)?),
        Further::Complete(args) => print(&complete::complete(context, &args.words).await),
    }
}

/// Removes what nobody uses, once it is sure that this is meant.
pub async fn prune_all(
    context: &Context<'_>,
    args: &prune::SystemPruneArgs,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let images = match args.all {
        true => "all images that no container uses",
        false => "images without a usable name",
    };
    let volumes = match args.volumes {
        true => ", and the volumes without a name that nobody uses",
        false => "",
    };
    let question = format!(
        "This removes all containers that do not run, all networks that nobody uses, {images}{volumes}."
    );
    match prompt::confirm(args.force, &question)? {
        true => pruned(&prune::system(context, args).await?, Style::of(format)),
        false => Ok(0),
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    output::results(text.as_bytes())?;
    Ok(0)
}

async fn volumes(
    context: &Context<'_>,
    verb: volume::Verb,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let style = Style::of(format);
    match verb {
        volume::Verb::Create(args) => {
            output::line(volume::create(context, &args).await?.as_str())?;
            Ok(0)
        }
        volume::Verb::Ls(args) => {
            let volumes = volume::ls(context, &args.filters).await?;
            let namespace = &context.settings.namespace;
            print(&show::volumes::list(
                &volumes, namespace, args.quiet, format,
            )?)
        }
        volume::Verb::Inspect(args) => {
            let mut found = Vec::new();
            let mut first = 0;
            for outcome in volume::inspect(context, &args.names) {
                match outcome {
                    Ok(volume) => found.push(volume),
                    Err(failure) => first = dispatch::tell(failure.as_ref(), first, style),
                }
            }
            print(&show::volumes::documents(
                &found,
                &context.settings.namespace,
                format,
            )?)?;
            Ok(first)
        }
        volume::Verb::Rm(args) => dispatch::each_line(volume::rm(context, &args).await?, style),
        volume::Verb::Prune(args) => {
            let question = match args.all {
                true => "This removes all volumes that no container uses.",
                false => "This removes all volumes without a name that no container uses.",
            };
            if !prompt::confirm(args.force, question)? {
                return Ok(0);
            }
            let volumes = volume::prune(context, args.all, &args.filters).await?;
            let removed = prune::Pruned {
                volumes,
                ..prune::Pruned::default()
            };
            pruned(&removed, style)
        }
    }
}

/// What was removed, as docker says it.
fn pruned(pruned: &prune::Pruned, style: Style) -> Result<u8, Failure> {
    let containers = pruned.containers.iter().map(ToString::to_string).collect();
    let volumes = pruned.volumes.iter().map(ToString::to_string).collect();
    let images = pruned.images.iter().map(|name| format!("untagged: {name}"));
    let kinds: [(&str, Vec<String>); 4] = [
        ("Containers", containers),
        ("Networks", pruned.networks.clone()),
        ("Volumes", volumes),
        ("Images", images.collect()),
    ];
    let mut text = String::new();
    for (kind, names) in kinds.iter().filter(|(_, names)| !names.is_empty()) {
        text += &format!("Deleted {kind}:\n{}\n", names.join("\n"));
    }
    output::results(text.as_bytes())?;
    let mut first = 0;
    for failure in &pruned.failures {
        first = dispatch::tell(failure.as_ref(), first, style);
    }
    Ok(first)
}

async fn show_stats(
    context: &Context<'_>,
    args: &stats::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let mut looking = stats::stats(context, args).await?;
    let lively = io::stdout().is_terminal() && !args.no_stream;
    loop {
        let samples = looking.next().await?;
        let table = show::stats::show(&samples, format)?;
        // Home, and clear what was there.
        let begin = if lively { "\x1b[H\x1b[J" } else { "" };
        if !output::results_to_reader(format!("{begin}{table}").as_bytes())? || args.no_stream {
            return Ok(0);
        }
    }
}

async fn show_events(
    context: &Context<'_>,
    args: &events::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let mut watching = events::events(context, args).await?;
    while let Some(event) = watching.next().await? {
        let line = show::events::show(&event, format)?;
        if !output::results_to_reader(line.as_bytes())? {
            break;
        }
    }
    Ok(0)
}
