//! The text of a container's `hosts`, `hostname` and `resolv.conf`.
//!
//! Invariant: nothing is read or written here; every text that plays a part is a parameter.

use std::net::IpAddr;

use super::result::Dns;
use crate::model::class::{Class, Explain};

/// The name that `--add-host` uses for the host itself.
pub const HOST_GATEWAY: &str = "host-gateway";

/// Name servers for a host that has none a container could reach: Google's, as Docker has it.
const FALLBACK_V4: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// The same, for a container that has an IPv6 address.
const FALLBACK_V6: [&str; 2] = ["2001:4860:4860::8888", "2001:4860:4860::8844"];

/// Where systemd-resolved listens; its servers stand in `/run/systemd/resolve/resolv.conf`.
const SYSTEMD_STUB: &str = "127.0.0.53";

/// What every container's `hosts` begins with.
const LOCAL_NAMES: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// A name in `--add-host` that cannot be given an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NamesError {
    /// The container has no gateway.
    #[error("\"{0}\" cannot be {HOST_GATEWAY}: none of the container's networks has a gateway")]
    NoGateway(String),
    /// No address.
    #[error("\"{address}\" is not an address for \"{name}\"")]
    Address {
        /// The name.
        name: String,
        /// What was given.
        address: String,
    },
}

impl Explain for NamesError {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("give it as NAME:ADDRESS".to_owned())
    }
}

/// What `hosts` is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hosts<'a> {
    /// The host's own file, which a container in the host's network begins with.
    pub host_file: Option<&'a str>,
    /// `--add-host`: names with an address or [`HOST_GATEWAY`].
    pub add_hosts: &'a [(String, String)],
    /// The host as the container reaches it: its first network's gateway.
    pub gateway: Option<IpAddr>,
}

/// The text that `/etc/hosts` begins with; the container's own names, and its neighbours', follow.
///
/// ```
/// use netrun::network::names::{Hosts, hosts};
/// let add = [("db".to_owned(), "10.9.9.9".to_owned())];
/// let text = hosts(&Hosts { add_hosts: &add, ..Hosts::default() }).unwrap();
/// assert!(text.starts_with("127.0.0.1\tlocalhost\n") && text.ends_with("10.9.9.9\tdb\n"));
/// ```
pub fn hosts(parts: &Hosts<'_>) -> Result<String, NamesError> {
    let mut text = parts.host_file.unwrap_or(LOCAL_NAMES).to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in parts.add_hosts {
        let address = added_address(name, address, parts.gateway)?;
        text.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(text)
}

fn added_address(name: &str, address: &str, gateway: Option<IpAddr>) -> Result<IpAddr, NamesError> {
    if address == HOST_GATEWAY {
        return gateway.ok_or_else(|| NamesError::NoGateway(name.to_owned()));
    }
    // Docker takes an IPv6 address in brackets too.
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = bare.unwrap_or(address).parse();
    parsed.map_err(|_| NamesError::Address {
        name: name.to_owned(),
        address: address.to_owned(),
    })
}

/// The text of `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}

/// What `resolv.conf` is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResolvConf<'a> {
    /// `--dns`.
    pub servers: &'a [String],
    /// `--dns-search`; a single `.` means none.
    pub search: &'a [String],
    /// `--dns-option`.
    pub options: &'a [String],
    /// What the networks' results, or else their configurations, say.
    pub network: Option<&'a Dns>,
    /// The host's `/etc/resolv.conf`.
    pub host: &'a str,
    /// The host's `/run/systemd/resolve/resolv.conf`, if there is one.
    pub systemd: Option<&'a str>,
    /// The container is in the host's network and reaches every server that the host reaches.
    pub host_network: bool,
    /// The container has an IPv6 address.
    pub ipv6: bool,
}

/// The text of `/etc/resolv.conf`. Servers, search list and options each come from the first
/// source that has any: what the user asked for, the network, the host.
pub fn resolv_conf(parts: &ResolvConf<'_>) -> String {
    let asked = [parts.servers, parts.search, parts.options];
    if parts.host_network && asked.iter().all(|list| list.is_empty()) {
        return parts.host.to_owned();
    }
    let host = host_dns(parts);
    let network = parts.network.cloned().unwrap_or_default();
    let network_search = match network.search.is_empty() {
        true => network.domain.into_iter().collect(),
        false => network.search,
    };
    let servers = first_filled([
        parts.servers.to_vec(),
        network.nameservers,
        host.nameservers,
    ]);
    let search = first_filled([parts.search.to_vec(), network_search, host.search]);
    let options = first_filled([parts.options.to_vec(), network.options, host.options]);
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !search.is_empty() && search != ["."] {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn first_filled(sources: [Vec<String>; 3]) -> Vec<String> {
    let mut filled = sources.into_iter().filter(|list| !list.is_empty());
    filled.next().unwrap_or_default()
}

/// What the host says, with the servers that the container can reach.
fn host_dns(parts: &ResolvConf<'_>) -> Dns {
    let mut host = parse(parts.host);
    if parts.host_network {
        return host;
    }
    if let Some(systemd) = parts.systemd
        && host.nameservers == [SYSTEMD_STUB]
    {
        host = parse(systemd);
    }
    host.nameservers
        .retain(|server| is_reachable(server, parts.ipv6));
    if host.nameservers.is_empty() {
        let six = FALLBACK_V6.iter().filter(|_| parts.ipv6);
        let all = FALLBACK_V4.iter().chain(six);
        host.nameservers = all.map(|&server| server.to_owned()).collect();
    }
    host
}

/// Whether a server of the host can be one for a container: not on the host's loopback, and not
/// bound to one of the host's links (`fe80::1%eth0`, which is no address to this parser).
fn is_reachable(server: &str, ipv6: bool) -> bool {
    match server.parse() {
        Ok(IpAddr::V4(address)) => !address.is_loopback() && !address.is_unspecified(),
        Ok(IpAddr::V6(address)) => {
            ipv6 && !address.is_loopback()
                && !address.is_unspecified()
                && !address.is_unicast_link_local()
        }
        Err(_) => false,
    }
}

/// Reads a `resolv.conf` as the resolver does: all servers, the last search list, all options.
fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("search") => dns.search = words.collect(),
            Some("domain") => dns.search = words.take(1).collect(),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn added(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |&(name, address): &(&str, &str)| (name.to_owned(), address.to_owned());
        list.iter().map(own).collect()
    }

    #[test]
    fn hosts_begins_with_local_names_and_added_ones() {
        let add = added(&[
            ("db", "10.9.9.9"),
            ("host", HOST_GATEWAY),
            ("six", "[fd00::9]"),
        ]);
        let text = hosts(&Hosts {
            add_hosts: &add,
            gateway: Some("10.1.0.1".parse().unwrap()),
            ..Hosts::default()
        });
        let expected = "10.9.9.9\tdb\n10.1.0.1\thost\nfd00::9\tsix\n";
        assert_eq!(text.unwrap(), format!("{LOCAL_NAMES}{expected}"));
    }

    #[test]
    fn in_the_hosts_network_the_hosts_file_stays() {
        let add = added(&[("db", "10.9.9.9")]);
        let text = hosts(&Hosts {
            host_file: Some("127.0.0.1 localhost me"),
            add_hosts: &add,
            ..Hosts::default()
        });
        assert_eq!(text.unwrap(), "127.0.0.1 localhost me\n10.9.9.9\tdb\n");
    }

    #[test]
    fn an_added_name_needs_an_address() {
        for (address, error) in [
            (HOST_GATEWAY, NamesError::NoGateway("x".into())),
            (
                "y",
                NamesError::Address {
                    name: "x".into(),
                    address: "y".into(),
                },
            ),
        ] {
            let add = added(&[("x", address)]);
            let parts = Hosts {
                add_hosts: &add,
                ..Hosts::default()
            };
            assert_eq!(hosts(&parts), Err(error));
        }
    }

    #[test]
    fn servers_that_a_container_cannot_reach_are_left_out() {
        let host = "# comment\nnameserver 127.0.0.1\nnameserver 10.0.0.53\nnameserver ::1\n\
            nameserver fe80::1%eth0\nnameserver fd00::53\nsearch old\nsearch a b\noptions ndots:2\n";
        let parts = ResolvConf {
            host,
            ..ResolvConf::default()
        };
        let rest = "search a b\noptions ndots:2\n";
        assert_eq!(resolv_conf(&parts), format!("nameserver 10.0.0.53\n{rest}"));
        let six = ResolvConf {
            ipv6: true,
            ..parts
        };
        let both = "nameserver 10.0.0.53\nnameserver fd00::53\n";
        assert_eq!(resolv_conf(&six), format!("{both}{rest}"));
        let on_host = ResolvConf {
            host_network: true,
            ..parts
        };
        assert_eq!(resolv_conf(&on_host), host);
    }

    #[test]
    fn systemds_servers_stand_in_for_its_stub() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n";
        let parts = ResolvConf {
            host: stub,
            ..ResolvConf::default()
        };
        let fallback =
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch lan\noptions edns0 trust-ad\n";
        assert_eq!(resolv_conf(&parts), fallback);
        let parts = ResolvConf {
            systemd: Some("nameserver 10.0.0.1\nsearch lan\n"),
            ..parts
        };
        assert_eq!(resolv_conf(&parts), "nameserver 10.0.0.1\nsearch lan\n");
        let other = ResolvConf {
            host: "nameserver 10.7.7.7\n",
            ..parts
        };
        assert_eq!(resolv_conf(&other), "nameserver 10.7.7.7\n");
        let empty = ResolvConf {
            ipv6: true,
            ..ResolvConf::default()
        };
        assert!(resolv_conf(&empty).ends_with("nameserver 2001:4860:4860::8844\n"));
    }

    #[test]
    fn the_user_comes_before_the_network_and_the_network_before_the_host() {
        let network = Dns {
            nameservers: texts(&["10.1.0.1"]),
            domain: Some("net.example".to_owned()),
            ..Dns::default()
        };
        let host = "nameserver 10.0.0.53\nsearch host.example\noptions ndots:2\n";
        let parts = ResolvConf {
            host,
            network: Some(&network),
            ..ResolvConf::default()
        };
        let expected = "nameserver 10.1.0.1\nsearch net.example\noptions ndots:2\n";
        assert_eq!(resolv_conf(&parts), expected);
        let (servers, none, options) = (texts(&["127.0.0.1"]), texts(&["."]), texts(&["rotate"]));
        let asked = ResolvConf {
            servers: &servers,
            search: &none,
            options: &options,
            ..parts
        };
        assert_eq!(
            resolv_conf(&asked),
            "nameserver 127.0.0.1\noptions rotate\n"
        );
        let on_host = ResolvConf {
            host_network: true,
            network: None,
            servers: &servers,
            ..parts
        };
        let expected = "nameserver 127.0.0.1\nsearch host.example\noptions ndots:2\n";
        assert_eq!(resolv_conf(&on_host), expected);
    }

    proptest! {
        #[test]
        fn any_hosts_file_gives_a_container_a_server_it_can_ask(host in ".{0,200}", ipv6 in any::<bool>()) {
            let parts = ResolvConf { host: &host, ipv6, ..ResolvConf::default() };
            let dns = parse(&resolv_conf(&parts));
            prop_assert!(!dns.nameservers.is_empty());
            prop_assert!(dns.nameservers.iter().all(|server| is_reachable(server, ipv6)));
        }
    }
}
