//! The value of `--net`: which network, and what is asked of the attachment to it.
//!
//! Invariant: every option is known and well-formed; none is given twice where one counts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::values::Refused;
use crate::model::class::{Class, Explain};
use crate::model::id::{ContainerId, Hostname, InvalidName};
use crate::model::mac::{InvalidMac, MacAddress};
use crate::network::validate::{self, InvalidParameter};

/// What `--net` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChoice {
    /// A network namespace with nothing but `lo`.
    None,
    /// The host's network namespace.
    Host,
    /// The network namespace of another container.
    Container(ContainerId),
    /// A network namespace by its absolute path.
    Namespace(PathBuf),
    /// A network by its name.
    Named(NamedNetwork),
}

/// A network by its name, with what is asked of the attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedNetwork {
    /// The network's name.
    pub name: String,
    /// It is the network that goes with the container's scope (`scope:`).
    pub of_scope: bool,
    /// What is asked.
    pub options: EndpointOptions,
}

/// What is asked of one attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Its addresses, each possibly with the length of its prefix.
    pub ips: Vec<AskedAddress>,
    /// Its hardware address.
    pub mac: Option<MacAddress>,
    /// The interface's name in the container.
    pub ifname: Option<String>,
    /// Further names on the network.
    pub aliases: Vec<String>,
    /// Which attachment has the default routes: the highest.
    pub gateway_priority: i32,
}

/// An address that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedAddress {
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix, where it was given.
    pub prefix: Option<u8>,
}

/// A value of `--net`, `--ip`, ... that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNetwork {
    /// No name.
    #[error("the name of the network is empty")]
    NoName,
    /// The name of a network, or an interface's, breaks the rules.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// The name of the container, or an alias, breaks the rules.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The hardware address is none.
    #[error(transparent)]
    Mac(#[from] InvalidMac),
    /// The address is none of the family.
    #[error("{given:?} is not an {family} address")]
    Address {
        /// What was given.
        given: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// A relative path.
    #[error("the path {0:?} of the network namespace is not absolute")]
    Relative(String),
    /// An option that there is not.
    #[error("{0:?} is not an option of an attachment")]
    Option(String),
    /// An option without a value.
    #[error("the option {0:?} has no value")]
    NoValue(String),
    /// Another value where a number is needed.
    #[error("{0:?} is no number")]
    NoNumber(String),
    /// An option twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
}

impl Explain for InvalidNetwork {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Name(error) => return error.hint(),
            Self::Mac(error) => return error.hint(),
            Self::NoName => "write the name of a network, none or host",
            Self::Relative(_) => "write it as ip netns shows it, such as ns:/run/netns/NAME",
            Self::Option(_) | Self::NoValue(_) | Self::NoNumber(_) | Self::Parameter(_) => {
                "write NAME:ip=ADDRESS,ip6=ADDRESS,mac=ADDRESS,ifname=NAME,alias=NAME,gw-priority=N; \
                 for several networks repeat --net"
            }
            Self::Address { family: "IPv6", .. } => "write one such as fd00::7 or fd00::7/64",
            Self::Address { .. } => "write one such as 10.0.0.7 or 10.0.0.7/16",
            Self::Twice(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl FromStr for NetworkChoice {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        match text {
            "" => Err(InvalidNetwork::NoName),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => {
                if let Some(name) = text.strip_prefix("container:") {
                    return Ok(Self::Container(name.parse()?));
                }
                if text.starts_with("scope:") {
                    let mut network: NamedNetwork = text.parse()?;
                    network.of_scope = true;
                    return Ok(Self::Named(network));
                }
                match text.strip_prefix("ns:") {
                    Some(path) if path.starts_with('/') => Ok(Self::Namespace(path.into())),
                    Some(path) => Err(InvalidNetwork::Relative(path.to_owned())),
                    None => Ok(Self::Named(text.parse()?)),
                }
            }
        }
    }
}

impl FromStr for NamedNetwork {
    type Err = InvalidNetwork;

    /// `NAME`, `NAME:ip=10.0.0.7,alias=db`, or docker's `name=NAME,ip=10.0.0.7`.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let mut network = Self::default();
        let options = match (text.split_once(':'), text.split_once('=')) {
            (Some((name, options)), _) if !name.contains('=') => {
                name.clone_into(&mut network.name);
                options
            }
            (_, Some(_)) => text,
            _ => {
                text.clone_into(&mut network.name);
                ""
            }
        };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some((key, "")) => return Err(InvalidNetwork::NoValue(key.to_owned())),
                Some(("name", name)) if network.name.is_empty() => {
                    name.clone_into(&mut network.name);
                }
                Some((key, value)) => network.options.set(key, value)?,
                None => return Err(InvalidNetwork::NoValue(option.to_owned())),
            }
        }
        if network.name.is_empty() {
            return Err(InvalidNetwork::NoName);
        }
        validate::network_name(&network.name)?;
        Ok(network)
    }
}

impl EndpointOptions {
    fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidNetwork> {
        match key {
            "ip" => self.add_address(address(value, IpAddr::is_ipv4, "IPv4")?),
            "ip6" => self.add_address(address(value, IpAddr::is_ipv6, "IPv6")?),
            "mac" | "mac-address" => self.set_mac(value.parse()?),
            "ifname" | "interface_name" => {
                validate::ifname(value)?;
                only("the interface's name", &mut self.ifname, value.to_owned())
            }
            "alias" => {
                value.parse::<Hostname>()?;
                self.aliases.push(value.to_owned());
                Ok(())
            }
            "gw-priority" => {
                let number = value.parse();
                let malformed = |_| InvalidNetwork::NoNumber(value.to_owned());
                self.gateway_priority = number.map_err(malformed)?;
                Ok(())
            }
            other => Err(InvalidNetwork::Option(other.to_owned())),
        }
    }

    /// Asks for an address, one of each family at most.
    ///
    /// # Errors
    /// There is one of the family already.
    pub fn add_address(&mut self, asked: AskedAddress) -> Result<(), InvalidNetwork> {
        let same = |other: &AskedAddress| other.address.is_ipv4() == asked.address.is_ipv4();
        match self.ips.iter().any(same) {
            true => Err(InvalidNetwork::Twice("the address")),
            false => {
                self.ips.push(asked);
                Ok(())
            }
        }
    }

    /// Asks for a hardware address.
    ///
    /// # Errors
    /// There is one already.
    pub fn set_mac(&mut self, mac: MacAddress) -> Result<(), InvalidNetwork> {
        only("the hardware address", &mut self.mac, mac)
    }
}

fn only<T>(what: &'static str, place: &mut Option<T>, value: T) -> Result<(), InvalidNetwork> {
    match place.replace(value) {
        Some(_) => Err(InvalidNetwork::Twice(what)),
        None => Ok(()),
    }
}

fn address(
    text: &str,
    wanted: fn(&IpAddr) -> bool,
    family: &'static str,
) -> Result<AskedAddress, InvalidNetwork> {
    let malformed = || InvalidNetwork::Address {
        given: text.to_owned(),
        family,
    };
    let asked: AskedAddress = text.parse().map_err(|()| malformed())?;
    match wanted(&asked.address) {
        true => Ok(asked),
        false => Err(malformed()),
    }
}

impl FromStr for AskedAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let usable = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        match prefix {
            Some(length) if length > longest => Err(()),
            _ if !usable => Err(()),
            _ => Ok(Self { address, prefix }),
        }
    }
}

/// `--ip`.
///
/// # Errors
/// It is no IPv4 address.
pub fn ip(text: &str) -> Result<AskedAddress, Refused> {
    address(text, IpAddr::is_ipv4, "IPv4").map_err(Refused::of)
}

/// `--ip6`.
///
/// # Errors
/// It is no IPv6 address.
pub fn ip6(text: &str) -> Result<AskedAddress, Refused> {
    address(text, IpAddr::is_ipv6, "IPv6").map_err(Refused::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> NamedNetwork {
        match text.parse().unwrap() {
            NetworkChoice::Named(network) => network,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn networks_are_names_none_the_hosts_or_somebody_elses() {
        assert_eq!(
            "none".parse::<NetworkChoice>().unwrap(),
            NetworkChoice::None
        );
        assert_eq!(
            "host".parse::<NetworkChoice>().unwrap(),
            NetworkChoice::Host
        );
        assert_eq!(named("a").name, "a");
        let web = NetworkChoice::Container("web".parse().unwrap());
        assert_eq!("container:web".parse::<NetworkChoice>().unwrap(), web);
        let path = NetworkChoice::Namespace("/run/netns/x".into());
        assert_eq!("ns:/run/netns/x".parse::<NetworkChoice>().unwrap(), path);
    }

    #[test]
    fn the_network_of_the_scope_takes_options_as_others_do() {
        let plain = named("scope:");
        assert!(plain.of_scope && plain.options == EndpointOptions::default());
        let db = named("scope:alias=db");
        assert!(db.of_scope);
        assert_eq!(db.options.aliases, ["db"]);
        assert!(!named("scope").of_scope);
    }

    #[test]
    fn options_stand_behind_the_name_or_in_dockers_form() {
        let all = "ip=10.0.0.7,ip6=fd00::7/64,mac=02:42:0a:00:00:07,ifname=lan0,alias=db,alias=d2";
        for text in [format!("net:{all}"), format!("name=net,{all}")] {
            let network = named(&text);
            assert_eq!(network.name, "net");
            let options = network.options;
            let ips: Vec<_> = options
                .ips
                .iter()
                .map(|a| (a.address.to_string(), a.prefix))
                .collect();
            assert_eq!(
                ips,
                [
                    ("10.0.0.7".to_owned(), None),
                    ("fd00::7".to_owned(), Some(64))
                ]
            );
            assert_eq!(options.mac.unwrap().to_string(), "02:42:0a:00:00:07");
            assert_eq!(options.ifname.as_deref(), Some("lan0"));
            assert_eq!(options.aliases, ["db", "d2"]);
        }
        assert_eq!(named("net:gw-priority=-1").options.gateway_priority, -1);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "a,b",
            "ns:x",
            "container:",
            "container:a/b",
            "net:ip",
            "net:ip=",
            "net:ip=fd00::7",
            "net:ip6=10.0.0.7",
            "net:ip=10.0.0.7/33",
            "net:ip=0.0.0.0",
            "net:ip=224.0.0.1",
            "net:mac=ff:ff:ff:ff:ff:ff",
            "net:ifname=a/b",
            "net:ifname=0123456789abcdef",
            "net:alias=a b",
            "net:colour=red",
            "net:ip=10.0.0.7,ip=10.0.0.8",
            "alias=db",
            "net:mac=x",
            "../x",
            "net:gw-priority=x",
        ] {
            let refused = text.parse::<NetworkChoice>().unwrap_err();
            assert_eq!(refused.class(), Class::InvalidInput, "{text}");
        }
    }
}
