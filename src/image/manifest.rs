//! Indexes and manifests: what a document is, what it refers to, and how containerd's garbage
//! collector is told.
//!
//! Invariant: a document is what its fields say, whatever media type it came with; one that could
//! be read either way is refused.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;

/// The largest document that is read, bytes: manifests and configurations are kept in memory.
pub const MAX_DOCUMENT: usize = 8 << 20;

/// How deep indexes may stand in indexes.
pub const MAX_DEPTH: usize = 4;

/// A document that names other content.
#[derive(Debug, Clone)]
pub enum Document {
    /// Manifests for several platforms.
    Index(Box<ImageIndex>),
    /// The configuration and the layers of one image.
    Manifest(Box<ImageManifest>),
}

/// A document that is no image.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or lacks what it must have.
    #[error("it is not a manifest")]
    Parse(#[from] serde_json::Error),
    /// Docker's first format, given up by containerd 2 and by all registries.
    #[error("it is of docker's schema 1, which nobody writes any more")]
    Schema1,
    /// It has the fields of both an index and a manifest.
    #[error("it claims to be an index and a manifest at once")]
    Ambiguous,
    /// It is neither: an artifact without layers, an error page.
    #[error("it names neither layers nor manifests")]
    Neither,
    /// Indexes in indexes without an end.
    #[error("its indexes are nested too deep")]
    TooDeep,
    /// Its digest is none.
    #[error("its digest is malformed")]
    Digest,
}

/// The fields that tell the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<serde::de::IgnoredAny>>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<Vec<serde::de::IgnoredAny>>,
}

/// The type of an artifact, which registries keep in the form of an image; nothing if it may be an image.
pub fn artifact(manifest: &ImageManifest) -> Option<String> {
    let config = manifest.config().media_type().to_string();
    let kind = manifest.artifact_type().as_ref().map(ToString::to_string);
    kind.or_else(|| (!CONFIGS.contains(&config.as_str())).then_some(config))
}

/// A layer's descriptor as an OCI manifest has it: docker's media types have OCI's of the same bytes, and
/// some tools refuse a mixture.
pub fn in_oci(layer: &Descriptor) -> Descriptor {
    let mut layer = layer.clone();
    let docker = layer.media_type().to_string();
    if let Some((_, own)) = LAYERS
        .iter()
        .find(|(docker_type, _)| *docker_type == docker)
    {
        layer.set_media_type(MediaType::from(*own));
    }
    layer
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ManifestError`] if it is no image index or manifest.
    pub fn parse(bytes: &[u8]) -> Result<Document, ManifestError> {
        let shape: Shape = serde_json::from_slice(bytes)?;
        if shape.schema_version == 1 {
            return Err(ManifestError::Schema1);
        }
        let is_manifest = shape.config.is_some() || shape.layers.is_some();
        match (shape.manifests.is_some(), is_manifest) {
            (true, true) => Err(ManifestError::Ambiguous),
            (true, false) => Ok(Document::Index(serde_json::from_slice(bytes)?)),
            (false, true) => Ok(Document::Manifest(serde_json::from_slice(bytes)?)),
            (false, false) => Err(ManifestError::Neither),
        }
    }

    /// The media type to record: the document's own, else the one that the registry gave if it
    /// fits, else the OCI one.
    pub fn media_type(bytes: &[u8], given: &str) -> Result<String, ManifestError> {
        let shape: Shape = serde_json::from_slice(bytes)?;
        if !shape.media_type.is_empty() {
            return Ok(shape.media_type);
        }
        let (oci, docker) = match shape.manifests.is_some() {
            true => (OCI_INDEX, DOCKER_INDEX),
            false => (OCI_MANIFEST, DOCKER_MANIFEST),
        };
        let fits = given == oci || given == docker;
        Ok(if fits { given } else { oci }.to_owned())
    }

    /// Everything that the document names, in its order: manifests, or configuration and layers.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Document::Index(index) => index.manifests().iter().collect(),
            Document::Manifest(manifest) => {
                let config = std::iter::once(manifest.config());
                config.chain(manifest.layers()).collect()
            }
        }
    }

    /// The labels that keep the children while the document is kept, as containerd's client
    /// writes them: of an index all manifests, present or not.
    pub fn gc_labels(&self) -> Vec<(String, String)> {
        let mut counts = std::collections::HashMap::new();
        let label = |child: &Descriptor| {
            let key = gc_label(child.media_type().as_ref());
            let count = counts.entry(key).or_insert(0_usize);
            let number = *count;
            *count += 1;
            // A second configuration, which does not exist, would get a number.
            let label = match key.ends_with('.') || number > 0 {
                true => format!("{key}{number}"),
                false => key.to_owned(),
            };
            (label, child.digest().to_string())
        };
        self.children().into_iter().map(label).collect()
    }
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker's media types of layers, and OCI's.
const LAYERS: [(&str, &str); 5] = [
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.oci.image.layer.v1.tar",
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
];

/// The media types of an image's configuration.
const CONFIGS: [&str; 2] = [
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
];

const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The label of a manifest that refers to its configuration.
pub const GC_CONFIG: &str = "containerd.io/gc.ref.content.config";

/// The key, or its beginning, of the label that refers to a child of this media type.
fn gc_label(media_type: &str) -> &'static str {
    match media_type {
        OCI_MANIFEST | DOCKER_MANIFEST => "containerd.io/gc.ref.content.m.",
        config if CONFIGS.contains(&config) => GC_CONFIG,
        layer if is_layer(layer) => "containerd.io/gc.ref.content.l.",
        _ => "containerd.io/gc.ref.content.",
    }
}

fn is_layer(media_type: &str) -> bool {
    let oci = "application/vnd.oci.image.layer.";
    let docker = "application/vnd.docker.image.rootfs.";
    media_type.starts_with(oci) || media_type.starts_with(docker)
}

/// The word that begins the name of a piece of content while it is being written, as containerd's
/// client has it, so that two clients do not fetch the same thing twice.
pub fn ingest_kind(media_type: &str) -> &'static str {
    match media_type {
        OCI_INDEX | DOCKER_INDEX => "index",
        _ => match gc_label(media_type) {
            "containerd.io/gc.ref.content.m." => "manifest",
            GC_CONFIG => "config",
            "containerd.io/gc.ref.content.l." => "layer",
            _ => "unknown",
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn child(media_type: &str, n: usize) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{n:064}"), "size": 1})
    }

    fn labels(document: serde_json::Value) -> Vec<String> {
        let bytes = serde_json::to_vec(&document).unwrap();
        let labels = Document::parse(&bytes).unwrap().gc_labels();
        labels
            .into_iter()
            .map(|(key, digest)| {
                let key = key.replace("containerd.io/gc.ref.content.", "");
                format!(
                    "{key}={}",
                    digest
                        .trim_start_matches("sha256:0")
                        .trim_start_matches('0')
                )
            })
            .collect()
    }

    #[test]
    fn labels_are_those_of_containerds_client() {
        let manifest = json!({
            "schemaVersion": 2,
            "config": child("application/vnd.docker.container.image.v1+json", 1),
            "layers": [
                child("application/vnd.docker.image.rootfs.diff.tar.gzip", 2),
                child("application/vnd.oci.image.layer.v1.tar+zstd", 3),
                child("application/x-strange", 4),
            ],
        });
        assert_eq!(labels(manifest), ["config=1", "l.0=2", "l.1=3", "0=4"]);
        let index = json!({
            "schemaVersion": 2,
            "manifests": [child(OCI_MANIFEST, 1), child(DOCKER_MANIFEST, 2), child(OCI_INDEX, 3)],
        });
        assert_eq!(labels(index), ["m.0=1", "m.1=2", "0=3"]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let both = json!({"schemaVersion": 2, "manifests": [], "layers": []});
        let parse =
            |value: &serde_json::Value| Document::parse(value.to_string().as_bytes()).unwrap_err();
        assert!(matches!(parse(&both), ManifestError::Ambiguous));
        assert!(matches!(
            parse(&json!({"schemaVersion": 1})),
            ManifestError::Schema1
        ));
        assert!(matches!(
            parse(&json!({"schemaVersion": 2})),
            ManifestError::Neither
        ));
        assert!(matches!(parse(&json!([])), ManifestError::Parse(_)));
        let half = json!({"schemaVersion": 2, "layers": []});
        assert!(matches!(parse(&half), ManifestError::Parse(_)));
    }

    #[test]
    fn the_media_type_is_the_documents_own_before_the_registrys() {
        let media_type =
            |document: &str, given| Document::media_type(document.as_bytes(), given).unwrap();
        let own = format!("{{\"mediaType\": \"{DOCKER_MANIFEST}\"}}");
        assert_eq!(media_type(&own, OCI_INDEX), DOCKER_MANIFEST);
        assert_eq!(media_type("{}", DOCKER_MANIFEST), DOCKER_MANIFEST);
        assert_eq!(media_type("{}", "text/plain"), OCI_MANIFEST);
        assert_eq!(media_type("{\"manifests\": []}", OCI_MANIFEST), OCI_INDEX);
    }
}
