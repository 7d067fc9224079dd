//! The log of a container: frames of time, stream, length and bytes, as each read returned them.
//!
//! Invariant: a frame is written by one call, so a reader sees whole frames or the beginning of the
//! last one. Two files of [`ROTATE_AT`] bytes at most hold the newest output.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// A file of the log is rotated when it has grown past this many bytes.
pub const ROTATE_AT: u64 = 16 * 1024 * 1024;

/// Bytes before a frame's payload: time (i64, microseconds), stream (u8), length (u32), big endian.
const HEADER: usize = 13;

/// How many bytes are read at a time.
const CHUNK: u64 = 64 * 1024;

/// No frame is longer: a length beyond it means that the file is not a log.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Which stream output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and everything from a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// When it was read.
    pub time: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The bytes; lines may begin and end anywhere.
    pub bytes: Vec<u8>,
}

/// Writes frames, and rotates.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    length: u64,
    rotate_at: u64,
}

impl Writer {
    /// Goes on at the end of the log.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Writer> {
        Writer::open_limited(path, ROTATE_AT)
    }

    /// As [`Writer::open`], for files that are rotated at another size.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn open_limited(path: &Path, rotate_at: u64) -> io::Result<Writer> {
        let file = open_for_append(path)?;
        let length = file.metadata()?.len();
        Ok(Writer {
            path: path.to_owned(),
            file,
            length,
            rotate_at,
        })
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.length > self.rotate_at {
            rotate(&self.path)?;
            self.file = open_for_append(&self.path)?;
            self.length = 0;
        }
        let header = header(stream, bytes.len());
        let written = self
            .file
            .write_vectored(&[IoSlice::new(&header), IoSlice::new(bytes)])?;
        self.length += written as u64;
        if written < HEADER + bytes.len() {
            // A torn frame would hide all that follow: take it back.
            self.length -= written as u64;
            self.file.set_len(self.length)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

pub(super) fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Makes the newest file the older one.
fn rotate(path: &Path) -> io::Result<()> {
    let older = older(path);
    // A file that is renamed onto another is written to the disk at once, on ext4 for one: a flood
    // of output would be written for nobody. One that is removed before that never is.
    match std::fs::remove_file(&older) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::fs::rename(path, older),
    }
}

/// The path of the older file.
pub fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

fn header(stream: Stream, length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&Timestamp::now().as_microsecond().to_be_bytes());
    header[8] = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    // Reads are far below the limit of four gigabytes.
    header[9..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    header
}

/// Reads frames from a growing log.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// The file being read is the last one, newer ones stand before it.
    files: Vec<File>,
    pending: Vec<u8>,
    /// So many of the pending bytes have been taken already.
    taken: usize,
    decode: Decode,
}

/// The next frame of some bytes, and how many of them it takes; nothing if it is not whole.
pub(super) type Decode = fn(&[u8]) -> io::Result<Option<(Frame, usize)>>;

impl Reader {
    /// Starts at the oldest frame that is kept.
    ///
    /// # Errors
    /// The log exists but cannot be opened. No log is an empty log.
    pub fn open(path: &Path) -> io::Result<Reader> {
        Reader::open_files(path, &[older(path)], decode)
    }

    /// As [`Reader::open`], for another form of log and other older files, the newest of them first.
    pub(super) fn open_files(path: &Path, older: &[PathBuf], decode: Decode) -> io::Result<Reader> {
        let mut files: Vec<File> = Vec::new();
        for path in std::iter::once(path).chain(older.iter().map(PathBuf::as_path)) {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Rotated between two calls: what was the newer file has become the older one.
            let inode = file.metadata()?.ino();
            let last = files.last().map(File::metadata).transpose()?;
            if last.is_none_or(|last| last.ino() != inode) {
                files.push(file);
            }
        }
        Ok(Reader {
            decode,
            path: path.to_owned(),
            files,
            pending: Vec::new(),
            taken: 0,
        })
    }

    /// The next frame; none at the end of what is written so far.
    ///
    /// # Errors
    /// The file cannot be read, or is not a log.
    pub fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take_pending()? {
                return Ok(Some(frame));
            }
            let Some(file) = self.files.last_mut() else {
                match File::open(&self.path) {
                    Ok(file) => self.files.push(file),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                }
                continue;
            };
            self.pending.drain(..std::mem::take(&mut self.taken));
            let count = file.take(CHUNK).read_to_end(&mut self.pending)?;
            if count == 0 && !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the newer file after the end of the older one; false if there is none.
    fn advance(&mut self) -> io::Result<bool> {
        if self.files.len() > 1 {
            self.files.pop();
            return Ok(true);
        }
        let (Some(current), Ok(newest)) = (self.files.last_mut(), File::open(&self.path)) else {
            return Ok(false);
        };
        let rotated = newest.metadata()?.ino() != current.metadata()?.ino();
        if rotated {
            // What was written between our last read and the rotation is read first.
            let mut older = std::mem::replace(current, newest);
            older.read_to_end(&mut self.pending)?;
        }
        Ok(rotated)
    }

    fn take_pending(&mut self) -> io::Result<Option<Frame>> {
        let decoded = (self.decode)(&self.pending[self.taken..])?;
        Ok(decoded.map(|(frame, length)| {
            self.taken += length;
            frame
        }))
    }
}

fn decode(pending: &[u8]) -> io::Result<Option<(Frame, usize)>> {
    let Some(header) = pending.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let (frame, length) = parse(header)?;
    let Some(bytes) = pending.get(HEADER..HEADER + length) else {
        return Ok(None);
    };
    let bytes = bytes.to_vec();
    Ok(Some((Frame { bytes, ..frame }, HEADER + length)))
}

fn parse(header: &[u8; HEADER]) -> io::Result<(Frame, usize)> {
    let not_a_log = || io::Error::new(io::ErrorKind::InvalidData, "this is not a container's log");
    let [time @ .., stream, a, b, c, d] = *header;
    let stream = match stream {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return Err(not_a_log()),
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME {
        return Err(not_a_log());
    }
    let time = Timestamp::from_microsecond(i64::from_be_bytes(time)).map_err(|_| not_a_log())?;
    Ok((
        Frame {
            time,
            stream,
            bytes: Vec::new(),
        },
        length,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("netrun-log-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        drop(std::fs::remove_file(older(&path)));
        path
    }

    #[test]
    fn what_is_written_is_read_while_it_grows() {
        let path = scratch("grows");
        let mut writer = Writer::open(&path).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.next_frame().unwrap(), None);
        writer.write(Stream::Stdout, b"one\n").unwrap();
        writer.write(Stream::Stderr, b"two").unwrap();
        let first = reader.next_frame().unwrap().unwrap();
        assert_eq!(
            (first.stream, first.bytes.as_slice()),
            (Stream::Stdout, b"one\n".as_slice())
        );
        assert_eq!(reader.next_frame().unwrap().unwrap().stream, Stream::Stderr);
        assert_eq!(reader.next_frame().unwrap(), None);
        drop(writer);
        Writer::open(&path)
            .unwrap()
            .write(Stream::Stdout, b"three")
            .unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().bytes, b"three");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn rotation_keeps_the_newest_two_files_in_order() {
        let path = scratch("rotate");
        let mut writer = Writer::open(&path).unwrap();
        let block = vec![b'x'; 1024 * 1024];
        for number in 0u8..50 {
            writer.write(Stream::Stdout, &block).unwrap();
            writer.write(Stream::Stdout, &[number]).unwrap();
        }
        let kept = path.metadata().unwrap().len() + older(&path).metadata().unwrap().len();
        assert!(kept < 3 * ROTATE_AT, "{kept}");
        let mut reader = Reader::open(&path).unwrap();
        let mut numbers = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            if let [number] = frame.bytes[..] {
                numbers.push(number);
            }
        }
        assert_eq!(numbers.last(), Some(&49));
        assert!(
            numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{numbers:?}"
        );
        std::fs::remove_file(older(&path)).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn another_file_is_refused() {
        let path = scratch("foreign");
        std::fs::write(&path, "this is some text, not a log\n").unwrap();
        assert!(Reader::open(&path).unwrap().next_frame().is_err());
        std::fs::remove_file(path).unwrap();
    }
}
