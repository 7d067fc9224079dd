//! Reading a container's log as lines: its end, a part of it, or as it grows.
//!
//! Invariant: whoever follows hears of the container's end from its supervisor, which writes the log
//! to its end before; so the last line is there, and nobody looks again and again.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use jiff::Timestamp;

use super::error::Error;
use super::host::Host;
use super::lines::{Assembler, Line};
use super::log::{ROTATE_AT, Reader};
use super::log_driver;
use super::paths::Paths;
use super::protocol::Request;
use super::recover;
use super::session::{PipeEnds, Session};
use crate::model::id::ContainerId;
use crate::sys::watch::Watch;

/// About how many bytes of lines are given out at a time.
const BATCH: usize = 256 * 1024;

/// What is there already is never longer; a container may write faster than we read.
const WHOLE: usize = 3 * ROTATE_AT as usize;

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Go on until the container has ended.
    pub follow: bool,
    /// Of what is there already only so many lines.
    pub tail: Option<u64>,
    /// Nothing before.
    pub since: Option<Timestamp>,
    /// Nothing after.
    pub until: Option<Timestamp>,
}

/// A log being read.
#[derive(Debug)]
pub struct Logs<'a> {
    host: &'a Host,
    id: ContainerId,
    paths: Paths,
    wanted: Wanted,
    reader: Reader,
    assembler: Assembler,
    /// Those who tell of more; nothing once nothing more is waited for.
    tellers: Option<Tellers>,
    /// How many bytes may still be read once nothing more is waited for.
    left: usize,
    over: bool,
}

/// Who tells that there is more to read, or that there will be no more.
#[derive(Debug)]
struct Tellers {
    watch: Watch,
    session: Session,
}

/// What was told.
enum Told {
    Written,
    Ended,
    SupervisorGone,
}

impl<'a> Logs<'a> {
    /// Opens a container's log.
    ///
    /// # Errors
    /// There is no such container, or its log cannot be read.
    pub async fn open(host: &'a Host, id: &ContainerId, wanted: Wanted) -> Result<Logs<'a>, Error> {
        let record = host.record(id).await?;
        let paths = Paths::new(&host.namespace, id);
        let tellers = match wanted.follow {
            true => Tellers::find(id, &paths).await?,
            false => None,
        };
        let reader = log_driver::reader(&paths, &record)?;
        Ok(Logs {
            host,
            id: id.clone(),
            paths,
            wanted,
            reader,
            assembler: Assembler::default(),
            tellers,
            left: WHOLE,
            over: false,
        })
    }

    /// The next lines, in the order in which they were ended; nothing after the last.
    ///
    /// # Errors
    /// The log cannot be read, or a supervisor died and nobody could take over.
    pub async fn next(&mut self) -> Result<Option<Vec<Line>>, Error> {
        if let Some(count) = self.wanted.tail.take() {
            let lines = self.last(count)?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        while !self.over {
            let last_pass = self.tellers.is_none();
            let mut lines = Vec::new();
            let all_read = self.read(BATCH, |line| lines.push(line))?;
            if all_read && last_pass {
                self.finish(|line| lines.push(line));
            }
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if all_read && !self.over {
                self.wait().await?;
            }
        }
        Ok(None)
    }

    /// The last lines of what is there already.
    fn last(&mut self, count: u64) -> Result<Vec<Line>, Error> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut lines = VecDeque::new();
        let mut keep = |line| {
            lines.push_back(line);
            if lines.len() > count {
                lines.pop_front();
            }
        };
        self.read(WHOLE, &mut keep)?;
        if self.tellers.is_none() {
            self.finish(&mut keep);
        }
        Ok(lines.into())
    }

    /// Reads about so many bytes; says whether that was all there is.
    fn read(&mut self, bytes: usize, mut give: impl FnMut(Line)) -> Result<bool, Error> {
        let wanted = self.wanted;
        let mut read = 0;
        while read < bytes {
            let frame = self.reader.next_frame();
            let frame = frame.map_err(Error::file("read", self.paths.log()))?;
            let Some(frame) = frame else {
                return Ok(true);
            };
            if wanted.until.is_some_and(|until| frame.time > until) {
                self.tellers = None;
                return Ok(true);
            }
            read += frame.bytes.len();
            self.assembler.take(&frame, |line| {
                if wanted.since.is_none_or(|since| line.time >= since) {
                    give(line);
                }
            });
        }
        self.left = self.left.saturating_sub(read);
        Ok(self.tellers.is_none() && self.left == 0)
    }

    /// Gives out the lines that will not be ended any more.
    fn finish(&mut self, mut give: impl FnMut(Line)) {
        let since = self.wanted.since;
        self.assembler.finish(|line| {
            if since.is_none_or(|since| line.time >= since) {
                give(line);
            }
        });
        self.over = true;
    }

    /// Waits until there may be more to read, or there will be no more.
    async fn wait(&mut self) -> Result<(), Error> {
        let Some(tellers) = &mut self.tellers else {
            return Ok(());
        };
        let told = tokio::select! {
            told = tellers.told(&self.paths) => told?,
            () = reached(self.wanted.until) => Told::Ended,
        };
        match told {
            Told::Written => {}
            Told::Ended => self.tellers = None,
            Told::SupervisorGone => self.tellers = self.successor().await?,
        }
        // What it has written to its end is all there now.
        self.left = WHOLE;
        Ok(())
    }

    /// Who tells of what comes after a supervisor died; nothing if the container has ended.
    async fn successor(&self) -> Result<Option<Tellers>, Error> {
        match self.host.record(&self.id).await {
            Ok(record) if record.exit.is_none() => {}
            Ok(_) | Err(Error::NoSuchContainer { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        recover::adopt(&self.host.address, &self.host.namespace, &self.id).await?;
        Tellers::find(&self.id, &self.paths).await
    }
}

impl Tellers {
    /// Finds those who tell of a container; nothing if it does not run.
    async fn find(id: &ContainerId, paths: &Paths) -> Result<Option<Tellers>, Error> {
        let session = Session::open(id, paths, &Request::Wait, PipeEnds::default()).await?;
        let Some(session) = session else {
            return Ok(None);
        };
        match Watch::new(&paths.state) {
            Ok(watch) => Ok(Some(Tellers { watch, session })),
            // It is being removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(watch_failed(paths, source)),
        }
    }

    async fn told(&mut self, paths: &Paths) -> Result<Told, Error> {
        tokio::select! {
            changed = self.watch.changed() => match changed {
                Ok(()) => Ok(Told::Written),
                Err(source) => Err(watch_failed(paths, source)),
            },
            event = self.session.event() => match event {
                Ok(_) => Ok(Told::Ended),
                Err(Error::SupervisorGone { .. }) => Ok(Told::SupervisorGone),
                Err(error) => Err(error),
            },
        }
    }
}

fn watch_failed(paths: &Paths, source: io::Error) -> Error {
    Error::Watch {
        path: paths.state.clone(),
        source,
    }
}

/// Waits until that moment; for ever if there is none.
async fn reached(moment: Option<Timestamp>) {
    match moment {
        Some(moment) => {
            let left = moment.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::{Stream, Writer};

    /// Every text that is wanted of a log with these writes.
    async fn texts(name: &str, writes: &[(Stream, &str)], wanted: Wanted) -> Vec<String> {
        let file = format!("netrun-logs-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        drop(std::fs::remove_file(&path));
        let mut writer = Writer::open(&path).unwrap();
        for (stream, text) in writes {
            writer.write(*stream, text.as_bytes()).unwrap();
        }
        let host = Host::new("/nowhere".into(), "default".parse().unwrap());
        let id: ContainerId = "web".parse().unwrap();
        let mut logs = Logs {
            paths: Paths::new(&host.namespace, &id),
            host: &host,
            id,
            wanted,
            reader: Reader::open(&path).unwrap(),
            assembler: Assembler::default(),
            tellers: None,
            left: WHOLE,
            over: false,
        };
        let mut texts = Vec::new();
        while let Some(lines) = logs.next().await.unwrap() {
            texts.extend(
                lines
                    .into_iter()
                    .map(|l| String::from_utf8(l.bytes).unwrap()),
            );
        }
        std::fs::remove_file(path).unwrap();
        texts
    }

    const WRITES: [(Stream, &str); 4] = [
        (Stream::Stdout, "one\ntwo\n"),
        (Stream::Stderr, "oops\n"),
        (Stream::Stdout, "three\nfo"),
        (Stream::Stdout, "ur"),
    ];

    #[tokio::test]
    async fn a_log_is_read_to_its_last_line() {
        let all = texts("all", &WRITES, Wanted::default()).await;
        assert_eq!(all, ["one\n", "two\n", "oops\n", "three\n", "four"]);
        assert!(texts("empty", &[], Wanted::default()).await.is_empty());
    }

    #[tokio::test]
    async fn the_tail_counts_the_lines_of_both_streams() {
        for (count, expected) in [
            (0, &[][..]),
            (3, &["oops\n", "three\n", "four"]),
            (9, &["one\n", "two\n", "oops\n", "three\n", "four"]),
        ] {
            let wanted = Wanted {
                tail: Some(count),
                ..Wanted::default()
            };
            let lines = texts(&format!("tail-{count}"), &WRITES, wanted).await;
            assert_eq!(lines, expected);
        }
    }

    #[tokio::test]
    async fn nothing_before_since_and_nothing_after_until() {
        let hour = jiff::SignedDuration::from_hours(1);
        let (past, future) = (Timestamp::now() - hour, Timestamp::now() + hour);
        for (name, since, until, count) in [
            ("a", Some(past), Some(future), 5),
            ("b", Some(future), None, 0),
            ("c", None, Some(past), 0),
        ] {
            let wanted = Wanted {
                since,
                until,
                ..Wanted::default()
            };
            assert_eq!(texts(name, &WRITES, wanted).await.len(), count, "{name}");
        }
    }

    #[tokio::test]
    async fn a_long_log_is_read_whole() {
        let block = "x".repeat(1023) + "\n";
        let big = block.repeat(512);
        let writes = vec![(Stream::Stdout, big.as_str()); 20];
        let lines = texts("long", &writes, Wanted::default()).await;
        assert_eq!(lines.len(), 20 * 512);
    }
}
