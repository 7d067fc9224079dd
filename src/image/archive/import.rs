//! From the files of a root file system to an image of one layer.
//!
//! Invariant: as with a pull, everything is held by a lease until the image has its name.

use jiff::Timestamp;
use oci_spec::image::{Descriptor, Digest, MediaType};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::docker::{self, Layer};
use super::error::ArchiveError;
use super::input::{LayerPiece, Source, read_layer};
use crate::containerd::{Client, Error};
use crate::image::content::{self, Labels};
use crate::image::lease::Lease;
use crate::image::manifest::Document;
use crate::image::platform::{Machine, Platform};
use crate::image::{Image, local, record, unpack};
use crate::model::reference::Reference;

/// What is to become of the files.
#[derive(Debug, Clone)]
pub struct Import {
    /// The image's name, if it is to have one.
    pub name: Option<Reference>,
    /// What the files are for.
    pub platform: Platform,
    /// What the image says besides: OCI's `config` object.
    pub config: Value,
    /// What its history says.
    pub message: Option<String>,
    /// The snapshotter to unpack for.
    pub snapshotter: String,
}

/// Makes an image of a tar of a root file system.
///
/// # Errors
/// [`ArchiveError`]; then there is no image.
pub async fn import(
    client: &Client,
    source: &Source,
    import: &Import,
) -> Result<Image, ArchiveError> {
    let archive = source.name();
    let refused = |source| ArchiveError::Content {
        archive: archive.clone(),
        source,
    };
    let lease = Lease::acquire(client).await.map_err(refused)?;
    let importer = Importer {
        client: lease.client(),
        archive: &archive,
        import,
    };
    let outcome = importer.run(source).await;
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    let image = outcome?;
    released.map(|()| image)
}

struct Importer<'a> {
    client: &'a Client,
    archive: &'a str,
    import: &'a Import,
}

impl Importer<'_> {
    async fn run(&self, source: &Source) -> Result<Image, ArchiveError> {
        let (layer, diff_id) = self.layer(source).await?;
        let config = self.config(&diff_id, source);
        let missing = || ArchiveError::Missing {
            archive: self.archive.to_owned(),
            file: "a layer".to_owned(),
        };
        let (target, manifest) = docker::manifest(&config, &[&layer]).ok_or_else(missing)?;
        let snapshotter = &self.import.snapshotter;
        let name = match &self.import.name {
            Some(name) => name.to_string(),
            None => record::nameless(snapshotter, &target),
        };
        let document = local::document(&name, target.digest().as_ref(), &manifest)?;
        let stored = async {
            if let Document::Manifest(manifest) = &document {
                content::store(self.client, manifest.config(), &config, Labels::new()).await?;
            }
            content::store(self.client, &target, &manifest, document.gc_labels()).await
        };
        stored.await.map_err(|source| self.refused(source))?;
        let machine = Machine::of(self.import.platform.clone());
        let image = local::load(self.client, &name, target.clone(), &machine).await?;
        unpack(self.client, &image, snapshotter, &|_| {}).await?;
        let put = record::put(self.client, &name, &target).await;
        put.map_err(|source| self.refused(source))?;
        Ok(image)
    }

    /// Stores the layer as it is packed.
    async fn layer(&self, source: &Source) -> Result<(Layer, String), ArchiveError> {
        let archive = || self.archive.to_owned();
        let opened = read_layer(source);
        let mut pieces = opened.map_err(|source| ArchiveError::Open {
            archive: archive(),
            source,
        })?;
        let reference = format!("netrun-import-{}", std::process::id());
        let opened = content::open_unknown(self.client, &reference).await;
        let mut writer = opened.map_err(|source| self.refused(source))?;
        let (mut size, mut hash, mut end) = (0, Sha256::new(), None);
        while let Some(piece) = pieces.recv().await {
            match piece.map_err(|source| ArchiveError::Read {
                archive: archive(),
                source,
            })? {
                LayerPiece::Data(bytes) => {
                    size += bytes.len() as u64;
                    hash.update(&bytes);
                    let appended = writer.append(bytes).await;
                    appended.map_err(|source| self.refused(source))?;
                }
                LayerPiece::End { diff_id, packed } => end = Some((diff_id, packed)),
            }
        }
        let hex: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let known = Digest::try_from(format!("sha256:{hex}").as_str()).ok();
        let (Some((diff_id, packed)), Some(digest)) = (end, known) else {
            let file = "a layer".to_owned();
            return Err(ArchiveError::Missing {
                archive: archive(),
                file,
            });
        };
        let media_type = MediaType::from(packed.media_type());
        let descriptor = Descriptor::new(media_type, size, digest.clone());
        let committed = writer.commit_as(&descriptor, Labels::new()).await;
        committed.map_err(|source| self.refused(source))?;
        let layer = Layer {
            digest,
            size,
            packed,
        };
        Ok((layer, diff_id))
    }

    fn config(&self, diff_id: &str, source: &Source) -> Vec<u8> {
        let now = Timestamp::now().to_string();
        let Import {
            platform,
            config,
            message,
            ..
        } = self.import;
        let said = format!("imported from {}", source.name());
        let comment = message.as_ref().unwrap_or(&said);
        let mut whole = json!({
            "created": now,
            "architecture": platform.architecture,
            "os": platform.os,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": now, "comment": comment}],
        });
        if !platform.variant.is_empty() {
            whole["variant"] = json!(platform.variant);
        }
        whole.to_string().into_bytes()
    }

    fn refused(&self, source: Error) -> ArchiveError {
        ArchiveError::Content {
            archive: self.archive.to_owned(),
            source,
        }
    }
}
