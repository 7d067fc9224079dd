//! `netrun cni`: cnitool's job, with cnitool's words, environment and container id.
//!
//! Invariant: containerd is never asked, and no supervisor is needed or taken over: these verbs act
//! on network namespaces, whoever made them.

mod act;
mod error;

pub use self::act::{Outcome, act};
pub use self::error::CniError;

use std::path::PathBuf;

const EXAMPLES: &str = "\
Environment, as cnitool has it:
  CNI_PATH      where plugins are looked for, joined by \":\" (also --cni-path)
  NETCONFPATH   the directory of the networks (also --cni-netconfpath)
  CAP_ARGS      capability arguments, a JSON object
  CNI_ARGS      arguments of the plugins, K=V;K2=V2
  CNI_IFNAME    the interface's name in the namespace, eth0 by default

Examples:
  ip netns add testing
  netrun cni add mynet /var/run/netns/testing
  netrun cni check mynet /var/run/netns/testing
  netrun cni del mynet /var/run/netns/testing";

/// Attach network namespaces to networks, as cnitool does
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Verb {
    /// Attach a network namespace to a network, and print the result
    Add(Attachment),
    /// Check that an attachment is still as it was made
    Check(Attachment),
    /// Detach a network namespace from a network
    Del(Attachment),
    /// Free what attachments that are gone have left on a network
    Gc(Gc),
    /// Ask the plugins whether they could attach anything now
    Status(OnNetwork),
    /// Print the CNI versions that netrun speaks, or that a network's plugins do
    Version(OfNetwork),
}

/// A network and a namespace.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Attachment {
    /// The network's name
    #[arg(value_name = "NET")]
    pub network: String,

    /// The network namespace's path
    #[arg(value_name = "NETNS")]
    pub netns: PathBuf,

    /// The container id that plugins see [default: derived from the path, as cnitool does]
    #[arg(long, value_name = "ID")]
    pub cni_id: Option<String>,

    /// The interface's name in the namespace [env: CNI_IFNAME] [default: eth0]
    #[arg(short, long, value_name = "NAME")]
    pub ifname: Option<String>,
}

/// A network alone.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct OnNetwork {
    /// The network's name
    #[arg(value_name = "NET")]
    pub network: String,

    /// Not looked at; cnitool wants one
    #[arg(value_name = "NETNS")]
    pub netns: Option<PathBuf>,
}

/// A network, or none.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct OfNetwork {
    /// The network's name
    #[arg(value_name = "NET")]
    pub network: Option<String>,
}

const GC_EXAMPLES: &str = "\
Without options this detaches what was added by path, here or by cnitool, to a namespace that is
gone since, and has the plugins free what no runtime on this host knows. All else is others', and
goes only where it is named.

Examples:
  netrun cni gc mynet
  netrun cni gc mynet --detach cnitool-77383ca0a0715733ca6f
  netrun cni gc mynet --detach-all      as `cnitool gc`: takes the network from everybody";

/// What GC is told.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = GC_EXAMPLES)]
pub struct Gc {
    /// The network
    #[command(flatten)]
    pub on: OnNetwork,

    /// Detach this container id too, whoever attached it (several are possible)
    #[arg(long, value_name = "ID")]
    pub detach: Vec<String>,

    /// Detach everything on the network, running containers and other programs' included
    #[arg(long)]
    pub detach_all: bool,
}
