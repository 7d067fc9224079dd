//! What cnitool makes of its words and its environment: the container id, the namespace's path,
//! `CNI_ARGS` and `CAP_ARGS`.
//!
//! Invariant: the same words and variables mean the same attachment here and there, so that what
//! one adds the other checks and deletes.

use std::env;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::model::class::{Class, Explain};

pub use super::hashes::cnitool_container_id as container_id;

/// The variable with the plugins' arguments: `K=V;K2=V2`.
pub const ARGS: &str = "CNI_ARGS";
/// The variable with the capability arguments: a JSON object.
pub const CAPABILITY_ARGS: &str = "CAP_ARGS";
/// The variable with the interface's name in the namespace.
pub const IFNAME: &str = "CNI_IFNAME";
/// The interface's name where the variable is not set.
pub const DEFAULT_IFNAME: &str = "eth0";

/// A variable that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVariable {
    /// An entry of `CNI_ARGS` has not exactly one `=` with something on both sides.
    #[error("{ARGS} has the entry {0:?}, which is not KEY=VALUE")]
    Args(String),
    /// `CAP_ARGS` is no JSON.
    #[error("{CAPABILITY_ARGS} is not valid JSON")]
    CapabilityArgs(#[source] serde_json::Error),
    /// `CAP_ARGS` is JSON, and no object.
    #[error("{CAPABILITY_ARGS} is not a JSON object")]
    NotAnObject,
}

impl Explain for InvalidVariable {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let example = match self {
            Self::Args(_) => format!("{ARGS}='IgnoreUnknown=1;IP=10.0.0.7'"),
            _ => format!(r#"{CAPABILITY_ARGS}='{{"mac": "02:00:00:00:00:07"}}'"#),
        };
        Some(format!("write it as in {example}"))
    }
}

/// Parses `CNI_ARGS`; the empty text is no arguments.
///
/// ```
/// let args = netrun::network::cnitool::parse_args("IgnoreUnknown=1;IP=10.0.0.7").unwrap();
/// assert_eq!(args[1], ("IP".to_owned(), "10.0.0.7".to_owned()));
/// assert!(netrun::network::cnitool::parse_args("IP=10.0.0.7;").is_err());
/// ```
pub fn parse_args(text: &str) -> Result<Vec<(String, String)>, InvalidVariable> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let pair = |entry: &str| match entry.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && !value.contains('=') => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(InvalidVariable::Args(entry.to_owned())),
    };
    text.split(';').map(pair).collect()
}

/// Parses `CAP_ARGS`; the empty text and `null` are no arguments.
pub fn parse_capability_args(text: &str) -> Result<Map<String, Value>, InvalidVariable> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text).map_err(InvalidVariable::CapabilityArgs)? {
        Value::Object(args) => Ok(args),
        Value::Null => Ok(Map::new()),
        _ => Err(InvalidVariable::NotAnObject),
    }
}

/// The path that stands for a namespace: absolute, `.` and `..` worked out by its words alone.
/// Links are not followed: `/run/netns/a` and `/var/run/netns/a` are two attachments.
///
/// # Errors
/// There is no working directory.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    let whole = match path.is_absolute() {
        true => path.to_owned(),
        false => env::current_dir()?.join(path),
    };
    let mut clean = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

/// Whether two paths are the same name of a namespace, be it below `/run` or, by the link that
/// every host has, `/var/run`.
pub fn same_name(one: &Path, other: &Path) -> bool {
    let short = |path: &Path| match path.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => path.to_owned(),
    };
    short(one) == short(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_are_pairs_with_exactly_one_equals_sign() {
        assert_eq!(parse_args("").unwrap(), []);
        assert_eq!(parse_args("A=1;B=2").unwrap().len(), 2);
        for bad in [";", "A", "=1", "A=", "A=1;", "A=1=2", "A=1;;B=2"] {
            assert!(parse_args(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn capability_args_are_an_object() {
        assert!(parse_capability_args("").unwrap().is_empty());
        assert!(parse_capability_args("null").unwrap().is_empty());
        assert_eq!(parse_capability_args(r#"{"a": [1]}"#).unwrap().len(), 1);
        for bad in ["{", "[]", "1", "\"a\""] {
            let error = parse_capability_args(bad).unwrap_err();
            assert_eq!(error.class(), Class::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn paths_are_cleaned_by_their_words() {
        for (given, clean) in [
            ("/var/run/netns/a", "/var/run/netns/a"),
            ("/var//run/./netns/b/../a/", "/var/run/netns/a"),
            ("/../a", "/a"),
        ] {
            assert_eq!(absolute(Path::new(given)).unwrap(), Path::new(clean));
        }
        let here = env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("./a")).unwrap(), here.join("a"));
    }

    #[test]
    fn run_and_var_run_name_the_same() {
        let same = |one: &str, other: &str| same_name(Path::new(one), Path::new(other));
        assert!(same("/run/netns/a", "/var/run/netns/a"));
        assert!(same("/proc/1/ns/net", "/proc/1/ns/net"));
        assert!(!same("/run/netns/a", "/run/netns/b"));
        assert!(!same("/var/runs/a", "/runs/a"));
    }
}
