//! Hardware addresses of network interfaces.
//!
//! Invariant: a value is the address of one interface: neither a group's nor all zeros.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// The address of an Ethernet interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

/// A text that is no interface's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMac {
    /// It is not six pairs of digits.
    #[error("{0:?} is not a hardware address")]
    Malformed(String),
    /// It is a group's, or that of nobody.
    #[error("{0:?} is not the address of one interface")]
    NotUnicast(String),
}

impl Explain for InvalidMac {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Malformed(_) => {
                "write six pairs of hexadecimal digits, such as 02:42:0a:00:00:07"
            }
            Self::NotUnicast(_) => "the first pair must be even, such as 02, and not all may be 00",
        };
        Some(hint.to_owned())
    }
}

impl FromStr for MacAddress {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let malformed = || InvalidMac::Malformed(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2);
            let part = part.filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(malformed)?, 16).map_err(|_| malformed())?;
        }
        if parts.next().is_some() {
            return Err(malformed());
        }
        match bytes[0] & 1 == 1 || bytes == [0; 6] {
            true => Err(InvalidMac::NotUnicast(text.to_owned())),
            false => Ok(Self(bytes)),
        }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> String {
        mac.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_one_interface() {
        let mac: MacAddress = "02-42-AC-11-00-02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        for text in [
            "",
            "02:42",
            "02:42:ac:11:00:0",
            "02:42:ac:11:00:02:03",
            "0g:42:ac:11:00:02",
            "+2:42:ac:11:00:02",
        ] {
            let malformed = InvalidMac::Malformed(text.to_owned());
            assert_eq!(text.parse::<MacAddress>(), Err(malformed));
        }
        for text in [
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            let group = InvalidMac::NotUnicast(text.to_owned());
            assert_eq!(text.parse::<MacAddress>(), Err(group));
        }
    }
}
