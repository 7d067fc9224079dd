//! When a registry is asked again, and after how long.
//!
//! Invariant: nobody is waited for longer than a person would look at it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often a host is asked again.
const TIMES: u32 = 4;

/// The first pause where the host does not say how long; it doubles.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause that is waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// How long the host asks us to wait, in seconds from now or until a date (RFC 9110, 10.2.3).
pub fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTimeParser::new().parse_timestamp(text).ok()?;
    let left = until.as_second() - Timestamp::now().as_second();
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

/// How long to wait before the request is made again, after so many waits; nothing if it is not
/// worth it.
pub fn pause(status: StatusCode, headers: &HeaderMap, waits: u32) -> Option<Duration> {
    let passing = matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504);
    let pause = asked(headers).unwrap_or(FIRST * 2_u32.pow(waits));
    (passing && waits < TIMES && pause <= LONGEST).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())])
    }

    #[test]
    fn the_host_says_how_long_in_seconds_or_by_a_date() {
        assert_eq!(asked(&after("7")), Some(Duration::from_secs(7)));
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(asked(&after(past)), Some(Duration::ZERO));
        let soon = Timestamp::now() + jiff::SignedDuration::from_secs(30);
        let text = jiff::fmt::rfc2822::to_string(&soon.to_zoned_datetime(jiff::tz::TimeZone::UTC))
            .unwrap();
        let found = asked(&after(&text)).unwrap().as_secs();
        assert!((29..=30).contains(&found), "{found}");
        assert_eq!(asked(&after("soon")), None);
    }

    #[test]
    fn only_passing_trouble_is_waited_for_and_not_for_ever() {
        let none = HeaderMap::new();
        let busy = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(pause(busy, &none, 0), Some(FIRST));
        assert_eq!(pause(busy, &none, 2), Some(FIRST * 4));
        assert_eq!(pause(busy, &none, TIMES), None);
        assert_eq!(pause(busy, &after("3600"), 0), None);
        assert_eq!(pause(StatusCode::NOT_FOUND, &after("1"), 0), None);
        let second = Some(Duration::from_secs(1));
        assert_eq!(
            pause(StatusCode::SERVICE_UNAVAILABLE, &after("1"), 3),
            second
        );
    }
}
