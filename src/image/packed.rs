//! Layers and archives as they are packed: by gzip, by zstd or not at all.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
/// The first bytes cannot be read.
pub fn unpacked<'r>(mut reader: impl BufRead + 'r) -> io::Result<(Box<dyn Read + 'r>, Packed)> {
    let packed = Packed::of(reader.fill_buf()?);
    let unpacked: Box<dyn Read + 'r> = match packed {
        Packed::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Packed::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        Packed::Plain => Box::new(reader),
    };
    Ok((unpacked, packed))
}
