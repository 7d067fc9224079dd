//! From what was typed to what is meant, for a container's networks and published ports.
//!
//! Invariant: every network named exists with all its programs, and can give what is asked of it;
//! nothing has been made, the files of the default network and of the scope's own excepted.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::container::ContainerArgs;
use super::context::Context;
use super::network_choice::{EndpointOptions, NamedNetwork, NetworkChoice};
use super::scope;
use crate::engine::plan::{NetworkRequest, Planned};
use crate::image::Image;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::port::{ContainerPort, PublishedPort};
use crate::model::record::{Joined, NetworkMode};
use crate::network::ask::Asked;
use crate::network::{Chain, NetworkConfigList, config, default, manage, pool};
use crate::sys::{netlink, netns};

/// Wishes for the network that contradict each other, or the host.
#[derive(Debug, thiserror::Error)]
pub enum Impossible {
    /// `none`, `host`, ... beside another network.
    #[error("--net {0} cannot be combined with another network")]
    NotAlone(String),
    /// Options of an attachment where there is none.
    #[error("{option} needs a network, and --net {net} is none")]
    NoNetwork {
        /// The option.
        option: &'static str,
        /// What there is instead.
        net: String,
    },
    /// The same network twice.
    #[error("network \"{0}\" is named twice")]
    Twice(String),
    /// The same interface twice.
    #[error("interface \"{0}\" is named twice")]
    InterfaceTwice(String),
    /// The interface that every namespace has.
    #[error("the interface of a network cannot be \"lo\": every container has one")]
    Loopback,
    /// The same port of the host twice.
    #[error("port {0} of the host is published twice")]
    PortTwice(String),
    /// No network of the container publishes ports.
    #[error("no network of the container publishes ports")]
    NoPublisher(#[source] crate::network::ask::AskError),
    /// There is none that could.
    #[error("ports are published by a network, and the container has none")]
    NoNetworks,
    /// What belongs to the container whose network is shared.
    #[error("{option} cannot be combined with --net {net}: that container's own count")]
    Shared {
        /// The option.
        option: &'static str,
        /// Whose network it is.
        net: String,
    },
    /// The path is the network namespace of the host.
    #[error("{} is the network namespace of the host", .0.display())]
    HostsOwn(PathBuf),
    /// The path is no network namespace.
    #[error("{} is not a network namespace", .0.display())]
    NotNetns(PathBuf),
    /// The container is not running.
    #[error("container \"{0}\", whose network is asked for, is not running")]
    NotRunning(ContainerId),
    /// The host's routes cannot be read.
    #[error("cannot read the routes of this host")]
    Routes(#[source] std::io::Error),
}

impl Explain for Impossible {
    fn class(&self) -> Class {
        match self {
            Self::NotRunning(_) => Class::WrongState,
            Self::NotNetns(_) => Class::NotFound,
            Self::Routes(_) => Class::Failed,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning(id) => Some(format!("start it (netrun start {id})")),
            Self::NotNetns(_) => Some("ip netns list shows the names, in /run/netns".to_owned()),
            Self::Shared { option, .. } => Some(format!("give {option} to that container")),
            Self::HostsOwn(_) => Some("write --net host".to_owned()),
            Self::NoPublisher(source) => source.hint(),
            _ => None,
        }
    }
}

/// The networks, found, with all their plugins there, and able to give what is asked.
///
/// # Errors
/// [`Impossible`], or why a network cannot be used.
pub async fn networks(
    context: &Context<'_>,
    args: &ContainerArgs,
) -> Result<NetworkRequest, Failure> {
    let special = |choice: &&NetworkChoice| !matches!(choice, NetworkChoice::Named(_));
    if let Some(choice) = args.networks.iter().find(special) {
        return alone(context, args, choice).await;
    }
    let mut named: Vec<NamedNetwork> = Vec::new();
    for choice in &args.networks {
        if let NetworkChoice::Named(network) = choice {
            named.push(scope::named(context, args, network).await?);
        }
    }
    if named.is_empty() {
        named.push(NamedNetwork {
            name: default::NAME.to_owned(),
            ..NamedNetwork::default()
        });
    }
    // As with docker, the plain options are the first network's.
    if let Some(first) = named.first_mut() {
        plain_options(args, &mut first.options)?;
    }
    let mut planned = Vec::new();
    for network in &named {
        let one = attachment(context, network)?;
        let twice = |other: &Planned| other.list.name() == one.list.name();
        if planned.iter().any(twice) {
            return Err(Impossible::Twice(network.name.clone()).into());
        }
        planned.push(one);
    }
    distinct_interfaces(&planned)?;
    if wants_ports(args) {
        let publisher = give_ports(&mut planned)?;
        warn_of_families(context, args, publisher);
    }
    Ok(NetworkRequest::Own(planned))
}

fn wants_ports(args: &ContainerArgs) -> bool {
    !args.publish.is_empty() || args.publish_all
}

fn plain_options(args: &ContainerArgs, options: &mut EndpointOptions) -> Result<(), Failure> {
    for address in args.ip.iter().chain(&args.ip6) {
        options.add_address(*address)?;
    }
    if let Some(mac) = args.mac_address {
        options.set_mac(mac)?;
    }
    let aliases = args
        .network_alias
        .iter()
        .map(|name| name.as_str().to_owned());
    options.aliases.extend(aliases);
    Ok(())
}

/// A container without networks of its own.
async fn alone(
    context: &Context<'_>,
    args: &ContainerArgs,
    choice: &NetworkChoice,
) -> Result<NetworkRequest, Failure> {
    let net = match choice {
        NetworkChoice::None => "none".to_owned(),
        NetworkChoice::Host => "host".to_owned(),
        NetworkChoice::Container(id) => format!("container:{id}"),
        NetworkChoice::Namespace(path) => format!("ns:{}", path.display()),
        NetworkChoice::Named(network) => network.name.clone(),
    };
    if args.networks.len() > 1 {
        return Err(Impossible::NotAlone(net).into());
    }
    let given = [
        ("--ip", args.ip.is_some()),
        ("--ip6", args.ip6.is_some()),
        ("--mac-address", args.mac_address.is_some()),
        ("--network-alias", !args.network_alias.is_empty()),
        // The host's ports are the container's there.
        (
            "--publish",
            wants_ports(args) && *choice != NetworkChoice::Host,
        ),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(Impossible::NoNetwork { option, net }.into());
    }
    let shared = [
        ("--dns", !args.dns.is_empty()),
        ("--dns-search", !args.dns_search.is_empty()),
        ("--dns-option", !args.dns_options.is_empty()),
        ("--add-host", !args.add_hosts.is_empty()),
    ];
    if let NetworkChoice::Container(_) = choice
        && let Some((option, _)) = shared.into_iter().find(|(_, given)| *given)
    {
        return Err(Impossible::Shared { option, net }.into());
    }
    match choice {
        NetworkChoice::None => Ok(NetworkRequest::Own(Vec::new())),
        NetworkChoice::Container(id) => another_containers(context, id).await,
        NetworkChoice::Namespace(path) => joined(path, None, None),
        NetworkChoice::Host | NetworkChoice::Named(_) => {
            if wants_ports(args) {
                let text =
                    "ports are not published in the host's network: they are the host's there";
                context.audience.warn(text);
            }
            Ok(NetworkRequest::Host)
        }
    }
}

async fn another_containers(
    context: &Context<'_>,
    id: &ContainerId,
) -> Result<NetworkRequest, Failure> {
    let record = context.host.record(id).await?;
    let hostname = Some(record.names.hostname);
    let outcome = match record.network.mode {
        NetworkMode::Host => return Ok(NetworkRequest::Host),
        NetworkMode::Own(path) => joined(&path, Some(id.clone()), hostname),
        NetworkMode::Joined(other) => joined(&other.path, other.container, hostname),
    };
    outcome.map_err(|_| Impossible::NotRunning(id.clone()).into())
}

fn joined(
    path: &Path,
    container: Option<ContainerId>,
    hostname: Option<String>,
) -> Result<NetworkRequest, Failure> {
    if !netns::is_network(path) {
        return Err(Impossible::NotNetns(path.to_owned()).into());
    }
    if netns::is_own(path) {
        return Err(Impossible::HostsOwn(path.to_owned()).into());
    }
    let path = path.to_owned();
    let joined = Joined { path, container };
    Ok(NetworkRequest::Joined { joined, hostname })
}

/// One attachment, as far as it can be known before the start.
///
/// # Errors
/// There is no such network, a program of it is missing, or it cannot give what is asked.
pub fn attachment(context: &Context<'_>, network: &NamedNetwork) -> Result<Planned, Failure> {
    let NamedNetwork { name, options, .. } = network;
    let dir = &context.settings.cni_conf_dir;
    let list = match default::meant(dir, name) {
        default::NAME => default_network(dir)?,
        name => config::load(dir, name)?,
    };
    let plugin_dirs = context.settings.cni_path.clone();
    let chain = Chain::new(list.clone(), plugin_dirs.clone());
    chain.preflight()?;
    let asked = Asked {
        ips: options
            .ips
            .iter()
            .map(|ip| (ip.address, ip.prefix))
            .collect(),
        mac: options.mac,
        aliases: options.aliases.clone(),
        ports: false,
    };
    let told = asked.tell(&list)?;
    asked.check(&list, chain.cache())?;
    Ok(Planned {
        list,
        plugin_dirs,
        ifname: options.ifname.clone(),
        args: told.args,
        capability_args: told.capability_args,
        aliases: options.aliases.clone(),
        gateway_priority: options.gateway_priority,
    })
}

/// The network that is there without being made.
fn default_network(dir: &Path) -> Result<NetworkConfigList, Failure> {
    if let Ok(list) = config::load(dir, default::NAME) {
        return Ok(list);
    }
    let routes = netlink::route_destinations().map_err(Impossible::Routes)?;
    let mtu = manage::outward_mtu().map_err(Impossible::Routes)?;
    Ok(default::load_or_create(dir, &routes, mtu)?)
}

fn distinct_interfaces(planned: &[Planned]) -> Result<(), Impossible> {
    let names: Vec<&String> = planned
        .iter()
        .filter_map(|one| one.ifname.as_ref())
        .collect();
    for (index, name) in names.iter().enumerate() {
        if name.as_str() == "lo" {
            return Err(Impossible::Loopback);
        }
        if names[..index].contains(name) {
            return Err(Impossible::InterfaceTwice((*name).clone()));
        }
    }
    Ok(())
}

/// The first network that publishes ports does it: one is enough, and two would meet in the host's
/// rules.
fn give_ports(planned: &mut [Planned]) -> Result<&NetworkConfigList, Impossible> {
    let asked = Asked {
        ports: true,
        ..Asked::default()
    };
    let mut refused = None;
    for one in planned {
        match asked.tell(&one.list) {
            Ok(told) => {
                one.capability_args.extend(told.capability_args);
                return Ok(&one.list);
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.map_or(Impossible::NoNetworks, Impossible::NoPublisher))
}

/// `portmap` passes over an address of a family that the container has none of.
fn warn_of_families(context: &Context<'_>, args: &ContainerArgs, publisher: &NetworkConfigList) {
    let subnets = pool::subnets(publisher);
    let has = |v4: bool| subnets.iter().any(|net| net.addr().is_ipv4() == v4);
    let addresses = args.publish.iter().flat_map(|spec| &spec.0);
    let mut deaf: Vec<IpAddr> = addresses.filter_map(|port| port.host_ip).collect();
    deaf.retain(|address| !subnets.is_empty() && !has(address.is_ipv4()));
    deaf.dedup();
    for address in deaf {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        context.audience.warn(&format!(
            "what is published on {address} will not be reached: network \"{}\" has no {family}",
            publisher.name()
        ));
    }
}

/// The ports to publish: those named, and with `-P` those that the image exposes.
///
/// # Errors
/// One port twice.
pub fn ports(args: &ContainerArgs, image: &Image) -> Result<Vec<PublishedPort>, Impossible> {
    if args.networks.contains(&NetworkChoice::Host) {
        return Ok(Vec::new());
    }
    let named = args.publish.iter().flat_map(|spec| spec.0.iter().cloned());
    let mut ports: Vec<PublishedPort> = named.collect();
    if args.publish_all {
        let config = image.config.config().as_ref();
        let exposed = config.and_then(|config| config.exposed_ports().clone());
        // What is no port of an image is nothing that could be published.
        let exposed = exposed.unwrap_or_default().into_iter();
        let mut exposed: Vec<ContainerPort> =
            exposed.filter_map(|text| text.parse().ok()).collect();
        exposed.sort();
        for port in exposed {
            let named = |one: &PublishedPort| {
                one.container_port == port.number && one.protocol == port.protocol
            };
            if !ports.iter().any(named) {
                ports.push(PublishedPort::anywhere(port));
            }
        }
    }
    let fixed = |port: &PublishedPort| port.wanted.0 == port.wanted.1 && port.wanted.0 != 0;
    for (index, port) in ports.iter().enumerate().filter(|(_, port)| fixed(port)) {
        let taken = |other: &PublishedPort| {
            let mut other = other.clone();
            other.host_port = if fixed(&other) { other.wanted.0 } else { 0 };
            port.clashes(port.wanted.0, &other)
        };
        if ports[..index].iter().any(taken) {
            let shown = format!("{}/{}", port.wanted.0, port.protocol);
            return Err(Impossible::PortTwice(shown));
        }
    }
    Ok(ports)
}
