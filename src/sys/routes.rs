//! Links and default routes of the calling thread's network namespace.
//!
//! Invariant: no route is taken away; one that is not preferred stays with a higher metric, for the
//! day on which it is the only one.

use std::io;

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
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
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => name.clone_into(&mut link.name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
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
    let routes = default_routes()?;
    let first = |family| {
        let mut own = routes
            .iter()
            .filter(|route| route.header.address_family == family);
        own.find_map(interface)
    };
    Ok(first(AddressFamily::Inet).or_else(|| first(AddressFamily::Inet6)))
}

/// Prefers the default routes of the first of these interfaces that has any, for each family.
///
/// # Errors
/// The kernel's refusal.
pub fn prefer(interfaces: &[String]) -> io::Result<()> {
    let indices: Vec<u32> = interfaces
        .iter()
        .map(|name| if_nametoindex(name.as_str()).unwrap_or(0))
        .collect();
    let place = |route: &RouteMessage| {
        let interface = interface(route)?;
        indices.iter().position(|index| *index == interface)
    };
    let routes = default_routes()?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let own = || {
            routes
                .iter()
                .filter(|route| route.header.address_family == family)
        };
        let Some(best) = own().filter_map(place).min() else {
            continue;
        };
        for route in own() {
            if let Some(behind) = place(route).filter(|place| *place > best) {
                let behind = u32::try_from(behind - best).unwrap_or(1);
                demote(route, behind.saturating_mul(STEP))?;
            }
        }
    }
    Ok(())
}

/// The same route with a higher metric; one that has been demoted already stays as it is.
fn demote(route: &RouteMessage, by: u32) -> io::Result<()> {
    // The kernel's own for IPv6 is 1024.
    let usual = match route.header.address_family {
        AddressFamily::Inet6 => 1024,
        _ => 0,
    };
    if metric(route) >= usual + STEP {
        return Ok(());
    }
    let mut lower = route.clone();
    lower.attributes.retain(|one| {
        !matches!(
            one,
            RouteAttribute::Priority(_) | RouteAttribute::CacheInfo(_)
        )
    });
    lower
        .attributes
        .push(RouteAttribute::Priority(metric(route) + by));
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    talk(RouteNetlinkMessage::NewRoute(lower), flags)?;
    let mut old = route.clone();
    old.attributes
        .retain(|one| !matches!(one, RouteAttribute::CacheInfo(_)));
    talk(RouteNetlinkMessage::DelRoute(old), NLM_F_ACK).map(drop)
}

fn default_routes() -> io::Result<Vec<RouteMessage>> {
    let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let answers = talk(request, NLM_F_DUMP)?;
    let default = |message| match message {
        RouteNetlinkMessage::NewRoute(route) => {
            let whole = route.header.destination_prefix_length == 0;
            (whole && route.header.table == MAIN).then_some(route)
        }
        _ => None,
    };
    Ok(answers.into_iter().filter_map(default).collect())
}

fn interface(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|one| match one {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn metric(route: &RouteMessage) -> u32 {
    let found = route.attributes.iter().find_map(|one| match one {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_loopback() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.index == 1 && lo.mtu > 0);
        default_link().unwrap();
    }
}
