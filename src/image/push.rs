//! From containerd to a registry.
//!
//! Invariant: what a document names is in the registry before the document is, and the tag comes
//! last; documents are sent as they are, so digests stay.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use oci_spec::image::Descriptor;
use tokio::time::timeout;

use super::access::RegistryAccess;
use super::content;
use super::error::ImageError;
use super::local::{access, document, incomplete, load};
use super::manifest::{Document, MAX_DEPTH};
use super::platform::Machine;
use super::progress::{BlobState, Progress, PullEvent};
use super::record;
use super::registry::error::FetchError;
use super::registry::{Access, Endpoint};
use crate::containerd::{Client, Error};
use crate::model::reference::Reference;

/// The beginning of the label that says which repositories of a registry content came from.
const SOURCE: &str = "containerd.io/distribution.source.";

/// How many blobs are sent at once.
const PARALLEL: usize = 3;

/// How often it is told how far a blob is.
const TICK: Duration = Duration::from_millis(100);

/// How many repositories the registry is asked to take a blob over from.
const MAX_SOURCES: usize = 3;

/// What was pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The name in the registry.
    pub name: String,
    /// What it stands for there.
    pub digest: String,
    /// Whether it is less than what the name stands for here: one machine's image out of an index of
    /// which containerd has no more.
    pub reduced: bool,
}

/// Pushes the image `name` of containerd's to where `to` says.
///
/// # Errors
/// [`ImageError`]: it is not here or not whole; the registry does not take it.
pub async fn push(
    client: &Client,
    name: &str,
    to: &Reference,
    registry: &RegistryAccess,
    progress: Progress<'_>,
) -> Result<Pushed, ImageError> {
    let refused = |source| access("push", name, source);
    let target = record::get(client, name).await.map_err(refused)?;
    let target = target.ok_or_else(|| ImageError::NotFound {
        image: name.to_owned(),
    })?;
    let mut pusher = Pusher {
        client,
        name,
        endpoint: None,
        to,
        progress,
    };
    let endpoints = registry.endpoints(to, Access::Push, progress).await?;
    // As containerd has it: the first that takes content, and no other if that is out of reach.
    pusher.endpoint = endpoints.into_iter().find(Endpoint::takes);
    let whole = pusher.is_whole(&target, 0).await?;
    let sent = match whole {
        true => target.clone(),
        false => pusher.reduced(&target).await?,
    };
    let tag = to.tag().unwrap_or("latest");
    pusher.tree(&sent, tag, 0).await?;
    Ok(Pushed {
        name: to.to_string(),
        digest: sent.digest().to_string(),
        reduced: !whole,
    })
}

struct Pusher<'a> {
    client: &'a Client,
    name: &'a str,
    endpoint: Option<Endpoint<'a>>,
    to: &'a Reference,
    progress: Progress<'a>,
}

impl Pusher<'_> {
    fn endpoint(&self) -> Result<&Endpoint<'_>, ImageError> {
        self.endpoint.as_ref().ok_or_else(|| ImageError::NoTaker {
            image: self.name.to_owned(),
        })
    }

    /// The other repositories of the same registry that a blob came from: it may be taken over from
    /// there.
    async fn sources(&self, digest: &str) -> Result<Vec<String>, ImageError> {
        let key = format!("{SOURCE}{}", self.to.registry());
        let labels = content::labels(self.client, digest).await;
        let labels = labels.map_err(|source| self.lost(digest, source))?;
        let list = labels.get(&key).map(String::as_str).unwrap_or_default();
        let parts = list.split(',').filter(|part| !part.is_empty());
        let others = parts.filter(|part| *part != self.to.repository());
        Ok(others.take(MAX_SOURCES).map(str::to_owned).collect())
    }

    async fn read(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Document), ImageError> {
        let digest = descriptor.digest().to_string();
        let bytes = content::read(self.client, &digest).await;
        let bytes = bytes.map_err(|source| self.lost(&digest, source))?;
        let document = document(self.name, &digest, &bytes)?;
        Ok((bytes, document))
    }

    /// Whether all that a document names is here, or in the registry already.
    async fn is_whole(&self, target: &Descriptor, depth: usize) -> Result<bool, ImageError> {
        let (_, document) = self.read(target).await?;
        for child in document.children() {
            let digest = child.digest().to_string();
            let here = content::size(self.client, &digest).await;
            let here = here.map_err(|source| access("push", self.name, source))?;
            let is_index = matches!(document, Document::Index(_));
            let whole = match (here, is_index) {
                (Some(_), true) if depth < MAX_DEPTH => {
                    Box::pin(self.is_whole(child, depth + 1)).await?
                }
                (Some(_), _) => true,
                (None, true) => self.sent(self.endpoint()?.has_manifest(&digest).await)?,
                (None, false) => self.sent(self.endpoint()?.has_blob(&digest).await)?,
            };
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Of an index that is not whole, the manifest of an image that is: this machine's before others.
    async fn reduced(&self, target: &Descriptor) -> Result<Descriptor, ImageError> {
        let machine = Machine::this().or_any();
        let image = load(self.client, self.name, target.clone(), &machine).await?;
        for layer in &image.layers {
            let size = content::size(self.client, layer.digest().as_ref()).await;
            let size = size.map_err(|source| access("push", self.name, source))?;
            if size.is_none() {
                return Err(incomplete(self.name, layer.digest().as_ref()));
            }
        }
        let digest = image.manifest_digest.as_str();
        let bytes = content::read(self.client, digest).await;
        let bytes = bytes.map_err(|source| self.lost(digest, source))?;
        super::pull::describe(self.name, digest, "", &bytes)
    }

    /// Sends all that a document names, then the document, under a tag or its digest.
    async fn tree(
        &self,
        target: &Descriptor,
        wanted: &str,
        depth: usize,
    ) -> Result<(), ImageError> {
        let (bytes, document) = self.read(target).await?;
        match &document {
            Document::Index(index) if depth < MAX_DEPTH => {
                for child in index.manifests() {
                    let digest = child.digest().to_string();
                    let here = content::size(self.client, &digest).await;
                    let here = here.map_err(|source| access("push", self.name, source))?;
                    // What is not here is there: it was asked for.
                    if here.is_some() {
                        Box::pin(self.tree(child, &digest, depth + 1)).await?;
                    }
                }
            }
            _ => {
                let blobs = document.children().into_iter().map(|blob| self.blob(blob));
                let sent = futures_util::stream::iter(blobs).buffer_unordered(PARALLEL);
                sent.try_collect::<()>().await?;
            }
        }
        let digest = target.digest().to_string();
        let media_type = Document::media_type(&bytes, target.media_type().as_ref());
        let media_type = media_type.unwrap_or_else(|_| target.media_type().to_string());
        let endpoint = self.endpoint()?;
        let sent = endpoint
            .send_manifest(wanted, &media_type, &digest, &Bytes::from(bytes))
            .await;
        self.sent(sent)
    }

    async fn blob(&self, blob: &Descriptor) -> Result<(), ImageError> {
        let digest = blob.digest().to_string();
        let endpoint = self.endpoint()?;
        if self.sent(endpoint.has_blob(&digest).await)? {
            self.tell(blob, BlobState::Exists);
            return Ok(());
        }
        let sources = self.sources(&digest).await?;
        self.tell(blob, BlobState::Pushing(0));
        let taken = Arc::new(AtomicU64::new(0));
        let body = || {
            // Whoever asks once more begins once more.
            taken.store(0, Relaxed);
            let (client, digest, taken) = (self.client.clone(), digest.clone(), taken.clone());
            let opened = async move { content::stream(&client, &digest).await };
            let bytes = futures_util::stream::once(opened).try_flatten();
            reqwest::Body::wrap_stream(bytes.inspect_ok(move |bytes| {
                taken.fetch_add(bytes.len() as u64, Relaxed);
            }))
        };
        let mut sending = pin!(endpoint.send_blob(&digest, blob.size(), &sources, &body));
        let sent = loop {
            match timeout(TICK, &mut sending).await {
                Ok(sent) => break sent,
                Err(_) => self.tell(blob, BlobState::Pushing(taken.load(Relaxed))),
            }
        };
        self.sent(sent)?;
        self.tell(blob, BlobState::Pushed);
        Ok(())
    }

    fn tell(&self, blob: &Descriptor, state: BlobState) {
        (self.progress)(PullEvent::Blob {
            digest: blob.digest().as_ref(),
            size: blob.size(),
            state,
        });
    }

    fn sent<T>(&self, outcome: Result<T, FetchError>) -> Result<T, ImageError> {
        outcome.map_err(|source| ImageError::Push {
            image: self.name.to_owned(),
            source: Box::new(source),
        })
    }

    fn lost(&self, digest: &str, source: Error) -> ImageError {
        match source.is_not_found() {
            true => incomplete(self.name, digest),
            false => access("push", self.name, source),
        }
    }
}
