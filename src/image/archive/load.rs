//! From an archive into containerd.
//!
//! Invariant: everything is stored under a lease, and names come last: an archive that breaks leaves
//! no image. What is there already is neither sent nor unpacked again.

use oci_spec::image::{Descriptor, Digest, ImageIndex, MediaType};

use super::docker::{self, Entry, Layer, Part, Parts};
use super::error::ArchiveError;
use super::ingest::{Ingest, MAX_FILE};
use super::input::{Pieces, Source, read_tar};
use super::{FULL_NAME, REF_NAME};
use crate::containerd::{Client, Error};
use crate::image::content::{self, Labels};
use crate::image::lease::{self, Lease};
use crate::image::manifest::{Document, MAX_DEPTH};
use crate::image::packed::Packed;
use crate::image::platform::Machine;
use crate::image::progress::Progress;
use crate::image::{ImageError, digest, local, record, unpack_brought};
use crate::model::reference::Reference;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The snapshotter to unpack for.
    pub snapshotter: String,
    /// The name of an image that the archive gives none.
    pub name: Option<Reference>,
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Its name in containerd.
    pub name: String,
    /// The id of one that the archive gives no name: what people call it by.
    pub id: Option<String>,
}

/// Loads the images of an archive.
///
/// # Errors
/// [`ArchiveError`]; then nothing of it has a name.
pub async fn load(
    client: &Client,
    source: &Source,
    options: &LoadOptions,
    progress: Progress<'_>,
) -> Result<Vec<Loaded>, ArchiveError> {
    let archive = source.name();
    let pieces = read_tar(source).map_err(|source| ArchiveError::Open {
        archive: archive.clone(),
        source,
    })?;
    let refused = |source| ArchiveError::Content {
        archive: archive.clone(),
        source,
    };
    let lease = Lease::acquire(client).await.map_err(refused)?;
    let loader = Loader {
        client: lease.client(),
        archive: &archive,
        options,
        progress,
    };
    let outcome = loader.run(pieces).await;
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    // Only now: what a load that died had stored of it was of use.
    let swept = lease::sweep(client).await;
    let loaded = outcome?;
    released?;
    swept.map_err(ImageError::Leases)?;
    Ok(loaded)
}

struct Loader<'a> {
    client: &'a Client,
    archive: &'a str,
    options: &'a LoadOptions,
    progress: Progress<'a>,
}

impl Loader<'_> {
    async fn run(&self, pieces: Pieces) -> Result<Vec<Loaded>, ArchiveError> {
        let ingest = Ingest {
            client: self.client,
            archive: self.archive,
            progress: self.progress,
        };
        let found = ingest.store(pieces).await?;
        let images = self.images(&found).await?;
        if images.is_empty() {
            let archive = self.archive.to_owned();
            return Err(ArchiveError::Empty { archive });
        }
        let mut loaded = Vec::new();
        for (name, target) in &images {
            let id = self.unpack(name, target).await?;
            let id = Some(id).filter(|_| *name == self.nameless(target));
            let name = name.clone();
            loaded.push(Loaded { name, id });
        }
        for (name, target) in &images {
            let put = record::put(self.client, name, target).await;
            put.map_err(|source| self.refused(source))?;
        }
        Ok(loaded)
    }

    /// The names in the archive and what they stand for: those of the layout if all have names there,
    /// else docker's.
    async fn images(&self, found: &Parts) -> Result<Vec<(String, Descriptor)>, ArchiveError> {
        let layout: Option<ImageIndex> = self.parse(found, "index.json")?;
        let entries: Option<Vec<Entry>> = self.parse(found, "manifest.json")?;
        let layout = layout
            .map(|index| index.manifests().clone())
            .unwrap_or_default();
        let named = layout.iter().all(|target| full_name(target).is_some());
        let mut images = Vec::new();
        match entries {
            Some(entries) if layout.is_empty() || !named => {
                for entry in entries {
                    images.extend(self.docker(found, &entry).await?);
                }
            }
            _ => {
                for target in layout {
                    let name = full_name(&target).or_else(|| self.options.name.clone());
                    let name = match name {
                        Some(name) => name.to_string(),
                        None => self.nameless(&target),
                    };
                    self.keep(&target, 0).await?;
                    images.push((name, bare(&target)));
                }
            }
        }
        Ok(images)
    }

    /// Tells the garbage collector what documents name, from the root down.
    async fn keep(&self, target: &Descriptor, depth: usize) -> Result<(), ArchiveError> {
        let digest = target.digest().to_string();
        let bytes = match content::read(self.client, &digest).await {
            Ok(bytes) => bytes,
            // An index names machines that the archive is not for.
            Err(error) if error.is_not_found() && depth > 0 => return Ok(()),
            Err(error) if error.is_not_found() => return Err(self.missing(&digest)),
            Err(source) => return Err(self.refused(source)),
        };
        let document = local::document(self.archive, &digest, &bytes)?;
        let labelled = content::label(self.client, &digest, &document.gc_labels()).await;
        labelled.map_err(|source| self.refused(source))?;
        if let (Document::Index(index), true) = (&document, depth < MAX_DEPTH) {
            for child in index.manifests() {
                Box::pin(self.keep(child, depth + 1)).await?;
            }
        }
        Ok(())
    }

    /// The image that an entry of docker's list stands for, under each of its names.
    async fn docker(
        &self,
        found: &Parts,
        entry: &Entry,
    ) -> Result<Vec<(String, Descriptor)>, ArchiveError> {
        let config = self.config(found, &entry.config).await?;
        let mut layers = Vec::new();
        for name in &entry.layers {
            layers.push(self.layer(found, name).await?);
        }
        let made = docker::manifest(&config, &layers.iter().collect::<Vec<_>>());
        let (target, manifest) = made.ok_or_else(|| self.missing("manifest.json"))?;
        let document = local::document(self.archive, target.digest().as_ref(), &manifest)?;
        let stored = async {
            if let Document::Manifest(manifest) = &document {
                content::store(self.client, manifest.config(), &config, Labels::new()).await?;
            }
            let labels = document.gc_labels();
            content::store(self.client, &target, &manifest, labels).await
        };
        stored.await.map_err(|source| self.refused(source))?;
        let mut names: Vec<Reference> = Vec::new();
        for tag in &entry.repo_tags {
            let name = Reference::parse(tag)
                .ok()
                .filter(|name| is_true(name, &target))
                .or_else(|| self.options.name.clone());
            names.push(name.ok_or_else(|| self.unnamed(target.digest().to_string()))?);
        }
        if names.is_empty() {
            names.extend(self.options.name.clone());
        }
        let mut names: Vec<String> = names.iter().map(Reference::to_string).collect();
        if names.is_empty() {
            names.push(self.nameless(&target));
        }
        let named = names.into_iter().map(|name| (name, target.clone()));
        Ok(named.collect())
    }

    fn nameless(&self, target: &Descriptor) -> String {
        record::nameless(&self.options.snapshotter, target)
    }

    async fn config(&self, found: &Parts, name: &str) -> Result<Vec<u8>, ArchiveError> {
        match found.find(name).ok_or_else(|| self.missing(name))? {
            Part::Kept(bytes) => Ok(bytes.clone()),
            Part::Stored(file) if file.size > MAX_FILE => Err(self.too_large(name.to_owned())),
            Part::Stored(file) => {
                let read = content::read(self.client, file.digest.as_ref()).await;
                read.map_err(|source| self.refused(source))
            }
        }
    }

    /// A layer, which containerd has then.
    async fn layer(&self, found: &Parts, name: &str) -> Result<Layer, ArchiveError> {
        let bytes = match found.find(name).ok_or_else(|| self.missing(name))? {
            Part::Kept(bytes) => bytes,
            Part::Stored(layer) => return Ok(layer.clone()),
        };
        let digest = Digest::try_from(digest::of(bytes).as_str());
        let layer = Layer {
            digest: digest.map_err(|_| self.missing(name))?,
            size: bytes.len() as u64,
            packed: Packed::of(bytes),
        };
        let media_type = MediaType::from(layer.packed.media_type());
        let descriptor = Descriptor::new(media_type, layer.size, layer.digest.clone());
        let stored = content::store(self.client, &descriptor, bytes, Labels::new()).await;
        stored.map_err(|source| self.refused(source))?;
        Ok(layer)
    }

    /// Unpacks what this machine can run; what it cannot is kept all the same. Gives the image's id.
    async fn unpack(&self, name: &str, target: &Descriptor) -> Result<String, ArchiveError> {
        match local::load(self.client, name, target.clone(), &Machine::this()).await {
            Ok(image) => {
                let snapshotter = &self.options.snapshotter;
                unpack_brought(self.client, &image, snapshotter, self.progress).await?;
                Ok(image.config_digest)
            }
            Err(ImageError::Platform { .. } | ImageError::Incomplete { .. }) => {
                Ok(target.digest().to_string())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        found: &Parts,
        file: &str,
    ) -> Result<Option<T>, ArchiveError> {
        let Some(Part::Kept(bytes)) = found.files.get(file) else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(bytes);
        parsed.map(Some).map_err(|source| ArchiveError::Malformed {
            archive: self.archive.to_owned(),
            file: file.to_owned(),
            source,
        })
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

    fn unnamed(&self, digest: String) -> ArchiveError {
        let archive = self.archive.to_owned();
        ArchiveError::Unnamed { archive, digest }
    }
}

/// The name of an image in a layout; nothing if it has none or only a tag.
fn full_name(target: &Descriptor) -> Option<Reference> {
    let annotations = target.annotations().as_ref()?;
    let whole = annotations.get(FULL_NAME);
    let other = annotations.get(REF_NAME);
    let other = other.filter(|name| name.contains([':', '/']));
    whole
        .into_iter()
        .chain(other)
        .filter_map(|name| Reference::parse(name).ok())
        .find(|name| is_true(name, target))
}

/// Whether a digest in a name is that of what it is to stand for: an archive can say anything.
fn is_true(name: &Reference, target: &Descriptor) -> bool {
    name.digest()
        .is_none_or(|digest| digest == target.digest().as_ref())
}

/// A descriptor without what the layout has noted beside it.
fn bare(target: &Descriptor) -> Descriptor {
    Descriptor::new(
        target.media_type().clone(),
        target.size(),
        target.digest().clone(),
    )
}

#[cfg(test)]
mod tests {
    use oci_spec::image::{Digest, MediaType};

    use super::*;

    #[test]
    fn a_layouts_image_has_a_whole_name_or_none() {
        let named = |annotations: &[(&str, &str)]| {
            let mut target = Descriptor::new(
                MediaType::ImageManifest,
                1,
                Digest::try_from(format!("sha256:{}", "0".repeat(64)).as_str()).unwrap(),
            );
            let pairs = annotations
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            target.set_annotations(Some(pairs.collect()));
            full_name(&target).map(|name| name.to_string())
        };
        let alpine = Some("docker.io/library/alpine:3.14".to_owned());
        assert_eq!(
            named(&[
                (FULL_NAME, "docker.io/library/alpine:3.14"),
                (REF_NAME, "3.14")
            ]),
            alpine
        );
        assert_eq!(named(&[(REF_NAME, "alpine:3.14")]), alpine);
        assert_eq!(named(&[(REF_NAME, "3.14")]), None);
        let pinned = |digit: &str| format!("docker.io/library/a@sha256:{}", digit.repeat(64));
        assert_eq!(named(&[(FULL_NAME, &pinned("0"))]), Some(pinned("0")));
        assert_eq!(named(&[(FULL_NAME, &pinned("1"))]), None);
        assert_eq!(named(&[(FULL_NAME, "A B")]), None);
        assert_eq!(named(&[]), None);
    }
}
