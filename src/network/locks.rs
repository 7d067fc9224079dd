//! The locks around plugins, between all processes of this program: CNI's GC and the network.
//!
//! Invariant: they are taken in this order, GC's and then the network's, and after the container's
//! lock, which is the caller's.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::model::class::{Class, Explain};
use crate::sys::lock::Lock;

/// Where the locks lie unless the caller says otherwise.
pub const DEFAULT_DIR: &str = "/run/netrun/locks";

/// A lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}", path.display())]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for LockError {
    fn class(&self) -> Class {
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => Class::Denied,
            _ => Class::Failed,
        }
    }
}

/// The locks of an ADD, CHECK or DEL, held until dropped.
#[derive(Debug)]
pub(super) struct Held {
    _gc: Lock,
    _network: Lock,
}

/// The directory of the locks.
#[derive(Debug, Clone)]
pub(super) struct Locks {
    dir: PathBuf,
}

impl Locks {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// For ADD. The first attachment of a network is made alone, since it creates what all share
    /// (the bridge, top chains) and plugins are not made for doing that twice at once; further
    /// ones are made side by side. `in_use` tells whether the network has an attachment.
    pub(super) async fn attach(
        &self,
        network: &str,
        in_use: impl Fn() -> bool,
    ) -> Result<Held, LockError> {
        let gc = self.shared("cni-gc".to_owned()).await?;
        let name = format!("net-{network}");
        // An attachment in the cache may be from before the last boot; this mark is not.
        let warm = || self.mark(network).exists() && in_use();
        loop {
            // Who comes while the first is at work waits here, and then need not be alone.
            let shared = self.shared(name.clone()).await?;
            if warm() {
                return Ok(held(gc, shared));
            }
            drop(shared);
            let path = self.dir.join(&name);
            let alone = Lock::try_exclusive(&path).map_err(|source| LockError { path, source })?;
            match alone {
                Some(alone) if !warm() => return Ok(held(gc, alone)),
                Some(_) => {}
                // Somebody else looked at the same moment.
                None => sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// For CHECK and DEL, which run side by side.
    pub(super) async fn detach(&self, network: &str) -> Result<Held, LockError> {
        let gc = self.shared("cni-gc".to_owned()).await?;
        let network = self.shared(format!("net-{network}")).await?;
        Ok(held(gc, network))
    }

    /// For GC: no attachment is made or undone meanwhile, on any network.
    pub(super) async fn gc(&self) -> Result<Lock, LockError> {
        let path = self.dir.join("cni-gc");
        let taken = Lock::exclusive(&path).await;
        taken.map_err(|source| LockError { path, source })
    }

    /// Notes that what the network's attachments share has been created since the last boot.
    pub(super) fn mark_used(&self, network: &str) {
        // Without the mark the next attachment is made alone too: slower, not wrong.
        let _ = fs::write(self.mark(network), "");
    }

    fn mark(&self, network: &str) -> PathBuf {
        self.dir.join(format!("net-{network}:used"))
    }

    async fn shared(&self, name: String) -> Result<Lock, LockError> {
        let path = self.dir.join(name);
        let taken = Lock::shared(&path).await;
        taken.map_err(|source| LockError { path, source })
    }
}

fn held(gc: Lock, network: Lock) -> Held {
    Held {
        _gc: gc,
        _network: network,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_first_attachment_is_made_alone_and_the_others_side_by_side() {
        let dir = std::env::temp_dir().join(format!("netrun-locks-{}", std::process::id()));
        let locks = Locks::new(dir.clone());
        let in_use = Cell::new(false);
        let first = locks.attach("n", || in_use.get()).await.unwrap();
        assert!(Lock::try_shared(&dir.join("net-n")).unwrap().is_none());
        let second = locks.attach("n", || in_use.get());
        let other = async {
            sleep(Duration::from_millis(20)).await;
            locks.mark_used("n");
            in_use.set(true);
            drop(first);
        };
        let (second, ()) = tokio::join!(second, other);
        let third = locks.attach("n", || in_use.get()).await.unwrap();
        assert!(Lock::try_exclusive(&dir.join("cni-gc")).unwrap().is_none());
        drop((second, third));
        assert!(locks.gc().await.is_ok());
        fs::remove_dir_all(dir).unwrap();
    }
}
