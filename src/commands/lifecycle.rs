//! The options of `run` and `create` that say what becomes of a container: restarts, health, whose
//! end is its own.
//!
//! Invariant: docker's defaults; what the command line does not say the image may.

use std::time::Duration;

use super::values::{duration, parse, seconds};
use crate::image::DockerConfig;
use crate::model::class::{Class, Explain};
use crate::model::health::{HealthCheck, OnUnhealthy};
use crate::model::id::ScopeName;
use crate::model::record::BoundTo;
use crate::model::restart::RestartPolicy;
use crate::sys::process;

/// Between two checks, and the longest that one may take.
const INTERVAL: Duration = Duration::from_secs(30);

/// Between two checks in the start period.
const START_INTERVAL: Duration = Duration::from_secs(5);

/// So many failures make it unhealthy.
const RETRIES: u32 = 3;

/// What becomes of the container.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(next_help_heading = "Life")]
pub struct LifecycleArgs {
    /// When to start it again: no, always, unless-stopped or on-failure[:TIMES]
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "no",
        hide_default_value = true,
        value_parser = parse::<RestartPolicy>
    )]
    pub restart: RestartPolicy,

    /// Stop it when it has run so long, 0 for no limit; its exit code is 124 then
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Stop and tear it down when this process ends, however it ends: a pid, or parent
    #[arg(long, value_name = "PID", value_parser = parse::<BindPid>)]
    pub bind_pid: Option<BindPid>,

    /// Make it part of a scope, which netrun scope end NAME removes as a whole
    #[arg(long, value_name = "SCOPE", value_parser = parse::<ScopeName>)]
    pub scope: Option<ScopeName>,

    /// The command that says whether it is healthy, for its shell
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,

    /// Between two checks [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub health_interval: Option<Duration>,

    /// A check that takes longer has failed [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub health_timeout: Option<Duration>,

    /// So many failures in a row make it unhealthy [default: 3]
    #[arg(long, value_name = "NUMBER")]
    pub health_retries: Option<u32>,

    /// So long after the start failures do not count [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub health_start_period: Option<Duration>,

    /// Between two checks in that time [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub health_start_interval: Option<Duration>,

    /// What follows when it becomes unhealthy: none, kill, restart or stop
    #[arg(
        long,
        value_name = "ACTION",
        default_value = "none",
        hide_default_value = true,
        value_parser = parse::<OnUnhealthy>
    )]
    pub health_on_failure: OnUnhealthy,

    /// Do not check its health, whatever the image says
    #[arg(long)]
    pub no_healthcheck: bool,
}

/// The process whose end is the container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindPid {
    /// The one that called netrun.
    Parent,
    /// This one.
    Pid(u32),
}

impl BindPid {
    /// The process, which runs.
    ///
    /// # Errors
    /// [`LifecycleError::NoProcess`].
    pub fn process(self) -> Result<BoundTo, LifecycleError> {
        let pid = match self {
            Self::Parent => nix::unistd::getppid().as_raw().unsigned_abs(),
            Self::Pid(pid) => pid,
        };
        let start_time = process::start_time(pid).ok_or(LifecycleError::NoProcess(pid))?;
        Ok(BoundTo { pid, start_time })
    }
}

impl std::str::FromStr for BindPid {
    type Err = LifecycleError;

    fn from_str(text: &str) -> Result<Self, LifecycleError> {
        match text {
            "parent" => Ok(Self::Parent),
            pid => match pid.parse() {
                Ok(pid) if pid > 0 => Ok(Self::Pid(pid)),
                _ => Err(LifecycleError::NotPid(text.to_owned())),
            },
        }
    }
}

/// Words about a container's life that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// Not a process id.
    #[error("\"{0}\" is no process id")]
    NotPid(String),
    /// There is no such process.
    #[error("there is no process {0} to be bound to")]
    NoProcess(u32),
    /// Contradictory options.
    #[error("{0} and {1} contradict each other")]
    Contradiction(&'static str, &'static str),
    /// Nothing is checked so fast.
    #[error("{0} must be at least 1ms")]
    TooShort(&'static str),
}

impl Explain for LifecycleError {
    fn class(&self) -> Class {
        match self {
            Self::NoProcess(_) => Class::NotFound,
            Self::NotPid(_) | Self::Contradiction(..) | Self::TooShort(_) => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPid(_) => Some("write a number, or parent".to_owned()),
            Self::Contradiction(first, _) => Some(format!("leave {first} out")),
            Self::NoProcess(_) | Self::TooShort(_) => None,
        }
    }
}

impl LifecycleArgs {
    /// Checks what contradicts itself. To be asked before anything is looked up.
    ///
    /// # Errors
    /// [`LifecycleError`].
    pub fn check(&self, auto_remove: bool) -> Result<(), LifecycleError> {
        if auto_remove && !self.restart.is_no() {
            return Err(LifecycleError::Contradiction("--rm", "--restart"));
        }
        let says_how = self.health_cmd.is_some()
            || self.health_interval.is_some()
            || self.health_timeout.is_some()
            || self.health_retries.is_some()
            || self.health_start_period.is_some()
            || self.health_start_interval.is_some();
        if self.no_healthcheck && says_how {
            return Err(LifecycleError::Contradiction(
                "--no-healthcheck",
                "--health-*",
            ));
        }
        for (name, duration) in [
            ("--health-interval", self.health_interval),
            ("--health-timeout", self.health_timeout),
            ("--health-start-interval", self.health_start_interval),
        ] {
            // Zero stands for the default, as in docker.
            let too_short = |d: Duration| !d.is_zero() && d < Duration::from_millis(1);
            if duration.is_some_and(too_short) {
                return Err(LifecycleError::TooShort(name));
            }
        }
        Ok(())
    }

    /// How its health is checked, if at all.
    pub fn health(&self, config: &DockerConfig) -> Option<HealthCheck> {
        if self.no_healthcheck {
            return None;
        }
        let image = config.healthcheck.clone().unwrap_or_default();
        let in_shell = |line: &str| {
            let mut command = config.shell.clone();
            if command.is_empty() {
                command = vec!["/bin/sh".to_owned(), "-c".to_owned()];
            }
            command.push(line.to_owned());
            command
        };
        // As in docker, an empty one is as good as none.
        let line = self.health_cmd.as_ref().filter(|line| !line.is_empty());
        let command = match (line, image.test.as_slice()) {
            (Some(line), _) => in_shell(line),
            (None, [kind, line]) if kind == "CMD-SHELL" => in_shell(line),
            (None, [kind, command @ ..]) if kind == "CMD" && !command.is_empty() => {
                command.to_vec()
            }
            (None, _) => return None,
        };
        let set = |given: Option<Duration>, image: Duration, default: Duration| {
            let given = given.filter(|duration| !duration.is_zero());
            let image = Some(image).filter(|duration| !duration.is_zero());
            given.or(image).unwrap_or(default)
        };
        let retries = self.health_retries.filter(|retries| *retries > 0);
        let image_retries = Some(image.retries).filter(|retries| *retries > 0);
        Some(HealthCheck {
            command,
            interval: set(self.health_interval, image.interval, INTERVAL),
            timeout: set(self.health_timeout, image.timeout, INTERVAL),
            retries: retries.or(image_retries).unwrap_or(RETRIES),
            start_period: set(self.health_start_period, image.start_period, Duration::ZERO),
            start_interval: set(
                self.health_start_interval,
                image.start_interval,
                START_INTERVAL,
            ),
            on_failure: self.health_on_failure,
        })
    }

    /// The process with whose end it ends.
    ///
    /// # Errors
    /// [`LifecycleError::NoProcess`].
    pub fn bound_to(&self) -> Result<Option<BoundTo>, LifecycleError> {
        self.bind_pid.map(BindPid::process).transpose()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::image::Healthcheck;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LifecycleArgs,
    }

    fn args(line: &str) -> LifecycleArgs {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().args
    }

    fn image(test: &[&str]) -> DockerConfig {
        let check = Healthcheck {
            test: test.iter().map(|&word| word.to_owned()).collect(),
            timeout: Duration::from_secs(7),
            retries: 9,
            ..Healthcheck::default()
        };
        DockerConfig {
            healthcheck: Some(check),
            shell: vec!["/bin/ash".to_owned(), "-ec".to_owned()],
        }
    }

    #[test]
    fn the_command_line_goes_before_the_image() {
        let none = DockerConfig::default();
        assert_eq!(args("").health(&none), None);
        assert_eq!(args("--health-cmd=").health(&none), None);
        let check = args("--health-cmd true").health(&none).unwrap();
        assert_eq!(check.command, ["/bin/sh", "-c", "true"]);
        assert_eq!((check.interval, check.retries), (INTERVAL, RETRIES));
        let own = image(&["CMD-SHELL", "test -e /up"]);
        let check = args("--health-retries 2 --health-interval 1s")
            .health(&own)
            .unwrap();
        assert_eq!(check.command, ["/bin/ash", "-ec", "test -e /up"]);
        assert_eq!(check.timeout, Duration::from_secs(7));
        assert_eq!(check.interval, Duration::from_secs(1));
        assert_eq!(check.retries, 2);
        let own = image(&["CMD", "/check", "-q"]);
        assert_eq!(args("").health(&own).unwrap().command, ["/check", "-q"]);
        assert_eq!(args("").health(&own).unwrap().retries, 9);
        assert_eq!(args("--no-healthcheck").health(&own), None);
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(args("--restart always").check(true).is_err());
        assert!(args("--restart always").check(false).is_ok());
        assert!(args("--restart no").check(true).is_ok());
        assert!(
            args("--no-healthcheck --health-retries 2")
                .check(false)
                .is_err()
        );
        assert!(args("--health-interval 1us").check(false).is_err());
        assert!(
            args("--health-interval 0 --health-timeout 1ms")
                .check(false)
                .is_ok()
        );
    }

    #[test]
    fn a_container_is_bound_to_what_lives() {
        assert_eq!(args("").bound_to().unwrap(), None);
        let own = std::process::id();
        let bound = args(&format!("--bind-pid {own}"))
            .bound_to()
            .unwrap()
            .unwrap();
        assert_eq!(bound.pid, own);
        assert!(args("--bind-pid parent").bound_to().unwrap().is_some());
        assert!(args("--bind-pid 4194999").bound_to().is_err());
        for text in ["0", "-1", "me", ""] {
            assert!(text.parse::<BindPid>().is_err(), "{text}");
        }
    }
}
