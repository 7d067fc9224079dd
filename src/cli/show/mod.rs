//! How what the commands give is shown: the fields of lists, the documents of `inspect`.
//!
//! Invariant: fields have docker's names and mean what docker's mean; further ones are ours.

pub mod containers;
pub mod inspect;
pub mod logs;
mod network_settings;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment as docker's lists show it: `2026-01-31 10:00:00 +0000 UTC`.
fn listed_time(time: Timestamp) -> String {
    let here = time.to_zoned_datetime(TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// A moment as docker's documents and logs show it: `2026-01-31T10:00:00.000000000Z`.
fn exact_time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// A text of at most so many characters, the last of them `…` where it was longer.
fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_with_a_mark() {
        assert_eq!(ellipsis("abcd", 4), "abcd");
        assert_eq!(ellipsis("äöüß…", 4), "äöü…");
    }

    #[test]
    fn times_have_dockers_forms() {
        let time: Timestamp = "2026-01-31T10:00:00.5Z".parse().unwrap();
        assert_eq!(exact_time(time), "2026-01-31T10:00:00.500000000Z");
        let listed = listed_time(time);
        assert_eq!(listed.split(' ').count(), 4, "{listed}");
    }
}
