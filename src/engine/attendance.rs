//! Who reads a container's output: so that a supervisor that takes over knows who will be back, and
//! what is written meanwhile waits for them in the FIFOs.
//!
//! Invariant: a client's mark lies beside the socket from before it is told of the start until it
//! leaves; the mark of one that died is worth nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::sys::process::start_time;

/// Before the pid and the start time of one who is there.
const HERE: &str = "here-";

/// Before those of one whose supervisor died.
const AWAITED: &str = "awaited-";

/// How long output waits for somebody who lives and does not come, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// The mark of a client; it goes when this is dropped.
#[derive(Debug)]
pub struct Here(PathBuf);

impl Drop for Here {
    fn drop(&mut self) {
        // It has gone with the run directory, or is a dead process's.
        let _ = fs::remove_file(&self.0);
    }
}

/// Marks a client that is here, or here again. Nothing for one that is gone already, or is in a pid
/// namespace that we cannot see.
pub fn enter(run: &Path, pid: Option<u32>) -> Option<Here> {
    let pid = pid?;
    let who = format!("{pid}-{}", start_time(pid)?);
    let here = run.join(format!("{HERE}{who}"));
    // Without the mark a successor does not wait for it; no reason to turn it away.
    File::create(&here).ok()?;
    let _ = fs::remove_file(run.join(format!("{AWAITED}{who}")));
    Some(Here(here))
}

/// Those who were here when a supervisor died are awaited.
pub fn expect_back(run: &Path) {
    for name in names(run) {
        if let Some(who) = name.strip_prefix(HERE) {
            // The run directory goes as a whole, and then nobody is awaited.
            let _ = fs::rename(run.join(&name), run.join(format!("{AWAITED}{who}")));
        }
    }
}

/// Waits until everybody who is awaited is here again, or gone for good.
pub async fn all_back(run: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let awaited = names(run).into_iter();
        let mut awaited = awaited.filter_map(|name| name.strip_prefix(AWAITED).map(str::to_owned));
        if !awaited.any(|who| lives(&who)) {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn lives(who: &str) -> bool {
    let Some((pid, started)) = who.split_once('-') else {
        return false;
    };
    let since = pid.parse().ok().and_then(start_time);
    since.is_some_and(|since| started.parse() == Ok(since))
}

fn names(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn who_lives_is_awaited_until_it_comes() {
        let run = std::env::temp_dir().join(format!("netrun-attendance-{}", std::process::id()));
        fs::create_dir_all(&run).unwrap();
        let mut sleeper = std::process::Command::new("sleep");
        let mut sleeper = sleeper.arg("60").spawn().unwrap();
        let (pid, started) = (sleeper.id(), start_time(sleeper.id()).unwrap());
        let away = enter(&run, Some(pid)).unwrap();
        assert_eq!(names(&run), [format!("here-{pid}-{started}")]);
        // Its supervisor dies.
        std::mem::forget(away);
        expect_back(&run);
        assert_eq!(names(&run), [format!("awaited-{pid}-{started}")]);
        assert_eq!(all_back(&run).now_or_never(), None);
        let back = enter(&run, Some(pid)).unwrap();
        all_back(&run).await;
        assert_eq!(names(&run), [format!("here-{pid}-{started}")]);
        std::mem::forget(back);
        expect_back(&run);
        assert_eq!(all_back(&run).now_or_never(), None);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        all_back(&run).await;
        assert!(enter(&run, Some(pid)).is_none());
        assert!(enter(&run, None).is_none());
        // A pid that somebody else has now.
        fs::write(run.join(format!("awaited-{}-1", std::process::id())), "").unwrap();
        all_back(&run).await;
        fs::remove_dir_all(&run).unwrap();
    }
}
