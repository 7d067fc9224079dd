//! Times and durations as docker's users write and read them.
//!
//! Invariant: what docker accepts means the same moment here.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::class::{Class, Explain};

/// A text that is neither a moment nor a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Neither a duration, nor a date, nor a number of seconds.
    #[error("\"{0}\" is no time")]
    Moment(String),
    /// No duration as `1h30m` is one.
    #[error("\"{0}\" is no duration")]
    Duration(String),
}

impl Explain for InvalidTime {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Moment(_) => "write how long ago (10m, 1h30m), a date \
                (2026-01-31, 2026-01-31T10:00:00Z) or seconds since 1970"
                .to_owned(),
            Self::Duration(_) => {
                "write a number with ms, s, m or h, such as 10s or 1h30m".to_owned()
            }
        })
    }
}

/// A moment as `--since` and `--until` take it; how long ago, until it is known what "now" is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// That very moment.
    At(Timestamp),
}

impl Moment {
    /// The moment itself; the earliest that can be written if it lies before that.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => SignedDuration::try_from(ago)
                .ok()
                .and_then(|ago| now.checked_sub(ago).ok())
                .unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if let Some(at) = unix_seconds(text) {
            return Ok(Self::At(at));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        // A date without a zone is meant where the user is.
        if let Ok(local) = text.parse::<DateTime>() {
            return TimeZone::system()
                .to_timestamp(local)
                .map(Self::At)
                .map_err(|_| InvalidTime::Moment(text.to_owned()));
        }
        parse_duration(text)
            .map(Self::Ago)
            .map_err(|_| InvalidTime::Moment(text.to_owned()))
    }
}

/// `1136073845` or `1136073845.000000001`.
fn unix_seconds(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// A duration, or a number of seconds.
///
/// # Errors
/// [`InvalidTime::Duration`].
pub fn parse_seconds(text: &str) -> Result<Duration, InvalidTime> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => parse_duration(text),
    }
}

/// A duration as Go writes it: `10s`, `1h30m`, `1.5h`, `300ms`; `0` alone needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidTime> {
    let invalid = || InvalidTime::Duration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(invalid)?;
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        let after = &rest[end..];
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let seconds = number * seconds_of(&after[..unit_end]).ok_or_else(invalid)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = &after[unit_end..];
    }
    Ok(total)
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

/// A duration in one rough unit, as docker's lists show ages: `5 minutes`, `About an hour`.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // docker rounds hours half up and everything else down.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_need_no_unit_where_that_is_said() {
        assert_eq!(parse_seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_seconds("1m"), Ok(Duration::from_secs(60)));
        assert!(parse_seconds("-1").is_err() && parse_duration("90").is_err());
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            ("1s500ms", 1500),
            ("0", 0),
            ("0s", 0),
        ] {
            let parsed = parse_duration(text);
            assert_eq!(parsed, Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            "10x",
            "-10m",
            "1h30",
            "1..5h",
            "1e999h",
            "99999999999999h9999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_relative_or_absolute() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (text, at) in [
            ("10m", "2026-01-01T23:50:00Z"),
            ("24h", "2026-01-01T00:00:00Z"),
            ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00Z"),
            ("2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
            ("2025-06-01T12:00:00.5Z", "2025-06-01T12:00:00.5Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("1136073845.000000001", "2006-01-01T00:04:05.000000001Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.resolve(now), at.parse().unwrap(), "{text}");
        }
        for text in ["2025-06-01", "2025-06-01T12:00", "2025-06-01T12:00:00"] {
            assert!(matches!(text.parse(), Ok(Moment::At(_))), "{text}");
        }
        for text in ["", "yesterday", "2025-13-01", "1.2.3", "10 m"] {
            assert_eq!(
                text.parse::<Moment>(),
                Err(InvalidTime::Moment(text.to_owned()))
            );
        }
    }

    #[test]
    fn ages_are_shown_in_one_unit() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }
}
