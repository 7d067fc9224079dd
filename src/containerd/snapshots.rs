//! Snapshots: the root file systems of containers.

use std::collections::HashMap;

use containerd_client::services::v1::snapshots as api;
use containerd_client::types;
use jiff::Timestamp;

use super::{Client, Error, check};

/// One mount of a root file system, as the snapshotter tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// The file system type, or `bind`.
    pub kind: String,
    /// The source.
    pub source: String,
    /// The options, in mount(8)'s words.
    pub options: Vec<String>,
}

impl Client {
    /// Prepares a writable snapshot on top of `parent` and says how to mount it.
    ///
    /// # Errors
    /// Class `AlreadyExists` if the key is taken, `NotFound` if there is no such parent.
    pub async fn prepare_snapshot(
        &self,
        snapshotter: &str,
        key: &str,
        parent: &str,
    ) -> Result<Vec<Mount>, Error> {
        let request = api::PrepareSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            ..api::PrepareSnapshotRequest::default()
        };
        let operation = format!("prepare snapshot {key}");
        let answer = check(&operation, self.snapshots().prepare(request).await)?;
        Ok(answer.mounts.into_iter().map(Mount::from).collect())
    }

    /// Makes a snapshot of `parent` that nobody writes to, and says how to mount it. The garbage
    /// collector leaves it alone.
    ///
    /// # Errors
    /// As [`Client::prepare_snapshot`].
    pub async fn view_snapshot(
        &self,
        snapshotter: &str,
        key: &str,
        parent: &str,
        mut labels: HashMap<String, String>,
    ) -> Result<Vec<Mount>, Error> {
        let now = Timestamp::now().to_string();
        labels.insert("containerd.io/gc.root".to_owned(), now);
        let request = api::ViewSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels,
        };
        let operation = format!("view snapshot {parent}");
        let answer = check(&operation, self.snapshots().view(request).await)?;
        Ok(answer.mounts.into_iter().map(Mount::from).collect())
    }

    /// Says how to mount a snapshot that exists.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such snapshot.
    pub async fn snapshot_mounts(&self, snapshotter: &str, key: &str) -> Result<Vec<Mount>, Error> {
        let request = api::MountsRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.to_owned(),
        };
        let operation = format!("mount snapshot {key}");
        let answer = check(&operation, self.snapshots().mounts(request).await)?;
        Ok(answer.mounts.into_iter().map(Mount::from).collect())
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// Class `NotFound` if there is none.
    pub async fn remove_snapshot(&self, snapshotter: &str, key: &str) -> Result<(), Error> {
        let request = api::RemoveSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.to_owned(),
        };
        let operation = format!("remove snapshot {key}");
        check(&operation, self.snapshots().remove(request).await)?;
        Ok(())
    }
}

impl From<types::Mount> for Mount {
    fn from(mount: types::Mount) -> Mount {
        Mount {
            kind: mount.r#type,
            source: mount.source,
            options: mount.options,
        }
    }
}

impl From<Mount> for types::Mount {
    fn from(mount: Mount) -> types::Mount {
        types::Mount {
            r#type: mount.kind,
            source: mount.source,
            target: String::new(),
            options: mount.options,
        }
    }
}
