//! The images that containerd has: finding one, listing and removing.
//!
//! Invariant: an [`Image`] is complete up to its configuration, and made for the machine asked for.

use std::collections::BTreeMap;

use containerd_client::services::v1 as api;
use futures_util::StreamExt;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::content;
use super::digest;
use super::docker_config::{self, DockerConfig};
use super::error::ImageError;
use super::manifest::{Document, MAX_DEPTH, artifact};
use super::platform::{Machine, Platform, offered};
use super::record;
use super::usage::Footprint;
use super::wire::from_wire;
use crate::containerd::{self, Client, check};
use crate::model::reference::Reference;

/// How many images are looked into at once for a list.
const LIST_CONCURRENCY: usize = 8;

/// An image that can be run once it is unpacked.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name in containerd: `docker.io/library/alpine:3.14`.
    pub name: String,
    /// What the name stands for: an index or a manifest.
    pub target: Descriptor,
    /// The manifest for this machine.
    pub manifest_digest: String,
    /// The configuration's digest: Docker's image id.
    pub config_digest: String,
    /// The configuration: environment, command, user and so on.
    pub config: ImageConfiguration,
    /// What docker's images say beside.
    pub docker: DockerConfig,
    /// The packed layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// The digests of the unpacked layers, the lowest first; as many as `layers`.
    pub diff_ids: Vec<String>,
    /// The name of the snapshot that a container's own is made from; empty without layers.
    pub chain_id: String,
}

/// An image in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSummary {
    /// Its name in containerd.
    pub name: String,
    /// The digest of what the name stands for.
    pub digest: String,
    /// The configuration's digest; empty if this machine cannot run the image.
    pub id: String,
    /// When it was built, RFC 3339; else when containerd got it.
    pub created: String,
    /// The bytes of its packed layers and its configuration, for this machine.
    pub size: u64,
    /// The bytes of its files, unpacked, as far as they are; what it shares with others counts here.
    pub unpacked: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its platform, `linux/amd64`; empty if this machine cannot run it.
    pub platform: String,
}

/// Finds an image; nothing if it, or what the machine needs of it, is not there.
///
/// # Errors
/// [`ImageError::Platform`] if it is there for other machines only; what is malformed.
pub async fn local_for(
    client: &Client,
    reference: &Reference,
    machine: &Machine,
) -> Result<Option<Image>, ImageError> {
    known(client, &reference.to_string(), machine).await
}

/// As [`local_for`], by containerd's name of the image, which need not be a reference.
///
/// # Errors
/// As [`local_for`].
pub async fn known(
    client: &Client,
    name: &str,
    machine: &Machine,
) -> Result<Option<Image>, ImageError> {
    let target = record::get(client, name).await;
    let Some(target) = target.map_err(|source| access("read", name, source))? else {
        return Ok(None);
    };
    match load(client, name, target, machine).await {
        Err(ImageError::Incomplete { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// The image of a name that containerd has, for this machine or, if it has none, for another.
///
/// # Errors
/// [`ImageError::NotFound`] if there is no such name; [`ImageError::Incomplete`] if its content is not
/// there.
pub async fn named(client: &Client, name: &str) -> Result<Image, ImageError> {
    let target = record::get(client, name).await;
    let target = target.map_err(|source| access("read", name, source))?;
    let target = target.ok_or_else(|| ImageError::NotFound {
        image: name.to_owned(),
    })?;
    load(client, name, target, &Machine::this().or_any()).await
}

/// Reads an image from the content store, beginning at what its name stands for.
pub(super) async fn load(
    client: &Client,
    name: &str,
    target: Descriptor,
    machine: &Machine,
) -> Result<Image, ImageError> {
    let mut failure = incomplete(name, target.digest().as_ref());
    let mut candidates = vec![(0, target.clone())];
    while let Some((depth, descriptor)) = candidates.pop() {
        let found = descriptor.digest().to_string();
        let manifest = match read_document(client, name, &found).await {
            Ok(Document::Manifest(manifest)) => manifest,
            Ok(Document::Index(index)) if depth < MAX_DEPTH => {
                let manifests = index.manifests();
                let mut fit = machine.choose(manifests);
                if fit.is_empty() {
                    failure = platform(name, machine, offered(manifests));
                }
                // The best one is to be popped first.
                fit.reverse();
                candidates.extend(fit.into_iter().map(|child| (depth + 1, child.clone())));
                continue;
            }
            Ok(Document::Index(_)) => continue,
            Err(error) => {
                failure = try_next(error)?;
                continue;
            }
        };
        let found = Found {
            name,
            target: &target,
            manifest_digest: found,
            manifest: &manifest,
        };
        match found.with_config(client, machine).await {
            Err(error) => failure = try_next(error)?,
            image => return image,
        }
    }
    Err(failure)
}

/// Another manifest that runs here may be complete.
fn try_next(error: ImageError) -> Result<ImageError, ImageError> {
    match error {
        ImageError::Incomplete { .. }
        | ImageError::Platform { .. }
        | ImageError::Artifact { .. } => Ok(error),
        error => Err(error),
    }
}

async fn read_document(client: &Client, name: &str, digest: &str) -> Result<Document, ImageError> {
    document(name, digest, &read(client, name, digest).await?)
}

async fn read(client: &Client, name: &str, digest: &str) -> Result<Vec<u8>, ImageError> {
    content::read(client, digest)
        .await
        .map_err(|error| match error.is_not_found() {
            true => incomplete(name, digest),
            false => access("read", name, error),
        })
}

/// A manifest, and the name that led to it.
pub(super) struct Found<'a> {
    pub name: &'a str,
    pub target: &'a Descriptor,
    pub manifest_digest: String,
    pub manifest: &'a ImageManifest,
}

impl Found<'_> {
    async fn with_config(self, client: &Client, machine: &Machine) -> Result<Image, ImageError> {
        let config = self.manifest.config().digest().to_string();
        let config = read(client, self.name, &config).await?;
        self.assemble(&config, machine)
    }

    /// Puts the image together, given the bytes of its configuration.
    pub fn assemble(self, config: &[u8], machine: &Machine) -> Result<Image, ImageError> {
        let Found {
            name,
            target,
            manifest_digest,
            manifest,
        } = self;
        let config_digest = manifest.config().digest().to_string();
        let docker = docker_config::read(config);
        let config: ImageConfiguration =
            serde_json::from_slice(config).map_err(|source| match artifact(manifest) {
                Some(kind) => ImageError::Artifact {
                    image: name.to_owned(),
                    kind,
                },
                None => ImageError::Config {
                    image: name.to_owned(),
                    digest: config_digest.clone(),
                    source,
                },
            })?;
        let made_for = Platform::of_config(&config);
        if !machine.runs(&made_for) {
            return Err(platform(name, machine, vec![made_for.to_string()]));
        }
        let diff_ids = config.rootfs().diff_ids().clone();
        let layers = manifest.layers().clone();
        if layers.len() != diff_ids.len() {
            return Err(ImageError::Layers {
                image: name.to_owned(),
                layers: layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        let chain_id = digest::chain_ids(&diff_ids).pop().unwrap_or_default();
        Ok(Image {
            name: name.to_owned(),
            target: target.clone(),
            manifest_digest,
            config_digest,
            config,
            docker,
            layers,
            diff_ids,
            chain_id,
        })
    }
}

/// Lists the images of the namespace, by name.
///
/// # Errors
/// Any refusal by containerd. What cannot be read of an image is left empty instead.
pub async fn list(client: &Client, snapshotter: &str) -> Result<Vec<ImageSummary>, ImageError> {
    let request = api::ListImagesRequest {
        filters: Vec::new(),
    };
    let answer = check("list the images", client.images().list(request).await);
    let records = answer.map_err(ImageError::List)?.images;
    let summaries = records
        .into_iter()
        .map(|record| summary(client, snapshotter, record));
    let mut summaries: Vec<ImageSummary> = futures_util::stream::iter(summaries)
        .buffer_unordered(LIST_CONCURRENCY)
        .collect()
        .await;
    summaries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(summaries)
}

async fn summary(client: &Client, snapshotter: &str, record: api::Image) -> ImageSummary {
    let target = record.target.unwrap_or_default();
    let received = record
        .created_at
        .and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    let mut summary = ImageSummary {
        name: record.name,
        digest: target.digest.clone(),
        id: String::new(),
        created: received.map(|time| time.to_string()).unwrap_or_default(),
        size: 0,
        unpacked: 0,
        labels: BTreeMap::new(),
        platform: String::new(),
    };
    // An image for other machines, or one half removed, is still in the list.
    let Some(target) = from_wire(&target) else {
        return summary;
    };
    let machine = Machine::this().or_any();
    let Ok(image) = load(client, &summary.name, target, &machine).await else {
        return summary;
    };
    summary.id = image.config_digest.clone();
    summary.size = image.layers.iter().map(Descriptor::size).sum();
    summary.platform = Platform::of_config(&image.config).to_string();
    let mut footprint = Footprint::default();
    if footprint.add(client, snapshotter, &image).await.is_ok() {
        summary.unpacked = footprint.unpacked();
    }
    let labels = image
        .config
        .config()
        .as_ref()
        .and_then(|config| config.labels().clone());
    summary.labels = labels.unwrap_or_default().into_iter().collect();
    if let Some(created) = image.config.created() {
        summary.created = created.clone();
    }
    summary
}

/// Removes an image by containerd's name of it, which need not be a reference; with `sync` only
/// returns after what nothing else uses is collected.
///
/// # Errors
/// [`ImageError::NotFound`] if there is no such image.
pub async fn remove(client: &Client, name: &str, sync: bool) -> Result<(), ImageError> {
    let request = api::DeleteImageRequest {
        name: name.to_owned(),
        sync,
        ..api::DeleteImageRequest::default()
    };
    let operation = format!("delete image {name}");
    match check(&operation, client.images().delete(request).await) {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_found() => Err(ImageError::NotFound {
            image: name.to_owned(),
        }),
        Err(source) => Err(access("remove", name, source)),
    }
}

/// Reads a document that must be an index or a manifest.
pub(super) fn document(name: &str, digest: &str, bytes: &[u8]) -> Result<Document, ImageError> {
    Document::parse(bytes).map_err(|source| ImageError::Manifest {
        image: name.to_owned(),
        digest: digest.to_owned(),
        source,
    })
}

pub(super) fn access(
    operation: &'static str,
    image: &str,
    source: containerd::Error,
) -> ImageError {
    ImageError::Containerd {
        operation,
        image: image.to_owned(),
        source,
    }
}

pub(super) fn platform(image: &str, machine: &Machine, offered: Vec<String>) -> ImageError {
    ImageError::Platform {
        image: image.to_owned(),
        wanted: machine.name(),
        offered,
    }
}

pub(super) fn incomplete(image: &str, digest: &str) -> ImageError {
    ImageError::Incomplete {
        image: image.to_owned(),
        digest: digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": digest::of(media_type.as_bytes()), "size": 1})
    }

    fn assembled(layers: usize, config: &Value) -> Result<Image, ImageError> {
        let layer = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip");
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.docker.container.image.v1+json"),
            "layers": vec![layer; layers],
        });
        let manifest = serde_json::from_value(manifest).unwrap();
        let target = serde_json::from_value(descriptor("application/x")).unwrap();
        let bytes = config.to_string();
        let found = Found {
            name: "x",
            target: &target,
            manifest_digest: digest::of(b"m"),
            manifest: &manifest,
        };
        found.assemble(bytes.as_bytes(), &Machine::this())
    }

    /// As docker's classic builder writes it, null for whatever is not said.
    fn config(diff_ids: &[String]) -> Value {
        let this = Machine::this().name();
        let (os, architecture) = this.split_once('/').unwrap();
        json!({
            "architecture": architecture, "os": os, "container": "abc", "docker_version": "20.10",
            "created": "2021-08-27T17:19:45.758611523Z",
            "config": {
                "Hostname": "", "User": "", "AttachStdin": false, "Tty": false,
                "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "ArgsEscaped": true, "Image": "",
                "Volumes": null, "ExposedPorts": null, "WorkingDir": "", "Entrypoint": null,
                "OnBuild": null, "Labels": null,
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000},
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": "2021-08-27T17:19:45Z", "empty_layer": true}],
        })
    }

    #[test]
    fn an_image_is_put_together_from_what_docker_writes() {
        let ids = [digest::of(b"1"), digest::of(b"2")];
        let image = assembled(2, &config(&ids)).unwrap();
        assert_eq!(image.diff_ids, ids);
        assert_eq!(
            image.chain_id,
            digest::of(format!("{} {}", ids[0], ids[1]).as_bytes())
        );
        let inner = image.config.config().as_ref().unwrap();
        assert_eq!(inner.cmd(), &Some(vec!["/bin/sh".to_owned()]));
        assert_eq!(inner.entrypoint(), &None);
        assert_eq!(assembled(0, &config(&[])).unwrap().chain_id, "");
    }

    #[test]
    fn what_contradicts_itself_or_is_for_another_machine_is_refused() {
        let ids = [digest::of(b"1")];
        let error = assembled(2, &config(&ids)).unwrap_err();
        assert!(matches!(
            error,
            ImageError::Layers {
                layers: 2,
                diff_ids: 1,
                ..
            }
        ));
        let mut foreign = config(&ids);
        foreign["architecture"] = json!("s390x");
        let error = assembled(1, &foreign).unwrap_err();
        assert!(
            error.to_string().ends_with("there is linux/s390x"),
            "{error}"
        );
        let error = assembled(1, &json!({})).unwrap_err();
        assert!(matches!(error, ImageError::Config { .. }));
    }
}
