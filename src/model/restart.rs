//! What happens when a container's process ends: docker's restart policies.
//!
//! Invariant: pure; the supervisor asks and acts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::{Class, Explain};

/// The first pause before a restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who ran for so long begins anew with the first pause.
pub const LONG_RUN: Duration = Duration::from_secs(10);

/// When a container is started again, as docker's `--restart` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends, unless somebody stopped it.
    Always,
    /// As `Always`. They differ for docker's daemon, when it starts; there is none here.
    UnlessStopped,
    /// When it ends with another status than 0.
    OnFailure {
        /// So many times at most; without end if none.
        most: Option<u32>,
    },
}

/// A text that is no restart policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no restart policy")]
pub struct InvalidPolicy(String);

impl Explain for InvalidPolicy {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write no, always, unless-stopped, on-failure or on-failure:5".to_owned())
    }
}

impl RestartPolicy {
    /// Never.
    pub fn is_no(&self) -> bool {
        *self == RestartPolicy::No
    }

    /// Docker's word for it, without the number.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure { .. } => "on-failure",
        }
    }

    /// How many restarts it allows at most; 0 stands for any number.
    pub fn most(self) -> u32 {
        match self {
            RestartPolicy::OnFailure { most } => most.unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether what ended with `status`, after so many restarts, is started again.
    pub fn restarts(self, status: u32, restarts: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { most } => {
                status != 0 && most.is_none_or(|most| restarts < most)
            }
        }
    }
}

/// How long to wait before the restart after `quick` runs in a row that were shorter than
/// [`LONG_RUN`].
pub fn pause(quick: u32) -> Duration {
    let doublings = quick.saturating_sub(1).min(16);
    (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE)
}

impl FromStr for RestartPolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = || InvalidPolicy(text.to_owned());
        let (name, most) = match text.split_once(':') {
            Some((name, most)) => (name, Some(most.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        match (name, most) {
            ("no" | "", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", most) => Ok(Self::OnFailure {
                // Docker's 0 sets no limit.
                most: most.filter(|most| *most > 0),
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.most() {
            0 => Ok(()),
            most => write!(f, ":{most}"),
        }
    }
}

impl TryFrom<String> for RestartPolicy {
    type Error = InvalidPolicy;

    fn try_from(text: String) -> Result<Self, InvalidPolicy> {
        text.parse()
    }
}

impl From<RestartPolicy> for String {
    fn from(policy: RestartPolicy) -> String {
        policy.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_written_as_docker_writes_them() {
        for text in [
            "no",
            "always",
            "unless-stopped",
            "on-failure",
            "on-failure:3",
        ] {
            let policy: RestartPolicy = text.parse().unwrap();
            assert_eq!(policy.to_string(), text);
        }
        let unlimited = "on-failure:0".parse::<RestartPolicy>().unwrap();
        assert_eq!(unlimited.to_string(), "on-failure");
        for text in [
            "No",
            "always:3",
            "on-failure:",
            "on-failure:-1",
            "sometimes",
            "no:1",
        ] {
            assert!(text.parse::<RestartPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_ends_is_restarted_as_its_policy_says() {
        let policy = |text: &str| text.parse::<RestartPolicy>().unwrap();
        assert!(!policy("no").restarts(1, 0));
        assert!(policy("always").restarts(0, 1000));
        assert!(policy("unless-stopped").restarts(137, 3));
        assert!(!policy("on-failure").restarts(0, 0));
        assert!(policy("on-failure").restarts(1, 1000));
        assert!(policy("on-failure:2").restarts(1, 1));
        assert!(!policy("on-failure:2").restarts(1, 2));
    }

    #[test]
    fn the_pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = (0..13).map(|quick| pause(quick).as_millis()).collect();
        let expected = [
            100, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000,
        ];
        assert_eq!(pauses, expected);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
