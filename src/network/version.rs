//! CNI versions: their grammar, their order, and which result format each one has.
//!
//! Invariant: every version that is not listed in [`SUPPORTED`] has no result format here.

use std::str::FromStr;

/// Every version whose results this runtime reads and writes, oldest first.
pub const SUPPORTED: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// The newest version that this runtime speaks.
pub const NEWEST: Version = Version([1, 1, 0]);
/// The first version with CHECK, and with a `prevResult` for DEL.
pub const CHECK: Version = Version([0, 4, 0]);
/// The first version with STATUS and GC.
pub const STATUS_AND_GC: Version = Version([1, 1, 0]);

/// A version of one to three numbers; the missing ones are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

/// A text that is no version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a CNI version: one to three numbers joined by \".\" are")]
pub struct InvalidVersion(String);

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Parses a version; the empty text means 0.1.0, as in a configuration that names none.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        if text.is_empty() {
            return Ok(Self([0, 1, 0]));
        }
        let invalid = || InvalidVersion(text.to_owned());
        let mut numbers = [0; 3];
        for (index, part) in text.split('.').enumerate() {
            let number = numbers.get_mut(index).ok_or_else(invalid)?;
            // `parse` would take a sign too.
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid());
            }
            *number = part.parse().map_err(|_| invalid())?;
        }
        Ok(Self(numbers))
    }
}

/// The formats that results have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 0.1.0 and 0.2.0: `ip4` and `ip6`.
    Legacy,
    /// 0.3.0 to 0.4.0: `ips` with a `version` each.
    Early,
    /// 1.0.0 and 1.1.0.
    Current,
}

/// The result format of a version; nothing if this runtime does not know that version.
pub fn family(version: &str) -> Option<Family> {
    match version {
        "" | "0.1.0" | "0.2.0" => Some(Family::Legacy),
        "0.3.0" | "0.3.1" | "0.4.0" => Some(Family::Early),
        "1.0.0" | "1.1.0" => Some(Family::Current),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(version("0.10.0") > version("0.9.1"));
        assert!(version("1.1.0") == NEWEST && version("1.1") == NEWEST);
        assert!(version("") < version("0.2.0"));
        assert!(version("0.4.0") >= CHECK && version("0.3.1") < CHECK);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "1.2.3.4",
            "1.",
            ".1",
            "a",
            "1.a",
            "1.-1",
            "+1",
            " 1",
            "99999999999",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_supported_version_has_a_format() {
        assert!(SUPPORTED.iter().all(|known| family(known).is_some()));
        assert_eq!(family("1.2.0"), None);
    }
}
