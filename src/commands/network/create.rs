//! `netrun network create`: write a network's file.

use std::net::IpAddr;
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::commands::context::Context;
use crate::commands::values::{Label, Refused, parse};
use crate::engine::networks;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ScopeName;
use crate::model::scope::LABEL;
use crate::network::create::{Driver, NewNetwork};
use crate::network::{config, manage, pool};

const EXAMPLES: &str = "\
Examples:
  netrun network create lan
  netrun network create --ipv6 --label job=42 lan
  netrun network create --subnet 10.5.0.0/16 --subnet fd05::/64 --ip-range 10.5.7.0/24 lan
  netrun network create --internal db          reaches nothing outside
  netrun network create --isolate -o mtu=1400 -o bridge=br-ci ci
  netrun network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan
  netrun network create -d ipvlan -o parent=eth0.10 --subnet 10.9.0.0/24 vlan10

A free subnet is one of subnet_pools in /etc/netrun/netrun.toml that neither a route of this
host nor another network has. The network is a file of CNI in the directory of networks, which
cnitool and ctr can use too.";

/// Make a network
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How it is made: bridge, macvlan or ipvlan
    #[arg(
        short,
        long,
        value_name = "DRIVER",
        value_enum,
        default_value_t = DriverName::Bridge,
        hide_possible_values = true
    )]
    pub driver: DriverName,

    /// Its addresses, one subnet of each family at most; without, a free one is picked
    #[arg(long, value_name = "SUBNET", value_parser = subnet)]
    pub subnet: Vec<IpNet>,

    /// The gateway, instead of the subnet's first address; for macvlan and ipvlan a router of theirs
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<IpAddr>,

    /// The part of the subnet that addresses are given from
    #[arg(long, value_name = "SUBNET", value_parser = subnet)]
    pub ip_range: Vec<IpNet>,

    /// Give it IPv6 addresses too
    #[arg(long)]
    pub ipv6: bool,

    /// Let it reach nothing outside
    #[arg(long)]
    pub internal: bool,

    /// Keep it and other isolated networks apart
    #[arg(long)]
    pub isolate: bool,

    /// parent=INTERFACE (macvlan, ipvlan), mtu=BYTES, and for a bridge vlan=NUMBER, bridge=NAME,
    /// isolate=true
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = parse::<DriverOption>)]
    pub options: Vec<DriverOption>,

    /// Set a label
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = parse::<Label>)]
    pub labels: Vec<Label>,

    /// Make it part of a scope, which netrun scope end NAME removes as a whole
    #[arg(long, value_name = "SCOPE", value_parser = parse::<ScopeName>)]
    pub scope: Option<ScopeName>,

    /// If there is a network of that name, leave it and say nothing
    #[arg(long)]
    pub ignore: bool,

    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// How a network is made, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// A bridge of this host.
    Bridge,
    /// Beside an interface of the host.
    Macvlan,
    /// Beside an interface of the host, with its hardware address.
    Ipvlan,
}

/// An option of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverOption {
    /// The interface beside which it is.
    Parent(String),
    /// The largest packet.
    Mtu(u32),
    /// The VLAN.
    Vlan(u16),
    /// The bridge's name.
    Bridge(String),
    /// As `--isolate`.
    Isolate(bool),
}

/// An option that no driver has.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an option of a network's driver, or not a value of it")]
pub struct InvalidOption(String);

impl Explain for InvalidOption {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write parent=INTERFACE, mtu=BYTES, vlan=NUMBER, bridge=NAME or isolate=true"
                .to_owned(),
        )
    }
}

impl FromStr for DriverOption {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let invalid = || InvalidOption(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        let filled = || match value {
            "" => Err(invalid()),
            value => Ok(value.to_owned()),
        };
        match key {
            "parent" => Ok(Self::Parent(filled()?)),
            "mtu" | "com.docker.network.driver.mtu" => {
                Ok(Self::Mtu(value.parse().map_err(|_| invalid())?))
            }
            "vlan" => Ok(Self::Vlan(value.parse().map_err(|_| invalid())?)),
            "bridge" | "com.docker.network.bridge.name" => Ok(Self::Bridge(filled()?)),
            "isolate" => Ok(Self::Isolate(value.parse().map_err(|_| invalid())?)),
            _ => Err(invalid()),
        }
    }
}

/// A text that is no subnet.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a subnet")]
struct InvalidSubnet(String);

impl Explain for InvalidSubnet {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write an address and the length of its prefix, such as 10.5.0.0/16 or fd05::/64; repeat the option for both families".to_owned())
    }
}

/// Parses a subnet, keeping the address as it was typed.
fn subnet(text: &str) -> Result<IpNet, Refused> {
    let invalid = |_| Refused::of(InvalidSubnet(text.to_owned()));
    text.parse().map_err(invalid)
}

/// Makes the network; gives its name.
///
/// # Errors
/// Everything that is wrong with it; nothing has been changed then.
pub async fn create(context: &Context<'_>, args: &Args) -> Result<String, Failure> {
    let dir = &context.settings.cni_conf_dir;
    if args.ignore && config::load(dir, &args.name).is_ok() {
        return Ok(args.name.clone());
    }
    let created = manage::create(dir, &wanted(context, args), &context.settings.subnet_pools).await;
    let list = match created {
        // Somebody was quicker.
        Err(error)
            if args.ignore
                && error.class() == Class::AlreadyExists
                && config::load(dir, &args.name).is_ok() =>
        {
            return Ok(args.name.clone());
        }
        outcome => outcome?,
    };
    if args.driver != DriverName::Bridge && args.subnet.is_empty() {
        let picked: Vec<String> = pool::subnets(&list).iter().map(IpNet::to_string).collect();
        context.audience.warn(&format!(
            "the network has {}, which nobody else beside its parent knows; --subnet gives it the parent's own",
            picked.join(" and ")
        ));
    }
    networks::tell(&context.host, &list, "create").await;
    Ok(args.name.clone())
}

fn wanted(context: &Context<'_>, args: &Args) -> NewNetwork {
    let labels = args
        .labels
        .iter()
        .map(|label| (label.key.clone(), label.value.clone()));
    let namespace = &context.settings.namespace;
    let scope = args.scope.iter();
    let scope = scope.map(|scope| (LABEL.to_owned(), scope.of_network(namespace)));
    let mut new = NewNetwork {
        name: args.name.clone(),
        driver: match args.driver {
            DriverName::Bridge => Driver::Bridge,
            DriverName::Macvlan => Driver::Macvlan,
            DriverName::Ipvlan => Driver::Ipvlan,
        },
        subnets: args.subnet.clone(),
        gateways: args.gateway.clone(),
        ip_ranges: args.ip_range.clone(),
        ipv6: args.ipv6,
        internal: args.internal,
        isolate: args.isolate,
        labels: labels.chain(scope).collect(),
        parent: None,
        mtu: None,
        vlan: None,
        bridge: None,
        created: Timestamp::now().to_string(),
    };
    for option in args.options.iter().cloned() {
        match option {
            DriverOption::Parent(name) => new.parent = Some(name),
            DriverOption::Mtu(mtu) => new.mtu = Some(mtu),
            DriverOption::Vlan(vlan) => new.vlan = Some(vlan),
            DriverOption::Bridge(name) => new.bridge = Some(name),
            DriverOption::Isolate(isolate) => new.isolate = new.isolate || isolate,
        }
    }
    new
}
