//! An image by its id, whatever names it has, or had.
//!
//! Invariant: by what the content store knows alone: a name may stand for another image by now.

use containerd_client::services::v1 as api;
use oci_spec::image::{Descriptor, MediaType};

use super::error::ImageError;
use super::local::{Image, access, load};
use super::manifest::GC_CONFIG;
use super::platform::Machine;
use super::wire::from_wire;
use crate::containerd::{Client, Error, check};

/// The image with this configuration, for whatever platform; nothing if it is not here any more. It
/// is called `name` in messages.
///
/// # Errors
/// Any refusal by containerd; what is malformed.
pub async fn by_id(client: &Client, id: &str, name: &str) -> Result<Option<Image>, ImageError> {
    let manifests = manifests_of(client, id).await;
    for manifest in manifests.map_err(|source| access("read", name, source))? {
        match load(client, name, manifest, &Machine::this().or_any()).await {
            Ok(image) if image.config_digest == id => return Ok(Some(image)),
            // Anybody can label anything so, and it may be collected while we look.
            Ok(_) | Err(ImageError::Incomplete { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The manifests that keep a configuration.
async fn manifests_of(client: &Client, config: &str) -> Result<Vec<Descriptor>, Error> {
    let operation = format!("look for the manifests of {config}");
    let request = api::ListContentRequest {
        filters: vec![format!("labels.\"{GC_CONFIG}\"==\"{config}\"")],
    };
    let mut stream = check(&operation, client.content().list(request).await)?;
    let mut found = Vec::new();
    loop {
        let message = stream.message().await.map(tonic::Response::new);
        match check(&operation, message)? {
            Some(message) => found.extend(message.info),
            None => break,
        }
    }
    let described = found.into_iter().filter_map(|info| {
        from_wire(&containerd_client::types::Descriptor {
            media_type: MediaType::ImageManifest.to_string(),
            digest: info.digest,
            size: info.size,
            ..Default::default()
        })
    });
    Ok(described.collect())
}
