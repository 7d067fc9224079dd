//! Subnets for new networks: what is taken on this host, and what is free.
//!
//! Invariant: pure; a subnet that is picked here shares no address with a route of the host, nor with
//! another network.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sha2::{Digest, Sha256};

use super::config::Scan;
use super::pool::{Pool, hosts};

/// A route to less than this many fixed bits is a default route, whole or in parts (a VPN's
/// 0.0.0.0/1 and 128.0.0.0/1), and takes no range away.
pub(super) const DEFAULT_ROUTE_BITS: u8 = 8;

/// A part of the address space that subnets are picked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetPool {
    /// The part.
    pub base: IpNet,
    /// The length of a subnet's prefix.
    pub size: u8,
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
        let ranges = Pool::of(list).map(|pool| pool.ranges).unwrap_or_default();
        ranges.into_iter().map(|range| (range.subnet, list.name()))
    })
}

fn is_free(subnet: &IpNet, around: &Surroundings<'_>) -> bool {
    let mut nets = taken(around).chain(others(around).map(|(net, _)| net));
    !nets.any(|net| overlap(subnet, &net))
}

pub(super) fn pick_v4(around: &Surroundings<'_>) -> Option<IpNet> {
    let of_pool = |pool: &SubnetPool| match pool.base {
        IpNet::V4(base) => subnets_v4(base, pool.size),
        IpNet::V6(_) => Vec::new(),
    };
    let all = around.pools.iter().flat_map(of_pool);
    all.map(IpNet::V4)
        .find(|subnet| hosts(*subnet).is_some() && is_free(subnet, around))
}

fn subnets_v4(base: Ipv4Net, size: u8) -> Vec<Ipv4Net> {
    base.subnets(size)
        .map(Iterator::collect)
        .unwrap_or_default()
}

/// A unique local network (RFC 4193); its random part is made of the network's name and the routes
/// that there are, so that two hosts rarely have the same.
pub(super) fn pick_v6(name: &str, around: &Surroundings<'_>) -> Option<IpNet> {
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

pub(super) fn shown(pools: &[SubnetPool]) -> String {
    let pools: Vec<String> = pools.iter().map(|pool| pool.base.to_string()).collect();
    pools.join(", ")
}
