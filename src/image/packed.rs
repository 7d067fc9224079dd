//! Layers and archives as they are packed: by gzip, by zstd or not at all.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What others pack with, whose beginnings we know and no more: the program that unpacks each.
const FOREIGN: [(&[u8], &str); 3] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

/// What is no archive that we read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is packed in a way that we do not know.
    #[error("it is packed by {0}; only gzip and zstd are read")]
    Packed(&'static str),
    /// It does not begin as a tar does.
    #[error("it is no tar")]
    NoTar,
}

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// Not at all.
    Plain,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Packed {
    /// What the first bytes say.
    pub fn of(bytes: &[u8]) -> Packed {
        if bytes.starts_with(&GZIP) {
            Packed::Gzip
        } else if bytes.starts_with(&ZSTD) {
            Packed::Zstd
        } else {
            Packed::Plain
        }
    }

    /// The media type of a layer that is packed so.
    pub fn media_type(self) -> &'static str {
        match self {
            Packed::Plain => "application/vnd.oci.image.layer.v1.tar",
            Packed::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Packed::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// The unpacked bytes of what is packed by any of the ways.
///
/// # Errors
/// [`Unreadable`] inside; the first bytes cannot be read.
pub fn unpacked<'r>(mut reader: impl BufRead + 'r) -> io::Result<(Box<dyn Read + 'r>, Packed)> {
    let begins = reader.fill_buf()?;
    if let Some((_, by)) = FOREIGN.iter().find(|(magic, _)| begins.starts_with(magic)) {
        return Err(io::Error::other(Unreadable::Packed(by)));
    }
    let packed = Packed::of(begins);
    let unpacked: Box<dyn Read + 'r> = match packed {
        Packed::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Packed::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        Packed::Plain => Box::new(reader),
    };
    Ok((unpacked, packed))
}
