//! Writing an archive, on a thread of its own: packing and writing block.
//!
//! Invariant: the same images give the same bytes; a file that could not be finished is not left, and
//! what was there before is.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

use bytes::Bytes;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;

use crate::sys::draft::Draft;

/// How many pieces may wait.
const WAITING: usize = 8;

/// A tar's block.
const BLOCK: u64 = 512;

/// Where an archive goes.
#[derive(Debug)]
pub enum Target {
    /// An open stream: standard output.
    Stream(OwnedFd),
    /// A file, made anew.
    File(PathBuf),
}

impl Target {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Target::Stream(_) => "standard output".to_owned(),
            Target::File(path) => path.display().to_string(),
        }
    }
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// A tar being written.
pub struct Output {
    pieces: mpsc::Sender<Bytes>,
    writer: JoinHandle<io::Result<Option<Draft>>>,
}

impl Output {
    /// Begins to write.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn create(target: &Target, compression: Option<Compression>) -> io::Result<Output> {
        let (sink, draft): (Box<dyn Write + Send>, _) = match target {
            Target::Stream(stream) => (Box::new(File::from(stream.try_clone()?)), None),
            Target::File(path) => {
                let (file, draft) = Draft::begin(path)?;
                (Box::new(BufWriter::new(file)), Some(draft))
            }
        };
        let (pieces, receiver) = mpsc::channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("archive".into())
            .spawn(move || write_all(sink, compression, receiver).map(|()| draft))?;
        Ok(Output { pieces, writer })
    }

    /// Begins a file of so many bytes, which [`Output::data`] gives.
    ///
    /// # Errors
    /// The name is too long; the writer has failed.
    pub async fn file(&self, path: &str, size: u64) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(path)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.data(Bytes::copy_from_slice(header.as_bytes())).await
    }

    /// Bytes of the file that was begun last.
    ///
    /// # Errors
    /// The writer has failed; [`Output::finish`] says why.
    pub async fn data(&self, bytes: Bytes) -> io::Result<()> {
        let sent = self.pieces.send(bytes).await;
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends a file of so many bytes.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub async fn end(&self, size: u64) -> io::Result<()> {
        let padding = (BLOCK - size % BLOCK) % BLOCK;
        let padding = usize::try_from(padding).unwrap_or(0);
        self.data(vec![0; padding].into()).await
    }

    /// Ends the archive and waits until it is written.
    ///
    /// # Errors
    /// What the writer met.
    pub async fn finish(self) -> io::Result<()> {
        let trailer = self.data(vec![0; 2 * BLOCK as usize].into()).await;
        let draft = self.end_writing()?;
        trailer?;
        draft.map_or(Ok(()), Draft::keep)
    }

    /// Gives it up: the writer's own trouble, if it had any.
    pub fn stop(self) -> io::Result<()> {
        self.end_writing().map(drop)
    }

    fn end_writing(self) -> io::Result<Option<Draft>> {
        drop(self.pieces);
        let ended_early = |_| Err(io::Error::other("the thread that writes ended early"));
        self.writer.join().unwrap_or_else(ended_early)
    }
}

fn write_all(
    sink: Box<dyn Write + Send>,
    compression: Option<Compression>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut drain = |sink: &mut dyn Write| {
        while let Some(bytes) = pieces.blocking_recv() {
            sink.write_all(&bytes)?;
        }
        Ok::<(), io::Error>(())
    };
    let mut sink = sink;
    match compression {
        None => drain(&mut sink)?,
        Some(Compression::Gzip) => {
            let mut packer = GzEncoder::new(sink, flate2::Compression::default());
            drain(&mut packer)?;
            sink = packer.finish()?;
        }
        Some(Compression::Zstd) => {
            let mut packer = zstd::stream::write::Encoder::new(sink, 0)?;
            drain(&mut packer)?;
            sink = packer.finish()?;
        }
    }
    sink.flush()
}
