//! Layers beside each other: several are unpacked at once, and each becomes a snapshot in its turn.
//!
//! Invariant: a layer's snapshot is made only when the one below is there; what was done before that is
//! in a snapshot of its own, held by the lease. One layer is unpacked by one process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc};

use super::ahead::Scratch;
use super::error::ImageError;
use super::local::access;
use super::progress::BlobState;
use super::unpack::Unpacker;
use crate::sys::lock::Lock;

/// Where locks are.
const LOCKS: &str = "/run/netrun/locks";

/// The lock of whoever makes a snapshot.
fn lock_path(snapshotter: &str, chain_id: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = format!("unpack-{snapshotter}-{chain_id}")
        .chars()
        .map(plain)
        .collect();
    Path::new(LOCKS).join(name)
}

/// What has been done of a layer before those below it are there.
#[derive(Default)]
struct Begun {
    /// Held until the layer is there.
    _lock: Option<Mine>,
    /// Its files, in a snapshot of their own.
    scratch: Option<Scratch>,
}

/// The lock of a layer, whose file goes with it.
struct Mine {
    lock: Option<Lock>,
    path: PathBuf,
}

impl Mine {
    async fn take(path: PathBuf) -> Option<Mine> {
        let lock = Lock::exclusive(&path).await.ok();
        lock.is_some().then_some(Mine { lock, path })
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // A file that stays is in nobody's way.
            drop(lock.remove(&self.path));
        }
    }
}

impl Unpacker<'_> {
    /// Unpacks all layers, several at once where that can be; each as soon as its arrival is told.
    pub async fn layers(&self, arrivals: Vec<impl Future<Output = ()>>) -> Result<(), ImageError> {
        let parallel = self.parallel.get();
        let permits = &Semaphore::new(parallel);
        let begin = arrivals
            .into_iter()
            .enumerate()
            .map(|(number, arrival)| async move {
                arrival.await;
                self.begin(number, permits).await
            });
        let (begun, mut in_order) = mpsc::unbounded_channel();
        let (spent, mut superfluous) = mpsc::unbounded_channel();
        // The three go on beside each other: whoever waits for containerd to write down something must
        // not keep it from unpacking.
        let begin_all = async move {
            let mut begin = pin!(futures_util::stream::iter(begin).buffered(2 * parallel));
            while let Some(layer) = begin.next().await {
                // Nobody listens any more if one could not be ended, which is told.
                drop(begun.send(layer?));
            }
            Ok::<(), ImageError>(())
        };
        let end_all = async move {
            let mut number = 0;
            while let Some(layer) = in_order.recv().await {
                let scratch = self.end(number, layer).await?;
                drop(scratch.map(|scratch| spent.send(scratch)));
                number += 1;
            }
            Ok::<(), ImageError>(())
        };
        let remove_all = async {
            while let Some(Scratch { key, .. }) = superfluous.recv().await {
                // It is in the lease's hands if it cannot be removed.
                drop(self.client.remove_snapshot(self.snapshotter, &key).await);
            }
            Ok::<(), ImageError>(())
        };
        futures_util::try_join!(begin_all, end_all, remove_all)?;
        Ok(())
    }

    /// Does what can be done of a layer before those below are there.
    async fn begin(&self, number: usize, permits: &Semaphore) -> Result<Begun, ImageError> {
        // Who unpacks it too is waited for, and its snapshot taken. Without the right to lock, both do
        // the work, and one of them in vain.
        let path = lock_path(self.snapshotter, &self.chain[number]);
        let there = self.is_there(number).await?;
        let lock = match there {
            true => None,
            false => Mine::take(path).await,
        };
        let _permit = permits.acquire().await;
        if there {
            self.verify(number).await?;
            return Ok(Begun::default());
        }
        let mut begun = Begun {
            _lock: lock,
            scratch: None,
        };
        let alone = number == 0 || self.is_there(number - 1).await?;
        if !alone && self.parallel.get() > 1 && !self.is_there(number).await? {
            begun.scratch = self.fill_ahead(number).await?;
        } else if alone {
            self.unlocked(number).await?;
        }
        Ok(begun)
    }

    /// Does the rest of it, on top of the one below, which is there; gives what is of no use any more.
    async fn end(&self, number: usize, begun: Begun) -> Result<Option<Scratch>, ImageError> {
        if let Some(scratch) = &begun.scratch {
            self.adopt(number, scratch).await?;
        }
        self.unlocked(number).await?;
        self.tell(number, BlobState::Unpacked);
        Ok(begun.scratch)
    }

    /// Unpacks a layer beside those below; nothing where it cannot be done, or fails: then it is tried
    /// the ordinary way, whose failure counts.
    async fn fill_ahead(&self, number: usize) -> Result<Option<Scratch>, ImageError> {
        let key = self.key(number);
        let Ok(mounts) = self.prepare(&key, "", HashMap::new()).await else {
            return Ok(None);
        };
        let scratch = Scratch::of(key.clone(), &mounts);
        if let Some(scratch) = scratch {
            self.tell(number, BlobState::Unpacking);
            match self.apply(number, scratch.mounts()).await {
                Ok(()) if !scratch.is_empty() => return Ok(Some(scratch)),
                Err(error @ ImageError::DiffId { .. }) => return Err(error),
                Ok(()) | Err(_) => scratch.discard(),
            }
        }
        drop(self.client.remove_snapshot(self.snapshotter, &key).await);
        Ok(None)
    }

    /// Makes the layer's snapshot of what was unpacked beside, or anew if that cannot be.
    async fn adopt(&self, number: usize, scratch: &Scratch) -> Result<(), ImageError> {
        let refused = |source| access("unpack", &self.image.name, source);
        let key = self.key(number);
        match self.prepare_layer(&key, number).await {
            Ok(mounts) if scratch.move_to(&mounts) => self.commit(&key, number).await,
            Ok(mounts) => {
                // Whoever made it has made the others in the same way.
                self.parallel.set(1);
                scratch.discard();
                self.fill(&key, number, mounts).await
            }
            Err(error) if error.already_exists() => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}
