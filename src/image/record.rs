//! The names of images in containerd, and what they stand for.
//!
//! Invariant: a name is written after everything that it stands for; from then on the garbage
//! collector keeps it.

use containerd_client::services::v1 as api;
use oci_spec::image::Descriptor;
use prost_types::FieldMask;

use super::wire::{from_wire, to_wire};
use crate::containerd::{Client, Error, check};

/// What a name stands for; nothing if there is no such name.
///
/// # Errors
/// Any refusal by containerd.
pub async fn get(client: &Client, name: &str) -> Result<Option<Descriptor>, Error> {
    let request = api::GetImageRequest {
        name: name.to_owned(),
    };
    let operation = format!("read image {name}");
    match check(&operation, client.images().get(request).await) {
        Ok(answer) => {
            let target = answer.image.and_then(|image| image.target);
            Ok(target.as_ref().and_then(from_wire))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of an image that nobody has named, as nerdctl gives it: no reference, so nobody types it.
pub fn nameless(snapshotter: &str, target: &Descriptor) -> String {
    format!("{snapshotter}@{}", target.digest())
}

/// Gives something a name, which stood for something else before or for nothing.
///
/// # Errors
/// Any refusal by containerd.
pub async fn put(client: &Client, name: &str, target: &Descriptor) -> Result<(), Error> {
    let record = api::Image {
        name: name.to_owned(),
        target: Some(to_wire(target)),
        ..api::Image::default()
    };
    loop {
        match create(client, record.clone()).await {
            Err(error) if error.already_exists() => {}
            other => return other,
        }
        match update(client, record.clone()).await {
            // Somebody has removed it in between.
            Err(error) if error.is_not_found() => {}
            other => return other,
        }
    }
}

async fn create(client: &Client, record: api::Image) -> Result<(), Error> {
    let operation = format!("create image {}", record.name);
    let request = api::CreateImageRequest {
        image: Some(record),
        ..api::CreateImageRequest::default()
    };
    check(&operation, client.images().create(request).await)?;
    Ok(())
}

/// Only the target: the labels may be somebody's.
async fn update(client: &Client, record: api::Image) -> Result<(), Error> {
    let operation = format!("update image {}", record.name);
    let request = api::UpdateImageRequest {
        image: Some(record),
        update_mask: Some(FieldMask {
            paths: vec!["target".to_owned()],
        }),
        ..api::UpdateImageRequest::default()
    };
    check(&operation, client.images().update(request).await)?;
    Ok(())
}
