//! Amounts of memory as people write them: `512m`, `1.5g`, `64KiB`.
//!
//! Invariant: what docker accepts means the same number of bytes here; a unit is a power of 1024.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// An amount of memory in bytes, at most `i64::MAX` (the OCI runtime spec counts in i64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bytes(pub i64);

/// A text that is no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// There is no number, or it is malformed or negative.
    #[error("\"{0}\" does not begin with a number that is zero or more")]
    Number(String),
    /// What follows the number is no unit.
    #[error("\"{unit}\" in \"{text}\" is no unit")]
    Unit {
        /// The whole text.
        text: String,
        /// What follows the number.
        unit: String,
    },
    /// The number of bytes does not fit.
    #[error("\"{0}\" is more than can be counted")]
    TooLarge(String),
}

impl Explain for InvalidBytes {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write a number and one of b, k, m, g, t, p, such as 512m or 1.5g".to_owned())
    }
}

impl Bytes {
    /// How many; docker's zero is none.
    pub fn positive(self) -> Option<u64> {
        u64::try_from(self.0).ok().filter(|bytes| *bytes > 0)
    }
}

impl FromStr for Bytes {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, InvalidBytes> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number
            .parse()
            .map_err(|_| InvalidBytes::Number(text.to_owned()))?;
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let factor = factor(unit).ok_or_else(|| InvalidBytes::Unit {
            text: text.to_owned(),
            unit: unit.to_owned(),
        })?;
        let bytes = number * factor;
        // 2^63 is exact as f64, i64::MAX is not.
        if bytes >= 9_223_372_036_854_775_808.0 {
            return Err(InvalidBytes::TooLarge(text.to_owned()));
        }
        Ok(Self(bytes as i64))
    }
}

/// How many bytes a unit means: nothing or `b`, or a letter alone or with `b` or `ib` after it.
fn factor(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(1.0);
    }
    let letter = unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let power = ["k", "m", "g", "t", "p"]
        .iter()
        .position(|l| *l == letter)?;
    Some(1024_f64.powi(power as i32 + 1))
}

impl fmt::Display for Bytes {
    /// As docker prints memory: four significant figures and a binary unit, `1.5GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = scale(self.0, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
        write!(f, "{}{unit}", significant(number, 4))
    }
}

impl Bytes {
    /// As docker prints the sizes of images: three significant figures and a decimal unit, `5.6MB`.
    pub fn decimal(self) -> String {
        let (number, unit) = scale(self.0, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB"]);
        format!("{}{unit}", significant(number, 3))
    }
}

fn scale(bytes: i64, base: f64, units: [&'static str; 6]) -> (f64, &'static str) {
    let mut number = bytes as f64;
    let mut index = 0;
    while number >= base && index < units.len() - 1 {
        number /= base;
        index += 1;
    }
    (number, units[index])
}

/// The number with so many significant figures and no trailing zeros.
fn significant(number: f64, figures: usize) -> String {
    let whole_digits = format!("{}", number.trunc()).len();
    let text = format!("{number:.*}", figures.saturating_sub(whole_digits));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_mean_what_docker_means() {
        let table = [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("32 KiB", 32 << 10),
            ("512m", 512 << 20),
            ("512Mb", 512 << 20),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            (".5g", 1 << 29),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for text in ["", "-1", "m", "1.2.3m", " 1", "inf", "."] {
            let refused = matches!(text.parse::<Bytes>(), Err(InvalidBytes::Number(_)));
            assert!(refused, "{text}");
        }
        for text in ["1x", "1mm", "1bb", "1ibm", "1kibb", "1  m", "1é"] {
            let refused = matches!(text.parse::<Bytes>(), Err(InvalidBytes::Unit { .. }));
            assert!(refused, "{text}");
        }
        let refused = "8192p".parse::<Bytes>();
        assert!(matches!(refused, Err(InvalidBytes::TooLarge(_))));
    }

    #[test]
    fn sizes_are_printed_as_docker_prints_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1 << 20, "1MiB"),
            (3 << 29, "1.5GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        for (bytes, text) in [
            (0, "0B"),
            (5_613_130, "5.61MB"),
            (1_000, "1kB"),
            (123_456, "123kB"),
        ] {
            assert_eq!(Bytes(bytes).decimal(), text);
        }
    }
}
