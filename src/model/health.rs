//! Health checks: what is asked how often, and what the answers come to.
//!
//! Invariant: pure; docker's rules: a start period in which failures do not count, then so many
//! failures in a row make a container unhealthy, and one success healthy.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::class::{Class, Explain};

/// How many of the last answers are kept.
const KEPT: usize = 5;

/// How a container's health is checked. Docker's defaults are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The command that is run in the container.
    pub command: Vec<String>,
    /// Between the end of one check and the next.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// So long after the start failures do not count.
    pub start_period: Duration,
    /// Between checks in the start period.
    pub start_interval: Duration,
    /// What follows when it becomes unhealthy.
    #[serde(default)]
    pub on_failure: OnUnhealthy,
}

impl HealthCheck {
    /// The check as docker's image configuration has it; durations are nanoseconds.
    pub fn document(&self) -> Value {
        let test: Vec<&str> = match self.command.as_slice() {
            [shell, option, line] if shell == "/bin/sh" && option == "-c" => {
                vec!["CMD-SHELL", line]
            }
            words => {
                let words = words.iter().map(String::as_str);
                std::iter::once("CMD").chain(words).collect()
            }
        };
        json!({
            "Test": test,
            "Interval": nanoseconds(self.interval),
            "Timeout": nanoseconds(self.timeout),
            "StartPeriod": nanoseconds(self.start_period),
            "StartInterval": nanoseconds(self.start_interval),
            "Retries": self.retries,
        })
    }
}

/// As Go writes a duration.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What follows when a container becomes unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnhealthy {
    /// Nothing: it is said, that is all.
    #[default]
    None,
    /// It is killed; its restart policy decides on what follows.
    Kill,
    /// It is started again, whatever its restart policy.
    Restart,
    /// It is stopped, and stays so.
    Stop,
}

/// A text that names no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is nothing that can follow")]
pub struct InvalidAction(String);

impl Explain for InvalidAction {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write none, kill, restart or stop".to_owned())
    }
}

impl FromStr for OnUnhealthy {
    type Err = InvalidAction;

    fn from_str(text: &str) -> Result<Self, InvalidAction> {
        match text {
            "none" => Ok(Self::None),
            "kill" => Ok(Self::Kill),
            "restart" => Ok(Self::Restart),
            "stop" => Ok(Self::Stop),
            _ => Err(InvalidAction(text.to_owned())),
        }
    }
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Nothing is known yet.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks failed.
    Unhealthy,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        })
    }
}

/// One answer, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When the check began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The command's status; -1 if it did not end in time or could not be run.
    pub exit_code: i32,
    /// The beginning of what it wrote.
    pub output: String,
}

/// How a container is, and the last answers; docker's `State.Health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// How it is.
    pub status: HealthStatus,
    /// How many checks failed in a row.
    pub failing_streak: u32,
    /// The last answers, the oldest first.
    pub log: Vec<Probe>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            status: HealthStatus::Starting,
            failing_streak: 0,
            log: Vec::new(),
        }
    }
}

impl Health {
    /// Takes an answer into account; true if the status is another one now. `age` is how long the
    /// container had run when the check began.
    pub fn take(&mut self, probe: Probe, check: &HealthCheck, age: Duration) -> bool {
        let before = self.status;
        if probe.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || age >= check.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push(probe);
        if self.log.len() > KEPT {
            self.log.remove(0);
        }
        self.status != before
    }

    /// How long to wait for the next check, if the container has run for `age`.
    pub fn pause(&self, check: &HealthCheck, age: Duration) -> Duration {
        match self.status == HealthStatus::Starting && age < check.start_period {
            true => check.start_interval,
            false => check.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retries: u32, start_period: u64) -> HealthCheck {
        HealthCheck {
            command: vec!["true".to_owned()],
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            retries,
            start_period: Duration::from_secs(start_period),
            start_interval: Duration::from_secs(5),
            on_failure: OnUnhealthy::None,
        }
    }

    fn probe(exit_code: i32) -> Probe {
        Probe {
            start: Timestamp::UNIX_EPOCH,
            end: Timestamp::UNIX_EPOCH,
            exit_code,
            output: String::new(),
        }
    }

    /// The statuses after each answer: exit code and age in seconds.
    fn walk(check: &HealthCheck, answers: &[(i32, u64)]) -> String {
        let mut health = Health::default();
        let mut statuses = Vec::new();
        for (code, age) in answers {
            let before = health.status;
            let changed = health.take(probe(*code), check, Duration::from_secs(*age));
            assert_eq!(changed, before != health.status);
            statuses.push(health.status.to_string());
        }
        statuses.join(" ")
    }

    #[test]
    fn so_many_failures_in_a_row_are_unhealthy_and_one_success_is_healthy() {
        let failures = [(1, 0), (1, 1), (1, 2), (0, 3), (1, 4), (1, 5), (0, 6)];
        assert_eq!(
            walk(&check(3, 0), &failures),
            "starting starting unhealthy healthy healthy healthy healthy"
        );
        assert_eq!(walk(&check(1, 0), &[(-1, 0), (0, 1)]), "unhealthy healthy");
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_the_first_success() {
        let check = check(2, 10);
        assert_eq!(
            walk(&check, &[(1, 1), (1, 2), (1, 3), (1, 10), (1, 11)]),
            "starting starting starting starting unhealthy"
        );
        assert_eq!(
            walk(&check, &[(0, 1), (1, 2), (1, 3)]),
            "healthy healthy unhealthy"
        );
        let mut health = Health::default();
        let young = Duration::from_secs(1);
        assert_eq!(health.pause(&check, young), check.start_interval);
        assert_eq!(health.pause(&check, check.start_period), check.interval);
        health.take(probe(0), &check, young);
        assert_eq!(health.pause(&check, young), check.interval);
    }

    #[test]
    fn the_last_five_answers_are_kept_in_docker_s_form() {
        let mut health = Health::default();
        for code in 0..8 {
            health.take(probe(code), &check(100, 0), Duration::ZERO);
        }
        let codes: Vec<_> = health.log.iter().map(|probe| probe.exit_code).collect();
        assert_eq!(codes, [3, 4, 5, 6, 7]);
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(json["Status"], "healthy");
        assert_eq!(json["Log"][0]["ExitCode"], 3);
        assert_eq!(json["FailingStreak"], 7);
    }
}
