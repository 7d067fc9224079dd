//! From layers to snapshots, by containerd's Diff service.
//!
//! Invariant: a snapshot under a chain id is complete; what is in the making has another key and
//! is held by a lease.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::ready;

use containerd_client::services::v1 as diff_api;
use containerd_client::services::v1::snapshots as api;
use containerd_client::types;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::ahead::parallel;
use super::content;
use super::digest;
use super::error::ImageError;
use super::lease::{self, Lease};
use super::local::{Image, access, incomplete};
use super::progress::{BlobState, Progress, PullEvent};
use super::wire::to_wire;
use crate::containerd::{Client, Error, check};

/// The label that tells a snapshotter which committed snapshot is being made.
const SNAPSHOT_REF: &str = "containerd.io/snapshot.ref";

/// The label that tells the digest of a layer unpacked.
pub(super) const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// The beginning of the label by which the garbage collector follows a configuration to its
/// snapshot.
const GC_SNAPSHOT: &str = "containerd.io/gc.ref.snapshot.";

/// How often a layer is begun anew when somebody else is making it too.
const ATTEMPTS: usize = 3;

/// Makes sure that the image's snapshot is there; one cheap call if it is.
///
/// # Errors
/// [`ImageError::Incomplete`] if a layer is missing (pull it), [`ImageError::DiffId`] if one is not
/// what the configuration says, and any refusal by containerd.
pub async fn unpack(
    client: &Client,
    image: &Image,
    snapshotter: &str,
    progress: Progress<'_>,
) -> Result<(), ImageError> {
    let refused = |source| access("unpack", &image.name, source);
    if image.chain_id.is_empty()
        || stat(client, snapshotter, &image.chain_id)
            .await
            .map_err(refused)?
    {
        return Ok(());
    }
    unpack_brought(client, image, snapshotter, progress).await
}

/// As [`unpack`], of an image that has just come in: its layers are what they are said to be even where
/// the snapshots were there before.
///
/// # Errors
/// As [`unpack`].
pub async fn unpack_brought(
    client: &Client,
    image: &Image,
    snapshotter: &str,
    progress: Progress<'_>,
) -> Result<(), ImageError> {
    let refused = |source| access("unpack", &image.name, source);
    let lease = Lease::acquire(client).await.map_err(refused)?;
    let unpacker = Unpacker::new(lease.client(), image, snapshotter, progress);
    let here = image.layers.iter().map(|_| ready(()));
    let mut outcome = unpacker.all(here.collect()).await;
    if outcome.is_ok() {
        outcome = unpacker.finish().await;
    }
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    outcome.and(released)
}

/// Whether a snapshot is there.
async fn stat(client: &Client, snapshotter: &str, key: &str) -> Result<bool, Error> {
    let request = api::StatSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: key.to_owned(),
    };
    let operation = format!("look for snapshot {key}");
    match check(&operation, client.snapshots().stat(request).await) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Unpacks an image's layers, the lowest first, under a lease.
pub(super) struct Unpacker<'a> {
    pub client: &'a Client,
    pub image: &'a Image,
    pub snapshotter: &'a str,
    progress: Progress<'a>,
    pub chain: Vec<String>,
    /// How many layers are unpacked at once.
    pub parallel: Cell<usize>,
}

impl<'a> Unpacker<'a> {
    pub fn new(
        client: &'a Client,
        image: &'a Image,
        snapshotter: &'a str,
        progress: Progress<'a>,
    ) -> Unpacker<'a> {
        Unpacker {
            client,
            image,
            snapshotter,
            progress,
            chain: digest::chain_ids(&image.diff_ids),
            parallel: Cell::new(parallel(snapshotter)),
        }
    }

    /// Whether a layer's snapshot is there; if it is, our lease holds it now.
    pub async fn is_there(&self, number: usize) -> Result<bool, ImageError> {
        let (client, snapshotter, key) = (self.client, self.snapshotter, &self.chain[number]);
        let held = async {
            if !stat(client, snapshotter, key).await? {
                return Ok(false);
            }
            lease::hold_snapshot(client, snapshotter, key).await?;
            // It may have gone before we held it.
            stat(client, snapshotter, key).await
        };
        held.await
            .map_err(|source| access("unpack", &self.image.name, source))
    }

    pub fn key(&self, number: usize) -> String {
        let now = Timestamp::now().as_nanosecond();
        format!("extract-{now} {}", self.chain[number])
    }

    /// Makes sure that the image's snapshot is there, made of these layers; each is looked at as soon as
    /// its arrival is told.
    pub async fn all(&self, arrivals: Vec<impl Future<Output = ()>>) -> Result<(), ImageError> {
        let top = self.chain.len().checked_sub(1);
        if let Some(top) = top
            && !self.is_there(top).await?
        {
            return self.layers(arrivals).await;
        }
        let verified = arrivals.into_iter().enumerate();
        let verified = verified.map(|(number, arrival)| async move {
            arrival.await;
            self.verify(number).await
        });
        let verified = futures_util::stream::iter(verified).buffer_unordered(self.parallel.get());
        verified.try_collect().await
    }

    /// Unpacks a layer on top of the one below, unless it is there.
    pub async fn unlocked(&self, number: usize) -> Result<(), ImageError> {
        let refused = |source| access("unpack", &self.image.name, source);
        for _ in 0..ATTEMPTS {
            if self.is_there(number).await? {
                return self.verify(number).await;
            }
            let key = self.key(number);
            match self.prepare_layer(&key, number).await {
                Ok(mounts) => {
                    self.tell(number, BlobState::Unpacking);
                    self.fill(&key, number, mounts).await?;
                    break;
                }
                // Somebody else has made it meanwhile, or has hit upon our key.
                Err(error) if error.already_exists() => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Ok(())
    }

    /// Ties the snapshot to the image, so that it is kept as long as the image is.
    pub async fn finish(&self) -> Result<(), ImageError> {
        let Some(chain_id) = self.chain.last() else {
            return Ok(());
        };
        let label = (
            format!("{GC_SNAPSHOT}{}", self.snapshotter),
            chain_id.clone(),
        );
        content::label(self.client, &self.image.config_digest, &vec![label])
            .await
            .map_err(|source| access("unpack", &self.image.name, source))
    }

    pub fn tell(&self, number: usize, state: BlobState) {
        let layer = &self.image.layers[number];
        (self.progress)(PullEvent::Blob {
            digest: layer.digest().as_ref(),
            size: layer.size(),
            state,
        });
    }

    pub async fn prepare_layer(
        &self,
        key: &str,
        number: usize,
    ) -> Result<Vec<types::Mount>, Error> {
        let parent = number
            .checked_sub(1)
            .map(|below| self.chain[below].as_str());
        let labels = self.snapshot_labels(number);
        self.prepare(key, parent.unwrap_or_default(), labels).await
    }

    pub async fn prepare(
        &self,
        key: &str,
        parent: &str,
        labels: HashMap<String, String>,
    ) -> Result<Vec<types::Mount>, Error> {
        let request = api::PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels,
        };
        let operation = format!("prepare snapshot {key}");
        Ok(check(&operation, self.client.snapshots().prepare(request).await)?.mounts)
    }

    fn snapshot_labels(&self, number: usize) -> HashMap<String, String> {
        HashMap::from([(SNAPSHOT_REF.to_owned(), self.chain[number].clone())])
    }

    pub async fn fill(
        &self,
        key: &str,
        number: usize,
        mounts: Vec<types::Mount>,
    ) -> Result<(), ImageError> {
        let filled = match self.apply(number, mounts).await {
            Ok(()) => self.commit(key, number).await,
            Err(error) => Err(error),
        };
        if filled.is_err() {
            // The failure is what counts; the lease takes a snapshot that stays.
            drop(self.client.remove_snapshot(self.snapshotter, key).await);
        }
        filled
    }

    pub async fn apply(&self, number: usize, mounts: Vec<types::Mount>) -> Result<(), ImageError> {
        let image = &self.image.name;
        let layer = &self.image.layers[number];
        let packed = layer.digest().to_string();
        let request = diff_api::ApplyRequest {
            diff: Some(to_wire(layer)),
            mounts,
            ..diff_api::ApplyRequest::default()
        };
        let operation = format!("unpack layer {packed}");
        let answer = match check(&operation, self.client.diff().apply(request).await) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Err(incomplete(image, &packed)),
            Err(source) => return Err(access("unpack", image, source)),
        };
        let found = answer.applied.unwrap_or_default().digest;
        let expected = &self.image.diff_ids[number];
        if found != *expected {
            return Err(ImageError::DiffId {
                image: image.clone(),
                layer: packed,
                expected: expected.clone(),
                found,
            });
        }
        let label = (UNCOMPRESSED.to_owned(), found);
        content::label(self.client, &packed, &vec![label])
            .await
            .map_err(|source| access("unpack", image, source))
    }

    pub async fn commit(&self, key: &str, number: usize) -> Result<(), ImageError> {
        let request = api::CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: self.chain[number].clone(),
            key: key.to_owned(),
            labels: self.snapshot_labels(number),
        };
        let operation = format!("commit snapshot {key}");
        match check(&operation, self.client.snapshots().commit(request).await) {
            Ok(()) => Ok(()),
            Err(error) if error.already_exists() => {
                // Somebody else was faster: ours is superfluous.
                let removed = self.client.remove_snapshot(self.snapshotter, key).await;
                removed.map_err(|source| access("unpack", &self.image.name, source))
            }
            Err(source) => Err(access("unpack", &self.image.name, source)),
        }
    }
}
