//! The words of these options that are more than a word, where no model has them.

use std::str::FromStr;

use crate::model::bytes::Bytes;
use crate::model::class::{Class, Explain};
use crate::model::record::LogDriver;

/// A value that such an option does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWord {
    /// Memory and swap.
    #[error("\"{0}\" is neither an amount of memory nor -1")]
    Swap(String),
    /// A list of CPUs.
    #[error("\"{0}\" is no list of CPUs")]
    CpuSet(String),
    /// A mask of file modes.
    #[error("\"{0}\" is no octal number up to 777")]
    Umask(String),
    /// Ports.
    #[error("\"{0}\" is no port, nor a range of ports")]
    Port(String),
    /// A writer of logs that docker has.
    #[error("the log driver {0} is not supported yet")]
    LogDriverUnsupported(String),
    /// A writer of logs that nobody has.
    #[error("there is no log driver \"{0}\"")]
    LogDriver(String),
    /// An option of a writer of logs that docker has.
    #[error("the log option {0} is not supported yet")]
    LogOptionUnsupported(String),
    /// An option of a writer of logs that nobody has.
    #[error("\"{0}\" is no log option")]
    LogOption(String),
}

impl Explain for InvalidWord {
    fn class(&self) -> Class {
        match self {
            Self::LogDriverUnsupported(_) | Self::LogOptionUnsupported(_) => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Swap(_) => "write memory and swap together, such as 1g, or -1 for all swap",
            Self::CpuSet(_) => "write numbers and ranges, such as 0-3,8",
            Self::Umask(_) => "write, for instance, 0027",
            Self::Port(_) => "write, for instance, 80, 53/udp or 8000-8010",
            Self::LogDriver(_) | Self::LogDriverUnsupported(_) => {
                "the log drivers are local, json-file and none"
            }
            Self::LogOption(_) | Self::LogOptionUnsupported(_) => {
                "the log options are max-size=10m and max-file=3"
            }
        };
        Some(hint.to_owned())
    }
}

/// Memory and swap together in bytes; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap(pub i64);

impl FromStr for Swap {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        match (text, text.parse::<Bytes>()) {
            ("-1", _) => Ok(Self(-1)),
            (_, Ok(Bytes(bytes))) => Ok(Self(bytes)),
            _ => Err(InvalidWord::Swap(text.to_owned())),
        }
    }
}

/// A list of CPUs: `0-3,8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet {
    /// As given.
    pub text: String,
    /// The highest of them.
    pub highest: u32,
}

impl FromStr for CpuSet {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let invalid = || InvalidWord::CpuSet(text.to_owned());
        let mut highest = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.parse().map_err(|_| invalid())?;
            let last: u32 = last.parse().map_err(|_| invalid())?;
            if first > last {
                return Err(invalid());
            }
            highest = highest.max(last);
        }
        let text = text.to_owned();
        Ok(Self { text, highest })
    }
}

/// The bits that no new file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u32);

impl FromStr for Umask {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        match u32::from_str_radix(text, 8) {
            Ok(mask) if mask <= 0o777 => Ok(Self(mask)),
            _ => Err(InvalidWord::Umask(text.to_owned())),
        }
    }
}

/// Ports that a container says it listens on: `80`, `53/udp`, `8000-8010/tcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed(pub Vec<String>);

impl FromStr for Exposed {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let invalid = || InvalidWord::Port(text.to_owned());
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
            return Err(invalid());
        }
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => {
                let each = (first..=last).map(|port| format!("{port}/{protocol}"));
                Ok(Self(each.collect()))
            }
            _ => Err(invalid()),
        }
    }
}

/// Docker's other writers of logs.
const OTHER_DRIVERS: [&str; 8] = [
    "journald", "syslog", "fluentd", "gelf", "awslogs", "splunk", "gcplogs", "etwlogs",
];

/// Who writes the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver(pub LogDriver);

impl FromStr for Driver {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let all = [LogDriver::Local, LogDriver::JsonFile, LogDriver::None];
        match all.into_iter().find(|driver| driver.name() == text) {
            Some(driver) => Ok(Self(driver)),
            None if OTHER_DRIVERS.contains(&text) => {
                Err(InvalidWord::LogDriverUnsupported(text.to_owned()))
            }
            None => Err(InvalidWord::LogDriver(text.to_owned())),
        }
    }
}

/// Docker's other options of its writers of logs.
const OTHER_LOG_OPTIONS: [&str; 8] = [
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
];

/// An option of the writer of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOption {
    /// A file is rotated when it has grown past so many bytes; -1 is never.
    MaxSize(u64),
    /// So many files are kept.
    MaxFile(u32),
}

impl FromStr for LogOption {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let invalid = || InvalidWord::LogOption(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(invalid)?;
        match name {
            "max-size" if value == "-1" => Ok(Self::MaxSize(u64::MAX)),
            "max-size" => match value.parse() {
                Ok(Bytes(bytes)) if bytes > 0 => Ok(Self::MaxSize(bytes.cast_unsigned())),
                _ => Err(invalid()),
            },
            "max-file" => match value.parse() {
                Ok(files) if files > 0 => Ok(Self::MaxFile(files)),
                _ => Err(invalid()),
            },
            other if OTHER_LOG_OPTIONS.contains(&other) => {
                Err(InvalidWord::LogOptionUnsupported(other.to_owned()))
            }
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses each; the good ones must, the bad ones must not.
    fn check<T: FromStr<Err = InvalidWord>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text}");
        }
        for text in bad {
            let error = text.parse::<T>().err();
            assert!(error.is_some_and(|e| e.hint().is_some()), "{text}");
        }
    }

    #[test]
    fn malformed_words_are_refused_with_an_example() {
        check::<Swap>(&["-1", "1g", "0"], &["", "-2", "much"]);
        check::<CpuSet>(&["0", "0-3,8"], &["", "3-0", "a", "0,", "0-", "-1"]);
        check::<Umask>(&["0", "0027", "777"], &["", "8", "1000", "-1"]);
        let ports = ["", "0", "65536", "8-7", "80/icmp", "80/"];
        check::<Exposed>(&["80", "53/UDP", "1-3/sctp"], &ports);
        check::<Driver>(&["local", "json-file", "none"], &["", "journald", "json"]);
        let bad = [
            "max-size",
            "max-size=0",
            "max-file=0",
            "max-file=x",
            "tag=a",
            "x=1",
        ];
        check::<LogOption>(&["max-size=10m", "max-size=-1", "max-file=3"], &bad);
    }

    #[test]
    fn values_are_understood() {
        assert_eq!("0-3,8".parse::<CpuSet>().unwrap().highest, 8);
        assert_eq!("0027".parse::<Umask>(), Ok(Umask(0o27)));
        let range = "8000-8001/udp".parse::<Exposed>().unwrap().0;
        assert_eq!(range, ["8000/udp", "8001/udp"]);
        let journald = "journald".parse::<Driver>().unwrap_err();
        assert_eq!(journald.class(), Class::Unsupported);
    }
}
