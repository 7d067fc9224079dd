//! `netrun network rm` and `prune`: remove networks with all that was made for them.

use super::ls::{self, Filter};
use crate::commands::context::Context;
use crate::commands::each::Each;
use crate::commands::values::parse;
use crate::engine::networks;
use crate::model::class::{Class, Explain};
use crate::network::create::is_ours;
use crate::network::{config, default};

const EXAMPLES: &str = "\
Examples:
  netrun network rm lan
  netrun network rm $(netrun network ls -q --filter label=job=42)";

/// Remove networks that nobody uses
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Do not mind if there is no such network
    #[arg(short, long)]
    pub force: bool,

    /// The networks' names
    #[arg(value_name = "NETWORK", required = true)]
    pub networks: Vec<String>,
}

/// Remove all networks of netrun that nobody uses
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun network prune -f\n  netrun network prune -f --filter label=job=42"
)]
pub struct PruneArgs {
    /// Do not ask; netrun never does
    #[arg(short, long)]
    pub force: bool,

    /// Only those to which this applies: label=, label!=, until=, and those of network ls
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = parse::<Filter>)]
    pub filters: Vec<Filter>,
}

/// Removes the networks, one after the other.
pub async fn rm(context: &Context<'_>, args: &Args) -> Each<String> {
    context.forget_dead_pulls().await;
    let dir = &context.settings.cni_conf_dir;
    let mut all: Each<String> = Vec::new();
    for name in &args.networks {
        let list = match config::load(dir, default::meant(dir, name)) {
            Ok(list) => list,
            Err(error) if args.force && error.class() == Class::NotFound => continue,
            Err(error) => {
                all.push(Err(error.into()));
                continue;
            }
        };
        let removed = networks::remove(&context.host, dir, &list).await;
        all.push(removed.map(|()| name.clone()).map_err(Into::into));
    }
    all
}

/// Removes every network of ours that nobody uses, the default one excepted.
pub async fn prune(context: &Context<'_>, args: &PruneArgs) -> Each<String> {
    let dir = &context.settings.cni_conf_dir;
    let mut lists = config::scan(dir).networks;
    lists.retain(|list| is_ours(list) && list.name() != default::NAME);
    lists.retain(|list| ls::all(&args.filters, list));
    let mut all: Each<String> = Vec::new();
    for list in lists {
        match networks::remove(&context.host, dir, &list).await {
            Err(error) if error.class() == Class::WrongState => {}
            outcome => all.push(outcome.map(|()| list.name().to_owned()).map_err(Into::into)),
        }
    }
    all
}
