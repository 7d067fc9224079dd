//! `netrun rmi`: remove images.
//!
//! Invariant: an image that a container was made from is removed only by force. The container goes
//! on in any case: its root file system is a snapshot of its own.

use super::context::Context;
use super::each::Each;
use super::images::images;
use crate::containerd::Client;
use crate::engine::host::record_of;
use crate::image::{self, ImageError, ImageSummary};
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun rmi alpine:3.14
  netrun rmi $(netrun images -q)";

/// Remove images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Even if a container uses it, and do not mind if it does not exist
    #[arg(short, long)]
    pub force: bool,

    /// The images, by name, or by the beginning of an id
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
    #[error("\"{id}\" stands for several images: {}", .names.join(", "))]
    Ambiguous { id: String, names: Vec<String> },
}

impl Explain for Kept {
    fn class(&self) -> Class {
        match self {
            Self::InUse { .. } => Class::WrongState,
            Self::Ambiguous { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::InUse { image, containers } => format!(
                "remove the containers (netrun rm {}), or the name by force (netrun rmi -f {image})",
                containers.join(" ")
            ),
            Self::Ambiguous { .. } => "name one of them, or all".to_owned(),
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
        let images = images(context).await?;
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
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// The images that containers were made from, with the containers' names.
async fn users(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let containers = client.list_containers().await?.into_iter();
    let user = |container: crate::containerd::Container| {
        // What others made says it where containerd has a place for it.
        let image = record_of(&container).map_or(container.image, |record| record.image);
        (image, container.id)
    };
    Ok(containers.map(user).collect())
}

/// Removes one image; `rest` are those that are there, without it afterwards.
async fn remove(
    client: &Client,
    users: &[(String, String)],
    image: &ImageSummary,
    rest: &mut Vec<ImageSummary>,
    force: bool,
) -> Result<Removed, Failure> {
    let containers: Vec<String> = (users.iter())
        .filter(|(used, _)| *used == image.name)
        .map(|(_, container)| container.clone())
        .collect();
    if !force && !containers.is_empty() {
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

/// The image of that name, else the one whose id or digest begins so; by force all its names.
fn find<'a>(
    images: &'a [ImageSummary],
    text: &str,
    force: bool,
) -> Result<Vec<&'a ImageSummary>, Failure> {
    let reference = Reference::parse(text);
    let name = reference.as_ref().map(ToString::to_string).ok();
    // Other programs give names that are no references.
    let mut names = name.as_deref().into_iter().chain([text]);
    if let Some(image) = names.find_map(|name| images.iter().find(|image| image.name == name)) {
        return Ok(vec![image]);
    }
    let found: Vec<&ImageSummary> = images.iter().filter(|image| begins(image, text)).collect();
    let same = found.windows(2).all(|two| two[0].digest == two[1].digest);
    match (found.len(), reference) {
        (0, Ok(reference)) => {
            let image = reference.to_string();
            Err(ImageError::NotFound { image }.into())
        }
        (0, Err(error)) => Err(error.into()),
        (1, _) => Ok(found),
        (_, _) if force && same => Ok(found),
        (_, _) => Err(Kept::Ambiguous {
            id: text.to_owned(),
            names: found.iter().map(|image| image.name.clone()).collect(),
        }
        .into()),
    }
}

/// Whether an image's id or digest begins so, with or without its algorithm.
fn begins(image: &ImageSummary, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let both = [&image.id, &image.digest].into_iter();
    let mut bare = both.filter_map(|digest| digest.strip_prefix("sha256:"));
    !hex.is_empty() && bare.any(|digest| digest.starts_with(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, digest: &str, id: &str) -> ImageSummary {
        ImageSummary {
            name: name.to_owned(),
            digest: format!("sha256:{digest}"),
            id: format!("sha256:{id}"),
            created: String::new(),
            size: 0,
            platform: String::new(),
        }
    }

    fn found(text: &str, force: bool) -> Result<Vec<String>, Class> {
        let images = [
            image("docker.io/library/alpine:3.14", "aa11", "bb11"),
            image("docker.io/library/bb1:latest", "aa22", "cc22"),
            image("other", "aa11", "bb11"),
        ];
        let found = find(&images, text, force).map_err(|error| error.class())?;
        Ok(found.iter().map(|image| image.name.clone()).collect())
    }

    #[test]
    fn images_are_found_by_name_before_id() {
        let alpine = "docker.io/library/alpine:3.14".to_owned();
        assert_eq!(found("alpine:3.14", false), Ok(vec![alpine.clone()]));
        assert_eq!(found("other", false), Ok(vec!["other".to_owned()]));
        let named = vec!["docker.io/library/bb1:latest".to_owned()];
        for text in ["bb1", "cc2", "sha256:aa22"] {
            assert_eq!(found(text, false), Ok(named.clone()), "{text}");
        }
        let both = vec![alpine, "other".to_owned()];
        assert_eq!(found("bb11", true), Ok(both));
    }

    #[test]
    fn what_is_not_one_image_is_refused() {
        for (text, force, class) in [
            ("alpine", false, Class::NotFound),
            ("dd", false, Class::NotFound),
            ("bb11", false, Class::InvalidInput),
            ("aa", true, Class::InvalidInput),
            ("A B", false, Class::InvalidInput),
            ("sha256:", false, Class::InvalidInput),
        ] {
            assert_eq!(found(text, force), Err(class), "{text}");
        }
    }
}
