//! Progress as plain lines, for logs: what is reached, and now and then how far it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::tally::{Tally, decimal};
use super::{short, words};
use crate::cli::output;
use crate::image::{BlobState, PullEvent};

/// How long nothing is said of a pull that only goes on.
const PAUSE: Duration = Duration::from_secs(5);

/// The milestones of pulls, a line for each.
#[derive(Debug, Default)]
pub struct Lines(RefCell<BTreeMap<String, Pull>>);

#[derive(Debug)]
struct Pull {
    tally: Tally,
    said: Instant,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            tally: Tally::default(),
            said: Instant::now(),
        }
    }
}

impl Lines {
    pub fn show(&self, image: &str, event: &PullEvent<'_>) {
        if let Some(words) = words(image, event) {
            output::note(&words);
        }
        let PullEvent::Blob {
            digest,
            size,
            state,
        } = event
        else {
            return;
        };
        let mut pulls = self.0.borrow_mut();
        let pull = pulls.entry(image.to_owned()).or_default();
        let before = pull.tally.note(digest, *size, *state);
        if let Some(words) = milestone(before, *state) {
            output::note(&format!("{}: {words} ({})", short(digest), decimal(*size)));
        }
        if pull.said.elapsed() >= PAUSE
            && let Some(words) = pull.tally.so_far()
        {
            pull.said = Instant::now();
            output::note(&format!("{image}: {words}"));
        }
    }

    /// The totals; once.
    pub fn finish(&self) {
        for (image, pull) in self.0.take() {
            if let Some(summary) = pull.tally.summary() {
                output::note(&format!("{image}: {summary}"));
            }
        }
    }
}

/// What is worth a line; only changes are.
fn milestone(before: Option<BlobState>, now: BlobState) -> Option<&'static str> {
    match now {
        _ if before == Some(now) => None,
        BlobState::Waiting
        | BlobState::Fetching(_)
        | BlobState::Pushing(_)
        | BlobState::Unpacking => None,
        BlobState::Exists => Some("here already"),
        BlobState::Fetched => Some("fetched"),
        BlobState::Pushed => Some("pushed"),
        BlobState::Unpacked => Some("unpacked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_for_each_milestone() {
        use BlobState::*;
        let states = [
            Waiting,
            Fetching(0),
            Fetching(9),
            Fetched,
            Fetched,
            Unpacking,
            Unpacked,
        ];
        let mut before = None;
        let mut lines = Vec::new();
        for state in states {
            lines.extend(milestone(before.replace(state), state));
        }
        assert_eq!(lines, ["fetched", "unpacked"]);
        assert_eq!(milestone(None, Exists), Some("here already"));
    }
}
