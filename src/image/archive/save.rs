//! From containerd into an archive that docker, podman, skopeo and ctr read: an OCI layout with
//! docker's list beside it.
//!
//! Invariant: documents are written as they are, so digests stay; what an index names and containerd
//! has not is left out.

use std::collections::BTreeSet;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::TryStreamExt;
use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::docker::Entry;
use super::error::ArchiveError;
use super::output::{Compression, Output, Target};
use super::{BLOBS, FULL_NAME, REF_NAME};
use crate::containerd::Client;
use crate::image::content;
use crate::image::local::{self, Image};
use crate::image::manifest::{Document, MAX_DEPTH};
use crate::model::reference::Reference;

/// Writes images, each under its name, into one archive.
///
/// # Errors
/// [`ArchiveError`]; then a file is removed again.
pub async fn save(
    client: &Client,
    images: &[Image],
    target: &Target,
    compression: Option<Compression>,
) -> Result<(), ArchiveError> {
    let archive = target.name();
    let output = Output::create(target, compression).map_err(|source| ArchiveError::Open {
        archive: archive.clone(),
        source,
    })?;
    let mut saver = Saver {
        client,
        archive: &archive,
        output,
        written: BTreeSet::new(),
    };
    let outcome = saver.run(images).await;
    let Saver { output, .. } = saver;
    let failed = |source| ArchiveError::Write {
        archive: archive.clone(),
        source,
    };
    match outcome {
        Ok(()) => output.finish().await.map_err(failed),
        // The writer's own trouble is why nothing could be given to it any more.
        Err(error @ ArchiveError::Write { .. }) => match (output.stop(), target) {
            // Whoever reads it has had enough.
            (Err(own), Target::Stream(_)) if own.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            (stopped, _) => stopped.map_err(failed).and(Err(error)),
        },
        Err(error) => {
            drop(output.stop());
            Err(error)
        }
    }
}

struct Saver<'a> {
    client: &'a Client,
    archive: &'a str,
    output: Output,
    written: BTreeSet<String>,
}

impl Saver<'_> {
    async fn run(&mut self, images: &[Image]) -> Result<(), ArchiveError> {
        for image in images {
            self.check_layers(image).await?;
        }
        self.document("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))
            .await?;
        let targets: Vec<Value> = images.iter().map(described).collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": targets,
        });
        self.document("index.json", &index).await?;
        for image in images {
            self.tree(&image.target, 0).await?;
        }
        self.document("manifest.json", &json!(dockers_list(images)))
            .await
    }

    /// What other machines need may be missing, but not what the image was found by.
    async fn check_layers(&self, image: &Image) -> Result<(), ArchiveError> {
        for layer in &image.layers {
            let digest = layer.digest().as_ref();
            let size = content::size(self.client, digest).await;
            if size.map_err(|source| self.refused(source))?.is_none() {
                return Err(local::incomplete(&image.name, digest).into());
            }
        }
        Ok(())
    }

    /// A document and all that it names, as far as it is there.
    async fn tree(&mut self, target: &Descriptor, depth: usize) -> Result<(), ArchiveError> {
        let digest = target.digest().to_string();
        let read = content::read(self.client, &digest).await;
        let bytes = read.map_err(|source| self.refused(source))?;
        let document = local::document(self.archive, &digest, &bytes)?;
        self.blob(target).await?;
        for child in document.children() {
            let size = content::size(self.client, child.digest().as_ref()).await;
            if size.map_err(|source| self.refused(source))?.is_none() {
                continue;
            }
            match &document {
                Document::Index(_) if depth < MAX_DEPTH => {
                    Box::pin(self.tree(child, depth + 1)).await?;
                }
                _ => self.blob(child).await?,
            }
        }
        Ok(())
    }

    /// A blob, once.
    async fn blob(&mut self, descriptor: &Descriptor) -> Result<(), ArchiveError> {
        let digest = descriptor.digest().to_string();
        let size = descriptor.size();
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        let path = blob_path(&digest);
        let begun = self.output.file(&path, size).await;
        begun.map_err(|source| self.failed(source))?;
        let opened = content::stream(self.client, &digest).await;
        let mut stream = pin!(opened.map_err(|source| self.refused(source))?);
        while let Some(bytes) = stream
            .try_next()
            .await
            .map_err(|source| self.refused(source))?
        {
            let sent = self.output.data(bytes).await;
            sent.map_err(|source| self.failed(source))?;
        }
        let ended = self.output.end(size).await;
        ended.map_err(|source| self.failed(source))
    }

    async fn document(&mut self, path: &str, value: &Value) -> Result<(), ArchiveError> {
        let bytes = Bytes::from(value.to_string());
        let size = bytes.len() as u64;
        let sent = async {
            self.output.file(path, size).await?;
            self.output.data(bytes).await?;
            self.output.end(size).await
        };
        sent.await.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> ArchiveError {
        ArchiveError::Write {
            archive: self.archive.to_owned(),
            source,
        }
    }

    fn refused(&self, source: crate::containerd::Error) -> ArchiveError {
        ArchiveError::Content {
            archive: self.archive.to_owned(),
            source,
        }
    }
}

fn blob_path(digest: &str) -> String {
    format!("{BLOBS}{}", digest.trim_start_matches("sha256:"))
}

/// An image in the layout's index, with its names as docker and containerd note them.
fn described(image: &Image) -> Value {
    let tag = Reference::parse(&image.name).ok();
    let tag = tag.as_ref().and_then(Reference::tag).unwrap_or("latest");
    json!({
        "mediaType": image.target.media_type(),
        "digest": image.target.digest(),
        "size": image.target.size(),
        "annotations": {FULL_NAME: image.name, REF_NAME: tag},
    })
}

/// docker's list: an image once, with all its names.
fn dockers_list(images: &[Image]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for image in images {
        let config = blob_path(&image.config_digest);
        // docker's readers know no names by digest alone.
        let name = Reference::parse(&image.name).ok();
        let name = name.filter(|name| name.tag().is_some());
        // Whole: podman takes a short one for its own.
        let name = name.map(|name| name.to_string());
        let layers = image
            .layers
            .iter()
            .map(|layer| blob_path(layer.digest().as_ref()));
        match entries.iter_mut().find(|entry| entry.config == config) {
            Some(entry) => entry.repo_tags.extend(name),
            None => entries.push(Entry {
                config,
                repo_tags: name.into_iter().collect(),
                layers: layers.collect(),
            }),
        }
    }
    entries
}
