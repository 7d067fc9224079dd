//! Shares of processors as people write them: `0.5`, `2`.
//!
//! Invariant: at least a hundredth of a processor, below which the kernel refuses the quota; or none, which stands
//! for no limit.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// A number of processors, in billionths (docker's `NanoCpus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cpus(pub u64);

impl Cpus {
    /// The number of processors; docker's zero is none.
    pub fn positive(self) -> Option<f64> {
        (self.0 > 0).then(|| self.number())
    }

    /// The number of processors.
    pub fn number(self) -> f64 {
        // Exact for any number of processors that a machine has.
        self.0 as f64 / 1e9
    }
}

/// A text that is no number of processors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCpus {
    /// It is no decimal number.
    #[error("\"{0}\" is no number of processors")]
    Number(String),
    /// Less than the kernel can ration.
    #[error("\"{0}\" is less than a hundredth of a processor")]
    TooSmall(String),
}

impl Explain for InvalidCpus {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write a decimal number of at least 0.01, such as 1.5".to_owned())
    }
}

impl FromStr for Cpus {
    type Err = InvalidCpus;

    fn from_str(text: &str) -> Result<Self, InvalidCpus> {
        let nano = billionths(text).ok_or_else(|| InvalidCpus::Number(text.to_owned()))?;
        // docker's zero stands for no limit.
        match (1..10_000_000).contains(&nano) {
            true => Err(InvalidCpus::TooSmall(text.to_owned())),
            false => Ok(Self(nano)),
        }
    }
}

/// A decimal number times 10^9, exactly; nothing if it has more than nine decimal places.
fn billionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let empty = whole.is_empty() && fraction.is_empty();
    if empty || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = format!("0{whole}").parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_exactly() {
        for (text, nano) in [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            ("1.5", 1_500_000_000),
            ("0.01", 10_000_000),
            ("2.", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Cpus(nano)), "{text}");
        }
        for text in [
            "",
            ".",
            "-1",
            "1,5",
            "1e3",
            "1.2.3",
            "99999999999999",
            "0.1234567891",
        ] {
            assert_eq!(
                text.parse::<Cpus>(),
                Err(InvalidCpus::Number(text.to_owned()))
            );
        }
        for text in ["0.009", "0.001"] {
            assert_eq!(
                text.parse::<Cpus>(),
                Err(InvalidCpus::TooSmall(text.to_owned()))
            );
        }
    }
}
