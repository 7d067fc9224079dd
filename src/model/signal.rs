//! Signals by name and number.
//!
//! Invariant: the number is one that Linux can deliver, 1 to 64.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// The first real-time signal, as glibc counts (the kernel's 32 and 33 are its own).
const RTMIN: u8 = 34;

/// The last real-time signal.
const RTMAX: u8 = 64;

/// A signal that Linux can deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(u8);

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no signal")]
pub struct UnknownSignal(String);

impl Explain for UnknownSignal {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write a name such as TERM, SIGTERM or RTMIN+3, or a number from 1 to 64".to_owned())
    }
}

impl Signal {
    /// SIGHUP.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// Its number, 1 to 64.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// The signal of that number, if Linux has one.
    pub fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().map_err(|_| unknown())?;
            return Self::from_number(number).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        by_name(name).map(Self).ok_or_else(unknown)
    }
}

/// The number of a name in upper case without `SIG`.
fn by_name(name: &str) -> Option<u8> {
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let number = RTMIN.checked_add(distance(offset, '+')?)?;
        return (number <= RTMAX).then_some(number);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        let number = RTMAX.checked_sub(distance(offset, '-')?)?;
        return (number >= RTMIN).then_some(number);
    }
    let name = match name {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        other => other,
    };
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().ok()?;
    u8::try_from(signal as i32).ok()
}

/// The n of `+n` or `-n`; zero if nothing stands there.
fn distance(text: &str, sign: char) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for Signal {
    /// `SIGTERM`, `SIGRTMIN+3`; the two nameless ones by number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.number()) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) if self.0 == RTMIN => f.write_str("SIGRTMIN"),
            Err(_) if self.0 > RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Signal {
    type Error = UnknownSignal;

    fn try_from(text: String) -> Result<Self, UnknownSignal> {
        text.parse()
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> String {
        signal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        let table = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("term", 15),
            ("15", 15),
            ("KILL", 9),
            ("HUP", 1),
            ("USR1", 10),
            ("WINCH", 28),
            ("CLD", 17),
            ("POLL", 29),
            ("IOT", 6),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax", 64),
            ("RTMAX-14", 50),
            ("64", 64),
        ];
        for (text, number) in table {
            let signal: Signal = text.parse().unwrap();
            assert_eq!(signal.number(), number, "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in [
            "",
            "0",
            "65",
            "-9",
            "SIG",
            "SIGFOO",
            "RTMIN+31",
            "RTMIN-1",
            "RTMIN++1",
            "RTMAX+1",
            "RTMAX-31",
            "9 ",
            "+9",
            "99999999999",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_signal_is_printed_by_a_name_that_means_it() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal::from_number(37).unwrap().to_string(), "SIGRTMIN+3");
    }
}
