//! The progress of pulls: bars on a terminal, plain lines elsewhere, JSON lines for programs, nothing
//! with `-q`.
//!
//! Invariant: it goes to stderr; results are not its business.

mod bars;
mod json;
mod lines;
mod tally;

use self::bars::Bars;
use self::json::Json;
use self::lines::Lines;
use super::output;
use crate::commands::pull::ProgressStyle;
use crate::image::PullEvent;

/// Shows the progress of pulls.
#[derive(Debug)]
pub enum PullProgress {
    /// Nothing.
    Quiet,
    /// A line for each milestone.
    Lines(Lines),
    /// A bar for each layer, or for each image if there are several.
    Bars(Bars),
    /// A JSON object for each event.
    Json(Json),
}

impl PullProgress {
    /// Chooses how the pulls of so many images look.
    pub fn new(images: usize, style: ProgressStyle) -> Self {
        match style {
            ProgressStyle::Auto if output::is_lively() => Self::Bars(Bars::new(images > 1)),
            ProgressStyle::Auto | ProgressStyle::Plain => Self::Lines(Lines::default()),
            ProgressStyle::Json => Self::Json(Json::default()),
        }
    }

    /// Shows one event of an image's pull.
    pub fn show(&self, image: &str, event: &PullEvent<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines(lines) => lines.show(image, event),
            Self::Bars(bars) => bars.show(image, event),
            Self::Json(json) => json.show(image, event),
        }
    }

    /// Leaves everything as it is, done or not, with the cursor below it: what comes next has the
    /// terminal to itself.
    pub fn finish(&self) {
        match self {
            Self::Quiet | Self::Json(_) => {}
            Self::Lines(lines) => lines.finish(),
            Self::Bars(bars) => bars.finish(),
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

/// What is said of an event that is not about a blob.
fn words(image: &str, event: &PullEvent<'_>) -> Option<String> {
    Some(match event {
        PullEvent::Resolved { digest, host } => format!("{image}: {digest} at {host}"),
        PullEvent::HostSkipped { host, error } => {
            let reason = output::chain(*error);
            format!("{image}: {host} is passed over: {reason}")
        }
        PullEvent::HostBusy {
            host,
            status,
            pause,
        } => {
            let seconds = pause.as_secs_f32();
            format!("{image}: {host} answers with HTTP status {status}; next try in {seconds} s")
        }
        PullEvent::Blob { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_shown_by_their_first_digits() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("odd"), "odd");
    }
}
