//! `--timeout`: a container that runs too long is stopped, and its status says so.
//!
//! Invariant: the time is counted from the start that the record tells, so that a supervisor that took
//! over counts on; one that ended in time keeps its own status.

use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::serve;
use super::supervisor::Supervisor;
use crate::model::record::{Exit, Record};

/// The status of a container that was stopped for it, as timeout(1) has it.
const STATUS: u32 = 124;

/// Stops the container when its time is up, if it has but so much.
pub async fn watch(supervisor: Rc<Supervisor>) {
    let Some(left) = left(&supervisor.record.borrow().clone(), Timestamp::now()) else {
        return;
    };
    sleep(left).await;
    if supervisor.ended() {
        return;
    }
    supervisor.timed_out.set(true);
    supervisor.shall_stay_ended().await;
    serve::stop(&supervisor, None, None).await;
}

/// How much time it has left; nothing if there is no end to it.
fn left(record: &Record, now: Timestamp) -> Option<Duration> {
    let limit = record.process.time_limit?;
    let ran = now.duration_since(record.started.unwrap_or(now));
    // A clock that was set back gives no more time than there was.
    let ran = ran.max(SignedDuration::ZERO).unsigned_abs();
    Some(limit.saturating_sub(ran))
}

/// How a run ended whose time was up: the process's own status says nothing then.
pub fn judged(supervisor: &Supervisor, exit: Exit) -> Exit {
    match supervisor.timed_out.get() {
        true => Exit {
            status: STATUS,
            reason: Some("it did not end in time (--timeout)".to_owned()),
            ..exit
        },
        false => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;

    #[test]
    fn the_time_is_counted_from_the_start() {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        assert_eq!(left(&record, at("2026-01-01T12:00:00Z")), None);
        record.process.time_limit = Some(Duration::from_secs(60));
        record.started = Some(at("2026-01-01T12:00:00Z"));
        let left = |time: &str| left(&record, at(time)).unwrap().as_secs();
        assert_eq!(left("2026-01-01T12:00:20Z"), 40);
        assert_eq!(left("2026-01-01T12:02:00Z"), 0);
        assert_eq!(left("2026-01-01T11:00:00Z"), 60);
    }
}
