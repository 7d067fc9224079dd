//! Netlink: the few questions and orders that need no plugin.
//!
//! Invariant: nothing here joins a namespace; a socket speaks for the namespace of the thread that
//! opened it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// `lo` is the first interface of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// Brings `lo` up in the calling thread's network namespace.
///
/// # Errors
/// The kernel's refusal.
pub fn loopback_up() -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK_INDEX;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    talk(RouteNetlinkMessage::SetLink(link), NLM_F_ACK).map(drop)
}

/// The number that the calling thread's network namespace has for another one (its "nsid"); most
/// have none for most.
///
/// # Errors
/// The kernel's refusal.
pub fn namespace_id(netns: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let mut question = NsidMessage::default();
    let descriptor = netns.as_raw_fd().cast_unsigned();
    question.attributes.push(NsidAttribute::Fd(descriptor));
    let answers = talk(RouteNetlinkMessage::GetNsId(question), NLM_F_ACK)?;
    let id = answers.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewNsId(answer) => {
            let mut attributes = answer.attributes.into_iter();
            attributes.find_map(|attribute| match attribute {
                // -1 means that there is none.
                NsidAttribute::Id(id) => u32::try_from(id).ok(),
                _ => None,
            })
        }
        _ => None,
    });
    Ok(id)
}

/// The hardware address of the veth device of this name in the calling thread's network namespace;
/// nothing if there is no such device, or it is of another kind.
///
/// # Errors
/// The kernel's refusal.
pub fn veth_address(name: &str) -> io::Result<Option<String>> {
    let Ok(index) = if_nametoindex(name) else {
        return Ok(None);
    };
    let mut question = LinkMessage::default();
    question.header.index = index;
    let answers = talk(RouteNetlinkMessage::GetLink(question), NLM_F_ACK)?;
    let attributes = answers.into_iter().flat_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => link.attributes,
        _ => Vec::new(),
    });
    let (mut veth, mut address) = (false, None);
    for attribute in attributes {
        match attribute {
            LinkAttribute::LinkInfo(infos) => {
                veth |= infos.contains(&LinkInfo::Kind(InfoKind::Veth));
            }
            LinkAttribute::Address(bytes) => {
                let bytes = bytes.iter().map(|byte| format!("{byte:02x}"));
                address = Some(bytes.collect::<Vec<_>>().join(":"));
            }
            _ => {}
        }
    }
    Ok(address.filter(|_| veth))
}

/// Removes the veth device of this name and hardware address from the calling thread's network
/// namespace, and with it its other end, wherever that is. What is not there, or another, is left.
/// The kernel takes its time.
///
/// # Errors
/// The kernel's refusal.
pub fn remove_veth(name: &str, address: &str) -> io::Result<()> {
    let Ok(index) = if_nametoindex(name) else {
        return Ok(());
    };
    if veth_address(name)?.as_deref() != Some(address) {
        return Ok(());
    }
    let mut doomed = LinkMessage::default();
    doomed.header.index = index;
    match talk(RouteNetlinkMessage::DelLink(doomed), NLM_F_ACK) {
        // Its other end was removed at the same moment.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Makes a bridge, down and without ports, in the calling thread's network namespace.
///
/// # Errors
/// The kernel's refusal; EEXIST where there is an interface of that name.
pub fn add_bridge(name: &str, mtu: Option<u32>) -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    link.attributes.extend(mtu.map(LinkAttribute::Mtu));
    let kind = vec![LinkInfo::Kind(InfoKind::Bridge)];
    link.attributes.push(LinkAttribute::LinkInfo(kind));
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    talk(RouteNetlinkMessage::NewLink(link), flags).map(drop)
}

/// The destinations of all routes of the calling thread's network namespace, as (address, prefix
/// length), without default routes.
///
/// # Errors
/// The kernel's refusal.
pub fn route_destinations() -> io::Result<Vec<(IpAddr, u8)>> {
    let answers = talk(
        RouteNetlinkMessage::GetRoute(RouteMessage::default()),
        NLM_F_DUMP,
    )?;
    let destination = |message| match message {
        RouteNetlinkMessage::NewRoute(route) => destination(&route),
        _ => None,
    };
    Ok(answers.into_iter().filter_map(destination).collect())
}

fn destination(route: &RouteMessage) -> Option<(IpAddr, u8)> {
    let length = route.header.destination_prefix_length;
    route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                Some((IpAddr::V4(*address), length))
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                Some((IpAddr::V6(*address), length))
            }
            _ => None,
        })
}

/// Sends one request and collects the answers until the kernel says that it is done.
pub(super) fn talk(
    request: RouteNetlinkMessage,
    flags: u16,
) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    collect(&socket)
}

fn collect(socket: &Socket) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut answers = Vec::new();
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let length = (message.header.length as usize).clamp(1, rest.len());
            rest = &rest[length..];
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(answers),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) => return Ok(answers),
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                _ => {}
            }
        }
    }
}

/// Whether two prefixes of one family share an address.
pub fn overlap(a: (IpAddr, u8), b: (IpAddr, u8)) -> bool {
    let length = a.1.min(b.1);
    match (a.0, b.0) {
        (IpAddr::V4(x), IpAddr::V4(y)) => same_v4(x, y, length),
        (IpAddr::V6(x), IpAddr::V6(y)) => same_v6(x, y, length),
        _ => false,
    }
}

fn same_v4(a: Ipv4Addr, b: Ipv4Addr, length: u8) -> bool {
    let differ = a.to_bits() ^ b.to_bits();
    differ.leading_zeros() >= u32::from(length.min(32))
}

fn same_v6(a: Ipv6Addr, b: Ipv6Addr, length: u8) -> bool {
    let differ = a.to_bits() ^ b.to_bits();
    differ.leading_zeros() >= u32::from(length.min(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_overlap_when_the_shorter_holds_the_longer() {
        let net = |text: &str, length| (text.parse::<IpAddr>().unwrap(), length);
        assert!(overlap(net("10.0.0.0", 8), net("10.88.0.0", 16)));
        assert!(overlap(net("10.88.0.0", 16), net("10.88.3.1", 32)));
        assert!(!overlap(net("10.88.0.0", 16), net("10.89.0.0", 16)));
        assert!(!overlap(net("10.0.0.0", 8), net("::", 0)));
        assert!(overlap(net("fd00::", 8), net("fd00:1::", 64)));
    }

    #[test]
    fn ones_own_namespace_has_a_number_or_none() {
        // Which it is is the machine's affair; that the kernel understood the question is ours.
        let own = std::fs::File::open("/proc/self/ns/net").unwrap();
        namespace_id(std::os::fd::AsFd::as_fd(&own)).unwrap();
        let other = std::fs::File::open("/proc/self/ns/uts").unwrap();
        assert!(namespace_id(std::os::fd::AsFd::as_fd(&other)).is_err());
    }

    #[test]
    fn what_is_no_veth_has_no_address_here() {
        assert_eq!(veth_address("lo").unwrap(), None);
        assert_eq!(veth_address("no-such-device").unwrap(), None);
    }

    #[test]
    fn the_routes_of_this_machine_can_be_read() {
        // Every machine has at least its loopback's route to 127.0.0.0/8 in the local table.
        let routes = route_destinations().unwrap();
        assert!(
            routes.iter().any(|(address, _)| address.is_loopback()),
            "{routes:?}"
        );
    }
}
