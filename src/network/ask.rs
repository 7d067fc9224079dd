//! What a user asks of one attachment, as the network's plugins want to be told.
//!
//! Invariant: what is asked for is told to a plugin that declares, or is known, to listen; what
//! nobody would hear is refused before anything is made.

use std::net::IpAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::cache::{Cache, CachedAttachment};
use super::config::NetworkConfigList;
use super::pool::{Pool, Range};
use super::result::CniResult;
use crate::model::class::{Class, Explain};
use crate::model::mac::MacAddress;
use crate::sys::netns;

/// What is asked of an attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Addresses, each with the length of its prefix where that was given.
    pub ips: Vec<(IpAddr, Option<u8>)>,
    /// The hardware address.
    pub mac: Option<MacAddress>,
    /// Further names.
    pub aliases: Vec<String>,
    /// Ports are to be published.
    pub ports: bool,
}

/// What plugins are told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// Arguments by capability.
    pub capability_args: Map<String, Value>,
}

/// What a network cannot give.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AskError {
    /// No plugin listens.
    #[error(
        "network \"{network}\" takes no {what}: no plugin of it declares the capability \"{capability}\""
    )]
    Undeclared {
        /// The network.
        network: String,
        /// `address`, ...
        what: &'static str,
        /// The capability that would do.
        capability: &'static str,
    },
    /// The plugins take one address only.
    #[error("network \"{network}\" takes one address, not {count}")]
    OneAddress {
        /// The network.
        network: String,
        /// How many were asked for.
        count: usize,
    },
    /// Every address is somebody's.
    #[error("network \"{network}\" has no free address left")]
    Exhausted {
        /// The network.
        network: String,
    },
    /// It is not one of the network's.
    #[error("{address} is in no range of network \"{network}\" ({ranges})")]
    OutOfRange {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Its ranges.
        ranges: String,
    },
    /// It is the network's own.
    #[error("{address} is the gateway of network \"{network}\"")]
    Gateway {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
    },
    /// Somebody else has it.
    #[error("{what} on network \"{network}\" is taken by {holder}")]
    Taken {
        /// The address or hardware address.
        what: String,
        /// The network.
        network: String,
        /// Who has it.
        holder: String,
    },
}

impl Explain for AskError {
    fn class(&self) -> Class {
        match self {
            Self::Taken { .. } => Class::AlreadyExists,
            Self::Exhausted { .. } => Class::WrongState,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Undeclared { capability: "portMappings", .. } => Some(
                "add {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}} to its plugins, or use \
                 a network of netrun network create"
                    .to_owned(),
            ),
            Self::Undeclared { capability, .. } => Some(format!(
                "add \"capabilities\": {{\"{capability}\": true}} to the plugin that can, or use a network \
                 of netrun network create"
            )),
            Self::Exhausted { network } => Some(format!(
                "netrun network inspect {network} shows who has them; what nobody has any more netrun gc gives back"
            )),
            Self::Taken { .. } => Some("choose another, or none to be given a free one".to_owned()),
            _ => None,
        }
    }
}

/// The programs that are known to read `MAC` from `CNI_ARGS`.
const READ_MAC: [&str; 3] = ["bridge", "macvlan", "tuning"];

/// Who has an attachment, in words: a container of ours by its name, others by their id.
pub fn holder(cached: &CachedAttachment) -> String {
    let netns = cached.netns.rsplit('/').next().unwrap_or_default();
    match netns.starts_with(NETNS) {
        true => holder_of(netns),
        false => format!("\"{}\"", cached.container_id),
    }
}

/// What the name of a network namespace of ours begins with.
const NETNS: &str = "netrun-";

/// A container of ours in words, by the name of its network namespace.
pub fn holder_of(netns: &str) -> String {
    let name = netns.strip_prefix(NETNS).unwrap_or(netns);
    match name.split_once("--") {
        Some((namespace, id)) => format!("container \"{id}\" of namespace \"{namespace}\""),
        None => format!("container \"{name}\""),
    }
}

impl Asked {
    /// What stands in a record of what was asked: the reverse of [`Asked::tell`], for addresses.
    pub fn of(args: &[(String, String)], capability_args: &Map<String, Value>) -> Asked {
        let by_name = |key: &str| args.iter().find(|(name, _)| name == key);
        let by_name = |key: &str| by_name(key).map(|(_, value)| value.as_str());
        let ips = capability_args.get("ips").and_then(Value::as_array);
        let ips = ips.into_iter().flatten().filter_map(Value::as_str);
        let ips = ips.chain(by_name("IP").into_iter().flat_map(|all| all.split(',')));
        let address = |text: &str| {
            let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
            Some((address.parse().ok()?, prefix.parse().ok()))
        };
        let mac = capability_args.get("mac").and_then(Value::as_str);
        Asked {
            ips: ips.filter_map(address).collect(),
            mac: mac.or(by_name("MAC")).and_then(|text| text.parse().ok()),
            ..Asked::default()
        }
    }

    /// Turns the wishes into what the network's plugins are told.
    ///
    /// # Errors
    /// No plugin would listen.
    pub fn tell(&self, list: &NetworkConfigList) -> Result<Told, AskError> {
        let mut told = Told::default();
        let undeclared = |what, capability| AskError::Undeclared {
            network: list.name().to_owned(),
            what,
            capability,
        };
        if !self.ips.is_empty() {
            self.tell_addresses(list, &mut told)?;
        }
        if let Some(mac) = self.mac {
            if list.declares("mac") {
                told.capability_args.insert("mac".to_owned(), json!(mac));
            } else if list.plugin_types().iter().any(|one| READ_MAC.contains(one)) {
                told.args.push(("MAC".to_owned(), mac.to_string()));
            } else {
                return Err(undeclared("hardware address", "mac"));
            }
        }
        if self.ports {
            match list.declares("portMappings") {
                true => told
                    .capability_args
                    .insert("portMappings".to_owned(), json!([])),
                false => return Err(undeclared("published ports", "portMappings")),
            };
        }
        // Ours to give; a plugin that wants to know them is told.
        if !self.aliases.is_empty() && list.declares("aliases") {
            let aliases = json!(self.aliases);
            told.capability_args.insert("aliases".to_owned(), aliases);
        }
        if !told.args.is_empty() {
            let ignore = ("IgnoreUnknown".to_owned(), "1".to_owned());
            told.args.insert(0, ignore);
        }
        Ok(told)
    }

    fn tell_addresses(&self, list: &NetworkConfigList, told: &mut Told) -> Result<(), AskError> {
        let texts = || {
            let text = |(address, prefix): &(IpAddr, Option<u8>)| match prefix {
                Some(length) => format!("{address}/{length}"),
                None => address.to_string(),
            };
            self.ips.iter().map(text).collect::<Vec<String>>()
        };
        let ipam: Vec<&str> = list
            .plugins()
            .iter()
            .filter_map(|one| one.ipam_type())
            .collect();
        if list.declares("ips") {
            told.capability_args
                .insert("ips".to_owned(), json!(texts()));
        } else if ipam.contains(&"static") || (ipam.contains(&"host-local") && self.ips.len() == 1)
        {
            told.args.push(("IP".to_owned(), texts().join(",")));
        } else if ipam.contains(&"host-local") {
            return Err(AskError::OneAddress {
                network: list.name().to_owned(),
                count: self.ips.len(),
            });
        } else {
            return Err(AskError::Undeclared {
                network: list.name().to_owned(),
                what: "address",
                capability: "ips",
            });
        }
        Ok(())
    }

    /// Looks whether the network has what is asked for, and whether somebody else has it already.
    ///
    /// # Errors
    /// Out of its ranges, its gateway's, or taken.
    pub fn check(&self, list: &NetworkConfigList, cache: &Cache) -> Result<(), AskError> {
        let network = || list.name().to_owned();
        let pool = Pool::of(list);
        let asked = |v4: bool| self.ips.iter().any(|(ip, _)| ip.is_ipv4() == v4);
        let exhausted = |pool: &Pool| {
            [true, false]
                .into_iter()
                .any(|v4| !asked(v4) && pool.is_exhausted(v4))
        };
        if pool.as_ref().is_some_and(exhausted) {
            return Err(AskError::Exhausted { network: network() });
        }
        if self.ips.is_empty() && self.mac.is_none() {
            return Ok(());
        }
        let attached = cache.list();
        let attached: Vec<&CachedAttachment> = attached
            .iter()
            .filter(|one| one.network_name == list.name())
            .collect();
        for (address, _) in &self.ips {
            if let Some(pool) = &pool {
                free(pool, *address, list.name(), &attached)?;
            }
        }
        let Some(mac) = self.mac else {
            return Ok(());
        };
        // Notes from before the last boot outlive what they are about.
        let lives = |one: &CachedAttachment| netns::exists(Path::new(&one.netns));
        match attached.iter().find(|one| has_mac(one, mac) && lives(one)) {
            Some(one) => Err(AskError::Taken {
                what: mac.to_string(),
                network: network(),
                holder: holder(one),
            }),
            None => Ok(()),
        }
    }
}

fn free(
    pool: &Pool,
    address: IpAddr,
    network: &str,
    attached: &[&CachedAttachment],
) -> Result<(), AskError> {
    let network = network.to_owned();
    let Some(range) = pool.range_of(address) else {
        let shown = |range: &Range| format!("{} to {}", range.first, range.last);
        let ranges: Vec<String> = pool.ranges.iter().map(shown).collect();
        let ranges = ranges.join(", ");
        return Err(AskError::OutOfRange {
            address,
            network,
            ranges,
        });
    };
    if range.gateway == address {
        return Err(AskError::Gateway { address, network });
    }
    match pool.holder(address) {
        None => Ok(()),
        Some(used) => {
            let mut attached = attached.iter();
            let known = attached.find(|one| one.container_id == used.container_id);
            Err(AskError::Taken {
                what: address.to_string(),
                network,
                holder: known.map_or(format!("\"{}\"", used.container_id), |one| holder(one)),
            })
        }
    }
}

fn has_mac(cached: &CachedAttachment, mac: MacAddress) -> bool {
    let result = cached
        .result
        .clone()
        .and_then(|value| CniResult::from_value(value, "").ok());
    let interfaces = result.map(|result| result.interfaces()).unwrap_or_default();
    let same = |text: &String| text.parse() == Ok(mac);
    interfaces
        .iter()
        .any(|one| one.sandbox.is_some() && one.mac.as_ref().is_some_and(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(plugin: &Value) -> NetworkConfigList {
        let text = json!({"name": "n", "plugins": [plugin]});
        NetworkConfigList::parse(&text.to_string(), Path::new("x")).unwrap()
    }

    fn asked(ips: &[&str]) -> Asked {
        Asked {
            ips: ips.iter().map(|ip| (ip.parse().unwrap(), None)).collect(),
            ..Asked::default()
        }
    }

    #[test]
    fn plugins_are_told_by_capability_or_else_by_arguments() {
        let declares = list(
            &json!({"type": "bridge", "capabilities": {"ips": true, "mac": true, "portMappings": true}}),
        );
        let mac: MacAddress = "02:42:0a:00:00:07".parse().unwrap();
        let all = Asked {
            mac: Some(mac),
            ports: true,
            ..asked(&["10.0.0.7", "fd00::7"])
        };
        let told = all.tell(&declares).unwrap();
        let again = Asked::of(&told.args, &told.capability_args);
        assert_eq!((&again.ips, again.mac), (&all.ips, all.mac));
        assert!(told.args.is_empty());
        assert_eq!(told.capability_args["ips"], json!(["10.0.0.7", "fd00::7"]));
        assert_eq!(told.capability_args["mac"], "02:42:0a:00:00:07");
        assert_eq!(told.capability_args["portMappings"], json!([]));
        let silent = list(&json!({"type": "bridge", "ipam": {"type": "host-local"}}));
        let one = Asked {
            mac: Some(mac),
            ..asked(&["10.0.0.7"])
        };
        let told = one.tell(&silent).unwrap();
        assert_eq!(Asked::of(&told.args, &told.capability_args).ips, one.ips);
        let args: Vec<String> = told.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            args,
            ["IgnoreUnknown=1", "IP=10.0.0.7", "MAC=02:42:0a:00:00:07"]
        );
        assert!(all.tell(&silent).is_err());
    }

    #[test]
    fn what_nobody_would_hear_is_refused() {
        let deaf = list(&json!({"type": "ipvlan", "ipam": {"type": "dhcp"}}));
        let mac = Asked {
            mac: "02:42:0a:00:00:07".parse().ok(),
            ..Asked::default()
        };
        let ports = Asked {
            ports: true,
            ..Asked::default()
        };
        for (asked, capability) in [
            (asked(&["10.0.0.7"]), "ips"),
            (mac, "mac"),
            (ports, "portMappings"),
        ] {
            let error = asked.tell(&deaf).unwrap_err();
            assert!(
                matches!(error, AskError::Undeclared { capability: c, .. } if c == capability),
                "{error}"
            );
            assert!(error.hint().is_some());
        }
        assert_eq!(Asked::default().tell(&deaf), Ok(Told::default()));
    }

    #[test]
    fn an_address_must_be_the_networks_to_give() {
        let dir = std::env::temp_dir().join(format!("netrun-ask-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("ipam/n")).unwrap();
        std::fs::write(dir.join("ipam/n/10.1.2.9"), "default-web\r\neth0").unwrap();
        let ipam =
            json!({"type": "host-local", "subnet": "10.1.2.0/24", "dataDir": dir.join("ipam")});
        let list = list(&json!({"type": "bridge", "ipam": ipam}));
        let cache = Cache::new(dir.join("results"));
        assert!(asked(&["10.1.2.8"]).check(&list, &cache).is_ok());
        for (address, word) in [
            ("10.1.3.8", "no range"),
            ("10.1.2.1", "gateway"),
            ("10.1.2.9", "default-web"),
        ] {
            let error = asked(&[address]).check(&list, &cache).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
