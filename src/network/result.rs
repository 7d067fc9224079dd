//! The result of ADD: a JSON object of one of three formats, and conversion between them.
//!
//! Invariant: the object's `ips`, `interfaces` and `dns` have been checked for their shape, its
//! version is one we know, and keys that nobody specified are never lost.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::convert;
use super::version::{self, Family};
use crate::model::class::{Class, Explain};

/// What makes a plugin's answer no result, or keeps it from being converted.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// No JSON.
    #[error("the result is not valid JSON")]
    Json(#[from] serde_json::Error),
    /// JSON, but no object.
    #[error("the result is not a JSON object")]
    NotAnObject,
    /// A key's value is of the wrong kind.
    #[error("key \"{key}\" of the result is not {expected}")]
    Kind {
        /// Which key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A version that we have no format for.
    #[error("unsupported CNI result version {0:?}")]
    Version(String),
    /// The format wanted can only say addresses, and there is none.
    #[error("cannot convert the result to version {0:?}: it has no IP address")]
    NoAddress(String),
}

impl Explain for ResultError {
    fn class(&self) -> Class {
        Class::Failed
    }
}

/// A checked result.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CniResult(Map<String, Value>);

/// One address of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address with the length of its network's prefix.
    pub address: IpNet,
    /// The gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// The index of its interface in the result.
    pub interface: Option<usize>,
}

/// One interface of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address, where told.
    pub mac: Option<String>,
    /// The network namespace it is in; nothing for one on the host.
    pub sandbox: Option<String>,
}

/// Name servers and how to ask them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses, in order of preference.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains to search in, in order.
    pub search: Vec<String>,
    /// The resolver's options.
    pub options: Vec<String>,
}

impl Dns {
    /// Reads a `dns` object; nothing if it says nothing.
    pub fn from_value(value: &Value) -> Option<Self> {
        let texts = |key| {
            let list = value.get(key).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let dns = Self {
            nameservers: texts("nameservers"),
            domain: filled(value.get("domain")),
            search: texts("search"),
            options: texts("options"),
        };
        (dns != Self::default()).then_some(dns)
    }
}

impl CniResult {
    /// Reads a plugin's answer. One without a version has the configuration's, `config_version`.
    pub fn parse(answer: &[u8], config_version: &str) -> Result<Self, ResultError> {
        Self::from_value(serde_json::from_slice(answer)?, config_version)
    }

    /// Reads a result that is JSON already, from a record or a cache.
    pub fn from_value(value: Value, config_version: &str) -> Result<Self, ResultError> {
        let mut object = match value {
            Value::Object(object) => object,
            Value::Null => Map::new(),
            _ => return Err(ResultError::NotAnObject),
        };
        let version = match object.get("cniVersion") {
            None | Some(Value::Null) => "",
            Some(Value::String(version)) => version,
            Some(_) => return Err(kind("cniVersion", "a text")),
        };
        let version = [version, config_version, "0.1.0"];
        let version = version.into_iter().find(|text| !text.is_empty());
        let version = version.unwrap_or_default().to_owned();
        let family = family_of(&version)?;
        object.insert("cniVersion".to_owned(), Value::String(version));
        check_lists(&object)?;
        // Go writes what is absent as null, or as an object without keys.
        let says_nothing = |value: &Value| value.is_null() || value == &json!({});
        if object.get("dns").is_some_and(says_nothing) {
            object.shift_remove("dns");
        }
        let result = Self(object);
        match family {
            Family::Legacy => check_legacy(&result.0)?,
            Family::Early | Family::Current => {
                result.read_addresses()?;
            }
        }
        Ok(result)
    }

    /// The version that it is written in.
    pub fn version(&self) -> &str {
        let version = self.0.get("cniVersion").and_then(Value::as_str);
        version.unwrap_or("0.1.0")
    }

    /// The result as JSON.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The same result as another version says it.
    ///
    /// ```
    /// use netrun::network::CniResult;
    /// let answer = br#"{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/16"}]}"#;
    /// let old = CniResult::parse(answer, "").unwrap().convert("0.4.0").unwrap();
    /// assert_eq!(old.to_value()["ips"][0]["version"], "4");
    /// ```
    pub fn convert(&self, version: &str) -> Result<Self, ResultError> {
        let version = if version.is_empty() { "0.1.0" } else { version };
        let (from, to) = (family_of(self.version())?, family_of(version)?);
        let mut object = self.0.clone();
        if !convert::convert(&mut object, from, to) {
            return Err(ResultError::NoAddress(version.to_owned()));
        }
        object.insert("cniVersion".to_owned(), Value::String(version.to_owned()));
        Ok(Self(object))
    }

    /// All its addresses, in order.
    pub fn addresses(&self) -> Vec<Address> {
        let current = self.convert("1.0.0");
        // Every address was read when the result was made.
        let addresses = current.and_then(|result| result.read_addresses());
        addresses.unwrap_or_default()
    }

    /// The addresses that the container has: those of an interface in a sandbox, or of none in
    /// particular.
    pub fn container_addresses(&self) -> Vec<Address> {
        let interfaces = self.interfaces();
        let inside = |address: &Address| match address.interface {
            None => true,
            Some(index) => interfaces.get(index).is_some_and(|i| i.sandbox.is_some()),
        };
        self.addresses().into_iter().filter(inside).collect()
    }

    /// Its interfaces, in order; none in results before 0.3.0.
    pub fn interfaces(&self) -> Vec<Interface> {
        let read = |value: &Value| Interface {
            name: filled(value.get("name")).unwrap_or_default(),
            mac: filled(value.get("mac")),
            sandbox: filled(value.get("sandbox")),
        };
        entries(&self.0, "interfaces").map(read).collect()
    }

    /// Its name servers, if it names any or says how to ask.
    pub fn dns(&self) -> Option<Dns> {
        Dns::from_value(self.0.get("dns")?)
    }

    fn read_addresses(&self) -> Result<Vec<Address>, ResultError> {
        entries(&self.0, "ips").map(read_address).collect()
    }
}

fn read_address(value: &Value) -> Result<Address, ResultError> {
    let address = value.get("address").and_then(Value::as_str);
    let address = address.and_then(|text| text.parse().ok());
    let gateway = match value.get("gateway") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or(()),
    };
    let interface = match value.get("interface") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .map(Some)
            .ok_or(()),
    };
    Ok(Address {
        address: address.ok_or(kind("ips[].address", "an address with a prefix"))?,
        gateway: gateway.map_err(|()| kind("ips[].gateway", "an address"))?,
        interface: interface.map_err(|()| kind("ips[].interface", "an index"))?,
    })
}

fn check_lists(object: &Map<String, Value>) -> Result<(), ResultError> {
    for key in ["ips", "interfaces", "routes"] {
        let all_objects = |list: &Vec<Value>| list.iter().all(Value::is_object);
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if all_objects(list) => {}
            Some(_) => return Err(kind(key, "a list of objects")),
        }
    }
    match object.get("dns") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => Err(kind("dns", "an object")),
    }
}

fn check_legacy(object: &Map<String, Value>) -> Result<(), ResultError> {
    for key in ["ip4", "ip6"] {
        let Some(entry) = object.get(key).filter(|value| !value.is_null()) else {
            continue;
        };
        let address = entry.get("ip").and_then(Value::as_str);
        if address
            .and_then(|text| text.parse::<IpNet>().ok())
            .is_none()
        {
            return Err(kind(key, "an object with an address and its prefix"));
        }
        let gateway = entry
            .get("gateway")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !gateway.is_empty() && gateway.parse::<IpAddr>().is_err() {
            return Err(kind(key, "an object with an address as gateway"));
        }
        match entry.get("routes") {
            None | Some(Value::Null) => {}
            Some(Value::Array(routes)) if routes.iter().all(Value::is_object) => {}
            Some(_) => return Err(kind(key, "an object with a list of routes")),
        }
    }
    Ok(())
}

fn entries<'a>(object: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    object
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn filled(value: Option<&Value>) -> Option<String> {
    let text = value.and_then(Value::as_str)?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn family_of(version: &str) -> Result<Family, ResultError> {
    version::family(version).ok_or_else(|| ResultError::Version(version.to_owned()))
}

fn kind(key: &'static str, expected: &'static str) -> ResultError {
    ResultError::Kind { key, expected }
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;

#[cfg(test)]
pub use tests::any_json;
