//! How what the commands give is shown: the fields of lists, the documents of `inspect`.
//!
//! Invariant: fields have docker's names and mean what docker's mean; further ones are ours.

pub mod cni;
pub mod containers;
pub mod events;
pub mod history;
mod host_config;
pub mod images;
pub mod info;
pub mod inspect;
pub mod logs;
pub mod netns;
mod network_settings;
pub mod networks;
pub mod scopes;
pub mod started;
pub mod stats;
pub mod version;
pub mod volumes;

use std::error::Error;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::image::platform::Machine;
use crate::model::bytes::Bytes;

/// A moment as docker's lists show it: `2026-01-31 10:00:00 +0000 UTC`.
fn listed_time(time: Timestamp) -> String {
    let here = time.to_zoned_datetime(TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// A moment as docker's documents and logs show it: `2026-01-31T10:00:00.000000000Z`.
fn exact_time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// An amount as docker shows it.
fn decimal(bytes: u64) -> String {
    Bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).decimal()
}

/// This machine's operating system and architecture, in Go's words.
fn this_machine() -> (String, String) {
    let platform = Machine::this().name();
    let mut parts = platform.split('/').map(str::to_owned);
    (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    )
}

/// A title and what belongs below it, the values one below the other.
fn paragraph(title: &str, lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 1;
    let mut text = format!("{title}\n");
    for (key, value) in lines {
        let key = format!("{key}:");
        text += format!(" {key:width$} {value}").trim_end();
        text.push('\n');
    }
    text
}

/// An error in one line, its causes behind it.
fn in_one_line(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut line = said.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // Some pass on the words of their source.
        if words != said {
            line += &format!(": {words}");
        }
        said = words;
        next = cause.source();
    }
    line
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
