//! Names that become paths, hostnames and containerd ids, and the rules they keep.
//!
//! Invariant: a value of these types has been validated and can be joined to a path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// The longest container name: it is a hostname too, and a longer one fails in runc.
pub const MAX_NAME: usize = 63;

/// The longest hostname that the kernel holds.
pub const MAX_HOSTNAME: usize = 64;

/// containerd's own limit for identifiers such as namespaces.
pub const MAX_IDENTIFIER: usize = 76;

/// The longest name of a volume: it is a directory's.
pub const MAX_VOLUME: usize = 128;

/// A name that breaks the rules, with the proposal that keeps them.
#[derive(Debug, thiserror::Error)]
#[error("{what} \"{given}\" is not allowed: {rule}")]
pub struct InvalidName {
    what: &'static str,
    given: String,
    rule: String,
    proposal: Option<String>,
}

impl Explain for InvalidName {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let proposal = self.proposal.as_ref()?;
        Some(format!("try \"{proposal}\""))
    }
}

/// A container's name, which is its containerd id and its default hostname.
///
/// Letters and digits, joined by single `.`, `_` or `-`: containerd's identifier grammar, and at
/// most [`MAX_NAME`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// A containerd namespace: the same grammar, at most [`MAX_IDENTIFIER`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

/// A volume's name, docker's grammar: a letter or digit, then these and `.`, `_` and `-`; at most
/// [`MAX_VOLUME`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

/// The name of a scope: a container's grammar and length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeName(String);

macro_rules! identifier {
    ($type:ident, $what:literal, $max:expr, $violated:expr) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check($what, text, $max, $violated)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier!(ContainerId, "container name", MAX_NAME, violated_rule);
identifier!(ScopeName, "scope's name", MAX_NAME, violated_rule);
identifier!(
    Namespace,
    "containerd namespace",
    MAX_IDENTIFIER,
    violated_rule
);
identifier!(
    VolumeName,
    "volume name",
    MAX_VOLUME,
    violated_rule_of_volumes
);

impl ContainerId {
    /// The container id that CNI plugins see: `<namespace>-<id>`, as ctr and nerdctl form it.
    pub fn cni_id(&self, namespace: &Namespace) -> String {
        format!("{namespace}-{self}")
    }

    /// The name under `/run/netns`: `netrun-<id>` in the namespace `default`, else
    /// `netrun-<namespace>--<id>`. No containerd id holds `--`, so the two forms never meet.
    pub fn netns_name(&self, namespace: &Namespace) -> String {
        match namespace.as_str() {
            "default" => format!("netrun-{self}"),
            other => format!("netrun-{other}--{self}"),
        }
    }
}

/// The name that a container's kernel answers with, unless it is the container's own.
///
/// Labels of letters, digits, `-` and `_`, joined by dots, at most 64 bytes: what the kernel holds
/// and a resolver takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.len() <= MAX_HOSTNAME && text.split('.').all(is_label) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidName {
                what: "hostname",
                given: text.to_owned(),
                rule: format!(
                    "it is not of words of letters, digits and \"-\", joined by dots, with at \
                     most {MAX_HOSTNAME} bytes"
                ),
                proposal: propose(text, MAX_NAME),
            }),
        }
    }
}

/// Whether a text may stand between the dots of a hostname or a domain (RFC 1035, 2.3.1; digits first
/// and underscores are common). How long it may be is the caller's.
pub fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let edges = text.starts_with('-') || text.ends_with('-');
    !text.is_empty() && !edges && text.chars().all(inner)
}

fn check(
    what: &'static str,
    text: &str,
    max: usize,
    violated: impl Fn(&str, usize) -> Option<String>,
) -> Result<(), InvalidName> {
    let rule = match violated(text, max) {
        None => return Ok(()),
        Some(rule) => rule,
    };
    let proposal = propose(text, max);
    Err(InvalidName {
        what,
        given: text.to_owned(),
        rule,
        proposal,
    })
}

fn violated_rule(text: &str, max: usize) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > max {
        return Some(format!(
            "it has {} bytes, at most {max} are possible",
            text.len()
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || is_separator(c);
    if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
        return Some(format!(
            "{bad:?} is none of letters, digits, \".\", \"_\" and \"-\""
        ));
    }
    let well_formed = text.split(is_separator).all(|part| !part.is_empty());
    (!well_formed).then(|| {
        "\".\", \"_\" and \"-\" may only stand alone, between letters or digits".to_owned()
    })
}

fn violated_rule_of_volumes(text: &str, max: usize) -> Option<String> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || is_separator(c);
    match begins && text.chars().all(inner) && text.len() <= max {
        true => None,
        false => Some(format!(
            "it must be letters, digits, \".\", \"_\" and \"-\", begin with one of the first two, and have \
             at most {max} of them"
        )),
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}

/// The nearest name that keeps the rules; nothing if no letter or digit would remain.
fn propose(text: &str, max: usize) -> Option<String> {
    let parts: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let mut joined = parts.join("-");
    joined.truncate(max);
    let proposal = joined.trim_end_matches('-').to_owned();
    (!proposal.is_empty()).then_some(proposal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_containerds_grammar() {
        for good in ["a", "web", "a-b.c_d", "0", &"x".repeat(63)] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good}");
        }
        let long = "x".repeat(64);
        for bad in [
            "", "a__b", "a--b", "x-", "-x", "a b", "../x", "a/b", "é", "a\n", &long,
        ] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn volumes_have_dockers_names() {
        for good in ["a", "web_data", "a--b", "a.", &"x".repeat(128)] {
            assert!(good.parse::<VolumeName>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "..", "a b", &"x".repeat(129)] {
            assert!(bad.parse::<VolumeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refused_name_comes_with_one_that_is_allowed() {
        for (given, proposed) in [("a--b", "a-b"), ("my web!", "my-web"), ("-x-", "x")] {
            let error = given.parse::<ContainerId>().unwrap_err();
            assert_eq!(error.hint(), Some(format!("try \"{proposed}\"")));
            assert!(proposed.parse::<ContainerId>().is_ok());
        }
        assert_eq!("!!".parse::<ContainerId>().unwrap_err().hint(), None);
    }

    #[test]
    fn hostnames_are_words_joined_by_dots() {
        for good in ["a", "web-1", "web.example.org", "a_b", &"x".repeat(64)] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in ["", "two words", "a..b", "-a", "a-", "a/b", &"x".repeat(65)] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }

    #[test]
    fn netns_names_of_different_namespaces_never_meet() {
        let id: ContainerId = "web".parse().unwrap();
        assert_eq!(id.netns_name(&"default".parse().unwrap()), "netrun-web");
        assert_eq!(id.netns_name(&"ci".parse().unwrap()), "netrun-ci--web");
        assert_eq!(id.cni_id(&"ci".parse().unwrap()), "ci-web");
    }
}
