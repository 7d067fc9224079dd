//! The configuration of a new network: from what is wanted to the text of its list.
//!
//! Invariant: pure; what cannot work is refused here, before anything is written. A list made here
//! has a key [`KEY`], by which we know it as ours.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::config::NetworkConfigList;
use super::create_error::{CreateError, MAX_NAME};
pub use super::ours::{KEY, bridge_of, file_of, gateways_of, is_ours, kept};
use super::subnets::Surroundings;
use super::validate;

/// Where `host-local` keeps the addresses of our networks: they are given anew after a boot.
pub const DATA_DIR: &str = "/run/cni/netrun-ipam";

/// Names that mean something else to `--net`.
const RESERVED: [&str; 7] = [
    "none",
    "host",
    "bridge",
    "default",
    "container",
    "ns",
    "scope",
];

/// How a network is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// A bridge of this host, with addresses translated on the way out.
    Bridge,
    /// Interfaces beside one of the host's, with hardware addresses of their own.
    Macvlan,
    /// Interfaces beside one of the host's, with its hardware address.
    Ipvlan,
}

impl Driver {
    /// The plugin's type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

/// What is wanted of a new network.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub driver: Driver,
    /// Its subnets, one of each family at most; with none, one is picked.
    pub subnets: Vec<IpNet>,
    /// Its gateways, one of each family at most.
    pub gateways: Vec<IpAddr>,
    /// Parts of the subnets that addresses are given from.
    pub ip_ranges: Vec<IpNet>,
    /// It has IPv6 even if no such subnet was given.
    pub ipv6: bool,
    /// It reaches nothing outside.
    pub internal: bool,
    /// It does not reach other isolated networks, nor they it.
    pub isolate: bool,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// The host's interface beside which it is (macvlan, ipvlan).
    pub parent: Option<String>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The VLAN of its ports (bridge).
    pub vlan: Option<u16>,
    /// The name of the bridge.
    pub bridge: Option<String>,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl NewNetwork {
    /// The text of its list.
    ///
    /// # Errors
    /// Everything that is wrong with it, see [`CreateError`].
    pub fn conflist(&self, around: &Surroundings<'_>) -> Result<String, CreateError> {
        self.check_name(around)?;
        self.check_options(around)?;
        let subnets = self.choose_subnets(around)?;
        let ranges = self.ranges(&subnets)?;
        let main = match self.driver {
            Driver::Bridge => self.bridge(around, &ranges)?,
            Driver::Macvlan | Driver::Ipvlan => self.beside(around, &ranges)?,
        };
        let mut plugins = vec![main];
        if self.driver == Driver::Bridge && !self.internal {
            plugins.push(json!({
                "type": "portmap",
                "backend": "nftables",
                "snat": true,
                "capabilities": {"portMappings": true},
            }));
        }
        let list = json!({
            "cniVersion": "1.0.0",
            "name": self.name,
            KEY: {
                "version": 1,
                "created": self.created,
                "driver": self.driver.name(),
                "internal": self.internal,
                "isolate": self.isolate,
                "labels": self.labels,
            },
            "plugins": plugins,
        });
        let mut text = format!("{list:#}");
        text.push('\n');
        Ok(text)
    }

    fn check_name(&self, around: &Surroundings<'_>) -> Result<(), CreateError> {
        validate::network_name(&self.name)?;
        if self.name.len() > MAX_NAME {
            return Err(CreateError::LongName {
                name: self.name.clone(),
            });
        }
        if RESERVED.contains(&self.name.as_str()) {
            return Err(CreateError::Reserved(self.name.clone()));
        }
        let mut networks = around.networks.networks.iter();
        let taken = networks
            .find(|list| list.name() == self.name)
            .map(NetworkConfigList::source);
        let broken = around.networks.broken.iter();
        let mut broken = broken.filter(|file| file.name.as_deref() == Some(&self.name));
        match taken.or_else(|| broken.next().map(|file| file.path.as_path())) {
            Some(path) => Err(CreateError::Exists {
                name: self.name.clone(),
                path: path.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn check_options(&self, around: &Surroundings<'_>) -> Result<(), CreateError> {
        let is_bridge = self.driver == Driver::Bridge;
        let unfit = [
            ("parent", self.parent.is_some() && is_bridge),
            ("vlan", self.vlan.is_some() && !is_bridge),
            ("bridge", self.bridge.is_some() && !is_bridge),
            ("isolate", self.isolate && !is_bridge),
        ];
        if let Some((option, _)) = unfit.into_iter().find(|(_, unfit)| *unfit) {
            let driver = self.driver.name();
            return Err(CreateError::Unfit { option, driver });
        }
        if self.vlan.is_some_and(|vlan| !(1..=4094).contains(&vlan)) {
            return Err(CreateError::Vlan(self.vlan.unwrap_or_default()));
        }
        let least = if self.has_v6() { 1280 } else { 68 };
        if let Some(mtu) = self
            .mtu_here(around)
            .filter(|mtu| !(least..=65535).contains(mtu))
        {
            return Err(CreateError::Mtu { mtu, least });
        }
        if let Some(bridge) = &self.bridge {
            validate::bridge_name(bridge, self.bridge_most())?;
            self.check_free(bridge, around)?;
        }
        Ok(())
    }

    /// How long the bridge's name may be: the interface of a gateway in a VLAN is `BRIDGE.VLAN`.
    fn bridge_most(&self) -> usize {
        let suffix = self.vlan.map_or(0, |vlan| format!(".{vlan}").len());
        validate::MAX_IFNAME - suffix
    }

    /// The largest packet: of what leads out, if a bridge is asked for no other.
    fn mtu_here(&self, around: &Surroundings<'_>) -> Option<u32> {
        let outward = around.links.iter().find(|link| link.is_default);
        let outward = outward.filter(|_| self.driver == Driver::Bridge);
        self.mtu.or(outward.map(|link| link.mtu))
    }

    fn has_v6(&self) -> bool {
        self.ipv6 || self.subnets.iter().any(|net| matches!(net, IpNet::V6(_)))
    }

    /// A bridge of ours must be nobody else's: it goes with the network.
    fn check_free(&self, bridge: &str, around: &Surroundings<'_>) -> Result<(), CreateError> {
        let mut networks = around.networks.networks.iter();
        if let Some(other) = networks.find(|list| bridge_of(list) == Some(bridge)) {
            return Err(CreateError::BridgeTaken {
                bridge: bridge.to_owned(),
                by: format!("network \"{}\"", other.name()),
            });
        }
        match around.links.iter().any(|link| link.name == bridge) {
            true => Err(CreateError::BridgeTaken {
                bridge: bridge.to_owned(),
                by: "an interface of this host".to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn ipam(&self, ranges: &[Value]) -> Value {
        let mut ipam = json!({"type": "host-local", "dataDir": DATA_DIR, "ranges": ranges});
        if !self.internal {
            let v6 = |set: &Value| {
                set[0]["subnet"]
                    .as_str()
                    .is_some_and(|net| net.contains(':'))
            };
            let route = |set: &Value| match v6(set) {
                true => json!({"dst": "::/0"}),
                false => json!({"dst": "0.0.0.0/0"}),
            };
            let routes: Vec<Value> = ranges.iter().map(route).collect();
            ipam["routes"] = json!(routes);
        }
        ipam
    }

    fn bridge(&self, around: &Surroundings<'_>, ranges: &[Value]) -> Result<Value, CreateError> {
        let bridge = match &self.bridge {
            Some(bridge) => bridge.clone(),
            None => self.bridge_name(around)?,
        };
        let mut plugin = json!({
            "type": "bridge",
            "bridge": bridge,
            "isGateway": true,
            "ipMasq": !self.internal,
            "ipMasqBackend": "nftables",
            "hairpinMode": true,
        });
        if let Some(mtu) = self.mtu_here(around) {
            plugin["mtu"] = json!(mtu);
        }
        if let Some(vlan) = self.vlan {
            plugin["vlan"] = json!(vlan);
        }
        plugin["capabilities"] = json!({"ips": true, "mac": true});
        plugin["ipam"] = self.ipam(ranges);
        Ok(plugin)
    }

    fn bridge_name(&self, around: &Surroundings<'_>) -> Result<String, CreateError> {
        let plain = format!("br-{}", self.name);
        let most = self.bridge_most();
        if validate::bridge_name(&plain, most).is_ok() && self.check_free(&plain, around).is_ok() {
            return Ok(plain);
        }
        let hashed = format!("br-{}", &hex(&self.name)[..most - "br-".len()]);
        self.check_free(&hashed, around)?;
        Ok(hashed)
    }

    fn beside(&self, around: &Surroundings<'_>, ranges: &[Value]) -> Result<Value, CreateError> {
        let mut links = around.links.iter();
        let parent = match &self.parent {
            Some(name) => {
                links
                    .find(|link| link.name == *name)
                    .ok_or_else(|| CreateError::NoParent {
                        name: name.clone(),
                        known: around.links.iter().map(|link| link.name.clone()).collect(),
                    })
            }
            None => links
                .find(|link| link.is_default)
                .ok_or(CreateError::NoDefaultParent),
        }?;
        if parent.name == "lo" {
            return Err(CreateError::Loopback(parent.name.clone()));
        }
        if let Some(mtu) = self.mtu.filter(|mtu| *mtu > parent.mtu) {
            let parent = parent.clone();
            return Err(CreateError::MtuOfParent {
                mtu,
                parent: parent.name,
                most: parent.mtu,
            });
        }
        let mut plugin = Map::new();
        plugin.insert("type".to_owned(), json!(self.driver.name()));
        plugin.insert("master".to_owned(), json!(parent.name));
        let (mode, capabilities) = match self.driver {
            Driver::Macvlan => ("bridge", json!({"ips": true, "mac": true})),
            _ => ("l2", json!({"ips": true})),
        };
        plugin.insert("mode".to_owned(), json!(mode));
        if let Some(mtu) = self.mtu {
            plugin.insert("mtu".to_owned(), json!(mtu));
        }
        plugin.insert("capabilities".to_owned(), capabilities);
        plugin.insert("ipam".to_owned(), self.ipam(ranges));
        Ok(Value::Object(plugin))
    }
}

fn hex(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
