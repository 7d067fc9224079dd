//! When a container counts as ready.
//!
//! Invariant: what parses can be waited for.

use std::fmt;
use std::mem::discriminant;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use super::class::{Class, Explain};

/// What `--wait` waits for.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// It is healthy; if it has no health check, it runs: what is meant if nothing is said.
    Usual,
    /// Its health check says so.
    Healthy,
    /// It accepts connections at this port.
    Tcp(u16),
    /// It answers this request with a status below 400.
    Http {
        /// The port.
        port: u16,
        /// The path with its query, beginning with a slash.
        path: String,
    },
    /// It has written a line in which this is found.
    Log(Regex),
}

/// A text that is nothing to wait for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidReadiness {
    /// None of the words.
    #[error("\"{0}\" is nothing to wait for")]
    Unknown(String),
    /// No port.
    #[error("\"{0}\" is no port")]
    Port(String),
    /// No regular expression.
    #[error("\"{text}\" is no regular expression")]
    Regex {
        /// What was written.
        text: String,
        /// Why not.
        #[source]
        source: regex::Error,
    },
}

impl Explain for InvalidReadiness {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(_) => Some(
                "write healthy, tcp:5432, http:8080/ready or log:REGEX after --wait=".to_owned(),
            ),
            Self::Port(_) => Some("ports are 1 to 65535".to_owned()),
            Self::Regex { .. } => Some(
                "write log: and what stands in a line; ( ) [ ] . * + ? are written \\( and so on"
                    .to_owned(),
            ),
        }
    }
}

impl FromStr for Readiness {
    type Err = InvalidReadiness;

    fn from_str(text: &str) -> Result<Self, InvalidReadiness> {
        let unknown = || InvalidReadiness::Unknown(text.to_owned());
        match text {
            "" => return Ok(Self::Usual),
            "healthy" => return Ok(Self::Healthy),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        match kind {
            "tcp" => Ok(Self::Tcp(port(rest)?)),
            "http" => {
                let (number, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let path = if path.is_empty() { "/" } else { path };
                Ok(Self::Http {
                    port: port(number)?,
                    path: path.to_owned(),
                })
            }
            // Logs are bytes; classes such as \\d mean ASCII.
            "log" => match RegexBuilder::new(rest).unicode(false).build() {
                Ok(regex) => Ok(Self::Log(regex)),
                Err(source) => Err(InvalidReadiness::Regex {
                    text: rest.to_owned(),
                    source,
                }),
            },
            _ => Err(unknown()),
        }
    }
}

fn port(text: &str) -> Result<u16, InvalidReadiness> {
    let number = text.parse().ok().filter(|port| *port != 0);
    number.ok_or_else(|| InvalidReadiness::Port(text.to_owned()))
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual | Self::Healthy => f.write_str("healthy"),
            Self::Tcp(port) => write!(f, "tcp:{port}"),
            Self::Http { port, path } => write!(f, "http:{port}{path}"),
            Self::Log(regex) => write!(f, "log:{regex}"),
        }
    }
}

impl PartialEq for Readiness {
    fn eq(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other) && self.to_string() == other.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_waited_for() {
        for text in [
            "healthy",
            "tcp:5432",
            "http:8080/ready?x=1",
            r"log:^ready on \d+$",
        ] {
            assert_eq!(text.parse::<Readiness>().unwrap().to_string(), text);
        }
        let bare: Readiness = "http:80".parse().unwrap();
        assert_eq!(bare.to_string(), "http:80/");
        let Readiness::Log(regex) = "log:x.z|caf\u{e9} \\d".parse().unwrap() else {
            unreachable!("it is a log");
        };
        assert!(regex.is_match(b"\xffxyz") && regex.is_match("caf\u{e9} 7".as_bytes()));
        assert_ne!("".parse::<Readiness>(), "healthy".parse());
        for text in [
            "ready",
            "tcp",
            "tcp:",
            "tcp:0",
            "tcp:70000",
            "http:/x",
            "log:(",
        ] {
            assert!(text.parse::<Readiness>().is_err(), "{text}");
        }
    }
}
