//! Published ports: what `-p` asks for, and what came of it.
//!
//! Invariant: a container's port is never 0; a host's port is 0 only before one was chosen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};
use super::record::Network;

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let all = [Self::Tcp, Self::Udp, Self::Sctp];
        let found = all
            .into_iter()
            .find(|p| text.eq_ignore_ascii_case(p.name()));
        found.ok_or_else(|| InvalidPort::Protocol(text.to_owned()))
    }
}

/// A port of a container, by number and protocol: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerPort {
    /// The number, not 0.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for ContainerPort {
    type Err = InvalidPort;

    /// `80` or `80/udp`.
    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (number, protocol) = with_protocol(text)?;
        match port(number)? {
            0 => Err(InvalidPort::Number(number.to_owned())),
            number => Ok(Self { number, protocol }),
        }
    }
}

/// The first and the last of some ports.
type PortRange = (u16, u16);

/// One port of a container that is reached through a port of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address; none for all of them, of both families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// The host's ports that will do, first and last; 0 and 0 if the kernel may choose.
    pub wanted: (u16, u16),
    /// The host's port, chosen when the container starts; 0 before.
    #[serde(default)]
    pub host_port: u16,
}

impl PublishedPort {
    /// A container's port on a port that the kernel chooses, on all addresses.
    pub fn anywhere(port: ContainerPort) -> Self {
        Self {
            container_port: port.number,
            protocol: port.protocol,
            host_ip: None,
            wanted: (0, 0),
            host_port: 0,
        }
    }

    /// The addresses that it takes on the host, with this port.
    pub fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        let all = || vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let addresses: Vec<IpAddr> = self.host_ip.map_or_else(all, |ip| vec![ip]);
        let with_port = |ip| SocketAddr::new(ip, port);
        addresses.into_iter().map(with_port).collect()
    }

    /// Whether `other`, with its chosen port, takes `port` of an address that this one needs, too.
    pub fn clashes(&self, port: u16, other: &PublishedPort) -> bool {
        let shared = |a: Option<IpAddr>, b: Option<IpAddr>| match (a, b) {
            (Some(a), Some(b)) if a.is_ipv4() != b.is_ipv4() => false,
            (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
            _ => true,
        };
        let same = self.protocol == other.protocol && port == other.host_port;
        same && port != 0 && shared(self.host_ip, other.host_ip)
    }
}

/// The capability by which an attachment publishes ports.
pub const PORTS: &str = "portMappings";

impl Network {
    /// The ports that an attachment publishes.
    pub fn published(&self) -> &[PublishedPort] {
        let mut attachments = self.attachments.iter();
        match attachments.any(|one| one.capability_args.contains_key(PORTS)) {
            true => &self.ports,
            false => &[],
        }
    }
}

/// What `-p` says: one port, or as many as its ranges have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec(pub Vec<PublishedPort>);

/// A text that publishes no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// No number from 1 to 65535.
    #[error("{0:?} is not a port")]
    Number(String),
    /// An address of the host where its port should stand.
    #[error("\"{address}:{container}\" names no port of the host")]
    NoHostPort {
        /// The address, as it was written.
        address: String,
        /// The ports of the container.
        container: String,
    },
    /// A range that ends before it begins.
    #[error("{0:?} is not a range of ports")]
    Range(String),
    /// Ranges of different lengths.
    #[error("the host's {host} and the container's {container} ports cannot be paired")]
    Lengths {
        /// How many on the host.
        host: usize,
        /// How many in the container.
        container: usize,
    },
    /// No address.
    #[error("{0:?} is not an address of the host")]
    Address(String),
    /// No protocol.
    #[error("{0:?} is not a protocol that has ports")]
    Protocol(String),
}

impl Explain for InvalidPort {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Protocol(_) => "write tcp, udp or sctp",
            Self::Lengths { .. } => {
                "give both ranges the same length, or one port of the container"
            }
            Self::NoHostPort { address, container } => {
                return Some(format!(
                    "write {address}::{container} for a free one, or {address}:HOSTPORT:{container}"
                ));
            }
            _ => {
                "write [[HOSTIP:]HOSTPORT:]PORT[/tcp|udp|sctp], such as 8080:80 or [::1]:53:53/udp"
            }
        };
        Some(hint.to_owned())
    }
}

impl FromStr for PortSpec {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (ports, protocol) = with_protocol(text)?;
        let (left, container) = match ports.rsplit_once(':') {
            Some((left, container)) => (left, container),
            None => ("", ports),
        };
        let (address, host) = match left.rsplit_once(':') {
            // An address of IPv6 alone has colons too; it stands in brackets.
            Some((address, host)) if !left.ends_with(']') => (address, host),
            _ if left.parse::<IpAddr>().is_ok() || left.ends_with(']') => {
                let (address, container) = (left.to_owned(), container.to_owned());
                return Err(InvalidPort::NoHostPort { address, container });
            }
            _ => ("", left),
        };
        let host_ip = (!address.is_empty())
            .then(|| host_address(address))
            .transpose()?;
        let container = range(container)?;
        if container.0 == 0 {
            return Err(InvalidPort::Number("0".to_owned()));
        }
        let host = if host.is_empty() {
            (0, 0)
        } else {
            range(host)?
        };
        let published = |container_port, wanted| PublishedPort {
            container_port,
            protocol,
            host_ip,
            wanted,
            host_port: 0,
        };
        pairs(host, container).map(|pairs| {
            let all = pairs
                .into_iter()
                .map(|(wanted, port)| published(port, wanted));
            PortSpec(all.collect())
        })
    }
}

/// Which ports of the host each of the container's may have.
fn pairs(host: (u16, u16), container: (u16, u16)) -> Result<Vec<(PortRange, u16)>, InvalidPort> {
    let length = |range: (u16, u16)| usize::from(range.1 - range.0) + 1;
    let ports = container.0..=container.1;
    match (length(host), length(container)) {
        _ if host == (0, 0) => Ok(ports.map(|port| ((0, 0), port)).collect()),
        // As with docker: any one of them.
        (_, 1) => Ok(vec![(host, container.0)]),
        (hosts, containers) if hosts == containers => {
            Ok((host.0..=host.1).map(|one| (one, one)).zip(ports).collect())
        }
        (host, container) => Err(InvalidPort::Lengths { host, container }),
    }
}

fn with_protocol(text: &str) -> Result<(&str, Protocol), InvalidPort> {
    match text.split_once('/') {
        Some((ports, protocol)) => Ok((ports, protocol.parse()?)),
        None => Ok((text, Protocol::Tcp)),
    }
}

fn host_address(text: &str) -> Result<IpAddr, InvalidPort> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = bare.unwrap_or(text).parse();
    parsed.map_err(|_| InvalidPort::Address(text.to_owned()))
}

fn range(text: &str) -> Result<(u16, u16), InvalidPort> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    // 0 lets the kernel choose, and is no end of a range.
    match first > last || (first == 0 && last != 0) {
        true => Err(InvalidPort::Range(text.to_owned())),
        false => Ok((first, last)),
    }
}

fn port(text: &str) -> Result<u16, InvalidPort> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_| digits);
    parsed.ok_or_else(|| InvalidPort::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, first and last port of the host, port of the container, protocol.
    fn parsed(text: &str) -> Result<Vec<String>, InvalidPort> {
        let all = text.parse::<PortSpec>()?.0.into_iter();
        let shown = all.map(|one| {
            let ip = one.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
            let (first, last) = one.wanted;
            format!(
                "{ip} {first}-{last} {}/{}",
                one.container_port, one.protocol
            )
        });
        Ok(shown.collect())
    }

    #[test]
    fn ports_are_published_in_dockers_words() {
        for (text, expected) in [
            ("80", &[" 0-0 80/tcp"][..]),
            ("0:80", &[" 0-0 80/tcp"]),
            ("8080:80", &[" 8080-8080 80/tcp"]),
            ("8080:80/udp", &[" 8080-8080 80/udp"]),
            ("8080:80/SCTP", &[" 8080-8080 80/sctp"]),
            ("127.0.0.1:8080:80", &["127.0.0.1 8080-8080 80/tcp"]),
            ("127.0.0.1::80", &["127.0.0.1 0-0 80/tcp"]),
            ("[::1]:8080:80", &["::1 8080-8080 80/tcp"]),
            ("[::1]::80", &["::1 0-0 80/tcp"]),
            ("::1:8080:80", &["::1 8080-8080 80/tcp"]),
            ("8000-8002:80", &[" 8000-8002 80/tcp"]),
            ("80-81", &[" 0-0 80/tcp", " 0-0 81/tcp"]),
            ("90-91:80-81", &[" 90-90 80/tcp", " 91-91 81/tcp"]),
        ] {
            assert_eq!(parsed(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_publishes_nothing_is_refused() {
        for text in [
            "",
            ":",
            "a",
            "80/",
            "80/icmp",
            "0",
            "8080:0",
            "65536",
            "-1:80",
            "80:90-80",
            "1-3:80-81",
            "1.2.3:1:2",
            "host:1:2",
            "8080:",
            "1:2:3",
            "0-5:80",
            "+80",
            "127.0.0.1:80",
            "[::1]:80",
        ] {
            assert!(text.parse::<PortSpec>().is_err(), "{text}");
        }
        let error = parsed("127.0.0.1:80").unwrap_err();
        assert!(error.hint().unwrap().contains("127.0.0.1::80"));
        assert_eq!(
            parsed("1-3:80-81"),
            Err(InvalidPort::Lengths {
                host: 3,
                container: 2
            })
        );
    }

    #[test]
    fn ports_clash_where_they_share_an_address() {
        let one = |text: &str| {
            let mut port = text.parse::<PortSpec>().unwrap().0.remove(0);
            port.host_port = port.wanted.0;
            port
        };
        for (a, b, clash) in [
            ("80:80", "80:81", true),
            ("80:80", "81:80", false),
            ("80:80", "80:80/udp", false),
            ("127.0.0.1:80:80", "80:80", true),
            ("127.0.0.1:80:80", "127.0.0.2:80:80", false),
            ("127.0.0.1:80:80", "0.0.0.0:80:80", true),
            ("127.0.0.1:80:80", "[::]:80:80", false),
        ] {
            let (a, b) = (one(a), one(b));
            assert_eq!(a.clashes(a.host_port, &b), clash, "{a:?} {b:?}");
        }
    }
}
