//! `netrun ps`: list containers.
//!
//! Invariant: only what netrun made is in the list; `info` counts what others made.

use super::context::Context;
use super::filter::{self, Filter};
use super::values::parse;
use crate::engine::view::{self, View};
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

    /// Only those to which this applies: name=, id=, label=, status=, network=, ancestor=, exited=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<Filter>)]
    pub filters: Vec<Filter>,

    /// How to print: table, json, or a template such as '{{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
}

/// The containers that are wanted, the newest first.
///
/// # Errors
/// containerd cannot be reached.
pub async fn ps(context: &Context<'_>, args: &Args) -> Result<Vec<View>, Failure> {
    let seen = view::list(&context.host).await?;
    for error in &seen.unreadable {
        context.audience.warn(&error.to_string());
    }
    // As with docker, who asks for a status wants those that do not run as well.
    let all = args.all || args.filters.iter().any(Filter::is_about_status);
    let mut views = seen.own;
    views.retain(|view| (all || view.state.status.is_live()) && filter::all(&args.filters, view));
    Ok(views)
}
