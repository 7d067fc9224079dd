//! The values of options that are more than a word: variables, labels, host entries, bind mounts.
//!
//! Invariant: what is refused here is refused before anything is looked up or made.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::class::{Class, Explain};

/// Parses an option's value for clap, keeping the hint of a refusal.
pub fn parse<T>(text: &str) -> Result<T, Refused>
where
    T: FromStr<Err: Explain>,
{
    text.parse().map_err(|error| Refused(Box::new(error)))
}

/// The refusal of an option's value, in the words of the type that refused it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(Box<dyn Explain>);

impl Explain for Refused {
    fn class(&self) -> Class {
        self.0.class()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// A value that is malformed, or asks for what netrun does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// The name before `=` is missing.
    #[error("there is no name before \"=\"")]
    NoName,
    /// A host entry is not `NAME:ADDRESS`.
    #[error("this is not NAME:ADDRESS")]
    NotHostEntry,
    /// The address of a host entry is none.
    #[error("\"{0}\" is neither an IP address nor host-gateway")]
    NotAddress(String),
    /// The path in the container is not absolute.
    #[error("\"{0}\" is not an absolute path in the container")]
    NotAbsolute(String),
    /// The text has more than three parts.
    #[error("this is not SOURCE:TARGET[:OPTIONS]")]
    NotMount,
    /// An option of a mount is unknown.
    #[error("\"{0}\" is no option of a mount")]
    MountOption(String),
    /// A network without a name.
    #[error("the name of the network is empty")]
    NoNetwork,
    /// netrun does not have this yet.
    #[error("{0} is not supported yet")]
    Unsupported(&'static str),
}

impl Explain for InvalidValue {
    fn class(&self) -> Class {
        match self {
            Self::Unsupported(_) => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoName => "write NAME=VALUE, or NAME alone",
            Self::NotHostEntry | Self::NotAddress(_) => {
                "write NAME:ADDRESS, such as db:10.0.0.7, db:fd00::7 or db:host-gateway"
            }
            Self::NotAbsolute(_) | Self::NotMount => {
                "write SOURCE:TARGET or SOURCE:TARGET:ro, such as ./src:/src:ro"
            }
            Self::MountOption(_) => {
                "the options are ro, rw, bind, rbind, private, rprivate, shared, rshared, slave \
                 and rslave"
            }
            Self::NoNetwork => "write the name of a network, none or host",
            Self::Unsupported("a volume") => {
                "write a path of the host before the colon, such as ./data:/data"
            }
            Self::Unsupported(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// An environment variable: `NAME=VALUE`, or `NAME` alone for the value that netrun itself has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// Its value; none means the caller's own, and no variable if the caller has none.
    pub value: Option<String>,
}

impl FromStr for EnvVar {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (name, value) = pair(text)?;
        Ok(Self { name, value })
    }
}

/// A label: `KEY=VALUE`, or `KEY` alone for an empty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The label's key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Label {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (key, value) = pair(text)?;
        let value = value.unwrap_or_default();
        Ok(Self { key, value })
    }
}

fn pair(text: &str) -> Result<(String, Option<String>), InvalidValue> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    match name.is_empty() {
        true => Err(InvalidValue::NoName),
        false => Ok((name.to_owned(), value)),
    }
}

/// An entry of the container's hosts file: `NAME:ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// An IP address, or `host-gateway`: the host as the container reaches it.
    pub address: String,
}

impl FromStr for HostEntry {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        // docker takes ":" and "=", whichever stands first; an IPv6 address has more colons.
        let (name, address) = text
            .split_once([':', '='])
            .ok_or(InvalidValue::NotHostEntry)?;
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        let named = !name.is_empty() && !name.contains(char::is_whitespace);
        match named {
            false => Err(InvalidValue::NotHostEntry),
            true if bare == "host-gateway" || bare.parse::<IpAddr>().is_ok() => Ok(Self {
                name: name.to_owned(),
                address: bare.to_owned(),
            }),
            true => Err(InvalidValue::NotAddress(address.to_owned())),
        }
    }
}

/// A bind mount: `SOURCE:TARGET[:OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// The path on the host, as typed: it may be relative.
    pub source: PathBuf,
    /// The absolute path in the container.
    pub target: String,
    /// Mount options in the order given: `ro`, `rw`, `bind`, `rbind` and propagation.
    pub options: Vec<String>,
}

const MOUNT_OPTIONS: [&str; 10] = [
    "ro", "rw", "bind", "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave",
];

impl FromStr for BindMount {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            [target] if target.starts_with('/') => {
                return Err(InvalidValue::Unsupported("a volume"));
            }
            _ => return Err(InvalidValue::NotMount),
        };
        if source.is_empty() {
            return Err(InvalidValue::NotMount);
        }
        if !source.starts_with(['/', '.']) {
            return Err(InvalidValue::Unsupported("a volume"));
        }
        if !target.starts_with('/') {
            return Err(InvalidValue::NotAbsolute(target.to_owned()));
        }
        let options: Vec<&str> = options.split(',').filter(|o| !o.is_empty()).collect();
        if options.iter().any(|o| o.eq_ignore_ascii_case("z")) {
            return Err(InvalidValue::Unsupported("relabelling for SELinux (z, Z)"));
        }
        if let Some(unknown) = options.iter().find(|o| !MOUNT_OPTIONS.contains(o)) {
            return Err(InvalidValue::MountOption((*unknown).to_owned()));
        }
        Ok(Self {
            source: PathBuf::from(source),
            target: target.to_owned(),
            options: options.into_iter().map(str::to_owned).collect(),
        })
    }
}

/// What `--net` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChoice {
    /// A network namespace with nothing but `lo`.
    None,
    /// The host's network namespace.
    Host,
    /// A network by its name.
    Named(String),
}

impl FromStr for NetworkChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "" => Err(InvalidValue::NoNetwork),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ if text.starts_with("container:") => {
                Err(InvalidValue::Unsupported("another container's network"))
            }
            _ if text.starts_with("ns:") => {
                Err(InvalidValue::Unsupported("a network namespace by its path"))
            }
            _ if text.contains(['=', ',']) => {
                Err(InvalidValue::Unsupported("a network with options"))
            }
            name => Ok(Self::Named(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_labels_are_names_with_or_without_a_value() {
        let variable = |text: &str| text.parse::<EnvVar>().map(|v| (v.name, v.value));
        let own = |s: &str| s.to_owned();
        assert_eq!(variable("A"), Ok((own("A"), None)));
        assert_eq!(variable("A="), Ok((own("A"), Some(own("")))));
        assert_eq!(variable("A=b=c"), Ok((own("A"), Some(own("b=c")))));
        assert_eq!(variable("=b"), Err(InvalidValue::NoName));
        assert_eq!(variable(""), Err(InvalidValue::NoName));
        assert_eq!("k".parse::<Label>().unwrap().value, "");
        assert_eq!("k=v".parse::<Label>().unwrap().value, "v");
    }

    #[test]
    fn host_entries_take_both_families_and_the_gateway() {
        let entry = |text: &str| text.parse::<HostEntry>().map(|e| (e.name, e.address));
        for (text, name, address) in [
            ("db:10.0.0.7", "db", "10.0.0.7"),
            ("db=10.0.0.7", "db", "10.0.0.7"),
            ("db:fd00::7", "db", "fd00::7"),
            ("db:[fd00::7]", "db", "fd00::7"),
            ("up:host-gateway", "up", "host-gateway"),
        ] {
            assert_eq!(entry(text), Ok((name.to_owned(), address.to_owned())));
        }
        for text in ["db", ":10.0.0.7", "a b:10.0.0.7", ""] {
            assert_eq!(entry(text), Err(InvalidValue::NotHostEntry), "{text}");
        }
        for text in ["db:", "db:10.0.0.256", "db:gateway"] {
            assert!(matches!(entry(text), Err(InvalidValue::NotAddress(_))));
        }
    }

    #[test]
    fn bind_mounts_have_a_source_a_target_and_options() {
        let mount: BindMount = "./src:/src:ro,rslave".parse().unwrap();
        assert_eq!(mount.source, PathBuf::from("./src"));
        assert_eq!(mount.target, "/src");
        assert_eq!(mount.options, ["ro", "rslave"]);
        let refused = |text: &str| text.parse::<BindMount>().unwrap_err();
        assert_eq!(refused("/a:b"), InvalidValue::NotAbsolute("b".to_owned()));
        assert_eq!(
            refused("/a:/b:rx"),
            InvalidValue::MountOption("rx".to_owned())
        );
        for text in ["", "a", ":/b", "/a:/b:ro:rw"] {
            assert_eq!(refused(text), InvalidValue::NotMount, "{text}");
        }
        for text in ["data:/data", "/data", "/a:/b:ro,Z"] {
            assert_eq!(refused(text).class(), Class::Unsupported, "{text}");
        }
    }

    #[test]
    fn networks_are_names_none_or_the_hosts() {
        assert_eq!("none".parse(), Ok(NetworkChoice::None));
        assert_eq!("host".parse(), Ok(NetworkChoice::Host));
        assert_eq!("a".parse(), Ok(NetworkChoice::Named("a".to_owned())));
        for text in ["container:x", "ns:/run/netns/x", "name=a,alias=b", "a,b"] {
            let class = text.parse::<NetworkChoice>().unwrap_err().class();
            assert_eq!(class, Class::Unsupported, "{text}");
        }
        assert_eq!("".parse::<NetworkChoice>(), Err(InvalidValue::NoNetwork));
    }
}
