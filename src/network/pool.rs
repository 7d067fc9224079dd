//! The addresses that a network's `host-local` gives out, and who has them.
//!
//! Invariant: nothing is changed here; the plugin alone gives and takes addresses.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;

use super::config::NetworkConfigList;

/// Where `host-local` keeps addresses unless `ipam.dataDir` says otherwise.
pub const HOST_LOCAL_DIR: &str = "/var/lib/cni/networks";

/// One range of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The network that they belong to.
    pub subnet: IpNet,
    /// The first one that is given out.
    pub first: IpAddr,
    /// The last one.
    pub last: IpAddr,
    /// The gateway, which is not.
    pub gateway: IpAddr,
}

/// The addresses of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its ranges, in order.
    pub ranges: Vec<Range>,
    /// Where the plugin notes what it gave.
    pub dir: PathBuf,
}

/// An address that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The address.
    pub address: IpAddr,
    /// The container id that the plugin saw.
    pub container_id: String,
    /// The interface, where it was noted.
    pub ifname: String,
}

impl Pool {
    /// The addresses of a network; none if it does not have them from `host-local`.
    pub fn of(list: &NetworkConfigList) -> Option<Pool> {
        let mut plugins = list.plugins().iter();
        let plugin = plugins.find(|plugin| plugin.ipam_type() == Some("host-local"))?;
        let ipam = plugin.object().get("ipam")?;
        let sets = ipam.get("ranges").and_then(Value::as_array);
        let sets = sets
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten();
        // The form of old configurations: one range, right in the object.
        let single = ipam.get("subnet").is_some().then_some(ipam);
        let ranges: Vec<Range> = sets.chain(single).filter_map(range).collect();
        let dir = ipam.get("dataDir").and_then(Value::as_str);
        let dir = dir.filter(|dir| !dir.is_empty()).unwrap_or(HOST_LOCAL_DIR);
        (!ranges.is_empty()).then(|| Pool {
            ranges,
            dir: PathBuf::from(dir).join(list.name()),
        })
    }

    /// The range that an address can be given from.
    pub fn range_of(&self, address: IpAddr) -> Option<&Range> {
        let mut ranges = self.ranges.iter();
        ranges.find(|range| range.first <= address && address <= range.last)
    }

    /// The addresses that are given out now.
    pub fn taken(&self) -> Vec<IpAddr> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        // Beside addresses there are `lock` and `last_reserved_ip.N`.
        let address = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        entries.filter_map(address).collect()
    }

    /// What is given out now, in order, and to whom.
    pub fn used(&self) -> Vec<Used> {
        let mut used: Vec<Used> = self
            .taken()
            .into_iter()
            .filter_map(|one| self.holder(one))
            .collect();
        used.sort_by_key(|one| one.address);
        used
    }

    /// Who has an address.
    pub fn holder(&self, address: IpAddr) -> Option<Used> {
        let text = fs::read_to_string(self.dir.join(address.to_string())).ok()?;
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        Some(Used {
            address,
            container_id: lines.next().unwrap_or_default(),
            ifname: lines.next().unwrap_or_default(),
        })
    }

    /// How many addresses are left in a range.
    pub fn free(&self, range: &Range, taken: &[IpAddr]) -> u128 {
        let within = |address: &IpAddr| range.first <= *address && *address <= range.last;
        let taken = taken.iter().filter(|one| within(one)).count();
        let gateway = u128::from(within(&range.gateway));
        let last = number(range.last);
        let all = last.saturating_sub(number(range.first)).saturating_add(1);
        all.saturating_sub(gateway).saturating_sub(taken as u128)
    }

    /// Whether no address of a family is left, although the network has some.
    pub fn is_exhausted(&self, v4: bool) -> bool {
        let mut ranges = self
            .ranges
            .iter()
            .filter(|range| range.subnet.addr().is_ipv4() == v4)
            .peekable();
        let taken = self.taken();
        ranges.peek().is_some() && ranges.all(|range| self.free(range, &taken) == 0)
    }
}

/// All subnets that a network's plugins give addresses from, whichever plugin of addresses they have:
/// `ranges` and `subnet` (host-local), `addresses` (static), `range` (whereabouts).
pub fn subnets(list: &NetworkConfigList) -> Vec<IpNet> {
    let mut found: Vec<IpNet> = Vec::new();
    for plugin in list.plugins() {
        let Some(ipam) = plugin.object().get("ipam") else {
            continue;
        };
        let each = |key: &str| {
            let list = ipam.get(key).and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let sets = each("ranges").into_iter();
        let ranges = sets.flat_map(|set| set.as_array().cloned().unwrap_or_default());
        let mut texts: Vec<Value> = ranges.map(|range| range["subnet"].clone()).collect();
        texts.extend(each("addresses").iter().map(|one| one["address"].clone()));
        texts.extend(["subnet", "range"].iter().map(|&key| ipam[key].clone()));
        let nets = texts.iter().filter_map(Value::as_str);
        found.extend(nets.filter_map(|text| Some(text.parse::<IpNet>().ok()?.trunc())));
    }
    found
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn range(value: &Value) -> Option<Range> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let subnet: IpNet = text("subnet")?.parse().ok()?;
    let subnet = subnet.trunc();
    let (first, last) = hosts(subnet)?;
    let address = |key: &str| text(key).and_then(|text| text.parse().ok());
    Some(Range {
        subnet,
        first: address("rangeStart").unwrap_or(first),
        last: address("rangeEnd").unwrap_or(last),
        gateway: address("gateway").unwrap_or(first),
    })
}

/// The first and the last address of a subnet that an interface can have; none if it has not two.
pub fn hosts(subnet: IpNet) -> Option<(IpAddr, IpAddr)> {
    match subnet {
        IpNet::V4(net) => hosts_v4(net),
        IpNet::V6(net) => hosts_v6(net),
    }
}

fn hosts_v4(net: Ipv4Net) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
    (net.prefix_len() <= 30).then(|| {
        let address = |bits: u32| IpAddr::V4(bits.into());
        (address(first + 1), address(last - 1))
    })
}

fn hosts_v6(net: Ipv6Net) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
    (net.prefix_len() <= 126).then(|| {
        let address = |bits: u128| IpAddr::V6(bits.into());
        (address(first + 1), address(last))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn list(ipam: &Value) -> NetworkConfigList {
        let text = json!({"name": "n", "plugins": [{"type": "bridge", "ipam": ipam}, {"type": "portmap"}]});
        NetworkConfigList::parse(&text.to_string(), Path::new("x")).unwrap()
    }

    #[test]
    fn both_forms_of_ranges_are_read() {
        let old = json!({"type": "host-local", "subnet": "10.1.2.3/24"});
        let pool = Pool::of(&list(&old)).unwrap();
        assert_eq!(pool.ranges[0].subnet.to_string(), "10.1.2.0/24");
        assert_eq!(pool.ranges[0].gateway.to_string(), "10.1.2.1");
        assert_eq!(pool.free(&pool.ranges[0], &[]), 253);
        let new = json!({"type": "host-local", "ranges": [
            [{"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.100", "rangeEnd": "10.1.2.110"}],
            [{"subnet": "fd00::/64"}]]});
        let pool = Pool::of(&list(&new)).unwrap();
        assert!(pool.range_of("10.1.2.100".parse().unwrap()).is_some());
        assert!(pool.range_of("10.1.2.99".parse().unwrap()).is_none());
        assert!(pool.range_of("fd00::7".parse().unwrap()).is_some());
        assert_eq!(pool.free(&pool.ranges[0], &[]), 11);
        assert_eq!(Pool::of(&list(&json!({"type": "dhcp"}))), None);
    }

    #[test]
    fn the_subnets_of_every_plugin_of_addresses_are_known() {
        for (ipam, expected) in [
            (
                json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.2.0.0/24"}]]}),
                "10.1.0.0/24 10.2.0.0/24",
            ),
            (
                json!({"type": "static", "addresses": [{"address": "10.1.0.7/24"}, {"address": "fd00::7/64"}]}),
                "10.1.0.0/24 fd00::/64",
            ),
            (
                json!({"type": "whereabouts", "range": "10.3.0.0/16"}),
                "10.3.0.0/16",
            ),
            (
                json!({"type": "host-local", "subnet": "10.1.2.3/24"}),
                "10.1.2.0/24",
            ),
            (json!({"type": "dhcp", "subnet": 7}), ""),
        ] {
            let found: Vec<String> = subnets(&list(&ipam)).iter().map(IpNet::to_string).collect();
            assert_eq!(found.join(" "), expected);
        }
    }

    #[test]
    fn what_is_given_out_is_read_from_the_plugins_notes() {
        let dir = std::env::temp_dir().join(format!("netrun-pool-{}", std::process::id()));
        fs::create_dir_all(dir.join("n")).unwrap();
        for (file, text) in [
            ("10.1.2.9", "default-web\r\neth0"),
            ("10.1.2.10", "x"),
            ("lock", ""),
        ] {
            fs::write(dir.join("n").join(file), text).unwrap();
        }
        let ipam = json!({"type": "host-local", "dataDir": dir, "subnet": "10.1.2.0/28"});
        let pool = Pool::of(&list(&ipam)).unwrap();
        let used = pool.used();
        assert_eq!(used.len(), 2);
        assert_eq!(
            (used[0].container_id.as_str(), used[0].ifname.as_str()),
            ("default-web", "eth0")
        );
        let taken = pool.taken();
        assert_eq!(pool.free(&pool.ranges[0], &taken), 11);
        assert!(!pool.is_exhausted(true) && !pool.is_exhausted(false));
        assert!(pool.holder("10.1.2.10".parse().unwrap()).is_some());
        fs::remove_dir_all(dir).unwrap();
    }
}
