//! Names of network namespaces, and the containers that they tell of.
//!
//! Invariant: a [`NetnsName`] may be joined to a path as one component, and is one that `ip netns`
//! takes.

use std::fmt;
use std::str::FromStr;

use super::class::{Class, Explain};
use super::id::{ContainerId, Namespace};

/// The longest file name.
const MAX_BYTES: usize = 255;

/// What the names of containers' namespaces begin with.
pub const OURS: &str = "netrun-";

/// The name of a network namespace: of a file in `/run/netns`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetnsName(String);

/// A text that is no name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" cannot name a network namespace: {rule}")]
pub struct InvalidNetnsName {
    given: String,
    rule: &'static str,
}

impl Explain for InvalidNetnsName {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("names are those of files in /run/netns, as ip netns has them".to_owned())
    }
}

impl NetnsName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The container that netrun made a namespace of this name for.
    pub fn container(&self) -> Option<(Namespace, ContainerId)> {
        let rest = self.0.strip_prefix(OURS)?;
        let (namespace, id) = rest.split_once("--").unwrap_or(("default", rest));
        let (namespace, id): (Namespace, ContainerId) = (namespace.parse().ok()?, id.parse().ok()?);
        (id.netns_name(&namespace) == self.0).then_some((namespace, id))
    }
}

impl FromStr for NetnsName {
    type Err = InvalidNetnsName;

    fn from_str(text: &str) -> Result<Self, InvalidNetnsName> {
        let rule = match text {
            "" => "it is empty",
            "." | ".." => "that is a directory",
            _ if text.len() > MAX_BYTES => "it has more than 255 bytes",
            _ if text.contains(['/', '\0']) => "it holds a \"/\" or a NUL",
            _ => return Ok(Self(text.to_owned())),
        };
        let given = text.to_owned();
        Err(InvalidNetnsName { given, rule })
    }
}

impl fmt::Display for NetnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files() {
        for good in ["a", "cni-0b1c", "..a", "a b", "é", &"x".repeat(255)] {
            assert!(good.parse::<NetnsName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/run/netns/a",
            "a\0",
            &"x".repeat(256),
        ] {
            assert!(bad.parse::<NetnsName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_containers_namespace_tells_whose_it_is() {
        let container = |name: &str| {
            let found = name.parse::<NetnsName>().unwrap().container();
            found.map(|(namespace, id)| format!("{namespace} {id}"))
        };
        assert_eq!(container("netrun-web").as_deref(), Some("default web"));
        assert_eq!(container("netrun-ci--web-1").as_deref(), Some("ci web-1"));
        for other in [
            "web",
            "netrun-",
            "netrun-default--web",
            "netrun-a--b--c",
            "netrun-a b",
        ] {
            assert_eq!(container(other), None, "{other}");
        }
    }
}
