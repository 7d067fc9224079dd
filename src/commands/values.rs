//! The values of options that are more than a word: variables, labels, host entries.
//!
//! Invariant: what is refused here is refused before anything is looked up or made.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::model::class::{Class, Explain};
use crate::model::id::is_label;
use crate::model::record::FOR_EVER;
use crate::model::time::{parse_duration, parse_seconds};

/// Parses an option's value for clap, keeping the hint of a refusal.
pub fn parse<T>(text: &str) -> Result<T, Refused>
where
    T: FromStr<Err: Explain>,
{
    text.parse().map_err(|error| Refused(Box::new(error)))
}

/// A duration: `10s`.
///
/// # Errors
/// It is none.
pub fn duration(text: &str) -> Result<Duration, Refused> {
    parse_duration(text).map_err(Refused::of)
}

/// A duration, or a number of seconds.
///
/// # Errors
/// It is neither.
pub fn seconds(text: &str) -> Result<Duration, Refused> {
    parse_seconds(text).map_err(Refused::of)
}

/// How many seconds a process gets to end; -1 is for ever, as with docker.
///
/// # Errors
/// It is no number of seconds.
pub fn patience(text: &str) -> Result<u32, Refused> {
    match text {
        "-1" => Ok(FOR_EVER),
        text => text
            .parse()
            .map_err(|_| Refused::of(InvalidValue::NotSeconds(text.to_owned()))),
    }
}

/// An IP address.
///
/// # Errors
/// It is none.
pub fn ip_address(text: &str) -> Result<IpAddr, Refused> {
    let parsed = text.parse();
    parsed.map_err(|_| Refused::of(InvalidValue::NotIp(text.to_owned())))
}

/// A domain to search; one dot alone is none at all, as with docker.
///
/// # Errors
/// It is no domain name, or one that is too long (RFC 1035, 2.3.4).
pub fn search_domain(text: &str) -> Result<String, Refused> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| label.len() <= 63 && is_label(label);
    match text == "." || name.len() <= 253 && name.split('.').all(fits) {
        true => Ok(text.to_owned()),
        false => Err(Refused::of(InvalidValue::NotDomain(text.to_owned()))),
    }
}

/// An option of the resolver, or several: words of one line.
///
/// # Errors
/// There is none, or what no line has.
pub fn resolver_option(text: &str) -> Result<String, Refused> {
    match text.trim().is_empty() || text.contains(|c: char| c.is_control() || !c.is_ascii()) {
        true => Err(Refused::of(InvalidValue::NotResolverOption(
            text.to_owned(),
        ))),
        false => Ok(text.to_owned()),
    }
}

/// How likely the kernel kills a process when memory runs out.
///
/// # Errors
/// It is no number that the kernel takes.
pub fn oom_score(text: &str) -> Result<i32, Refused> {
    let score = text.parse().ok();
    let score = score.filter(|score| (-1000..=1000).contains(score));
    score.ok_or_else(|| Refused::of(InvalidValue::NotScore(text.to_owned())))
}

/// A share of the CPUs beside others.
///
/// # Errors
/// It is no number that the kernel takes.
pub fn share(text: &str) -> Result<u64, Refused> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (2..=262_144).contains(share));
    share.ok_or_else(|| Refused::of(InvalidValue::NotShare(text.to_owned())))
}

/// The same, or 0 for the usual one.
///
/// # Errors
/// As [`share`].
pub fn share_or_usual(text: &str) -> Result<u64, Refused> {
    match text {
        "0" => Ok(0),
        text => share(text),
    }
}

/// The refusal of an option's value, in the words of the type that refused it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(Box<dyn Explain>);

impl Refused {
    /// The refusal in the words of this error.
    pub fn of(error: impl Explain) -> Self {
        Self(Box::new(error))
    }
}

impl Explain for Refused {
    fn class(&self) -> Class {
        self.0.class()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// A value that is malformed.
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
    /// No IP address.
    #[error("\"{0}\" is no IP address")]
    NotIp(String),
    /// No domain to search.
    #[error("{0:?} is no domain name")]
    NotDomain(String),
    /// Nothing for the resolver.
    #[error("{0:?} is no option of the resolver")]
    NotResolverOption(String),
    /// No score for the OOM killer.
    #[error("\"{0}\" is no score for the OOM killer")]
    NotScore(String),
    /// No share of the CPUs.
    #[error("\"{0}\" is no share of the CPUs")]
    NotShare(String),
    /// Not so many seconds.
    #[error("\"{0}\" is no number of seconds")]
    NotSeconds(String),
}

impl Explain for InvalidValue {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoName => "write NAME=VALUE, or NAME alone",
            Self::NotHostEntry | Self::NotAddress(_) => {
                "write NAME:ADDRESS, such as db:10.0.0.7, db:fd00::7 or db:host-gateway"
            }
            Self::NotIp(_) => "write one such as 10.0.0.53 or fd00::53",
            Self::NotDomain(_) => {
                "write one such as corp.example; each further one has its own option"
            }
            Self::NotResolverOption(_) => "write one such as ndots:2; man resolv.conf has them all",
            Self::NotScore(_) => "write a number from -1000 to 1000",
            Self::NotShare(_) => "write a number from 2 to 262144; 1024 is the usual share",
            Self::NotSeconds(_) => "write a number, or -1 to wait as long as it takes",
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

impl EnvVar {
    /// `NAME=VALUE`; `NAME` alone takes the caller's value, or is nothing if the caller has none.
    pub fn resolved(&self) -> Option<String> {
        let value = self
            .value
            .clone()
            .or_else(|| std::env::var(&self.name).ok())?;
        Some(format!("{}={value}", self.name))
    }
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
    fn patience_is_a_number_of_seconds_or_endless() {
        assert_eq!(patience("0").unwrap(), 0);
        assert_eq!(patience("-1").unwrap(), FOR_EVER);
        for text in ["", "-2", "1.5", "5s", "4294967296"] {
            assert!(patience(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_those_that_the_kernel_takes() {
        assert_eq!(share_or_usual("0").unwrap(), 0);
        assert_eq!(share("2").unwrap(), 2);
        assert_eq!(oom_score("-1000").unwrap(), -1000);
        for refused in [
            share("1").unwrap_err(),
            share_or_usual("1").unwrap_err(),
            share("0").unwrap_err(),
            oom_score("1001").unwrap_err(),
            oom_score("x").unwrap_err(),
            ip_address("10.0.0").unwrap_err(),
        ] {
            assert!(refused.hint().is_some(), "{refused}");
        }
    }

    #[test]
    fn what_goes_into_resolv_conf_is_one_line_of_it() {
        let long = "a".repeat(64);
        for text in [
            "corp.example",
            "corp.example.",
            ".",
            "10.in-addr.arpa",
            "_tcp.lan",
        ] {
            assert_eq!(search_domain(text).unwrap(), text);
        }
        for text in [
            "",
            "..",
            "a b",
            "x\nnameserver 192.0.2.1",
            "-x",
            "a..b",
            "ü",
            &long,
        ] {
            assert!(search_domain(text).is_err(), "{text}");
        }
        assert_eq!(resolver_option("ndots:2 edns0").unwrap(), "ndots:2 edns0");
        for text in ["", " ", "x\nnameserver 192.0.2.1", "ü"] {
            assert!(resolver_option(text).is_err(), "{text}");
        }
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
}
