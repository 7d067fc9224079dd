//! The pull: from a name to an image that containerd has, unpacked.
//!
//! Invariant: everything is made under a lease that expires, and the image's name is written last:
//! a pull that is interrupted leaves no image, and nothing that stays.

use std::path::PathBuf;

use containerd_client::services::v1 as api;
use futures_util::StreamExt;
use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest, MediaType};
use prost_types::FieldMask;
use tokio::sync::oneshot;

use super::content::{self, to_wire};
use super::error::ImageError;
use super::fetch::Fetcher;
use super::lease::{self, Lease};
use super::local::{Image, access, assemble, document, platform};
use super::manifest::{Document, ManifestError};
use super::platform::{Machine, offered};
use super::progress::{BlobState, Progress, PullEvent};
use super::registry::{Fetched, endpoints};
use super::unpack::{Unpacker, stat};
use super::{credentials, hosts};
use crate::containerd::{Client, Error, check};
use crate::model::reference::Reference;

/// How many layers are fetched at once; containerd's own client has the same.
const PARALLEL: usize = 3;

/// How deep indexes may stand in indexes.
const MAX_DEPTH: usize = 4;

/// How to pull.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// The snapshotter to unpack for: `overlayfs`.
    pub snapshotter: String,
    /// Where the `hosts.toml` files are, see [`hosts::DEFAULT_DIR`].
    pub hosts_dir: PathBuf,
    /// The directory of Docker's `config.json`; without it the pull is anonymous.
    pub docker_config: Option<PathBuf>,
}

/// Pulls an image and unpacks it. What is there already is not fetched again.
///
/// A caller that drops the future in the middle calls [`lease::abandon`] afterwards.
///
/// # Errors
/// [`ImageError`], one variant by operation.
pub async fn pull(
    client: &Client,
    reference: &Reference,
    options: &PullOptions,
    progress: Progress<'_>,
) -> Result<Image, ImageError> {
    let name = reference.to_string();
    let hosts = hosts::hosts(&options.hosts_dir, reference.registry()).map_err(|source| {
        let image = name.clone();
        ImageError::Hosts { image, source }
    })?;
    let directory = options.docker_config.as_deref();
    let credentials = directory.map_or(
        Ok(oci_client::secrets::RegistryAuth::Anonymous),
        |directory| credentials::find(directory, reference.registry()),
    );
    let credentials = credentials.map_err(|source| {
        let image = name.clone();
        ImageError::Credentials { image, source }
    })?;
    lease::sweep(client).await.map_err(ImageError::Leases)?;
    let refused = |source| access("pull", &name, source);
    let lease = Lease::acquire(client).await.map_err(refused)?;
    let pull = Pull {
        client: lease.client(),
        name: &name,
        options,
        progress,
        fetcher: Fetcher {
            client: lease.client(),
            reference,
            endpoints: endpoints(reference, hosts, &credentials),
            progress,
        },
    };
    let outcome = pull.run(reference).await;
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    let image = outcome?;
    released.map(|()| image)
}

struct Pull<'a> {
    client: &'a Client,
    name: &'a str,
    options: &'a PullOptions,
    progress: Progress<'a>,
    fetcher: Fetcher<'a>,
}

impl Pull<'_> {
    async fn run(&self, reference: &Reference) -> Result<Image, ImageError> {
        let root = self.fetcher.resolve(reference.wanted()).await?;
        let target = self.describe(&root)?;
        let (manifest, manifest_digest) = self.manifest(&target, &root).await?;
        let config = manifest.config();
        self.fetcher.blob(config, Vec::new()).await?;
        let bytes = content::read(self.client, config.digest().as_ref())
            .await
            .map_err(|source| self.refused(source))?;
        let image = assemble(self.name, target, manifest_digest, &manifest, &bytes)?;
        self.layers(&image).await?;
        self.record(&image).await?;
        Ok(image)
    }

    /// The descriptor of a document as the registry sent it.
    fn describe(&self, fetched: &Fetched) -> Result<Descriptor, ImageError> {
        let broken = |source| ImageError::Manifest {
            image: self.name.to_owned(),
            digest: fetched.digest.clone(),
            source,
        };
        let media_type = Document::media_type(&fetched.bytes, &fetched.media_type);
        let media_type = MediaType::from(media_type.map_err(broken)?.as_str());
        let digest = Digest::try_from(fetched.digest.as_str()).map_err(|_| ManifestError::Digest);
        let digest = digest.map_err(broken)?;
        let size = fetched.bytes.len() as u64;
        Ok(Descriptor::new(media_type, size, digest))
    }

    /// Stores the document that the name stands for and, of an index, the manifest for this
    /// machine.
    async fn manifest(
        &self,
        target: &Descriptor,
        root: &Fetched,
    ) -> Result<(ImageManifest, String), ImageError> {
        let mut descriptor = target.clone();
        let mut bytes = root.bytes.to_vec();
        for _ in 0..MAX_DEPTH {
            let digest = descriptor.digest().to_string();
            let found = document(self.name, &digest, &bytes)?;
            self.fetcher
                .store(&descriptor, &bytes, found.gc_labels())
                .await?;
            match found {
                Document::Manifest(manifest) => return Ok((*manifest, digest)),
                Document::Index(index) => {
                    descriptor = self.choose(&index)?;
                    bytes = self.fetcher.document(&descriptor).await?;
                }
            }
        }
        Err(ImageError::Manifest {
            image: self.name.to_owned(),
            digest: target.digest().to_string(),
            source: ManifestError::TooDeep,
        })
    }

    fn choose(&self, index: &ImageIndex) -> Result<Descriptor, ImageError> {
        let manifests = index.manifests();
        let best = Machine::this().choose(manifests).into_iter().next();
        best.cloned()
            .ok_or_else(|| platform(self.name, offered(manifests)))
    }

    /// Fetches the layers and unpacks each as soon as it and those below are there.
    async fn layers(&self, image: &Image) -> Result<(), ImageError> {
        for layer in &image.layers {
            (self.progress)(PullEvent::Blob {
                digest: layer.digest().as_ref(),
                size: layer.size(),
                state: BlobState::Waiting,
            });
        }
        let (senders, arrivals): (Vec<_>, Vec<_>) = image
            .layers
            .iter()
            .map(|_| oneshot::channel::<()>())
            .unzip();
        let fetches = image
            .layers
            .iter()
            .zip(senders)
            .map(|(layer, arrived)| async {
                self.fetcher.blob(layer, Vec::new()).await?;
                // Nobody waits any more if the snapshot was there from the beginning.
                let _ = arrived.send(());
                Ok::<(), ImageError>(())
            });
        let fetch_all = async {
            let mut running = futures_util::stream::iter(fetches).buffer_unordered(PARALLEL);
            while let Some(fetched) = running.next().await {
                fetched?;
            }
            Ok(())
        };
        futures_util::try_join!(fetch_all, self.unpack(image, arrivals))?;
        Ok(())
    }

    async fn unpack(
        &self,
        image: &Image,
        arrivals: Vec<oneshot::Receiver<()>>,
    ) -> Result<(), ImageError> {
        let snapshotter = &self.options.snapshotter;
        let unpacker = Unpacker::new(self.client, image, snapshotter, self.progress);
        let there = match image.chain_id.as_str() {
            "" => true,
            chain_id => stat(self.client, snapshotter, chain_id)
                .await
                .map_err(|source| self.refused(source))?,
        };
        if !there {
            for (number, arrival) in arrivals.into_iter().enumerate() {
                if arrival.await.is_err() {
                    // The fetch has failed and says why.
                    return std::future::pending().await;
                }
                unpacker.layer(number).await?;
            }
        }
        unpacker.finish().await
    }

    /// Gives the image its name: from now on the garbage collector keeps it.
    async fn record(&self, image: &Image) -> Result<(), ImageError> {
        let record = api::Image {
            name: image.name.clone(),
            target: Some(to_wire(&image.target)),
            ..api::Image::default()
        };
        loop {
            match self.create(record.clone()).await {
                Err(error) if error.already_exists() => {}
                other => return other.map_err(|source| self.refused(source)),
            }
            match self.update(record.clone()).await {
                // Somebody has removed it in between.
                Err(error) if error.is_not_found() => {}
                other => return other.map_err(|source| self.refused(source)),
            }
        }
    }

    async fn create(&self, record: api::Image) -> Result<(), Error> {
        let operation = format!("create image {}", record.name);
        let request = api::CreateImageRequest {
            image: Some(record),
            ..api::CreateImageRequest::default()
        };
        check(&operation, self.client.images().create(request).await)?;
        Ok(())
    }

    /// Only the target: the labels may be somebody's.
    async fn update(&self, record: api::Image) -> Result<(), Error> {
        let operation = format!("update image {}", record.name);
        let request = api::UpdateImageRequest {
            image: Some(record),
            update_mask: Some(FieldMask {
                paths: vec!["target".to_owned()],
            }),
            ..api::UpdateImageRequest::default()
        };
        check(&operation, self.client.images().update(request).await)?;
        Ok(())
    }

    fn refused(&self, source: Error) -> ImageError {
        access("pull", self.name, source)
    }
}
