//! Progress as bars: one for each layer and one for all of them; of several images one for each.

use std::cell::RefCell;
use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::tally::Tally;
use super::{short, words};
use crate::cli::output;
use crate::image::{BlobState, PullEvent};

const LAYER: &str = "{prefix}: {msg:<12} {bar:30} {bytes:>10}/{total_bytes:<10}";
const WHOLE: &str =
    "{prefix}: {bar:30} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12}, {eta} left";

/// The bars.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    /// Whether an image is one bar.
    several: bool,
    layers: RefCell<HashMap<String, ProgressBar>>,
    wholes: RefCell<HashMap<String, (ProgressBar, Tally)>>,
}

impl Bars {
    /// Bars for one image's layers, or for several images.
    pub fn new(several: bool) -> Self {
        Self {
            all: MultiProgress::new(),
            several,
            layers: RefCell::default(),
            wholes: RefCell::default(),
        }
    }

    pub fn show(&self, image: &str, event: &PullEvent<'_>) {
        if let Some(words) = words(image, event) {
            // The bars are drawn anew below it. A terminal that is gone shows nothing.
            drop(self.all.println(words));
        }
        let PullEvent::Blob {
            digest,
            size,
            state,
        } = event
        else {
            return;
        };
        if !self.several {
            let mut layers = self.layers.borrow_mut();
            let bar = layers
                .entry((*digest).to_owned())
                .or_insert_with(|| self.layer(short(digest), *size));
            advance(bar, *size, *state);
        }
        let mut wholes = self.wholes.borrow_mut();
        let (bar, tally) = wholes
            .entry(image.to_owned())
            .or_insert_with(|| (self.whole(image), Tally::default()));
        tally.note(digest, *size, *state);
        let (done, all) = tally.fetched();
        bar.set_length(all);
        bar.set_position(done);
    }

    /// Leaves the bars as they are.
    pub fn finish(&self) {
        let layers = self.layers.take();
        let wholes = self.wholes.take();
        if wholes.is_empty() {
            return;
        }
        layers.values().for_each(ProgressBar::abandon);
        wholes.values().for_each(|(bar, _)| bar.abandon());
        // The last bar's line is left without an end.
        output::note("");
    }

    fn layer(&self, name: &str, size: u64) -> ProgressBar {
        self.all.insert_from_back(1, bar(LAYER, name, size))
    }

    /// It stands below those of the layers.
    fn whole(&self, image: &str) -> ProgressBar {
        self.all.add(bar(WHOLE, image, 0))
    }
}

fn bar(template: &str, name: &str, size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(size).with_style(style.progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    bar
}

fn advance(bar: &ProgressBar, size: u64, state: BlobState) {
    let (message, position) = match state {
        BlobState::Waiting => ("waiting", 0),
        BlobState::Fetching(bytes) => ("fetching", bytes),
        BlobState::Exists => ("here already", size),
        BlobState::Fetched => ("fetched", size),
        BlobState::Pushing(bytes) => ("pushing", bytes),
        BlobState::Pushed => ("pushed", size),
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
    fn bars_follow_the_state() {
        let bar = bar(LAYER, "0123456789ab", 100);
        advance(&bar, 100, BlobState::Fetching(40));
        assert_eq!((bar.position(), bar.message()), (40, "fetching".to_owned()));
        advance(&bar, 100, BlobState::Unpacked);
        assert_eq!(
            (bar.position(), bar.message()),
            (100, "unpacked".to_owned())
        );
    }
}
