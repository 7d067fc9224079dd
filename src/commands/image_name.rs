//! Which image is meant: by a name, by the beginning of an id or of a digest.
//!
//! Invariant: what could mean several images is refused.

use super::context::Context;
use super::images::all;
use crate::image::{self, Image, ImageError, ImageSummary};
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;

/// A text that stands for several images.
#[derive(Debug, thiserror::Error)]
#[error("\"{id}\" stands for several images: {}", .names.join(", "))]
struct Ambiguous {
    id: String,
    names: Vec<String>,
}

impl Explain for Ambiguous {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("name one of them, or all".to_owned())
    }
}

/// containerd's name of the image that is meant; any of them, if it has several.
///
/// # Errors
/// There is no such image, or several.
pub async fn resolve(context: &Context<'_>, text: &str) -> Result<String, Failure> {
    let images = all(context).await?;
    let found = find(&images, text, true)?;
    let name = found.first().map(|image| image.name.clone());
    name.ok_or_else(|| {
        let image = text.to_owned();
        ImageError::NotFound { image }.into()
    })
}

/// The image that is meant.
///
/// # Errors
/// As [`resolve`]; its content is not here.
pub async fn load(context: &Context<'_>, text: &str) -> Result<Image, Failure> {
    let name = resolve(context, text).await?;
    let client = context.host.client().await?;
    Ok(image::named(&client, &name).await?)
}

/// The image of that name, else the one whose id or digest begins so; by force all its names.
///
/// # Errors
/// There is none, or several.
pub fn find<'a>(
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
        (_, _) => Err(Ambiguous {
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
            unpacked: 0,
            labels: Default::default(),
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
