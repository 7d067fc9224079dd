//! Limits of a process as `--ulimit` takes them: `nofile=1024:2048`.
//!
//! Invariant: the soft limit is not above the hard one, and both are what setrlimit(2) takes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// The limits by docker's names and by the kernel's, sorted by the former.
pub const NAMES: [(&str, &str); 16] = [
    ("as", "RLIMIT_AS"),
    ("core", "RLIMIT_CORE"),
    ("cpu", "RLIMIT_CPU"),
    ("data", "RLIMIT_DATA"),
    ("fsize", "RLIMIT_FSIZE"),
    ("locks", "RLIMIT_LOCKS"),
    ("memlock", "RLIMIT_MEMLOCK"),
    ("msgqueue", "RLIMIT_MSGQUEUE"),
    ("nice", "RLIMIT_NICE"),
    ("nofile", "RLIMIT_NOFILE"),
    ("nproc", "RLIMIT_NPROC"),
    ("rss", "RLIMIT_RSS"),
    ("rtprio", "RLIMIT_RTPRIO"),
    ("rttime", "RLIMIT_RTTIME"),
    ("sigpending", "RLIMIT_SIGPENDING"),
    ("stack", "RLIMIT_STACK"),
];

/// One limit. [`u64::MAX`] is none at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The kernel's name: `RLIMIT_NOFILE`.
    pub name: String,
    /// What the process may use until it asks for more.
    pub soft: u64,
    /// How much more it may ask for.
    pub hard: u64,
}

impl Ulimit {
    /// Docker's name: `nofile`.
    pub fn short_name(&self) -> &str {
        short_name(&self.name)
    }
}

/// Docker's name of what the kernel calls `RLIMIT_NOFILE`.
pub fn short_name(kernels: &str) -> &str {
    let known = NAMES.iter().find(|(_, kernel)| *kernel == kernels);
    known.map_or(kernels, |(short, _)| short)
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUlimit {
    /// It is not `NAME=SOFT[:HARD]`.
    #[error("\"{0}\" is not NAME=SOFT[:HARD]")]
    Form(String),
    /// No kernel has this limit.
    #[error("there is no limit \"{0}\"")]
    Name(String),
    /// The soft limit is above the hard one.
    #[error("in \"{0}\" the soft limit is above the hard one")]
    Order(String),
}

impl Explain for InvalidUlimit {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Form(_) | Self::Order(_) => {
                "write, for instance, nofile=1024:2048; -1 is no limit".to_owned()
            }
            Self::Name(_) => {
                let names: Vec<&str> = NAMES.iter().map(|(short, _)| *short).collect();
                format!("the limits are {}", names.join(", "))
            }
        })
    }
}

impl FromStr for Ulimit {
    type Err = InvalidUlimit;

    fn from_str(text: &str) -> Result<Self, InvalidUlimit> {
        let form = || InvalidUlimit::Form(text.to_owned());
        let (short, values) = text.split_once('=').ok_or_else(form)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let amount = |text: &str| match text {
            "-1" | "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        };
        let (soft, hard) = (
            amount(soft).ok_or_else(form)?,
            amount(hard).ok_or_else(form)?,
        );
        let known = NAMES.iter().find(|(known, _)| *known == short);
        let (_, name) = known.ok_or_else(|| InvalidUlimit::Name(short.to_owned()))?;
        if soft > hard {
            return Err(InvalidUlimit::Order(text.to_owned()));
        }
        Ok(Self {
            name: (*name).to_owned(),
            soft,
            hard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_dockers_form() {
        let limit = |text: &str| text.parse::<Ulimit>();
        let both = limit("nofile=1024:2048").unwrap();
        assert_eq!(
            (both.name.as_str(), both.soft, both.hard),
            ("RLIMIT_NOFILE", 1024, 2048)
        );
        assert_eq!(both.short_name(), "nofile");
        assert_eq!(limit("core=0").unwrap().hard, 0);
        assert_eq!(limit("memlock=-1:-1").unwrap().soft, u64::MAX);
        for (bad, error) in [
            ("nofile", InvalidUlimit::Form("nofile".into())),
            ("nofile=x", InvalidUlimit::Form("nofile=x".into())),
            ("nofile=1:2:3", InvalidUlimit::Form("nofile=1:2:3".into())),
            ("files=1", InvalidUlimit::Name("files".into())),
            ("nofile=2:1", InvalidUlimit::Order("nofile=2:1".into())),
        ] {
            assert_eq!(limit(bad), Err(error));
        }
    }
}
