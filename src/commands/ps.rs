//! `netrun ps`: list containers.
//!
//! Invariant: only what netrun made is in the list; `info` counts what others made.

use super::context::Context;
use super::filter::{self, Filter};
use super::size::{self, Size};
use super::values::parse;
use crate::engine::view::{self, Status, View};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun ps -a
  netrun ps --filter label=job=42 -q
  netrun ps --format '{{.Names}}\\t{{.Status}}'
  netrun ps --format json";

/// List containers
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Those that do not run, too
    #[arg(short, long)]
    pub all: bool,

    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// Only those to which this applies: name=, id=, label=, status=, health=, network=, ancestor=,
    /// volume=, publish=, exited=, before=, since=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<Filter>)]
    pub filters: Vec<Filter>,

    /// Only so many, those that were made last, whether they run or not
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub last: Option<usize>,

    /// Only the one that was made last, as --last 1
    #[arg(short, long)]
    pub latest: bool,

    /// What each has written, and with its image
    #[arg(short, long)]
    pub size: bool,

    /// How to print: table, json, or a template such as '{{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
}

/// A container of the list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What is known of it.
    pub view: View,
    /// What it takes, if that was asked for.
    pub size: Option<Size>,
}

/// The containers that are wanted, the newest first.
///
/// # Errors
/// containerd cannot be reached; a filter names a container that there is not.
pub async fn ps(context: &Context<'_>, args: &Args) -> Result<Vec<Listed>, Failure> {
    let seen = view::list(&context.host).await?;
    for error in &seen.unreadable {
        context.audience.warn(&error.to_string());
    }
    // As with docker, who asks for a status, or for the last ones, wants those that do not run as well.
    let last = if args.latest { Some(1) } else { args.last };
    let about_status = args.filters.iter().any(Filter::is_about_status);
    let all = args.all || last.is_some() || about_status;
    let passes = filter::all(&args.filters, &seen.own)?;
    let wanted = seen.own.into_iter().zip(passes).filter(|(view, passes)| {
        let status = view.state.status;
        *passes && (all || status.is_live() || status == Status::Restarting)
    });
    let mut listed = Vec::new();
    for (view, _) in wanted.take(last.unwrap_or(usize::MAX)) {
        let size = match args.size {
            true => Some(size::of(context, &view.record).await?),
            false => None,
        };
        listed.push(Listed { view, size });
    }
    Ok(listed)
}
