//! What is wrong with a network that was to be made.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::validate::InvalidParameter;
use crate::model::class::{Class, Explain};

/// The longest name of a network that we make, in bytes; a container's is as long at most.
pub const MAX_NAME: usize = 63;

/// Why a network cannot be made. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name or the bridge's breaks the rules.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// The name is too long for a host's name in `NAME.NETWORK`.
    #[error("the name {name:?} has {} bytes, and a network's has {MAX_NAME} at most", name.len())]
    LongName {
        /// The name.
        name: String,
    },
    /// The name means something else.
    #[error("a network cannot be called \"{0}\": --net {0} means something else")]
    Reserved(String),
    /// There is one of that name.
    #[error("there is a network \"{name}\" already, in {}", path.display())]
    Exists {
        /// The name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// The file is another network's, or is broken.
    #[error("the file {} is there already, and holds something else", .0.display())]
    FileTaken(PathBuf),
    /// An option of another driver.
    #[error("the driver {driver} has no option \"{option}\"")]
    Unfit {
        /// The option.
        option: &'static str,
        /// The driver.
        driver: &'static str,
    },
    /// No VLAN.
    #[error("{0} is not a VLAN: 1 to 4094 are")]
    Vlan(u16),
    /// No size of packets.
    #[error("an mtu of {mtu} is not possible: {least} to 65535 are")]
    Mtu {
        /// What was given.
        mtu: u32,
        /// The least possible.
        least: u32,
    },
    /// More than the parent can carry.
    #[error("an mtu of {mtu} is more than the {most} of interface \"{parent}\"")]
    MtuOfParent {
        /// What was given.
        mtu: u32,
        /// The interface.
        parent: String,
        /// Its own.
        most: u32,
    },
    /// The bridge is there.
    #[error("the bridge \"{bridge}\" is taken by {by}")]
    BridgeTaken {
        /// The bridge.
        bridge: String,
        /// By whom.
        by: String,
    },
    /// The address is not a network's.
    #[error("{subnet} is not a subnet: bits of a host are set in it")]
    HostBits {
        /// What was given.
        subnet: IpNet,
        /// What was probably meant.
        proposal: IpNet,
    },
    /// It has addresses that cannot be an interface's.
    #[error(
        "{subnet} cannot be a network's subnet: it overlaps with {special}, which is set aside"
    )]
    Special {
        /// What was given.
        subnet: IpNet,
        /// What it runs into.
        special: IpNet,
    },
    /// It has too few addresses.
    #[error("{0} cannot be a network's subnet: it has no two addresses for interfaces")]
    Unusable(IpNet),
    /// Two of one family.
    #[error("{0} is the second subnet of its family, and a network has one at most")]
    SecondSubnet(IpNet),
    /// Somebody has part of it.
    #[error("{subnet} overlaps with {by}")]
    Overlap {
        /// The subnet.
        subnet: IpNet,
        /// With what.
        by: String,
    },
    /// Nothing is left of the pools.
    #[error("no subnet is free in {0}")]
    Exhausted(String),
    /// Not the gateway of any subnet.
    #[error("{0} cannot be the gateway: it is in no subnet of the network")]
    Gateway(IpAddr),
    /// The first or the last address of a subnet.
    #[error("{gateway} cannot be the gateway: no interface in {subnet} can have it")]
    UnusableGateway {
        /// What was given.
        gateway: IpAddr,
        /// Where it is.
        subnet: IpNet,
    },
    /// Two in one subnet.
    #[error("{0} is the second gateway of its subnet, which has one at most")]
    SecondGateway(IpAddr),
    /// Not part of any subnet.
    #[error("{0} cannot be the range of addresses: it is part of no subnet of the network")]
    Range(IpNet),
    /// Two in one subnet.
    #[error("{0} is the second range of its subnet, which has one at most")]
    SecondRange(IpNet),
    /// A range with nothing in it.
    #[error("{0} cannot be the range of addresses: none of it is left for a container")]
    EmptyRange(IpNet),
    /// The loopback interface.
    #[error("nothing can be beside interface \"{0}\": it leads nowhere")]
    Loopback(String),
    /// There is no such interface.
    #[error("there is no interface \"{name}\"; there are: {}", known.join(", "))]
    NoParent {
        /// Its name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No interface is the obvious one.
    #[error("this host has no default route whose interface could be the parent")]
    NoDefaultParent,
    /// The file cannot be written.
    #[error("cannot write the network {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Explain for CreateError {
    fn class(&self) -> Class {
        match self {
            Self::Exists { .. } | Self::FileTaken(_) | Self::BridgeTaken { .. } => {
                Class::AlreadyExists
            }
            Self::NoParent { .. } => Class::NotFound,
            Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Class::Denied
            }
            Self::Write { .. } | Self::Exhausted(_) => Class::Failed,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { name, .. } => Some(format!(
                "use it, remove it (netrun network rm {name}), or say --ignore"
            )),
            Self::FileTaken(path) => Some(format!("look at it, and move it away: mv {} /root", path.display())),
            Self::HostBits { proposal, .. } => Some(format!("try {proposal}")),
            Self::Gateway(_) | Self::Range(_) | Self::EmptyRange(_) => {
                Some("name the network's addresses with --subnet, and what lies within with --gateway and --ip-range".to_owned())
            }
            Self::Overlap { .. } => Some("leave --subnet away to be given a free one".to_owned()),
            Self::Unfit { option: "vlan", .. } => Some(
                "give an interface in the VLAN as parent: ip link add link eth0 name eth0.10 type vlan id 10".to_owned(),
            ),
            Self::Unfit { .. } => Some(
                "a bridge has mtu, vlan, bridge and isolate; macvlan and ipvlan have parent and mtu".to_owned(),
            ),
            Self::NoParent { name, known } => vlan_of(name, known),
            Self::Exhausted(_) => Some(
                "remove networks (netrun network prune), or add to subnet_pools in /etc/netrun/netrun.toml".to_owned(),
            ),
            Self::NoDefaultParent => Some("name one with -o parent=INTERFACE".to_owned()),
            _ => None,
        }
    }
}

/// How an interface of a VLAN is made whose trunk is there.
fn vlan_of(name: &str, known: &[String]) -> Option<String> {
    let (trunk, vlan) = name.rsplit_once('.')?;
    let vlan: u16 = vlan.parse().ok()?;
    known.iter().any(|link| link == trunk).then(|| {
        format!("make it: ip link add link {trunk} name {name} type vlan id {vlan}, and set it up")
    })
}
