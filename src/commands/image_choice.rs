//! The images of `run` and `create`: which of a name, and whether it is pulled.
//!
//! Invariant: what is here for another platform is not taken for the one that is wanted.

use super::container::{ContainerArgs, PullPolicy};
use super::context::Context;
use super::image_name;
use super::registry::{machine, pull_options};
use crate::image::platform::Machine;
use crate::image::{self, Image, ImageError};
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;

/// The image is not here and must not be pulled.
#[derive(Debug, thiserror::Error)]
#[error("image {image} is not here for {platform}")]
pub struct NoImage {
    image: String,
    platform: String,
}

impl Explain for NoImage {
    fn class(&self) -> Class {
        Class::NotFound
    }

    fn hint(&self) -> Option<String> {
        let NoImage { image, platform } = self;
        Some(format!("netrun pull --platform {platform} {image}"))
    }
}

/// The image of a name, pulled if it has to be, with its root file system unpacked.
///
/// # Errors
/// [`NoImage`]; what is wrong with the name, the image or its registry.
pub async fn find(
    context: &Context<'_>,
    args: &ContainerArgs,
    name: &str,
    snapshotter: &str,
) -> Result<Image, Failure> {
    let reference = Reference::parse(name)?;
    let client = context.host.client().await?;
    let named = machine(args.process.platform.as_ref())?;
    let is_named = named.is_some();
    let machine = named.unwrap_or_else(Machine::this);
    let options = pull_options(context, snapshotter, machine.clone());
    let progress = |event: image::PullEvent<'_>| context.audience.pulling(name, event);
    let local = match args.pull {
        PullPolicy::Always => Ok(None),
        PullPolicy::Missing | PullPolicy::Never => image_name::local(context, name, &machine).await,
    };
    let local = match local {
        // The registry may have what is here for other platforms only.
        Err(error)
            if error.class() == Class::Unsupported
                && is_named
                && args.pull == PullPolicy::Missing =>
        {
            None
        }
        local => local?,
    };
    let image = match local {
        Some(image) => image,
        None if args.pull == PullPolicy::Never => {
            return Err(NoImage {
                image: reference.to_string(),
                platform: machine.name(),
            }
            .into());
        }
        None => image::pull(&client, &reference, &options, &progress).await?,
    };
    match image::unpack(&client, &image, snapshotter, &progress).await {
        Ok(()) => Ok(image),
        // Its name and configuration are here, a layer is not: somebody has removed content.
        Err(ImageError::Incomplete { .. }) if args.pull != PullPolicy::Never => {
            Ok(image::pull(&client, &reference, &options, &progress).await?)
        }
        Err(error) => Err(error.into()),
    }
}
