//! The content of an archive on its way into containerd.
//!
//! Which files are an image's parts only `manifest.json` tells, which comes last as often as first: so all
//! are kept, the small ones in memory, the others by containerd, whose lease takes what nothing names.
//!
//! Invariant: a blob is stored under the digest that its name has, which containerd verifies; a file
//! without such a name under the digest of what came. What is in memory has a bound.

use bytes::Bytes;
use oci_spec::image::{Descriptor, Digest, MediaType};
use sha2::{Digest as _, Sha256};

use super::BLOBS;
use super::docker::{Layer, Part, Parts};
use super::error::ArchiveError;
use super::input::{LISTS, Piece, Pieces};
use crate::containerd::{Client, Error};
use crate::image::content::{self, Labels};
use crate::image::packed::Packed;
use crate::image::progress::{BlobState, Progress, PullEvent};

/// The largest list or configuration that is taken, bytes.
pub const MAX_FILE: u64 = 8 << 20;

/// The largest file besides that is kept in memory, and the most that all of these may have, bytes.
const SMALL: u64 = 64 << 10;
const MAX_SMALL: u64 = 32 << 20;

/// The most that the files' names may take, bytes, and what each takes beside its letters: for more than a
/// hundred thousand files, which no archive of images has.
const MAX_NAMES: usize = 16 << 20;
const NAME: usize = 128;

/// Reads one archive.
pub struct Ingest<'a> {
    /// containerd, under a lease.
    pub client: &'a Client,
    /// The archive's name, for messages.
    pub archive: &'a str,
    /// Who is told.
    pub progress: Progress<'a>,
}

impl Ingest<'_> {
    /// Reads the archive to its end.
    pub async fn store(&self, mut pieces: Pieces) -> Result<Parts, ArchiveError> {
        let mut parts = Parts::default();
        let (mut names, mut kept) = (0, 0);
        while let Some(piece) = self.next(&mut pieces).await? {
            names += match &piece {
                Piece::Data(_) => 0,
                Piece::Link { path, target } => NAME + path.len() + target.len(),
                Piece::File { path, .. } => NAME + path.len(),
            };
            if names > MAX_NAMES {
                let archive = self.archive.to_owned();
                return Err(ArchiveError::TooMany { archive });
            }
            match piece {
                Piece::Data(_) => {}
                Piece::Link { path, target } => drop(parts.links.insert(path, target)),
                Piece::File { path, size } => {
                    let is_list = LISTS.contains(&path.as_str());
                    let part = if let Some(digest) = path.strip_prefix(BLOBS).and_then(digest) {
                        Part::Stored(self.blob(digest, size, &mut pieces).await?)
                    } else if is_list || (size <= SMALL && kept + size <= MAX_SMALL) {
                        kept += if is_list { 0 } else { size };
                        Part::Kept(self.small(&path, size, &mut pieces).await?)
                    } else {
                        let number = parts.files.len();
                        Part::Stored(self.layer(number, size, &mut pieces).await?)
                    };
                    parts.files.insert(path, part);
                }
            }
        }
        Ok(parts)
    }

    async fn next(&self, pieces: &mut Pieces) -> Result<Option<Piece>, ArchiveError> {
        let piece = pieces.recv().await.transpose();
        piece.map_err(|source| ArchiveError::Read {
            archive: self.archive.to_owned(),
            source,
        })
    }

    /// The next bytes of a file of which so many are left.
    async fn data(
        &self,
        left: &mut u64,
        pieces: &mut Pieces,
    ) -> Result<Option<Bytes>, ArchiveError> {
        if *left == 0 {
            return Ok(None);
        }
        match self.next(pieces).await? {
            Some(Piece::Data(bytes)) => {
                *left = left.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }

    async fn small(
        &self,
        path: &str,
        size: u64,
        pieces: &mut Pieces,
    ) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_FILE {
            return Err(self.too_large(path.to_owned()));
        }
        let (mut bytes, mut left) = (Vec::new(), size);
        while let Some(data) = self.data(&mut left, pieces).await? {
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Stores a blob under the digest that it has by its name.
    async fn blob(
        &self,
        digest: Digest,
        size: u64,
        pieces: &mut Pieces,
    ) -> Result<Layer, ArchiveError> {
        let media_type = MediaType::from("application/octet-stream");
        let descriptor = Descriptor::new(media_type, size, digest.clone());
        let opened = content::open(self.client, &descriptor, &|_| {}).await;
        let mut writer = opened.map_err(|source| self.refused(source))?;
        let known = writer.is_none();
        let mut skip = writer.as_ref().map_or(0, content::Writer::offset);
        let (mut left, mut packed) = (size, None);
        while let Some(mut bytes) = self.data(&mut left, pieces).await? {
            packed.get_or_insert_with(|| Packed::of(&bytes));
            let Some(writer) = &mut writer else {
                continue;
            };
            let there = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= there as u64;
            let appended = writer.append(bytes.split_off(there)).await;
            appended.map_err(|source| self.refused(source))?;
            self.tell(&descriptor, BlobState::Fetching(writer.offset()));
        }
        if let Some(writer) = writer {
            let committed = writer.commit(Labels::new()).await;
            committed.map_err(|source| self.refused(source))?;
        }
        let state = if known {
            BlobState::Exists
        } else {
            BlobState::Fetched
        };
        self.tell(&descriptor, state);
        Ok(Layer {
            digest,
            size,
            packed: packed.unwrap_or(Packed::Plain),
        })
    }

    /// Stores a file whose digest only its bytes tell.
    async fn layer(
        &self,
        number: usize,
        size: u64,
        pieces: &mut Pieces,
    ) -> Result<Layer, ArchiveError> {
        let reference = format!("netrun-load-{}-{number}", std::process::id());
        let opened = content::open_unknown(self.client, &reference).await;
        let mut writer = opened.map_err(|source| self.refused(source))?;
        let (mut left, mut packed, mut hash) = (size, None, Sha256::new());
        while let Some(bytes) = self.data(&mut left, pieces).await? {
            packed.get_or_insert_with(|| Packed::of(&bytes));
            hash.update(&bytes);
            let appended = writer.append(bytes).await;
            appended.map_err(|source| self.refused(source))?;
        }
        let hex: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let digest = digest(&hex).ok_or_else(|| self.missing(&reference))?;
        let media_type = MediaType::from("application/octet-stream");
        let descriptor = Descriptor::new(media_type, size, digest.clone());
        let committed = writer.commit_as(&descriptor, Labels::new()).await;
        committed.map_err(|source| self.refused(source))?;
        self.tell(&descriptor, BlobState::Fetched);
        Ok(Layer {
            digest,
            size,
            packed: packed.unwrap_or(Packed::Plain),
        })
    }

    fn tell(&self, descriptor: &Descriptor, state: BlobState) {
        (self.progress)(PullEvent::Blob {
            digest: descriptor.digest().as_ref(),
            size: descriptor.size(),
            state,
        });
    }

    fn refused(&self, source: Error) -> ArchiveError {
        ArchiveError::Content {
            archive: self.archive.to_owned(),
            source,
        }
    }

    fn missing(&self, file: &str) -> ArchiveError {
        ArchiveError::Missing {
            archive: self.archive.to_owned(),
            file: file.to_owned(),
        }
    }

    fn too_large(&self, file: String) -> ArchiveError {
        let archive = self.archive.to_owned();
        ArchiveError::TooLarge { archive, file }
    }
}

fn digest(hex: &str) -> Option<Digest> {
    Digest::try_from(format!("sha256:{hex}").as_str()).ok()
}
