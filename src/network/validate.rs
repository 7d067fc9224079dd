//! The grammar of the words that reach plugins: container id, network name, interface name, type.
//!
//! Invariant: a word that passed may be joined to a path as one component.

use crate::model::class::{Class, Explain};

/// The longest interface name that Linux takes, in bytes.
pub const MAX_IFNAME: usize = 15;

/// A parameter that breaks the specification's rules.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} {given:?} is not allowed: {rule}")]
pub struct InvalidParameter {
    what: &'static str,
    given: String,
    rule: &'static str,
    code: u32,
}

impl InvalidParameter {
    /// The well-known CNI error code for this.
    pub fn code(&self) -> u32 {
        self.code
    }
}

impl Explain for InvalidParameter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let example = match self.what {
            "interface name" => "eth0",
            "plugin type" => "bridge",
            "network name" => "mynet",
            _ => "default-web",
        };
        Some(format!("write one such as \"{example}\""))
    }
}

const WORD_RULE: &str =
    "it must begin with a letter or digit, followed by letters, digits, \"_\", \".\" or \"-\"";

/// Checks a container id. Code 3 if it is empty, 4 if it holds something else than the letters,
/// digits, `_`, `.` and `-` that the specification allows.
///
/// ```
/// assert!(netrun::network::validate::container_id("default-web").is_ok());
/// assert_eq!(netrun::network::validate::container_id("").unwrap_err().code(), 3);
/// ```
pub fn container_id(text: &str) -> Result<(), InvalidParameter> {
    word("container id", text, 3, 4)
}

/// Checks a network name. Code 7.
pub fn network_name(text: &str) -> Result<(), InvalidParameter> {
    word("network name", text, 7, 7)
}

/// Checks an interface name by the kernel's rules. Code 4.
pub fn ifname(text: &str) -> Result<(), InvalidParameter> {
    let rule = if text.is_empty() {
        "it is empty"
    } else if text.len() > MAX_IFNAME {
        "it has more than 15 bytes"
    } else if [".", "..", "all", "default"].contains(&text) {
        "the kernel reserves it"
    } else if text.contains('%') {
        "it holds \"%\", which the kernel replaces by a number"
    } else if text.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace()) {
        "it holds \"/\", \":\" or white space"
    } else {
        return Ok(());
    };
    Err(invalid("interface name", text, rule, 4))
}

/// Checks the name of a bridge of ours: the kernel's rules, and those of the packet filters that name
/// it, for which other characters are patterns and quotes. `most` is how many bytes it may have.
pub fn bridge_name(text: &str, most: usize) -> Result<(), InvalidParameter> {
    ifname(text)?;
    let bridge = |rule| Err(invalid("interface name", text, rule, 4));
    if text.len() > most {
        return bridge("with its VLAN behind it, it has more than 15 bytes");
    }
    match word("interface name", text, 4, 4) {
        Err(_) => bridge(WORD_RULE),
        Ok(()) => Ok(()),
    }
}

/// Checks a plugin's type, which is the file name of its program. Code 7.
pub fn plugin_type(text: &str) -> Result<(), InvalidParameter> {
    let rule = if text.is_empty() {
        "it is empty"
    } else if text.contains(['/', '\\', '\0']) || text == "." || text == ".." {
        "it must be a file name without a directory"
    } else {
        return Ok(());
    };
    Err(invalid("plugin type", text, rule, 7))
}

fn word(
    what: &'static str,
    text: &str,
    empty: u32,
    malformed: u32,
) -> Result<(), InvalidParameter> {
    let Some(first) = text.chars().next() else {
        return Err(invalid(what, text, "it is empty", empty));
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if first.is_ascii_alphanumeric() && text.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(what, text, WORD_RULE, malformed))
}

fn invalid(what: &'static str, given: &str, rule: &'static str, code: u32) -> InvalidParameter {
    InvalidParameter {
        what,
        given: given.to_owned(),
        rule,
        code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_words() {
        for good in ["a", "0", "default-web", "a_b.c-", &"x".repeat(300)] {
            assert!(container_id(good).is_ok(), "{good}");
            assert!(network_name(good).is_ok(), "{good}");
        }
        for bad in ["-a", ".a", "_a", "a b", "a/b", "../a", "a\n", "é", "a\0"] {
            assert_eq!(container_id(bad).unwrap_err().code(), 4, "{bad:?}");
            assert_eq!(network_name(bad).unwrap_err().code(), 7, "{bad:?}");
        }
        assert_eq!(container_id("").unwrap_err().code(), 3);
        assert_eq!(network_name("").unwrap_err().code(), 7);
    }

    #[test]
    fn interface_names_keep_the_kernels_rules() {
        for good in ["eth0", "a", "..a", "veth-1.2_3@x", "abcdefghijklmno"] {
            assert!(ifname(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\u{a0}b",
            "a\n",
            "abcdefghijklmnop",
            "eth%d",
            "all",
            "default",
        ] {
            assert_eq!(ifname(bad).unwrap_err().code(), 4, "{bad:?}");
        }
    }

    #[test]
    fn the_name_of_a_bridge_is_no_pattern_of_a_packet_filter() {
        assert!(bridge_name("br-lan.1_2", MAX_IFNAME).is_ok());
        for bad in ["br+", "br*", "-x", "a\"b", "a,b", "br é"] {
            assert!(bridge_name(bad, MAX_IFNAME).is_err(), "{bad:?}");
        }
        assert!(bridge_name("br-lan", 5).is_err());
    }

    #[test]
    fn a_plugin_type_is_a_file_name() {
        assert!(plugin_type("host-local").is_ok());
        for bad in ["", ".", "..", "a/b", "/bin/sh", "a\0"] {
            assert!(plugin_type(bad).is_err(), "{bad:?}");
        }
    }
}
