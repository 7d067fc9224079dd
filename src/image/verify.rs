//! Whether a layer is what its snapshot was made from, where that is here already and nobody unpacks the
//! layer: a configuration may claim any snapshot for it.
//!
//! Invariant: a layer has the label only if it was unpacked to its end and came to what the label says.

use std::io::{self, BufReader, Read};
use std::pin::pin;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::content;
use super::digest;
use super::error::ImageError;
use super::local::access;
use super::packed::{Packed, unpacked};
use super::unpack::{UNCOMPRESSED, Unpacker};
use crate::containerd::{Client, Error};

/// How much is hashed at once, and how many pieces of a layer may wait for it.
const PIECE: usize = 256 << 10;
const WAITING: usize = 4;

impl Unpacker<'_> {
    /// Compares a layer with its diff id: by its label, or by what it unpacks to if it has none yet.
    pub async fn verify(&self, number: usize) -> Result<(), ImageError> {
        let image = &self.image.name;
        let refused = |source| access("unpack", image, source);
        let layer = self.image.layers[number].digest().to_string();
        let labels = match content::labels(self.client, &layer).await {
            // Some keep no layers that are unpacked: there is nothing that could be another.
            Err(error) if error.is_not_found() => return Ok(()),
            labels => labels.map_err(refused)?,
        };
        let known = labels.get(UNCOMPRESSED).cloned();
        let is_known = known.is_some();
        let found = match known {
            Some(known) => known,
            None => {
                let computed = diff_id(self.client, &layer).await.map_err(refused)?;
                computed.map_err(|source| ImageError::Packed {
                    image: image.clone(),
                    layer: layer.clone(),
                    source,
                })?
            }
        };
        let expected = &self.image.diff_ids[number];
        if found != *expected {
            return Err(ImageError::DiffId {
                image: image.clone(),
                layer,
                expected: expected.clone(),
                found,
            });
        }
        if is_known {
            return Ok(());
        }
        let label = (UNCOMPRESSED.to_owned(), found);
        let labelled = content::label(self.client, &layer, &vec![label]).await;
        labelled.map_err(refused)
    }
}

/// The digest of what a layer unpacks to. It is unpacked on a thread of its own, which ends when nobody
/// waits for it any more.
async fn diff_id(client: &Client, layer: &str) -> Result<io::Result<String>, Error> {
    let mut blob = pin!(content::stream(client, layer).await?);
    let (sender, pieces) = mpsc::channel(WAITING);
    let (told, outcome) = oneshot::channel();
    let begun = std::thread::Builder::new()
        .name("diff id".into())
        .spawn(move || drop(told.send(hash(Arriving::new(pieces)))));
    if let Err(error) = begun {
        return Ok(Err(error));
    }
    while let Some(bytes) = blob.next().await {
        // Nobody takes any more what is not packed, or cannot be unpacked.
        if sender.send(bytes?).await.is_err() {
            break;
        }
    }
    drop(sender);
    let found = outcome.await.unwrap_or_else(|_| {
        let lost = "the thread that unpacks it has ended";
        Err(io::Error::other(lost))
    });
    Ok(found.map(|found| found.unwrap_or_else(|| layer.to_owned())))
}

/// The digest of the unpacked bytes; nothing if they are not packed: then the layer's own is that.
fn hash(reader: impl Read) -> io::Result<Option<String>> {
    let (mut unpacked, packed) = unpacked(BufReader::new(reader))?;
    if packed == Packed::Plain {
        return Ok(None);
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match unpacked.read(&mut buffer)? {
            0 => return Ok(Some(digest::end(hash))),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// What comes through a channel, to be read: as much at once as is asked for, since how it is packed only
/// the first bytes together say.
struct Arriving {
    pieces: mpsc::Receiver<Bytes>,
    bytes: Bytes,
}

impl Arriving {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Arriving {
        let bytes = Bytes::new();
        Arriving { pieces, bytes }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            if self.bytes.is_empty() {
                match self.pieces.blocking_recv() {
                    Some(bytes) => self.bytes = bytes,
                    None => break,
                }
            }
            let room = &mut buffer[count..];
            let part = room.len().min(self.bytes.len());
            self.bytes.copy_to_slice(&mut room[..part]);
            count += part;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_packed_is_unpacked_to_be_hashed() {
        let found = |bytes: &[u8]| {
            let (sender, pieces) = mpsc::channel(100);
            for piece in bytes.chunks(3) {
                let empty = sender.try_send(Bytes::new());
                empty
                    .and_then(|()| sender.try_send(Bytes::copy_from_slice(piece)))
                    .unwrap();
            }
            drop(sender);
            hash(Arriving::new(pieces))
        };
        let packed = zstd::encode_all(&b"hello"[..], 1).unwrap();
        assert_eq!(found(&packed).unwrap(), Some(digest::of(b"hello")));
        assert_eq!(found(b"hello").unwrap(), None);
        assert!(found(&packed[..packed.len() - 1]).is_err());
    }
}
