//! Ports of the host: sockets that hold them, and the processes that have them.
//!
//! Invariant: a holding socket is bound and never listens nor is read, so that no stranger is kept
//! waiting by it: whoever reaches it is refused by the kernel.

use std::fs;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol as Number, Socket, Type};

use crate::model::port::Protocol;

/// A port of the host that nobody else can have.
#[derive(Debug)]
pub struct HeldPort(Socket);

/// Takes a port of an address; port 0 lets the kernel choose. An address of IPv6 is taken for IPv6
/// alone. None if this kernel does not know the family or the protocol at all, so that nobody could
/// take it.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::AddrNotAvailable`], ...
pub fn hold(address: SocketAddr, protocol: Protocol) -> io::Result<Option<HeldPort>> {
    let domain = Domain::for_address(address);
    let (kind, number) = match protocol {
        Protocol::Tcp => (Type::STREAM, Number::TCP),
        Protocol::Udp => (Type::DGRAM, Number::UDP),
        Protocol::Sctp => (Type::STREAM, Number::SCTP),
    };
    let socket = match Socket::new(domain, kind, Some(number)) {
        Ok(socket) => socket,
        Err(error) if is_unknown(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // While it is bound, connections that have just ended do not stand in the way (TIME_WAIT);
    // afterwards nobody else may bind there.
    let reuse = protocol != Protocol::Udp;
    if reuse {
        socket.set_reuse_address(true)?;
    }
    match socket.bind(&address.into()) {
        // IPv6 may be switched off.
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && is_absent(&error) => {
            return Ok(None);
        }
        outcome => outcome?,
    }
    if reuse {
        socket.set_reuse_address(false)?;
    }
    Ok(Some(HeldPort(socket)))
}

impl HeldPort {
    /// The port.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn port(&self) -> io::Result<u16> {
        let address = self.0.local_addr()?.as_socket();
        Ok(address.map_or(0, |address| address.port()))
    }
}

fn is_unknown(error: &io::Error) -> bool {
    let codes = [
        nix::libc::EPROTONOSUPPORT,
        nix::libc::EAFNOSUPPORT,
        nix::libc::ESOCKTNOSUPPORT,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || is_unknown(error)
}

/// A process of this network namespace that has a port, on whatever address: its pid and name.
pub fn owner(port: u16, protocol: Protocol) -> Option<(u32, String)> {
    let name = protocol.name();
    let tables = [
        format!("/proc/self/net/{name}"),
        format!("/proc/self/net/{name}6"),
    ];
    let texts = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let inodes: Vec<u64> = texts.flat_map(|text| inodes_of(&text, port)).collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let descriptors = fs::read_dir(entry.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        let mut links_of = descriptors.filter_map(|fd| fs::read_link(fd.path()).ok());
        if links_of.any(|link| {
            link.to_str()
                .is_some_and(|link| links.iter().any(|own| own == link))
        }) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inodes of the sockets in a table of `/proc/net` whose own port is this one.
fn inodes_of(table: &str, port: u16) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let lines = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let own = lines.filter(|words| words.get(1).is_some_and(|local| local.ends_with(&suffix)));
    let inode = |words: Vec<&str>| words.get(9)?.parse().ok();
    own.filter_map(inode).filter(|inode| *inode != 0).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_held_port_is_nobody_elses_and_refuses_strangers() {
        let held = hold(local(0), Protocol::Tcp).unwrap().unwrap();
        let port = held.port().unwrap();
        assert_ne!(port, 0);
        let taken = hold(local(port), Protocol::Tcp).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(TcpListener::bind(local(port)).is_err());
        let refused = TcpStream::connect(local(port)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let udp = hold(local(port), Protocol::Udp).unwrap().unwrap();
        assert!(UdpSocket::bind(local(port)).is_err());
        drop((held, udp));
        assert!(TcpListener::bind(local(port)).is_ok());
    }

    #[test]
    fn a_port_that_a_connection_just_left_can_be_held() {
        let listener = TcpListener::bind(local(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(local(port)).unwrap();
        let (served, _) = listener.accept().unwrap();
        // Who closes first is left in TIME_WAIT.
        drop(served);
        drop(client);
        drop(listener);
        assert!(hold(local(port), Protocol::Tcp).unwrap().is_some());
    }

    #[test]
    fn the_process_that_listens_is_named() {
        let listener = TcpListener::bind(local(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pid, name) = owner(port, Protocol::Tcp).unwrap();
        assert_eq!(pid, std::process::id());
        assert!(!name.is_empty());
    }
}
