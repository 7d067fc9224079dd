//! Subnets for new networks: what is taken on this host, and what is free.
//!
//! Invariant: pure; a subnet that is picked here shares no address with a route of the host, nor with
//! another network.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use sha2::{Digest, Sha256};

use super::config::Scan;
use super::pool::{self, hosts};

/// A route to less than this many fixed bits is a default route, whole or in parts (a VPN's
/// 0.0.0.0/1 and 128.0.0.0/1), and takes no range away.
pub(super) const DEFAULT_ROUTE_BITS: u8 = 8;

/// How many subnets of a pool are tried: a pool of IPv6 has more than can be.
const MAX_LOOKED_AT: usize = 1 << 20;

/// A part of the address space that subnets are picked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "TypedPool")]
pub struct SubnetPool {
    /// The part.
    pub base: IpNet,
    /// The length of a subnet's prefix.
    pub size: u8,
}

/// A pool as it is typed.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedPool {
    base: IpNet,
    size: u8,
}

/// A pool that has no subnets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum InvalidPool {
    /// Bits of a host are set.
    #[error("{0} is not a subnet: bits of a host are set in it")]
    HostBits(IpNet),
    /// No network can have a part of it.
    #[error("{base} overlaps with {special}, which is set aside")]
    Special { base: IpNet, special: IpNet },
    /// The length of the prefix.
    #[error("{base} has no subnets of size {size}: from {} to {most} they are", base.prefix_len())]
    Size { base: IpNet, size: u8, most: u8 },
}

impl TryFrom<TypedPool> for SubnetPool {
    type Error = InvalidPool;

    fn try_from(typed: TypedPool) -> Result<Self, InvalidPool> {
        let TypedPool { base, size } = typed;
        // Below it there are no two addresses for interfaces.
        let most = base.max_prefix_len() - 2;
        if base.trunc() != base {
            return Err(InvalidPool::HostBits(base));
        }
        if let Some(special) = special(&base) {
            return Err(InvalidPool::Special { base, special });
        }
        match (base.prefix_len()..=most).contains(&size) {
            true => Ok(Self { base, size }),
            false => Err(InvalidPool::Size { base, size, most }),
        }
    }
}

/// The pools unless the configuration names others; clear of the defaults of Docker, podman,
/// nerdctl, Kubernetes and the default network.
pub fn default_pools() -> Vec<SubnetPool> {
    let pool = |base: &str| base.parse().ok().map(|base| SubnetPool { base, size: 24 });
    ["10.64.0.0/13", "172.29.224.0/20", "192.168.224.0/20"]
        .into_iter()
        .filter_map(pool)
        .collect()
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLink {
    /// Its name.
    pub name: String,
    /// The largest packet.
    pub mtu: u32,
    /// The default route leads through it.
    pub is_default: bool,
}

/// What there is already.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The destinations of the host's routes.
    pub routes: &'a [(IpAddr, u8)],
    /// The networks.
    pub networks: &'a Scan,
    /// The host's interfaces.
    pub links: &'a [HostLink],
    /// Where subnets are picked from.
    pub pools: &'a [SubnetPool],
}

/// What no network may have a part of: this host, everybody (multicast, reserved, broadcast), a
/// single link, and IPv4 in the dress of IPv6.
const SPECIAL: [&str; 7] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "fe80::/10",
    "ff00::/8",
];

/// What of [`SPECIAL`] a subnet runs into.
pub(super) fn special(subnet: &IpNet) -> Option<IpNet> {
    let all = SPECIAL.iter().filter_map(|net| net.parse().ok());
    all.into_iter().find(|net| overlap(subnet, net))
}

pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// What the host's routes take.
pub(super) fn taken<'s>(around: &'s Surroundings<'_>) -> impl Iterator<Item = IpNet> + 's {
    let routes = around
        .routes
        .iter()
        .filter(|(_, bits)| *bits >= DEFAULT_ROUTE_BITS);
    routes.filter_map(|(address, bits)| IpNet::new(*address, *bits).ok())
}

/// The subnets of the other networks, each with the network's name.
pub(super) fn others<'s>(
    around: &'s Surroundings<'_>,
) -> impl Iterator<Item = (IpNet, &'s str)> + 's {
    around.networks.networks.iter().flat_map(|list| {
        let subnets = pool::subnets(list).into_iter();
        subnets.map(|subnet| (subnet, list.name()))
    })
}

fn is_free(subnet: &IpNet, around: &Surroundings<'_>) -> bool {
    let mut nets = taken(around).chain(others(around).map(|(net, _)| net));
    !nets.any(|net| overlap(subnet, &net))
}

pub(super) fn pick_v4(around: &Surroundings<'_>) -> Option<IpNet> {
    pick(around, |base| base.addr().is_ipv4())
}

/// The first free subnet of the pools of a family.
fn pick(around: &Surroundings<'_>, family: impl Fn(&IpNet) -> bool) -> Option<IpNet> {
    let pools = around.pools.iter().filter(|pool| family(&pool.base));
    let all = pools.filter_map(|pool| pool.base.subnets(pool.size).ok());
    all.flat_map(|subnets| subnets.take(MAX_LOOKED_AT))
        .find(|subnet| hosts(*subnet).is_some() && is_free(subnet, around))
}

/// Of the pools of IPv6; where there are none a unique local network (RFC 4193), whose random part is
/// made of the network's name and the routes that there are, so that two hosts rarely have the same.
pub(super) fn pick_v6(name: &str, around: &Surroundings<'_>) -> Option<IpNet> {
    let of_pool = |pool: &SubnetPool| pool.base.addr().is_ipv6();
    if around.pools.iter().any(of_pool) {
        return pick(around, |base| base.addr().is_ipv6());
    }
    let host = format!("{:?}", around.routes);
    (0..1000).find_map(|attempt| {
        let digest = Sha256::digest(format!("{name}\n{host}\n{attempt}"));
        let mut bytes = [0; 16];
        bytes[0] = 0xfd;
        bytes[1..8].copy_from_slice(&digest[..7]);
        let subnet = IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bytes), 64).ok()?);
        is_free(&subnet, around).then_some(subnet)
    })
}

/// The pools of a family in words.
pub(super) fn shown(pools: &[SubnetPool], v4: bool) -> String {
    let own = pools.iter().filter(|pool| pool.base.addr().is_ipv4() == v4);
    let own: Vec<String> = own.map(|pool| pool.base.to_string()).collect();
    match own.is_empty() {
        true => "subnet_pools, which name none of this family".to_owned(),
        false => own.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_subnets() {
        let pool = |base: &str, size| {
            let base = base.parse().unwrap();
            SubnetPool::try_from(TypedPool { base, size })
        };
        assert!(pool("10.0.0.0/8", 24).is_ok() && pool("fd00::/48", 64).is_ok());
        assert!(pool("10.0.0.0/24", 24).is_ok());
        for (base, size) in [
            ("10.0.0.0/16", 8),
            ("10.0.0.0/16", 31),
            ("10.0.0.0/16", 64),
            ("10.0.0.1/16", 24),
            ("fd00::/48", 127),
            ("224.0.0.0/8", 24),
        ] {
            assert!(pool(base, size).is_err(), "{base} {size}");
        }
    }
}
