//! Docker's additions to the OCI image configuration: HEALTHCHECK and SHELL.
//!
//! Invariant: an image without a check, or with one that is none, has none here.

use std::time::Duration;

use serde::Deserialize;

/// What an image's author says about checking its health. A duration of zero is left to defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `CMD` and a command, or `CMD-SHELL` and a line for the shell.
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(deserialize_with = "nanoseconds")]
    pub interval: Duration,
    /// How long a check may take.
    #[serde(deserialize_with = "nanoseconds")]
    pub timeout: Duration,
    /// How long failures do not count after the start.
    #[serde(deserialize_with = "nanoseconds")]
    pub start_period: Duration,
    /// Between two checks in that time.
    #[serde(deserialize_with = "nanoseconds")]
    pub start_interval: Duration,
    /// How many failures in a row make it unhealthy; 0 is left to defaults.
    pub retries: u32,
}

/// Docker's additions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerConfig {
    /// HEALTHCHECK; none if the image says that there is none.
    pub healthcheck: Option<Healthcheck>,
    /// SHELL: what a line is given to; empty for `/bin/sh -c`.
    pub shell: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    config: Option<DockerConfig>,
}

/// Reads docker's additions to an image's configuration. Malformed ones are none: the image runs all
/// the same.
pub fn read(config: &[u8]) -> DockerConfig {
    let config: Option<Config> = serde_json::from_slice(config).ok();
    let mut config = config.and_then(|config| config.config).unwrap_or_default();
    let is_check = |check: &Healthcheck| {
        let kind = check.test.first().map(String::as_str);
        matches!(kind, Some("CMD" | "CMD-SHELL"))
    };
    config.healthcheck = config.healthcheck.filter(is_check);
    config
}

/// Go writes durations as nanoseconds.
fn nanoseconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let number = i64::deserialize(from)?;
    Ok(Duration::from_nanos(u64::try_from(number).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_docker_writes_it() {
        let config = br#"{"config": {"Env": [], "Healthcheck": {"Test": ["CMD-SHELL", "true"],
            "Interval": 2000000000, "StartPeriod": 500000000, "Retries": 4},
            "Shell": ["/bin/ash", "-c"]}}"#;
        let read = read(config);
        assert_eq!(read.shell, ["/bin/ash", "-c"]);
        let check = read.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "true"]);
        assert_eq!(check.interval, Duration::from_secs(2));
        assert_eq!(check.timeout, Duration::ZERO);
        assert_eq!(check.start_period, Duration::from_millis(500));
        assert_eq!(check.retries, 4);
    }

    #[test]
    fn what_is_none_is_none() {
        for config in [
            &b"{}"[..],
            b"not json",
            br#"{"config": null}"#,
            br#"{"config": {}}"#,
            br#"{"config": {"Healthcheck": {"Test": ["NONE"]}}}"#,
            br#"{"config": {"Healthcheck": {"Test": []}}}"#,
            br#"{"config": {"Healthcheck": {"Interval": 1}}}"#,
            br#"{"config": {"Healthcheck": null, "Shell": []}}"#,
        ] {
            assert_eq!(read(config), DockerConfig::default());
        }
    }
}
