//! `netrun network`: the networks, one file per verb.

pub mod connect;
pub mod create;
pub mod inspect;
pub mod ls;
pub mod rm;

use clap::Subcommand;

/// Make, list and remove networks
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun network create lan\n  netrun run --rm --net lan alpine:3.14 ip addr\n  netrun network rm lan"
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with networks.
#[derive(Debug, Clone, PartialEq, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Verb {
    Create(create::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Inspect(inspect::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Prune(rm::PruneArgs),
    Exists(inspect::ExistsArgs),
    Connect(connect::Args),
    Disconnect(connect::DisconnectArgs),
}

impl Verb {
    /// The `--format` that stood among its own options.
    pub fn format(&self) -> Option<&String> {
        match self {
            Self::Ls(args) => args.format.as_ref(),
            Self::Inspect(args) => args.format.as_ref(),
            _ => None,
        }
    }
}
