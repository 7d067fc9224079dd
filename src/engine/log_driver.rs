//! The forms of a log, by `--log-driver`: who writes it, and who reads it again.
//!
//! Invariant: what a driver writes, `netrun logs` reads; only `none` has nothing to read.

use std::io;

use super::error::Error;
use super::log::{ROTATE_AT, Reader, Stream, Writer};
use super::log_json::{self, JsonWriter};
use super::paths::Paths;
use crate::model::record::{Log, LogDriver, Record};

/// Writes a container's log.
#[derive(Debug)]
pub enum LogWriter {
    /// Frames.
    Local(Writer),
    /// Docker's lines.
    Json(JsonWriter),
}

impl LogWriter {
    /// Goes on at the end of a container's log; nothing if it keeps none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(paths: &Paths, log: &Log) -> Result<Option<LogWriter>, Error> {
        let (path, opened) = match log.driver {
            LogDriver::None => return Ok(None),
            LogDriver::Local => {
                let path = paths.log();
                let opened = Writer::open_limited(&path, rotate_at(log));
                (path, opened.map(LogWriter::Local))
            }
            LogDriver::JsonFile => {
                let path = paths.json_log();
                let size = log.max_size.unwrap_or(u64::MAX);
                let opened = JsonWriter::open(&path, size, log.max_files.unwrap_or(1));
                (path, opened.map(LogWriter::Json))
            }
        };
        opened.map(Some).map_err(Error::file("open the log", path))
    }

    /// Writes what was read in one go.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Local(writer) => writer.write(stream, bytes),
            Self::Json(writer) => writer.write(stream, bytes),
        }
    }
}

/// Two files of this size are as much as was asked for.
fn rotate_at(log: &Log) -> u64 {
    match (log.max_size, log.max_files) {
        (None, None) => ROTATE_AT,
        (size, files) => {
            let files = u64::from(files.unwrap_or(2));
            (size.unwrap_or(ROTATE_AT).saturating_mul(files) / 2).max(1)
        }
    }
}

/// Reads a container's log from the oldest line that is kept.
///
/// # Errors
/// [`Error::WrongState`] if it keeps none; [`Error::File`].
pub fn reader(paths: &Paths, record: &Record) -> Result<Reader, Error> {
    match record.log.driver {
        LogDriver::Local => Reader::open(&paths.log()).map_err(Error::file("read", paths.log())),
        LogDriver::JsonFile => {
            let files = record.log.max_files.unwrap_or(1);
            let reader = log_json::reader(&paths.json_log(), files);
            reader.map_err(Error::file("read", paths.json_log()))
        }
        LogDriver::None => Err(Error::WrongState {
            id: record.id.clone(),
            state: "keeps no log",
            hint: "make it with another --log-driver",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_hold_what_was_asked_for() {
        let at = |max_size, max_files| {
            rotate_at(&Log {
                max_size,
                max_files,
                ..Log::default()
            })
        };
        assert_eq!(at(None, None), ROTATE_AT);
        assert_eq!(at(Some(100), None), 100);
        assert_eq!(at(Some(100), Some(1)), 50);
        assert_eq!(at(Some(100), Some(4)), 200);
        assert_eq!(at(Some(1), Some(1)), 1);
    }
}
