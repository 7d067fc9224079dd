//! What images and containers take on the disk.
//!
//! Invariant: what several share counts once in a whole.

use std::collections::{BTreeMap, BTreeSet};

use containerd_client::services::v1::snapshots as api;

use super::digest::chain_ids;
use super::local::Image;
use crate::containerd::{Client, Error, check};

/// The bytes of a snapshot by itself, without those below it; nothing if there is none.
///
/// # Errors
/// Any other refusal by containerd.
pub async fn snapshot(client: &Client, snapshotter: &str, key: &str) -> Result<Option<u64>, Error> {
    let request = api::UsageRequest {
        snapshotter: snapshotter.to_owned(),
        key: key.to_owned(),
    };
    let operation = format!("measure snapshot {key}");
    match check(&operation, client.snapshots().usage(request).await) {
        Ok(answer) => Ok(Some(u64::try_from(answer.size).unwrap_or(0))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What images take: each blob and each snapshot by its digest or chain id, bytes.
#[derive(Debug, Default)]
pub struct Footprint(BTreeMap<String, u64>);

impl Footprint {
    /// Adds an image, for this snapshotter.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn add(
        &mut self,
        client: &Client,
        snapshotter: &str,
        image: &Image,
    ) -> Result<(), Error> {
        for layer in &image.layers {
            self.0.insert(layer.digest().to_string(), layer.size());
        }
        for chain_id in chain_ids(&image.diff_ids) {
            let key = format!("snapshot {chain_id}");
            if !self.0.contains_key(&key)
                && let Some(size) = snapshot(client, snapshotter, &chain_id).await?
            {
                self.0.insert(key, size);
            }
        }
        Ok(())
    }

    /// The bytes of all.
    pub fn bytes(&self) -> u64 {
        self.0.values().sum()
    }

    /// The bytes of snapshots alone.
    pub fn unpacked(&self) -> u64 {
        let snapshots = self
            .0
            .iter()
            .filter(|(key, _)| key.starts_with("snapshot "));
        snapshots.map(|(_, size)| size).sum()
    }

    /// The bytes that only these take, and none of `others`.
    pub fn without(&self, others: &Footprint) -> u64 {
        let kept: BTreeSet<&String> = others.0.keys().collect();
        let own = self.0.iter().filter(|(key, _)| !kept.contains(key));
        own.map(|(_, size)| size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_counts_once() {
        let of = |pairs: &[(&str, u64)]| {
            let pairs = pairs.iter().map(|(key, size)| ((*key).to_owned(), *size));
            Footprint(pairs.collect())
        };
        let all = of(&[("a", 1), ("b", 2), ("snapshot a", 40)]);
        assert_eq!((all.bytes(), all.unpacked()), (43, 40));
        assert_eq!(all.without(&of(&[("a", 1), ("snapshot a", 40)])), 2);
    }
}
