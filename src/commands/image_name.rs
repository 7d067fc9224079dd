//! Which image is meant: by a name, by its digest, by the beginning of an id or of a digest.
//!
//! Invariant: what could mean several images is refused.

use super::context::Context;
use super::image_filter::is_dangling;
use super::images::all;
use crate::image::platform::Machine;
use crate::image::{self, Image, ImageError, ImageSummary};
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;

/// How many digits of an id are taken for one where it could be the name of an image that is not here.
const SHORTEST_ID: usize = 4;

/// A text that does not tell which name is meant.
#[derive(Debug, thiserror::Error)]
enum Ambiguous {
    /// It begins the ids of several images.
    #[error("\"{id}\" stands for several images: {}", .names.join(", "))]
    Images { id: String, names: Vec<String> },
    /// It is the id of one that has several names.
    #[error("image {id} has several names: {}", .names.join(", "))]
    Names { id: String, names: Vec<String> },
}

impl Explain for Ambiguous {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Images { .. } => "name one of them, or all".to_owned(),
            Self::Names { id, .. } => {
                format!("remove one of them by its name, or all by force (netrun rmi -f {id})")
            }
        })
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

/// An image with all its names.
#[derive(Debug)]
pub struct Named {
    /// The image.
    pub image: Image,
    /// Its names in containerd, each with the digest that it stands for.
    pub names: Vec<(String, String)>,
}

/// The image that is meant, with all its names.
///
/// # Errors
/// As [`load`].
pub async fn load_named(context: &Context<'_>, text: &str) -> Result<Named, Failure> {
    let image = load(context, text).await?;
    let images = all(context).await?.into_iter();
    let same = images.filter(|other| other.id == image.config_digest);
    let names = same.map(|other| (other.name, other.digest)).collect();
    Ok(Named { image, names })
}

/// The image that a container is to be made from, for this machine; nothing if it is not here.
///
/// # Errors
/// As [`image::local_for`]; the text is neither a name nor an id.
pub async fn local(
    context: &Context<'_>,
    text: &str,
    machine: &Machine,
) -> Result<Option<Image>, Failure> {
    let client = context.host.client().await?;
    let reference = Reference::parse(text)?;
    if let Some(image) = image::local_for(&client, &reference, machine).await? {
        return Ok(Some(image));
    }
    if reference.digest().is_none() && !may_be_id(text) {
        return Ok(None);
    }
    let images = all(context).await?;
    match find(&images, text, true) {
        Ok(found) => match found.first() {
            Some(image) => Ok(image::known(&client, &image.name, machine).await?),
            None => Ok(None),
        },
        // It is a name all the same.
        Err(_) => Ok(None),
    }
}

/// Whether people would take it for an id; what is shorter is rather a name that is not here yet.
pub fn may_be_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() >= SHORTEST_ID && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The image of that name, else that of the repository with that digest, else the one whose id or
/// digest begins so, by all its names: without force only if people have given it no more than one.
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
    let found: Vec<&ImageSummary> = match &reference {
        Ok(reference) if reference.digest().is_some() => {
            let is_it = |image: &&ImageSummary| stands_for(&image.name, &image.digest, reference);
            images.iter().filter(is_it).collect()
        }
        _ => images.iter().filter(|image| begins(image, text)).collect(),
    };
    let same = found
        .windows(2)
        .all(|two| known_by(two[0]) == known_by(two[1]));
    let given = found.iter().filter(|image| !is_nameless(image)).count();
    let nobodys = found.iter().all(|image| is_dangling(image));
    let id = text.to_owned();
    let names = || found.iter().map(|image| image.name.clone()).collect();
    match (found.len(), reference) {
        (0, Ok(reference)) => {
            let image = reference.to_string();
            Err(ImageError::NotFound { image }.into())
        }
        (0, Err(error)) => Err(error.into()),
        (1, _) => Ok(found),
        (_, _) if same && (force || given <= 1 || nobodys) => Ok(found),
        (_, _) if same => Err(Ambiguous::Names { id, names: names() }.into()),
        (_, _) => Err(Ambiguous::Images { id, names: names() }.into()),
    }
}

/// Whether an image has only the name that is made of its digest where nobody gives it one.
fn is_nameless(image: &ImageSummary) -> bool {
    let made = image.name.strip_suffix(&image.digest);
    is_dangling(image) && made.is_some_and(|made| made.ends_with('@'))
}

/// What an image is known by, however its manifest is written.
fn known_by(image: &ImageSummary) -> &str {
    match image.id.as_str() {
        "" => &image.digest,
        id => id,
    }
}

/// Whether a name of the same repository, and of the same tag if one is given, has the digest.
fn stands_for(name: &str, digest: &str, wanted: &Reference) -> bool {
    wanted.digest() == Some(digest)
        && Reference::parse(name).is_ok_and(|own| {
            (own.registry(), own.repository()) == (wanted.registry(), wanted.repository())
                && (wanted.tag().is_none() || own.tag() == wanted.tag())
        })
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

    /// A digest that a reference may have.
    const WHOLE: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

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
            image("docker.io/library/pinned:1", WHOLE, "ff11"),
            image("docker.io/team/pinned:1", WHOLE, "ff11"),
            image("overlayfs@sha256:dd11", "dd11", "ee11"),
            image("overlayfs@sha256:dd22", "dd22", "ee11"),
            image("overlayfs@sha256:ab11", "ab11", "ac11"),
            image("docker.io/library/one:1", "ab22", "ac11"),
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
        // One whose names nobody has given, or only one.
        for (id, names) in [
            ("ee11", ["overlayfs@sha256:dd11", "overlayfs@sha256:dd22"]),
            ("ac11", ["overlayfs@sha256:ab11", "docker.io/library/one:1"]),
        ] {
            let names = names.map(str::to_owned).to_vec();
            for force in [false, true] {
                assert_eq!(found(id, force), Ok(names.clone()), "{id}");
            }
        }
        // By the digest that its tag stands for, of this repository only.
        let pinned = vec!["docker.io/library/pinned:1".to_owned()];
        for text in ["pinned@sha256:", "pinned:1@sha256:"] {
            assert_eq!(found(&format!("{text}{WHOLE}"), false), Ok(pinned.clone()));
        }
        for text in ["pinned:2@sha256:", "alpine@sha256:"] {
            let absent = found(&format!("{text}{WHOLE}"), false);
            assert_eq!(absent, Err(Class::NotFound), "{text}");
        }
    }

    #[test]
    fn short_words_are_rather_names() {
        for (text, expected) in [
            ("8e50", true),
            ("sha256:8e50", true),
            ("db", false),
            ("node", false),
            ("sha256:", false),
        ] {
            assert_eq!(may_be_id(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_image_is_refused() {
        for (text, force, class) in [
            ("alpine", false, Class::NotFound),
            ("99", false, Class::NotFound),
            ("bb11", false, Class::InvalidInput),
            ("aa", true, Class::InvalidInput),
            ("A B", false, Class::InvalidInput),
            ("sha256:", false, Class::InvalidInput),
        ] {
            assert_eq!(found(text, force), Err(class), "{text}");
        }
    }
}
