//! Reading an archive, on a thread of its own: unpacking and reading block.
//!
//! Invariant: the archive's names are words to compare; nothing here makes a file of any.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::image::digest;
use crate::image::packed::{Packed, Unreadable, unpacked};

/// How much is read at once, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 8;

/// What an archive has one of, or both: what its images are made of.
pub const LISTS: [&str; 2] = ["index.json", "manifest.json"];

/// Where an archive comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Source::Stdin => "standard input".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Source::Stdin => Box::new(io::stdin()),
            Source::File(path) => Box::new(File::open(path)?),
        })
    }
}

/// A part of an archive.
#[derive(Debug)]
pub enum Piece {
    /// A file begins; its bytes follow.
    File {
        /// Its name, without `./`.
        path: String,
        /// How many bytes follow.
        size: u64,
    },
    /// Another name for a file.
    Link {
        /// Its name.
        path: String,
        /// The file's.
        target: String,
    },
    /// Bytes of the file that began last.
    Data(Bytes),
}

/// An archive's parts, in its order; the channel ends with it.
pub type Pieces = mpsc::Receiver<io::Result<Piece>>;

/// Begins to read a tar, packed by gzip or zstd or not at all; or the directory of one unpacked.
///
/// # Errors
/// It cannot be opened.
pub fn read_tar(source: &Source) -> io::Result<Pieces> {
    let (sender, pieces) = mpsc::channel(WAITING);
    if let Source::File(path) = source
        && LISTS.iter().any(|list| path.join(list).is_file())
    {
        let path = path.clone();
        on_thread(move || {
            if let Err(error) = directory(&path, "", &sender) {
                drop(sender.blocking_send(Err(error)));
            }
        })?;
        return Ok(pieces);
    }
    let reader = source.open()?;
    on_thread(move || {
        if let Err(error) = entries(reader, &sender) {
            // Nobody listens any more if this fails.
            drop(sender.blocking_send(Err(error)));
        }
    })?;
    Ok(pieces)
}

/// What comes of reading a layer.
#[derive(Debug)]
pub enum LayerPiece {
    /// Bytes as they are in the file.
    Data(Bytes),
    /// The end: the digest of the unpacked bytes, and how they were packed.
    End {
        /// `sha256:...`.
        diff_id: String,
        /// How they are packed.
        packed: Packed,
    },
}

/// Begins to read a layer: its bytes as they are, then what they unpack to.
///
/// # Errors
/// It cannot be opened.
pub fn read_layer(source: &Source) -> io::Result<mpsc::Receiver<io::Result<LayerPiece>>> {
    let reader = source.open()?;
    let (sender, pieces) = mpsc::channel(WAITING);
    on_thread(move || {
        let end = layer(reader, &sender);
        drop(sender.blocking_send(end));
    })?;
    Ok(pieces)
}

fn on_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name("archive".into())
        .spawn(work)
        .map(drop)
}

fn entries(reader: impl Read, sender: &mpsc::Sender<io::Result<Piece>>) -> io::Result<()> {
    let (reader, _) = unpacked(BufReader::with_capacity(PIECE, reader))?;
    let mut archive = tar::Archive::new(reader);
    for (number, entry) in archive.entries()?.enumerate() {
        // The reader's own words would show bytes that are not meant to be read.
        let mut entry = entry.map_err(|error| match (number, error.kind()) {
            (0, io::ErrorKind::Other | io::ErrorKind::InvalidData) => {
                io::Error::other(Unreadable::NoTar)
            }
            _ => error,
        })?;
        let path = plain(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let size = entry.size();
            file(path, size, &mut entry, sender)?;
        } else if (kind.is_symlink() || kind.is_hard_link())
            && let Some(target) = entry.link_name()?
        {
            let target = match kind.is_symlink() {
                true => plain(&Path::new(&path).with_file_name(target.as_os_str())),
                false => plain(&target),
            };
            send(sender, Piece::Link { path, target })?;
        }
    }
    Ok(())
}

/// The files of a directory and of those in it, as if they were packed; links are not followed.
fn directory(at: &Path, prefix: &str, sender: &mpsc::Sender<io::Result<Piece>>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(at)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    for name in names {
        let (path, within) = (at.join(&name), format!("{prefix}{name}"));
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            directory(&path, &format!("{within}/"), sender)?;
        } else if kind.is_file() {
            let mut opened = File::open(&path)?;
            let size = opened.metadata()?.len();
            file(within, size, &mut opened, sender)?;
        }
    }
    Ok(())
}

fn file(
    path: String,
    size: u64,
    reader: &mut impl Read,
    sender: &mpsc::Sender<io::Result<Piece>>,
) -> io::Result<()> {
    send(sender, Piece::File { path, size })?;
    let mut reader = reader.take(size);
    while let Some(data) = piece(&mut reader)? {
        send(sender, Piece::Data(data))?;
    }
    Ok(())
}

fn send(sender: &mpsc::Sender<io::Result<Piece>>, piece: Piece) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    sender.blocking_send(Ok(piece)).map_err(gone)
}

/// A name without `.`, `..` and the root, as far as these can be resolved within the archive.
pub fn plain(path: &Path) -> String {
    let mut words: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(word) => words.push(word.to_string_lossy().into_owned()),
            Component::ParentDir => drop(words.pop()),
            Component::RootDir => words.clear(),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    words.join("/")
}

/// The next bytes; nothing at the end.
fn piece(reader: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok((!bytes.is_empty()).then(|| bytes.into()))
}

fn layer(
    reader: Box<dyn Read + Send>,
    sender: &mpsc::Sender<io::Result<LayerPiece>>,
) -> io::Result<LayerPiece> {
    let mut told = BufReader::with_capacity(PIECE, Told { reader, sender });
    let mut hash = Sha256::new();
    let packed = {
        let (mut unpacked, packed) = unpacked(&mut told)?;
        while let Some(bytes) = piece(&mut unpacked)? {
            hash.update(&bytes);
        }
        packed
    };
    // What comes after the end of the packed bytes belongs to the file.
    io::copy(&mut told, &mut io::sink())?;
    let diff_id = digest::end(hash);
    Ok(LayerPiece::End { diff_id, packed })
}

/// A reader whose bytes are told to somebody as they are read.
struct Told<'s> {
    reader: Box<dyn Read + Send>,
    sender: &'s mpsc::Sender<io::Result<LayerPiece>>,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let data = Bytes::copy_from_slice(&buffer[..count]);
        let told = self.sender.blocking_send(Ok(LayerPiece::Data(data)));
        told.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "a/layer.tar", &b"abc"[..])
            .unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder
            .append_link(&mut link, "b/layer.tar", "../a/layer.tar")
            .unwrap();
        builder.into_inner().unwrap()
    }

    fn parts(bytes: Vec<u8>) -> Vec<String> {
        let (sender, mut pieces) = mpsc::channel(100);
        entries(&bytes[..], &sender).unwrap();
        drop(sender);
        let mut parts = Vec::new();
        while let Some(piece) = pieces.blocking_recv() {
            parts.push(match piece.unwrap() {
                Piece::File { path, size } => format!("{path} {size}"),
                Piece::Link { path, target } => format!("{path} -> {target}"),
                Piece::Data(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            });
        }
        parts
    }

    #[test]
    fn a_tar_is_read_however_it_is_packed() {
        let expected = ["a/layer.tar 3", "abc", "b/layer.tar -> a/layer.tar"];
        assert_eq!(parts(tar()), expected);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar()).unwrap();
        assert_eq!(parts(gzip.finish().unwrap()), expected);
        assert_eq!(parts(zstd::encode_all(&tar()[..], 1).unwrap()), expected);
    }

    #[test]
    fn names_stay_within_the_archive() {
        for (path, expected) in [
            ("./a/b", "a/b"),
            ("/a", "a"),
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../b", "b"),
        ] {
            assert_eq!(plain(Path::new(path)), expected);
        }
    }

    #[test]
    fn a_layers_bytes_are_told_and_its_diff_id_is_that_of_the_unpacked() {
        let packed = zstd::encode_all(&b"hello"[..], 1).unwrap();
        let (sender, mut pieces) = mpsc::channel(100);
        let end = layer(Box::new(io::Cursor::new(packed.clone())), &sender).unwrap();
        drop(sender);
        let mut told = Vec::new();
        while let Some(Ok(LayerPiece::Data(bytes))) = pieces.blocking_recv() {
            told.extend_from_slice(&bytes);
        }
        assert_eq!(told, packed);
        let diff_id = crate::image::digest::of(b"hello");
        assert!(
            matches!(end, LayerPiece::End { diff_id: found, packed: Packed::Zstd } if found == diff_id)
        );
    }
}
