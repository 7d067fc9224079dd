//! Docker's form of a log: one JSON object for each line, for those who ship logs.
//!
//! Invariant: a line is written whole by one call; one that never ends is written when the writer
//! goes, or in pieces once it is long, as docker does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::log::{Frame, Reader, Stream, open_for_append};

/// A line that grows longer than this many bytes is written in pieces.
const LONGEST: usize = 16 * 1024;

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    log: std::borrow::Cow<'a, str>,
    stream: std::borrow::Cow<'a, str>,
    time: Timestamp,
}

/// Writes lines, and rotates.
#[derive(Debug)]
pub struct JsonWriter {
    path: PathBuf,
    file: File,
    length: u64,
    max_size: u64,
    max_files: u32,
    /// What has no end yet, of each stream.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl JsonWriter {
    /// Goes on at the end of the log. It is rotated past `max_size` bytes; so many files are kept.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<JsonWriter> {
        let file = open_for_append(path)?;
        let length = file.metadata()?.len();
        Ok(JsonWriter {
            path: path.to_owned(),
            file,
            length,
            max_size,
            max_files,
            stdout: Vec::new(),
            stderr: Vec::new(),
        })
    }

    /// Writes the lines that these bytes end.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let pending = self.pending(stream);
        pending.extend_from_slice(bytes);
        let mut all = std::mem::take(pending);
        let mut written = 0;
        let mut outcome = Ok(());
        while let Some(length) = line_length(&all[written..]) {
            outcome = outcome.and(self.line(stream, &all[written..written + length]));
            written += length;
        }
        all.drain(..written);
        *self.pending(stream) = all;
        outcome
    }

    fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn line(&mut self, stream: Stream, line: &[u8]) -> io::Result<()> {
        if self.length > self.max_size {
            self.rotate()?;
        }
        let mut text = serde_json::to_vec(&Entry {
            log: String::from_utf8_lossy(line),
            stream: name(stream).into(),
            time: Timestamp::now(),
        })?;
        text.push(b'\n');
        let written = self.file.write_all(&text);
        if written.is_err() {
            // A torn line would spoil the next one: take it back.
            self.file.set_len(self.length)?;
        }
        written?;
        self.length += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.max_files).rev() {
            let from = older(&self.path, number - 1);
            match fs::rename(from, older(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.max_files == 1 {
            fs::remove_file(&self.path)?;
        }
        self.file = open_for_append(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

impl Drop for JsonWriter {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(self.pending(stream));
            if !rest.is_empty() {
                // There is nobody left to tell.
                let _ = self.line(stream, &rest);
            }
        }
    }
}

/// How long the first line is, or its first piece; nothing if it has no end yet.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().take(LONGEST).position(|byte| *byte == b'\n');
    match end {
        Some(end) => Some(end + 1),
        None => (bytes.len() >= LONGEST).then_some(LONGEST),
    }
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// The file with that age; 0 is the current one.
fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

/// Reads the log from its oldest line on.
///
/// # Errors
/// It exists but cannot be opened.
pub fn reader(path: &Path, max_files: u32) -> io::Result<Reader> {
    let all: Vec<PathBuf> = (1..max_files).map(|number| older(path, number)).collect();
    Reader::open_files(path, &all, decode)
}

fn decode(pending: &[u8]) -> io::Result<Option<(Frame, usize)>> {
    let Some(end) = pending.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let entry: Entry<'_> = serde_json::from_slice(&pending[..end])?;
    let frame = Frame {
        time: entry.time,
        stream: match &*entry.stream {
            "stderr" => Stream::Stderr,
            _ => Stream::Stdout,
        },
        bytes: entry.log.into_owned().into_bytes(),
    };
    Ok(Some((frame, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let own =
                std::env::temp_dir().join(format!("netrun-json-{}-{name}", std::process::id()));
            fs::create_dir(&own).unwrap();
            Self(own)
        }

        fn log(&self) -> PathBuf {
            self.0.join("web-json.log")
        }

        fn texts(&self, files: u32) -> Vec<String> {
            let mut reader = reader(&self.log(), files).unwrap();
            let mut texts = Vec::new();
            while let Some(frame) = reader.next_frame().unwrap() {
                texts.push(String::from_utf8(frame.bytes).unwrap());
            }
            texts
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn lines_are_dockers() {
        let scratch = Scratch::new("lines");
        let mut writer = JsonWriter::open(&scratch.log(), u64::MAX, 1).unwrap();
        writer.write(Stream::Stdout, b"one\ntw").unwrap();
        writer.write(Stream::Stderr, b"\"oops\"\n").unwrap();
        writer.write(Stream::Stdout, b"o\nthe end").unwrap();
        assert_eq!(scratch.texts(1), ["one\n", "\"oops\"\n", "two\n"]);
        drop(writer);
        assert_eq!(scratch.texts(1).last().unwrap(), "the end");
        let text = fs::read_to_string(scratch.log()).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["log"], "one\n");
        assert_eq!(first["stream"], "stdout");
        let time: Result<Timestamp, _> = first["time"].as_str().unwrap().parse();
        assert!(time.is_ok());
    }

    #[test]
    fn what_never_ends_is_written_in_pieces() {
        let scratch = Scratch::new("long");
        let mut writer = JsonWriter::open(&scratch.log(), u64::MAX, 1).unwrap();
        writer
            .write(Stream::Stdout, &vec![b'x'; 2 * LONGEST + 1])
            .unwrap();
        drop(writer);
        let lengths: Vec<usize> = scratch.texts(1).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 1]);
    }

    #[test]
    fn so_many_files_are_kept() {
        for files in [1, 3] {
            let scratch = Scratch::new(&format!("rotate-{files}"));
            let mut writer = JsonWriter::open(&scratch.log(), 500, files).unwrap();
            for number in 0..50 {
                writer
                    .write(Stream::Stdout, format!("{number}\n").as_bytes())
                    .unwrap();
            }
            drop(writer);
            assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), files as usize);
            let texts = scratch.texts(files);
            assert_eq!(texts.last().unwrap(), "49\n");
            let numbers: Vec<u32> = texts.iter().map(|t| t.trim().parse().unwrap()).collect();
            assert!(
                numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "{numbers:?}"
            );
        }
    }
}
