//! The progress of a pull: bars on a terminal, plain lines elsewhere, nothing with `-q`.
//!
//! Invariant: it goes to stderr; results are not its business.

use std::cell::RefCell;
use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output;
use crate::image::{BlobState, PullEvent};
use crate::model::bytes::Bytes;

/// Shows the progress of one pull.
#[derive(Debug)]
pub struct PullProgress {
    image: String,
    look: Look,
}

#[derive(Debug)]
enum Look {
    Quiet,
    Lines(RefCell<HashMap<String, BlobState>>),
    Bars(MultiProgress, RefCell<HashMap<String, ProgressBar>>),
}

impl PullProgress {
    /// Chooses the look for the pull of `image`, as the user named it.
    pub fn new(image: &str, quiet: bool) -> Self {
        let look = match (quiet, output::is_lively()) {
            (true, _) => Look::Quiet,
            (false, true) => Look::Bars(MultiProgress::new(), RefCell::default()),
            (false, false) => Look::Lines(RefCell::default()),
        };
        let image = image.to_owned();
        Self { image, look }
    }

    /// Shows one event.
    pub fn show(&self, event: &PullEvent<'_>) {
        match (&self.look, event) {
            (Look::Quiet, _) => {}
            (_, PullEvent::Resolved { digest, host }) => {
                self.say(&format!("{}: {digest} at {host}", self.image));
            }
            (_, PullEvent::HostSkipped { host, error }) => {
                let reason = output::chain(*error);
                self.say(&format!("{}: {host} is passed over: {reason}", self.image));
            }
            (
                _,
                PullEvent::HostBusy {
                    host,
                    status,
                    pause,
                },
            ) => {
                let seconds = pause.as_secs_f32();
                self.say(&format!(
                    "{}: {host} answers with HTTP status {status}; next try in {seconds} s",
                    self.image
                ));
            }
            (
                Look::Lines(known),
                PullEvent::Blob {
                    digest,
                    size,
                    state,
                },
            ) => {
                let before = known.borrow_mut().insert((*digest).to_owned(), *state);
                if let Some(words) = milestone(before, *state) {
                    let size = Bytes(i64::try_from(*size).unwrap_or(i64::MAX)).decimal();
                    output::note(&format!("{}: {words} ({size})", short(digest)));
                }
            }
            (
                Look::Bars(all, bars),
                PullEvent::Blob {
                    digest,
                    size,
                    state,
                },
            ) => {
                let mut bars = bars.borrow_mut();
                let bar = bars
                    .entry((*digest).to_owned())
                    .or_insert_with(|| all.add(bar(digest, *size)));
                advance(bar, *size, *state);
            }
        }
    }

    /// Leaves the bars as they are, done or not, with the cursor below them: what comes next has the
    /// terminal to itself.
    pub fn finish(&self) {
        let Look::Bars(_, bars) = &self.look else {
            return;
        };
        let shown = bars.take();
        if !shown.is_empty() {
            shown.values().for_each(ProgressBar::abandon);
            // The last bar's line is left without an end.
            output::note("");
        }
    }

    fn say(&self, text: &str) {
        match &self.look {
            Look::Quiet => {}
            Look::Lines(_) => output::note(text),
            // The bars are drawn anew below it. A terminal that is gone shows nothing.
            Look::Bars(all, _) => drop(all.println(text)),
        }
    }
}

impl Drop for PullProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The first twelve digits, as docker shows layers.
fn short(digest: &str) -> &str {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// What is worth a line; only changes are.
fn milestone(before: Option<BlobState>, now: BlobState) -> Option<&'static str> {
    match now {
        _ if before == Some(now) => None,
        BlobState::Waiting | BlobState::Fetching(_) | BlobState::Unpacking => None,
        BlobState::Exists => Some("here already"),
        BlobState::Fetched => Some("fetched"),
        BlobState::Unpacked => Some("unpacked"),
    }
}

fn bar(digest: &str, size: u64) -> ProgressBar {
    const FETCHING: &str = "{prefix}: {msg:<12} {bar:30} {bytes:>10}/{total_bytes:<10}";
    let style = ProgressStyle::with_template(FETCHING);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(size).with_style(style.progress_chars("=> "));
    bar.set_prefix(short(digest).to_owned());
    bar
}

fn advance(bar: &ProgressBar, size: u64, state: BlobState) {
    let (message, position) = match state {
        BlobState::Waiting => ("waiting", 0),
        BlobState::Fetching(bytes) => ("fetching", bytes),
        BlobState::Exists => ("here already", size),
        BlobState::Fetched => ("fetched", size),
        BlobState::Unpacking => ("unpacking", size),
        BlobState::Unpacked => ("unpacked", size),
    };
    if bar.message() != message {
        bar.set_message(message);
    }
    bar.set_position(position);
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

    #[test]
    fn blobs_are_shown_by_their_first_digits() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("odd"), "odd");
    }

    #[test]
    fn bars_follow_the_state() {
        let bar = bar("sha256:0123456789abcdef", 100);
        advance(&bar, 100, BlobState::Fetching(40));
        assert_eq!((bar.position(), bar.message()), (40, "fetching".to_owned()));
        advance(&bar, 100, BlobState::Unpacked);
        assert_eq!(
            (bar.position(), bar.message()),
            (100, "unpacked".to_owned())
        );
    }
}
