//! Progress for programs: one JSON object per line, with the seconds since the beginning as `at`, and of
//! what comes how much that is of all, how fast, and how long it takes yet (`total`).
//!
//! Invariant: every change of a blob's state is told; how far one is, ten times a second at most.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tally::Tally;
use crate::cli::output;
use crate::image::{BlobState, PullEvent};

/// How long a blob that only grows is not told again.
const PAUSE: Duration = Duration::from_millis(100);

/// The events of pulls, as they come.
#[derive(Debug)]
pub struct Json {
    began: Instant,
    told: RefCell<HashMap<String, Instant>>,
    tallies: RefCell<HashMap<String, Tally>>,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            told: RefCell::default(),
            tallies: RefCell::default(),
        }
    }
}

impl Json {
    pub fn show(&self, image: &str, event: &PullEvent<'_>) {
        let mut total = None;
        if let PullEvent::Blob {
            digest,
            state,
            size,
        } = event
        {
            let mut tallies = self.tallies.borrow_mut();
            let tally = tallies.entry(image.to_owned()).or_default();
            tally.note(digest, *size, *state);
            let mut told = self.told.borrow_mut();
            let now = Instant::now();
            let grows = matches!(state, BlobState::Fetching(_));
            let last = told.get(*digest).copied().filter(|_| grows);
            if last.is_some_and(|last| now - last < PAUSE) {
                return;
            }
            told.insert((*digest).to_owned(), now);
            // A small blob may be there before it was worth a word that it came.
            total = (grows || *state == BlobState::Fetched).then(|| whole(tally));
        }
        let mut object = object(image, event);
        if let Some(total) = total {
            object["total"] = total;
        }
        object["at"] = json!(self.began.elapsed().as_secs_f64());
        output::note(&object.to_string());
    }
}

/// All blobs of an image.
fn whole(tally: &Tally) -> Value {
    let (done, all) = tally.fetched();
    let pace = tally.pace();
    json!({"bytes": done, "size": all, "rate": pace.map(|(rate, _)| rate), "left": pace.map(|(_, left)| left)})
}

fn object(image: &str, event: &PullEvent<'_>) -> Value {
    match event {
        PullEvent::Resolved { digest, host } => {
            json!({"image": image, "event": "resolved", "digest": digest, "host": host})
        }
        PullEvent::HostSkipped { host, error } => {
            let reason = output::chain(*error);
            json!({"image": image, "event": "host-skipped", "host": host, "reason": reason})
        }
        PullEvent::HostBusy {
            host,
            status,
            pause,
        } => {
            let seconds = pause.as_secs_f64();
            json!({"image": image, "event": "host-busy", "host": host, "status": status, "pause": seconds})
        }
        PullEvent::Blob {
            digest,
            size,
            state,
        } => {
            let (word, bytes) = match state {
                BlobState::Waiting => ("waiting", 0),
                BlobState::Exists => ("exists", *size),
                BlobState::Fetching(bytes) => ("fetching", *bytes),
                BlobState::Fetched => ("fetched", *size),
                BlobState::Pushing(bytes) => ("pushing", *bytes),
                BlobState::Pushed => ("pushed", *size),
                BlobState::Unpacking => ("unpacking", *size),
                BlobState::Unpacked => ("unpacked", *size),
            };
            json!({"image": image, "event": "blob", "digest": digest, "size": size, "state": word, "bytes": bytes})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_object() {
        let blob = PullEvent::Blob {
            digest: "sha256:1",
            size: 9,
            state: BlobState::Fetching(4),
        };
        let text = object("a", &blob).to_string();
        assert_eq!(
            text,
            r#"{"image":"a","event":"blob","digest":"sha256:1","size":9,"state":"fetching","bytes":4}"#
        );
        let busy = PullEvent::HostBusy {
            host: "h",
            status: 429,
            pause: Duration::from_millis(1500),
        };
        assert_eq!(object("a", &busy)["pause"], 1.5);
    }
}
