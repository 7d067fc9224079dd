//! Links and default routes of the calling thread's network namespace.
//!
//! Invariant: no route is taken away; one that is not preferred stays with a higher metric, for the
//! day on which it is the only one.

use std::io;
use std::net::IpAddr;

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteNextHop};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::talk;

/// What is added to the metric of a default route for each interface that comes before its own.
const STEP: u32 = 1000;

/// The main table (linux/rtnetlink.h).
const MAIN: u8 = 254;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet.
    pub mtu: u32,
    /// It is a bridge.
    pub is_bridge: bool,
    /// The number of the bridge, or other interface, that it is a port of.
    pub master: Option<u32>,
}

/// The addresses of an interface, without those that the kernel gives it itself (link-local ones).
///
/// # Errors
/// The kernel's refusal.
pub fn addresses(index: u32) -> io::Result<Vec<IpAddr>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = talk(request, NLM_F_DUMP)?;
    let own = answers.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewAddress(one) if one.header.index == index => Some(one),
        _ => None,
    });
    let given = own.filter(|one| one.header.scope != AddressScope::Link);
    let addresses = given.flat_map(|one| one.attributes);
    let address = |attribute| match attribute {
        AddressAttribute::Address(address) => Some(address),
        _ => None,
    };
    Ok(addresses.filter_map(address).collect())
}

/// All interfaces.
///
/// # Errors
/// The kernel's refusal.
pub fn links() -> io::Result<Vec<Link>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = talk(request, NLM_F_DUMP)?;
    let link = |message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(read_link(&link)),
        _ => None,
    };
    Ok(answers.into_iter().filter_map(link).collect())
}

fn read_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        is_bridge: false,
        master: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => name.clone_into(&mut link.name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                link.is_bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
            }
            _ => {}
        }
    }
    link
}

/// The number of the interface that the default route leads through: IPv4's, else IPv6's.
///
/// # Errors
/// The kernel's refusal.
pub fn default_link() -> io::Result<Option<u32>> {
    let ways = default_ways()?;
    let first = |family| {
        let mut own = ways.iter().filter(|way| way.family() == family);
        own.find_map(Way::interface)
    };
    Ok(first(AddressFamily::Inet).or_else(|| first(AddressFamily::Inet6)))
}

/// Orders the default routes of these interfaces by their metrics, for each family: those of the first
/// that has any have what they came with, and each following one's are higher.
///
/// # Errors
/// The kernel's refusal.
pub fn prefer(interfaces: &[String]) -> io::Result<()> {
    let indices: Vec<u32> = interfaces
        .iter()
        .map(|name| if_nametoindex(name.as_str()).unwrap_or(0))
        .collect();
    let ways = default_ways()?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut highest = None;
        for index in &indices {
            let of_it = |way: &&Way| way.family() == family && way.interface() == Some(*index);
            let own: Vec<&Way> = ways.iter().filter(of_it).collect();
            let Some(best) = own.iter().min_by_key(|way| way.metric()) else {
                continue;
            };
            let first = best.first_metric();
            let first = first.saturating_add(above(highest, first));
            for way in &own {
                // Several of one interface stay as far from each other as they are.
                let metric = first.saturating_add(way.metric() - best.metric());
                way.set_metric(metric)?;
                highest = highest.max(Some(metric));
            }
        }
    }
    Ok(())
}

/// The least number of whole steps that lifts a metric above another.
fn above(other: Option<u32>, metric: u32) -> u32 {
    match other {
        Some(other) if other >= metric => ((other - metric) / STEP + 1).saturating_mul(STEP),
        _ => 0,
    }
}

/// A default route; of one that leads to several gateways at once, which the kernel makes of two of IPv6
/// with one metric, the way to one of them.
#[derive(Debug)]
struct Way(RouteMessage);

impl Way {
    /// The ways of a default route.
    fn of(route: RouteMessage) -> Vec<Way> {
        let is_split = |one: &RouteAttribute| matches!(one, RouteAttribute::MultiPath(_));
        let Some(RouteAttribute::MultiPath(hops)) =
            route.attributes.iter().find(|one| is_split(one))
        else {
            return vec![Way(route)];
        };
        let way = |hop: &RouteNextHop| {
            let mut way = route.clone();
            way.attributes.retain(|one| !is_split(one));
            way.attributes.extend(hop.attributes.iter().cloned());
            way.attributes
                .push(RouteAttribute::Oif(hop.interface_index));
            Way(way)
        };
        hops.iter().map(way).collect()
    }

    fn family(&self) -> AddressFamily {
        self.0.header.address_family
    }

    fn interface(&self) -> Option<u32> {
        self.0.attributes.iter().find_map(|one| match one {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
    }

    fn metric(&self) -> u32 {
        let found = self.0.attributes.iter().find_map(|one| match one {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        found.unwrap_or(0)
    }

    /// The metric that it came with: whole steps above the usual one are our work.
    fn first_metric(&self) -> u32 {
        // The kernel's own for IPv6 is 1024.
        let usual = match self.family() {
            AddressFamily::Inet6 => 1024,
            _ => 0,
        };
        let metric = self.metric();
        match metric.checked_sub(usual) {
            Some(more) if more.is_multiple_of(STEP) => usual,
            _ => metric,
        }
    }

    /// Gives it this metric. It is there at every moment, and for one twice.
    fn set_metric(&self, metric: u32) -> io::Result<()> {
        if self.metric() == metric {
            return Ok(());
        }
        let mut old = self.0.clone();
        old.header.flags = RouteFlags::empty();
        old.attributes
            .retain(|one| !matches!(one, RouteAttribute::CacheInfo(_)));
        let mut new = old.clone();
        new.attributes
            .retain(|one| !matches!(one, RouteAttribute::Priority(_)));
        new.attributes.push(RouteAttribute::Priority(metric));
        // Another one of this metric is about to be changed, too, and stays what it is until then.
        let flags = NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK;
        match talk(RouteNetlinkMessage::NewRoute(new), flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => drop(outcome?),
        }
        talk(RouteNetlinkMessage::DelRoute(old), NLM_F_ACK).map(drop)
    }
}

/// The ways out of the main table.
fn default_ways() -> io::Result<Vec<Way>> {
    let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let answers = talk(request, NLM_F_DUMP)?;
    let default = |message| match message {
        RouteNetlinkMessage::NewRoute(route) => {
            let whole = route.header.destination_prefix_length == 0;
            (whole && route.header.table == MAIN).then_some(route)
        }
        _ => None,
    };
    let routes = answers.into_iter().filter_map(default);
    Ok(routes.flat_map(Way::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(family: AddressFamily, metric: u32) -> Way {
        let mut route = RouteMessage::default();
        route.header.address_family = family;
        route.attributes.push(RouteAttribute::Priority(metric));
        Way(route)
    }

    #[test]
    fn what_we_added_to_a_metric_is_known() {
        let first = |family, metric| way(family, metric).first_metric();
        for (metric, came_with) in [(0, 0), (7, 7), (1000, 0), (3000, 0), (1007, 1007)] {
            assert_eq!(first(AddressFamily::Inet, metric), came_with);
        }
        for (metric, came_with) in [
            (1024, 1024),
            (2024, 1024),
            (5024, 1024),
            (100, 100),
            (2000, 2000),
        ] {
            assert_eq!(first(AddressFamily::Inet6, metric), came_with);
        }
        let lifted = |other, metric| metric + above(other, metric);
        assert_eq!((lifted(None, 5), lifted(Some(4), 5)), (5, 5));
        assert_eq!(
            (
                lifted(Some(0), 0),
                lifted(Some(1000), 0),
                lifted(Some(100), 7)
            ),
            (1000, 2000, 1007)
        );
    }

    #[test]
    fn a_route_to_several_gateways_is_several_ways() {
        let mut whole = way(AddressFamily::Inet6, 1024).0;
        let hop = |index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop
        };
        let hops = vec![hop(2), hop(3)];
        whole.attributes.push(RouteAttribute::MultiPath(hops));
        let ways = Way::of(whole);
        let interfaces: Vec<_> = ways.iter().map(Way::interface).collect();
        assert_eq!(interfaces, [Some(2), Some(3)]);
        assert!(
            ways.iter()
                .all(|way| way.metric() == 1024 && way.0.attributes.len() == 2)
        );
    }

    #[test]
    fn every_machine_has_a_loopback() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.index == 1 && lo.mtu > 0);
        default_link().unwrap();
    }
}
