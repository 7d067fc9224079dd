//! `netrun rmi`: remove images.
//!
//! Invariant: the last name of an image that a container was made from is removed only by force. The
//! container goes on in any case: its root file system is a snapshot of its own.

use super::context::Context;
use super::each::Each;
use super::image_name::find;
use super::images::all;
use crate::containerd::Client;
use crate::engine::announce::{Subject, announce};
use crate::engine::host::record_of;
use crate::image::{self, ImageSummary};
use crate::model::class::{Class, Explain, Failure};

const EXAMPLES: &str = "\
Examples:
  netrun rmi alpine:3.14
  netrun rmi $(netrun images -q)";

/// Remove images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Even if a container uses it, all names of an id, and do not mind if it does not exist
    #[arg(short, long)]
    pub force: bool,

    /// Keep nothing that has no name: as it is in any case, layers have none here
    #[arg(long, hide = true)]
    pub no_prune: bool,

    /// The images, by name, by digest, or by the beginning of an id
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// Why an image stays.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("image {image} is used by {}", .containers.join(", "))]
    InUse {
        image: String,
        containers: Vec<String>,
    },
}

impl Explain for Kept {
    fn class(&self) -> Class {
        match self {
            Self::InUse { .. } => Class::WrongState,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::InUse { image, containers } => format!(
                "remove the containers (netrun rm {}), or the name by force (netrun rmi -f {image})",
                containers.join(" ")
            ),
        })
    }
}

/// What was removed.
#[derive(Debug)]
pub struct Removed {
    /// The name.
    pub untagged: String,
    /// The image's id, if nobody needs its content any more.
    pub deleted: Option<String>,
}

/// Removes the images one after the other: the last name of a content takes it along.
///
/// # Errors
/// containerd cannot be reached; what could not be removed is in the value.
pub async fn rmi(context: &Context<'_>, args: &Args) -> Result<Each<Removed>, Failure> {
    let client = context.host.client().await?;
    let users = users(&client).await?;
    let mut outcomes = Vec::new();
    for text in &args.images {
        let images = all(context).await?;
        let found = match find(&images, text, args.force) {
            Ok(found) => found,
            Err(error) if args.force && error.class() == Class::NotFound => continue,
            Err(error) => {
                outcomes.push(Err(error));
                continue;
            }
        };
        let mut rest = images.clone();
        for image in found {
            let outcome = remove(&client, &users, image, &mut rest, args.force).await;
            if let Ok(Removed {
                deleted: Some(id), ..
            }) = &outcome
            {
                announce(&context.host, Subject::Image(id), "delete", &[]).await;
            }
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// A container, and the image that it was made from.
#[derive(Debug)]
pub struct User {
    container: String,
    /// The image's name at that time.
    name: String,
    /// The image's id; empty where others made the container.
    id: String,
}

impl User {
    /// Whether the container was made from this image, whatever it is called by now.
    pub fn uses(&self, image: &ImageSummary) -> bool {
        match self.id.is_empty() || image.id.is_empty() {
            true => self.name == image.name,
            false => self.id == image.id,
        }
    }

    /// Whether it is for this container that the image keeps this name: the one that it was made from
    /// if that still means the image, else any.
    pub fn keeps(&self, image: &ImageSummary, all: &[ImageSummary]) -> bool {
        let still = |other: &ImageSummary| other.name == self.name && self.uses(other);
        self.uses(image) && (image.name == self.name || !all.iter().any(still))
    }
}

/// The containers and their images.
///
/// # Errors
/// containerd cannot be reached.
pub async fn users(client: &Client) -> Result<Vec<User>, Failure> {
    let containers = client.list_containers().await?.into_iter();
    let user = |container: crate::containerd::Container| match record_of(&container) {
        Ok(record) => User {
            container: container.id,
            name: record.image,
            id: record.image_id,
        },
        // What others made says it where containerd has a place for it.
        Err(_) => User {
            container: container.id,
            name: container.image,
            id: String::new(),
        },
    };
    Ok(containers.map(user).collect())
}

/// Removes one image; `rest` are those that are there, without it afterwards.
async fn remove(
    client: &Client,
    users: &[User],
    image: &ImageSummary,
    rest: &mut Vec<ImageSummary>,
    force: bool,
) -> Result<Removed, Failure> {
    let same = |other: &&ImageSummary| {
        other.digest == image.digest || !image.id.is_empty() && other.id == image.id
    };
    let called_otherwise = (rest.iter().filter(same)).any(|other| other.name != image.name);
    let containers: Vec<String> = (users.iter())
        .filter(|user| user.uses(image))
        .map(|user| user.container.clone())
        .collect();
    if !force && !called_otherwise && !containers.is_empty() {
        let image = image.name.clone();
        return Err(Kept::InUse { image, containers }.into());
    }
    image::remove(client, &image.name, true).await?;
    rest.retain(|other| other.name != image.name);
    let shared = rest.iter().any(|other| other.digest == image.digest);
    let id = match image.id.is_empty() {
        true => &image.digest,
        false => &image.id,
    };
    Ok(Removed {
        untagged: image.name.clone(),
        deleted: (!shared).then(|| id.clone()),
    })
}
