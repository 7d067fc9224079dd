//! From a container's changed files to an image.
//!
//! Invariant: as with a pull, everything is held by a lease until the image has its name; the
//! container's snapshot is only looked at.

use containerd_client::services::v1 as diff_api;
use containerd_client::services::v1::snapshots as api;
use jiff::Timestamp;
use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::content::{self, Labels};
use super::error::ImageError;
use super::lease::Lease;
use super::local::{Image, access, document, incomplete, load};
use super::manifest::{Document, in_oci};
use super::platform::Machine;
use super::pull::describe;
use super::unpack::UNCOMPRESSED;
use super::wire::from_wire;
use super::{record, unpack};
use crate::containerd::{Client, Error, check};
use crate::model::reference::Reference;

/// What is to become an image.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The snapshotter that holds the container's files.
    pub snapshotter: String,
    /// The key of its snapshot.
    pub key: String,
    /// What the container was made from.
    pub base: Image,
    /// The base's whole configuration, with the `config` that the image is to have.
    pub configuration: Value,
    /// What history says of how the layer was made.
    pub created_by: String,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub comment: Option<String>,
}

/// An image's configuration, with what it says that netrun does not know.
///
/// # Errors
/// It is not there, or malformed.
pub async fn configuration(client: &Client, image: &Image) -> Result<Value, ImageError> {
    let bytes = content::read(client, &image.config_digest).await;
    let bytes = bytes.map_err(|source| access("read", &image.name, source))?;
    serde_json::from_slice(&bytes).map_err(|source| ImageError::Config {
        image: image.name.clone(),
        digest: image.config_digest.clone(),
        source,
    })
}

/// Makes an image of what a container's files are now, with a name or without. `taken` is awaited once
/// they have been read, and need not stay as they are any more.
///
/// # Errors
/// [`ImageError`]; then there is no image.
pub async fn commit(
    client: &Client,
    commit: &Commit,
    name: Option<&Reference>,
    taken: impl Future<Output = ()>,
) -> Result<Image, ImageError> {
    let name = name.map(Reference::to_string);
    let of = format!("of container {}", commit.key);
    let called = name.as_deref().unwrap_or(&of);
    let refused = |source| access("commit", called, source);
    let lease = Lease::acquire(client).await.map_err(refused)?;
    let committer = Committer {
        lease: &lease,
        client: lease.client(),
        commit,
        name: called,
        given: name.as_deref(),
    };
    let outcome = committer.run(taken).await;
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    let image = outcome?;
    released.map(|()| image)
}

struct Committer<'a> {
    lease: &'a Lease,
    client: &'a Client,
    commit: &'a Commit,
    /// For messages.
    name: &'a str,
    given: Option<&'a str>,
}

impl Committer<'_> {
    async fn run(&self, taken: impl Future<Output = ()>) -> Result<Image, ImageError> {
        let layer = self.layer().await;
        taken.await;
        let layer = layer.map_err(|source| self.refused(source))?;
        self.base_is_here().await?;
        let digest = layer.digest().to_string();
        let labels = content::labels(self.client, &digest).await;
        let labels = labels.map_err(|source| self.refused(source))?;
        let diff_id = labels.get(UNCOMPRESSED).cloned();
        let diff_id = diff_id.ok_or_else(|| incomplete(self.name, &digest))?;
        let config = self.config(&diff_id);
        let target = self.store(&layer, &config).await?;
        let machine = Machine::this().or_any();
        let snapshotter = &self.commit.snapshotter;
        let name = match self.given {
            Some(name) => name.to_owned(),
            None => record::nameless(snapshotter, &target),
        };
        let image = load(self.client, &name, target.clone(), &machine).await?;
        unpack(self.client, &image, snapshotter, &|_| {}).await?;
        let put = record::put(self.client, &name, &target).await;
        put.map_err(|source| self.refused(source))?;
        Ok(image)
    }

    /// What is held cannot go any more, but may have gone before.
    async fn base_is_here(&self) -> Result<(), ImageError> {
        let base = &self.commit.base;
        match content::size(self.client, &base.manifest_digest).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(incomplete(&base.name, &base.manifest_digest)),
            Err(source) => Err(self.refused(source)),
        }
    }

    /// Has containerd compare the container's files with those that it began with. The base, which need
    /// not have a name any more, is held meanwhile.
    async fn layer(&self) -> Result<Descriptor, Error> {
        self.lease.hold(&self.commit.base.manifest_digest).await?;
        let snapshotter = &self.commit.snapshotter;
        let parent = parent(self.client, snapshotter, &self.commit.key).await?;
        let unique = format!(
            "netrun-commit-{}-{}",
            std::process::id(),
            Timestamp::now().as_nanosecond()
        );
        let request = api::MountsRequest {
            snapshotter: snapshotter.clone(),
            key: self.commit.key.clone(),
        };
        let operation = format!("mount snapshot {}", self.commit.key);
        let right = check(&operation, self.client.snapshots().mounts(request).await)?.mounts;
        let request = api::ViewSnapshotRequest {
            snapshotter: snapshotter.clone(),
            key: unique.clone(),
            parent: parent.clone(),
            ..api::ViewSnapshotRequest::default()
        };
        let operation = format!("view snapshot {parent}");
        let left = check(&operation, self.client.snapshots().view(request).await)?.mounts;
        let request = diff_api::DiffRequest {
            left,
            right,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
            r#ref: unique.clone(),
            ..diff_api::DiffRequest::default()
        };
        let operation = format!("compare snapshot {}", self.commit.key);
        let compared = check(&operation, self.client.diff().diff(request).await);
        // It is in the lease's hands if it cannot be removed.
        drop(self.client.remove_snapshot(snapshotter, &unique).await);
        let layer = compared?.diff.as_ref().and_then(from_wire);
        layer.ok_or(Error::Incomplete { what: "a layer" })
    }

    /// The base's configuration with one layer more.
    fn config(&self, diff_id: &str) -> Vec<u8> {
        let commit = self.commit;
        let mut whole = commit.configuration.clone();
        let now = Timestamp::now().to_string();
        let mut step = json!({"created": now, "created_by": commit.created_by});
        for (key, value) in [("author", &commit.author), ("comment", &commit.comment)] {
            if let Some(value) = value {
                step[key] = json!(value);
            }
        }
        whole["created"] = json!(now);
        if let Some(author) = &commit.author {
            whole["author"] = json!(author);
        }
        push(&mut whole["rootfs"]["diff_ids"], json!(diff_id));
        push(&mut whole["history"], step);
        whole.to_string().into_bytes()
    }

    async fn store(&self, layer: &Descriptor, config: &[u8]) -> Result<Descriptor, ImageError> {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": super::digest::of(config),
                "size": config.len(),
            },
            "layers": self.commit.base.layers.iter().chain([layer]).map(in_oci).collect::<Vec<_>>(),
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = super::digest::of(&bytes);
        let target = describe(self.name, &digest, "", &bytes)?;
        let document = document(self.name, &digest, &bytes)?;
        let stored = async {
            if let Document::Manifest(manifest) = &document {
                content::store(self.client, manifest.config(), config, Labels::new()).await?;
            }
            content::store(self.client, &target, &bytes, document.gc_labels()).await
        };
        stored.await.map_err(|source| self.refused(source))?;
        Ok(target)
    }

    fn refused(&self, source: Error) -> ImageError {
        access("commit", self.name, source)
    }
}

/// The snapshot that another was made on.
async fn parent(client: &Client, snapshotter: &str, key: &str) -> Result<String, Error> {
    let request = api::StatSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: key.to_owned(),
    };
    let operation = format!("look at snapshot {key}");
    let answer = check(&operation, client.snapshots().stat(request).await)?;
    Ok(answer.info.unwrap_or_default().parent)
}

/// Appends to a list, which is made if it is not there.
fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    }
}
