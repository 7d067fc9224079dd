//! docker's `manifest.json`: what it says, and the manifest that it stands for.

use std::collections::HashMap;
use std::path::Path;

use oci_spec::image::{Descriptor, Digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::input::plain;
use crate::image::digest;
use crate::image::packed::Packed;

/// One image in docker's archive.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The file of the configuration.
    pub config: String,
    /// The image's names.
    #[serde(default, deserialize_with = "or_empty")]
    pub repo_tags: Vec<String>,
    /// The files of the layers, the lowest first.
    #[serde(default, deserialize_with = "or_empty")]
    pub layers: Vec<String>,
}

/// docker writes `null` for an empty list.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A layer, or what may be one, that containerd has now.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it is packed.
    pub packed: Packed,
}

/// A file that the archive had.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A small one, or a list: its bytes.
    Kept(Vec<u8>),
    /// Another one, which containerd has.
    Stored(Layer),
}

/// The files of an archive by name, and their other names.
#[derive(Debug, Default)]
pub struct Parts {
    /// By name.
    pub files: HashMap<String, Part>,
    /// From another name to the file's.
    pub links: HashMap<String, String>,
}

impl Parts {
    /// The file of that name.
    pub fn find(&self, name: &str) -> Option<&Part> {
        let plain = plain(Path::new(name));
        let mut name = plain.as_str();
        // A link to a link is as far as anybody goes.
        for _ in 0..4 {
            if let Some(part) = self.files.get(name) {
                return Some(part);
            }
            name = self.links.get(name)?;
        }
        None
    }
}

/// The manifest of an image of these parts: its descriptor and its bytes; nothing if they do not fit
/// into one.
pub fn manifest(config: &[u8], layers: &[&Layer]) -> Option<(Descriptor, Vec<u8>)> {
    let descriptors: Vec<_> = layers
        .iter()
        .map(|layer| {
            json!({"mediaType": layer.packed.media_type(), "digest": layer.digest, "size": layer.size})
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest::of(config),
            "size": config.len(),
        },
        "layers": descriptors,
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::try_from(digest::of(&bytes).as_str()).ok()?;
    let media_type = oci_spec::image::MediaType::ImageManifest;
    Some((
        Descriptor::new(media_type, bytes.len() as u64, digest),
        bytes,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_list_may_have_nulls_and_links() {
        let text = r#"[{"Config": "c.json", "RepoTags": null, "Layers": ["a/layer.tar"]}]"#;
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap();
        assert_eq!(entries[0].repo_tags, [""; 0]);
        let layer = Layer {
            digest: Digest::try_from(digest::of(b"x").as_str()).unwrap(),
            size: 1,
            packed: Packed::Gzip,
        };
        let mut parts = Parts::default();
        let stored = Part::Stored(layer.clone());
        parts.files.insert("a".to_owned(), stored.clone());
        parts.links.insert("b".to_owned(), "a".to_owned());
        parts.links.insert("loop".to_owned(), "loop".to_owned());
        assert_eq!(parts.find("./b"), Some(&stored));
        assert_eq!(parts.find("loop"), None);
        let (descriptor, bytes) = manifest(b"{}", &[&layer]).unwrap();
        assert_eq!(descriptor.digest().to_string(), digest::of(&bytes));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("layer.v1.tar+gzip"), "{text}");
    }
}
