//! The options that `run` and `create` share: how the container is made.
//!
//! Invariant: nothing is resolved here; these are the words as they were typed, each well-formed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::lifecycle::LifecycleArgs;
use super::network_choice::{self, AskedAddress, NetworkChoice};
use super::options::process::ProcessArgs;
use super::options::resources::ResourceArgs;
use super::options::rights::RightsArgs;
use super::options::storage::StorageArgs;
use super::values::{
    EnvVar, HostEntry, Label, ip_address, parse, patience, resolver_option, search_domain,
};
use crate::model::bytes::Bytes;
use crate::model::cpus::Cpus;
use crate::model::id::{ContainerId, Hostname};
use crate::model::mac::MacAddress;
use crate::model::port::PortSpec;
use crate::model::signal::Signal;

/// The image, the command and everything else that a container is made from.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(about = None, long_about = None)]
pub struct ContainerArgs {
    /// The container's name, its hostname too unless --hostname is given
    #[arg(long, value_name = "NAME", value_parser = parse::<ContainerId>)]
    pub name: Option<ContainerId>,

    /// Remove the container and all that was made for it when it ends
    #[arg(long)]
    pub rm: bool,

    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,

    /// Give the container a terminal
    #[arg(short, long)]
    pub tty: bool,

    /// Attach to a network: NAME, NAME:ip=..,ip6=..,mac=..,ifname=..,alias=.., none, host,
    /// container:NAME, ns:PATH or scope: (that of --scope); the first becomes eth0, the next eth1
    #[arg(
        long = "net",
        visible_alias = "network",
        value_name = "NETWORK",
        value_parser = parse::<NetworkChoice>,
        help_heading = "Network"
    )]
    pub networks: Vec<NetworkChoice>,

    /// Publish a port: a port of the host leads to one of the container; both may be ranges
    #[arg(
        short,
        long,
        value_name = "[[HOSTIP:]HOSTPORT:]PORT[/PROTOCOL]",
        value_parser = parse::<PortSpec>,
        help_heading = "Network"
    )]
    pub publish: Vec<PortSpec>,

    /// Publish every port that the image exposes, on ports that are free
    #[arg(short = 'P', long, help_heading = "Network")]
    pub publish_all: bool,

    /// The IPv4 address on the first network
    #[arg(long, value_name = "ADDRESS", value_parser = network_choice::ip, help_heading = "Network")]
    pub ip: Option<AskedAddress>,

    /// The IPv6 address on the first network
    #[arg(long, value_name = "ADDRESS", value_parser = network_choice::ip6, help_heading = "Network")]
    pub ip6: Option<AskedAddress>,

    /// The hardware address on the first network
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = parse::<MacAddress>,
        help_heading = "Network"
    )]
    pub mac_address: Option<MacAddress>,

    /// A further name on the first network
    #[arg(
        long,
        visible_alias = "net-alias",
        value_name = "NAME",
        value_parser = parse::<Hostname>,
        help_heading = "Network"
    )]
    pub network_alias: Vec<Hostname>,

    /// The container's hostname
    #[arg(
        short = 'h',
        long,
        value_name = "NAME",
        value_parser = parse::<Hostname>,
        help_heading = "Network"
    )]
    pub hostname: Option<Hostname>,

    /// A line for the container's hosts file; host-gateway is the host's address
    #[arg(
        long = "add-host",
        value_name = "NAME:ADDRESS",
        value_parser = parse::<HostEntry>,
        help_heading = "Network"
    )]
    pub add_hosts: Vec<HostEntry>,

    /// A name server, instead of the network's or the host's
    #[arg(long, value_name = "ADDRESS", value_parser = ip_address, help_heading = "Network")]
    pub dns: Vec<IpAddr>,

    /// A domain to search for names without dots
    #[arg(long, value_name = "DOMAIN", value_parser = search_domain, help_heading = "Network")]
    pub dns_search: Vec<String>,

    /// An option of the resolver, such as ndots:2
    #[arg(
        long = "dns-option",
        visible_alias = "dns-opt",
        value_name = "OPTION",
        value_parser = resolver_option,
        help_heading = "Network"
    )]
    pub dns_options: Vec<String>,

    /// Set a variable; NAME alone passes on the value that it has here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = parse::<EnvVar>)]
    pub env: Vec<EnvVar>,

    /// What is mounted.
    #[command(flatten)]
    pub storage: StorageArgs,

    /// The process and its surroundings.
    #[command(flatten)]
    pub process: ProcessArgs,

    /// What it may do, and what it shares.
    #[command(flatten)]
    pub rights: RightsArgs,

    /// How much it may use.
    #[command(flatten)]
    pub resources: ResourceArgs,

    /// The directory that the process starts in
    #[arg(short, long, value_name = "PATH")]
    pub workdir: Option<String>,

    /// Who runs the process: names of the image, or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,

    /// Replace the image's ENTRYPOINT; an empty word leaves none
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,

    /// Set a label
    #[arg(short, long = "label", value_name = "KEY[=VALUE]", value_parser = parse::<Label>)]
    pub labels: Vec<Label>,

    /// Write the container's name to a file that does not exist yet
    #[arg(long, value_name = "PATH")]
    pub cidfile: Option<PathBuf>,

    /// When to pull the image: always, missing (it is not here) or never
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t = PullPolicy::Missing,
        hide_possible_values = true
    )]
    pub pull: PullPolicy,

    /// Show no progress of the pull
    #[arg(short, long)]
    pub quiet: bool,

    /// Give the container all rights and devices of the host
    #[arg(long, help_heading = "Rights")]
    pub privileged: bool,

    /// Add a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAPABILITY", help_heading = "Rights")]
    pub cap_add: Vec<String>,

    /// Take a capability away, or ALL
    #[arg(long, value_name = "CAPABILITY", help_heading = "Rights")]
    pub cap_drop: Vec<String>,

    /// Make the root file system read-only
    #[arg(long, help_heading = "Rights")]
    pub read_only: bool,

    /// The most memory that it may use, such as 512m
    #[arg(
        short,
        long,
        value_name = "BYTES",
        value_parser = parse::<Bytes>,
        help_heading = "Resources"
    )]
    pub memory: Option<Bytes>,

    /// How many processors it may use, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::<Cpus>, help_heading = "Resources")]
    pub cpus: Option<Cpus>,

    /// The most processes and threads that it may have; -1 for no limit
    #[arg(
        long,
        value_name = "NUMBER",
        allow_negative_numbers = true,
        help_heading = "Resources"
    )]
    pub pids_limit: Option<i64>,

    /// The signal that asks it to stop, instead of the image's or SIGTERM
    #[arg(long, value_name = "SIGNAL", value_parser = parse::<Signal>)]
    pub stop_signal: Option<Signal>,

    /// Seconds between that signal and SIGKILL; -1 to wait as long as it takes [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = patience)]
    pub stop_timeout: Option<u32>,

    /// What becomes of it.
    #[command(flatten)]
    pub life: LifecycleArgs,

    /// The OCI runtime, as containerd names it [default: io.containerd.runc.v2]
    #[arg(long, value_name = "RUNTIME", help_heading = "Resources")]
    pub runtime: Option<String>,

    /// The snapshotter that holds its root file system [env: CONTAINERD_SNAPSHOTTER]
    #[arg(long, value_name = "NAME", help_heading = "Resources")]
    pub snapshotter: Option<String>,

    /// Print the steps that were taken and their times
    #[arg(long)]
    pub timings: bool,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// The image, such as alpine:3.14
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// The command and its arguments, instead of the image's
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,

    /// The options that stood after the image and were taken for netrun's, as typed.
    #[arg(skip)]
    pub options_after_image: Vec<String>,
}

/// When the image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// Each time; its tag may mean another image by now.
    Always,
    /// When it is not here.
    Missing,
    /// Not at all.
    Never,
}
