//! The pull: from a name to an image that containerd has, unpacked.
//!
//! Invariant: everything is made under a lease that expires, and the image's name is written last:
//! a pull that is interrupted leaves no image, and nothing that stays.

use futures_util::StreamExt;
use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest, MediaType};
use tokio::sync::oneshot;

use super::access::RegistryAccess;
use super::content;
use super::error::ImageError;
use super::fetch::Fetcher;
use super::lease::{self, Lease};
use super::local::{Found, Image, access, document, load, platform};
use super::manifest::{Document, MAX_DEPTH, ManifestError};
use super::platform::{Machine, offered};
use super::progress::{BlobState, Progress, PullEvent};
use super::record;
use super::registry::Access;
use super::unpack::Unpacker;
use crate::containerd::{Client, Error};
use crate::model::reference::Reference;

/// How many layers are fetched at once; containerd's own client has the same.
const PARALLEL: usize = 3;

/// How to pull.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// The snapshotter to unpack for: `overlayfs`.
    pub snapshotter: String,
    /// Where the registries are and who we are there.
    pub access: RegistryAccess,
    /// The machine that the image is for.
    pub machine: Machine,
    /// Whether what other machines need is fetched, too.
    pub all_platforms: bool,
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
    let endpoints = options
        .access
        .endpoints(reference, Access::Pull, progress)
        .await?;
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
            endpoints,
            progress,
        },
    };
    let outcome = pull.run(reference).await;
    let released = lease.release(outcome.is_err()).await.map_err(refused);
    // Only now: what a pull that died had fetched of it was of use.
    let swept = lease::sweep(client).await.map_err(ImageError::Leases);
    let image = outcome?;
    released.and(swept).map(|_| image)
}

struct Pull<'a> {
    client: &'a Client,
    name: &'a str,
    options: &'a PullOptions,
    progress: Progress<'a>,
    fetcher: Fetcher<'a>,
}

/// A document and where it stands.
struct Stored {
    descriptor: Descriptor,
    document: Document,
}

impl Pull<'_> {
    async fn run(&self, reference: &Reference) -> Result<Image, ImageError> {
        let (digest, said) = match reference.digest() {
            Some(digest) => (digest.to_owned(), String::new()),
            None => self.fetcher.resolve(reference.wanted()).await?,
        };
        let (bytes, given) = self.fetcher.document(&digest).await?;
        let media_type = if given.is_empty() { said } else { given };
        let target = describe(self.name, &digest, &media_type, &bytes)?;
        let root = self.store(target.clone(), &bytes).await?;
        if self.options.all_platforms {
            self.everything(&root, 0).await?;
        }
        let image = match self.for_machine(root, &target).await {
            // All is here, and nothing of it is for this machine: an image all the same.
            Err(ImageError::Platform { .. }) if self.options.all_platforms => {
                let any = self.options.machine.clone().or_any();
                load(self.client, self.name, target.clone(), &any).await?
            }
            image => image?,
        };
        record::put(self.client, self.name, &target)
            .await
            .map_err(|source| self.refused(source))?;
        Ok(image)
    }

    /// The image for the machine, with its layers, unpacked.
    async fn for_machine(&self, root: Stored, target: &Descriptor) -> Result<Image, ImageError> {
        let (manifest, manifest_digest) = self.manifest(root).await?;
        let config = manifest.config();
        self.fetcher.blob(config, Vec::new()).await?;
        let bytes = content::read(self.client, config.digest().as_ref())
            .await
            .map_err(|source| self.refused(source))?;
        let found = Found {
            name: self.name,
            target,
            manifest_digest,
            manifest: &manifest,
        };
        let image = found.assemble(&bytes, &self.options.machine)?;
        self.layers(&image).await?;
        Ok(image)
    }

    async fn store(&self, descriptor: Descriptor, bytes: &[u8]) -> Result<Stored, ImageError> {
        let document = document(self.name, descriptor.digest().as_ref(), bytes)?;
        let labels = document.gc_labels();
        self.fetcher.store(&descriptor, bytes, labels).await?;
        Ok(Stored {
            descriptor,
            document,
        })
    }

    async fn child(&self, descriptor: Descriptor) -> Result<Stored, ImageError> {
        let (bytes, _) = self.fetcher.document(descriptor.digest().as_ref()).await?;
        self.store(descriptor, &bytes).await
    }

    /// The manifest for the machine, stored with all that leads to it.
    async fn manifest(&self, root: Stored) -> Result<(ImageManifest, String), ImageError> {
        let root_digest = root.descriptor.digest().to_string();
        let mut stored = root;
        for _ in 0..MAX_DEPTH {
            match stored.document {
                Document::Manifest(manifest) => {
                    return Ok((*manifest, stored.descriptor.digest().to_string()));
                }
                Document::Index(index) => stored = self.child(self.choose(&index)?).await?,
            }
        }
        Err(self.too_deep(root_digest))
    }

    fn too_deep(&self, digest: String) -> ImageError {
        ImageError::Manifest {
            image: self.name.to_owned(),
            digest,
            source: ManifestError::TooDeep,
        }
    }

    fn choose(&self, index: &ImageIndex) -> Result<Descriptor, ImageError> {
        let machine = &self.options.machine;
        let manifests = index.manifests();
        let best = machine.choose(manifests).into_iter().next();
        best.cloned()
            .ok_or_else(|| platform(self.name, machine, offered(manifests)))
    }

    /// Fetches all that a document names, whoever it is for.
    async fn everything(&self, stored: &Stored, depth: usize) -> Result<(), ImageError> {
        match &stored.document {
            Document::Manifest(_) => {
                let blobs = stored.document.children().into_iter();
                let fetches = blobs.map(|blob| self.fetcher.blob(blob, Vec::new()));
                let mut running = futures_util::stream::iter(fetches).buffer_unordered(PARALLEL);
                while let Some(fetched) = running.next().await {
                    fetched?;
                }
            }
            Document::Index(_) if depth >= MAX_DEPTH => {
                return Err(self.too_deep(stored.descriptor.digest().to_string()));
            }
            Document::Index(index) => {
                for descriptor in index.manifests() {
                    let child = self.child(descriptor.clone()).await?;
                    Box::pin(self.everything(&child, depth + 1)).await?;
                }
            }
        }
        Ok(())
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
                // Nobody waits any more if the unpacking has failed.
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
        let arrivals = arrivals.into_iter().map(|arrival| async {
            if arrival.await.is_err() {
                // The fetch has failed and says why.
                std::future::pending::<()>().await;
            }
        });
        unpacker.all(arrivals.collect()).await?;
        unpacker.finish().await
    }

    fn refused(&self, source: Error) -> ImageError {
        access("pull", self.name, source)
    }
}

/// The descriptor of a document as it came, with the media type that was given with it.
pub(super) fn describe(
    image: &str,
    digest: &str,
    given: &str,
    bytes: &[u8],
) -> Result<Descriptor, ImageError> {
    let broken = |source| ImageError::Manifest {
        image: image.to_owned(),
        digest: digest.to_owned(),
        source,
    };
    let media_type = Document::media_type(bytes, given).map_err(broken)?;
    let digest = Digest::try_from(digest).map_err(|_| broken(ManifestError::Digest))?;
    let media_type = MediaType::from(media_type.as_str());
    Ok(Descriptor::new(media_type, bytes.len() as u64, digest))
}
