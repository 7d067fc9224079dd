//! How far a pull is as a whole.
//!
//! Invariant: a blob counts once, and what was here already is no work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::image::BlobState;
use crate::model::bytes::Bytes;

/// The blobs of a pull, and how far each is.
#[derive(Debug)]
pub struct Tally {
    blobs: HashMap<String, (u64, BlobState)>,
    began: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            blobs: HashMap::new(),
            began: Instant::now(),
        }
    }
}

impl Tally {
    /// Notes a blob's state; gives the one that it had before.
    pub fn note(&mut self, digest: &str, size: u64, state: BlobState) -> Option<BlobState> {
        let before = self.blobs.insert(digest.to_owned(), (size, state));
        before.map(|(_, state)| state)
    }

    /// The bytes that have come, and those that had or have to come.
    pub fn fetched(&self) -> (u64, u64) {
        let blobs = self.blobs.values();
        blobs.fold((0, 0), |(done, all), (size, state)| match state {
            BlobState::Exists => (done, all),
            BlobState::Waiting => (done, all + size),
            BlobState::Fetching(bytes) | BlobState::Pushing(bytes) => {
                (done + bytes.min(size), all + size)
            }
            _ => (done + size, all + size),
        })
    }

    /// How many bytes come in a second, and how many seconds are left at that; nothing before anything
    /// has come, or once all has.
    pub fn pace(&self) -> Option<(u64, u64)> {
        let (done, all) = self.fetched();
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        (0 < done && done < all).then(|| (rate as u64, ((all - done) as f64 / rate).ceil() as u64))
    }

    /// Where it is, in words, while it is on the way.
    pub fn so_far(&self) -> Option<String> {
        let (done, all) = self.fetched();
        self.pace().map(|(rate, left)| {
            let (done, all, rate) = (decimal(done), decimal(all), decimal(rate));
            format!("{done} of {all} ({rate}/s, {left} s left)")
        })
    }

    /// The same blobs in words: what came, in which time, how fast.
    pub fn summary(&self) -> Option<String> {
        let (done, _) = self.fetched();
        let took = self.began.elapsed();
        (done > 0).then(|| {
            let seconds = took.as_secs_f64();
            format!("{} in {seconds:.1} s ({})", decimal(done), rate(done, took))
        })
    }
}

/// An amount as docker shows it.
pub fn decimal(bytes: u64) -> String {
    Bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).decimal()
}

fn rate(bytes: u64, took: Duration) -> String {
    let per_second = bytes as f64 / took.as_secs_f64().max(0.001);
    format!("{}/s", decimal(per_second as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_tells_how_long_it_takes_yet() {
        let mut tally = Tally::default();
        tally.note("a", 100, BlobState::Waiting);
        assert_eq!(tally.pace(), None, "nothing has come");
        tally.note("a", 1_000_000, BlobState::Fetching(250_000));
        tally.began -= Duration::from_secs(10);
        let (rate, left) = tally.pace().unwrap();
        assert!((24_000..=25_000).contains(&rate), "{rate}");
        assert!((30..=31).contains(&left), "{left}");
        assert!(tally.so_far().unwrap().starts_with("250kB of 1MB ("));
        tally.note("a", 1_000_000, BlobState::Fetched);
        assert_eq!(tally.so_far(), None);
    }

    #[test]
    fn what_was_here_is_no_work_and_each_blob_counts_once() {
        let mut tally = Tally::default();
        tally.note("a", 100, BlobState::Fetching(40));
        tally.note("b", 10, BlobState::Waiting);
        tally.note("c", 1000, BlobState::Exists);
        assert_eq!(tally.fetched(), (40, 110));
        let before = tally.note("a", 100, BlobState::Unpacking);
        assert_eq!(before, Some(BlobState::Fetching(40)));
        assert_eq!(tally.fetched(), (100, 110));
        assert!(tally.summary().unwrap().starts_with("100B in "));
        assert_eq!(Tally::default().summary(), None);
        assert_eq!(rate(3_000_000, Duration::from_secs(2)), "1.5MB/s");
    }
}
