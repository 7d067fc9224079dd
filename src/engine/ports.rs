//! Published ports: chosen and held before the record is written, for as long as the container lives.
//!
//! Invariant: a port of the host that stands in the record of a running container is held by its
//! supervisor's socket, except where this kernel knows no such sockets.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::error::Error;
use super::host::{Host, record_of};
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;
use crate::model::port::{PORTS, PublishedPort};
use crate::model::record::{Network, Record};
use crate::network::ask;
use crate::network::cache::{self, Cache};
use crate::sys::netns;
use crate::sys::ports::{HeldPort, hold, owner};

/// How often the kernel is asked for a port that is free on all addresses at once.
const TRIES: u32 = 64;

/// How often, and how long apart, the records are looked through for who holds a port.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The ports that a supervisor holds; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Reservation {
    _held: Vec<HeldPort>,
}

/// A port of the host cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody has it.
    #[error("port {port} of the host is taken by {holder}")]
    Taken {
        /// The address, port and protocol.
        port: String,
        /// Who has it.
        holder: String,
    },
    /// No port of a range is free.
    #[error("no port of the host is free for port {0} of the container")]
    NoneFree(String),
    /// The kernel refuses.
    #[error("port {port} of the host cannot be had")]
    Refused {
        /// The address, port and protocol.
        port: String,
        /// Why.
        source: io::Error,
    },
}

impl Explain for PortError {
    fn class(&self) -> Class {
        match self {
            Self::Taken { .. } | Self::NoneFree(_) => Class::AlreadyExists,
            Self::Refused { source, .. } => match source.kind() {
                io::ErrorKind::AddrNotAvailable => Class::InvalidInput,
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Failed,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { .. } => Some(
                "publish another port, or none of the host's (-p PORT) to be given a free one"
                    .to_owned(),
            ),
            Self::NoneFree(_) => Some("publish a wider range".to_owned()),
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                Some("ip address shows the addresses of this host".to_owned())
            }
            Self::Refused { .. } => None,
        }
    }
}

/// Chooses the host's ports, holds them, and tells them to the attachment that publishes them.
///
/// # Errors
/// See [`PortError`]; a container of ours that has the port is named.
pub async fn reserve(host: &Host, record: &mut Record) -> Result<Reservation, Error> {
    let mut ports = record.network.published().to_vec();
    if ports.is_empty() {
        return Ok(Reservation::default());
    }
    let reservation = match choose(&mut ports) {
        Ok(reservation) => reservation,
        Err(error) => {
            let wanted = &record.network.ports;
            return Err(named(host, &record.id, wanted, error).await.into());
        }
    };
    record.network.ports = ports;
    tell(&mut record.network);
    Ok(reservation)
}

/// Takes the ports of a container whose supervisor died. What somebody else was quicker to take is
/// his: the container goes on without the hold.
pub fn hold_again(ports: &[PublishedPort]) -> Reservation {
    let mut held = Vec::new();
    for port in ports.iter().filter(|port| port.host_port != 0) {
        for address in port.addresses(port.host_port) {
            held.extend(hold(address, port.protocol).ok().flatten());
        }
    }
    Reservation { _held: held }
}

/// The value of the capability argument `portMappings`.
fn tell(network: &mut Network) {
    let mappings = network.ports.iter().map(|port| {
        let mut mapping = json!({
            "hostPort": port.host_port,
            "containerPort": port.container_port,
            "protocol": port.protocol,
        });
        if let Some(ip) = port.host_ip {
            mapping["hostIP"] = json!(ip);
        }
        mapping
    });
    let mappings: Vec<_> = mappings.collect();
    for attachment in &mut network.attachments {
        if let Some(told) = attachment.capability_args.get_mut(PORTS) {
            *told = json!(mappings);
        }
    }
}

fn choose(ports: &mut [PublishedPort]) -> Result<Reservation, PortError> {
    let published = published();
    let mut held = Vec::new();
    // Who has less of a choice comes first.
    let mut order: Vec<&mut PublishedPort> = ports.iter_mut().collect();
    order.sort_by_key(|port| match port.wanted {
        (0, _) => u16::MAX,
        (first, last) => last - first,
    });
    for port in order {
        let own = choose_one(port, &published)?;
        held.extend(own);
    }
    Ok(Reservation { _held: held })
}

/// A port that an attachment has, and whose that is.
type Published = (PublishedPort, String);

/// What all attachments of this host publish, whoever made them: rules of portmap hold no socket.
fn published() -> Vec<Published> {
    let mut all = Vec::new();
    let cached = Cache::new(cache::DEFAULT_DIR).list().into_iter();
    // Notes from before the last boot outlive what they are about.
    for cached in cached.filter(|one| netns::exists(Path::new(&one.netns))) {
        let mappings = cached
            .capability_args
            .as_ref()
            .and_then(|args| args.get(PORTS));
        for mapping in mappings
            .and_then(|list| list.as_array())
            .into_iter()
            .flatten()
        {
            let number = |key: &str| {
                mapping[key]
                    .as_u64()
                    .and_then(|port| u16::try_from(port).ok())
            };
            let text = |key: &str| mapping[key].as_str().unwrap_or_default();
            let (Some(host_port), Some(container_port)) =
                (number("hostPort"), number("containerPort"))
            else {
                continue;
            };
            let Ok(protocol) = text("protocol").parse() else {
                continue;
            };
            let port = PublishedPort {
                container_port,
                protocol,
                host_ip: text("hostIP").parse().ok(),
                wanted: (host_port, host_port),
                host_port,
            };
            all.push((port, ask::holder(&cached)));
        }
    }
    all
}

fn choose_one(
    port: &mut PublishedPort,
    published: &[Published],
) -> Result<Vec<HeldPort>, PortError> {
    let (first, last) = port.wanted;
    if first == 0 {
        return any(port, published);
    }
    let mut refused = None;
    for number in first..=last {
        match take(port, number, published) {
            Ok(held) => {
                port.host_port = number;
                return Ok(held);
            }
            Err(error @ PortError::Refused { .. }) => return Err(error),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if first == last => Err(error),
        _ => Err(none_free(port)),
    }
}

fn none_free(port: &PublishedPort) -> PortError {
    PortError::NoneFree(format!("{}/{}", port.container_port, port.protocol))
}

/// A port that the kernel chooses: for one address; the others must have it free as well.
fn any(port: &mut PublishedPort, published: &[Published]) -> Result<Vec<HeldPort>, PortError> {
    // A container that starts again keeps its port if it can.
    if port.host_port != 0
        && let Ok(held) = take(port, port.host_port, published)
    {
        return Ok(held);
    }
    for _ in 0..TRIES {
        let Some(address) = port.addresses(0).into_iter().next() else {
            break;
        };
        let refused = |source| refused(address, port, source);
        let Some(probe) = hold(address, port.protocol).map_err(refused)? else {
            return Err(none_free(port));
        };
        let number = probe.port().map_err(refused)?;
        drop(probe);
        if let Ok(held) = take(port, number, published) {
            port.host_port = number;
            return Ok(held);
        }
    }
    Err(none_free(port))
}

/// Takes one number on all the addresses that the port is published on.
fn take(
    port: &PublishedPort,
    number: u16,
    published: &[Published],
) -> Result<Vec<HeldPort>, PortError> {
    let shown = |address: SocketAddr| format!("{address}/{}", port.protocol);
    let mut held = Vec::new();
    for address in port.addresses(number) {
        let clash = published
            .iter()
            .find(|(other, _)| port.clashes(number, other));
        if let Some((_, holder)) = clash {
            let (port, holder) = (shown(address), holder.clone());
            return Err(PortError::Taken { port, holder });
        }
        match hold(address, port.protocol) {
            Ok(one) => held.extend(one),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let process = owner(number, port.protocol);
                let process = process.map(|(pid, name)| format!("process {pid} ({name})"));
                return Err(PortError::Taken {
                    port: shown(address),
                    holder: process.unwrap_or_else(|| UNKNOWN.to_owned()),
                });
            }
            Err(source) => return Err(refused(address, port, source)),
        }
    }
    Ok(held)
}

/// A holder that shows itself in no table: a socket that is bound and does not listen.
const UNKNOWN: &str = "a process that only holds it";

fn refused(address: SocketAddr, port: &PublishedPort, source: io::Error) -> PortError {
    let port = format!("{address}/{}", port.protocol);
    PortError::Refused { port, source }
}

/// Names the container of ours that has a port, where no table does: one that is only just starting
/// holds its ports already, and is about to write its record.
async fn named(
    host: &Host,
    id: &ContainerId,
    ports: &[PublishedPort],
    error: PortError,
) -> PortError {
    let PortError::Taken { port, holder } = error else {
        return error;
    };
    if holder != UNKNOWN {
        return PortError::Taken { port, holder };
    }
    for _ in 0..LOOKS {
        if let Some(other) = starting(host, id, ports).await {
            let holder = format!("container \"{other}\"");
            return PortError::Taken { port, holder };
        }
        sleep(LOOK_AGAIN).await;
    }
    PortError::Taken { port, holder }
}

/// Another container of the namespace whose record says that it has one of these ports.
async fn starting(host: &Host, id: &ContainerId, ports: &[PublishedPort]) -> Option<ContainerId> {
    let containers = host.client().await.ok()?.list_containers().await.ok()?;
    let records = containers.iter().filter_map(|one| record_of(one).ok());
    let mut others = records.filter(|other| other.id != *id && other.exit.is_none());
    let has = |other: &Record| {
        ports.iter().any(|port| {
            let mut theirs = other.network.published().iter();
            theirs.any(|one| port.clashes(port.wanted.0, one))
        })
    };
    others.find(has).map(|other| other.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::port::PortSpec;

    fn ports(text: &str) -> Vec<PublishedPort> {
        text.parse::<PortSpec>().unwrap().0
    }

    #[test]
    fn a_range_gives_its_first_free_port() {
        let mut one = ports("127.0.0.1::80");
        let first = choose(&mut one).unwrap();
        let taken = one[0].host_port;
        assert_ne!(taken, 0);
        let mut range = ports(&format!(
            "127.0.0.1:{taken}-{}:80",
            taken.saturating_add(20)
        ));
        let second = choose(&mut range).unwrap();
        assert!(range[0].host_port > taken);
        let mut same = ports(&format!("127.0.0.1:{taken}:80"));
        let error = choose(&mut same).unwrap_err();
        assert_eq!(error.class(), Class::AlreadyExists, "{error}");
        drop((first, second));
        choose(&mut same).unwrap();
    }

    #[test]
    fn a_fixed_port_is_not_taken_by_a_range_before_it() {
        let probe = ports("127.0.0.1::80");
        let mut all = probe.clone();
        drop(choose(&mut all).unwrap());
        let first = all[0].host_port;
        let mut all = ports(&format!(
            "127.0.0.1:{first}-{}:80",
            first.saturating_add(20)
        ));
        all.extend(ports(&format!("127.0.0.1:{first}:81")));
        let _held = choose(&mut all).unwrap();
        assert_eq!(all[1].host_port, first);
        assert!(all[0].host_port > first && all[0].container_port == 80);
    }

    #[test]
    fn what_others_publish_without_a_socket_is_taken() {
        let mut other = ports("127.0.0.1:0:80").remove(0);
        other.host_port = 41_999;
        let published = [(other, "container \"web\"".to_owned())];
        let mut port = ports("41999:80").remove(0);
        let error = choose_one(&mut port, &published).unwrap_err();
        assert!(
            error.to_string().ends_with("taken by container \"web\""),
            "{error}"
        );
        let mut range = ports("127.0.0.1:41999-42010:80").remove(0);
        choose_one(&mut range, &published).unwrap();
        assert!(range.host_port > 41_999);
    }

    #[test]
    fn an_address_that_is_not_this_hosts_is_refused() {
        let mut port = ports("192.0.2.1:41998:80").remove(0);
        let error = choose_one(&mut port, &[]).unwrap_err();
        assert_eq!(error.class(), Class::InvalidInput, "{error}");
    }
}
