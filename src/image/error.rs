//! What can go wrong with an image, by operation.
//!
//! Invariant: every variant names the image, and the cause stands in its source only.

use std::io;
use std::path::PathBuf;

use super::manifest::ManifestError;
use super::registry::credentials::CredentialsError;
use super::registry::error::FetchError;
use super::registry::hosts_error::HostsError;
use crate::containerd;
use crate::model::class::{Class, Explain};

/// An operation on images that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// containerd refused its part.
    #[error("cannot {operation} image {image}")]
    Containerd {
        /// What was to be done: `read`, `store`, `unpack`.
        operation: &'static str,
        /// The image's name.
        image: String,
        /// Its refusal.
        source: containerd::Error,
    },
    /// The list could not be read.
    #[error("cannot list the images")]
    List(#[source] containerd::Error),
    /// The leases of earlier pulls could not be looked through.
    #[error("cannot look for what interrupted pulls left")]
    Leases(#[source] containerd::Error),
    /// The places to pull from are not known.
    #[error("cannot tell where to pull image {image} from")]
    Hosts {
        /// The image's name.
        image: String,
        /// Why.
        source: HostsError,
    },
    /// `hosts.toml` allows nobody to be asked.
    #[error("no host in hosts.toml may be asked for image {image}")]
    NoHost {
        /// The image's name.
        image: String,
    },
    /// `hosts.toml` allows nobody to be pushed to.
    #[error("no host in hosts.toml may be sent image {image}")]
    NoTaker {
        /// The image's name.
        image: String,
    },
    /// The file of credentials, or a helper that it names, cannot be used.
    #[error("cannot tell who we are at the registry of image {image}")]
    Credentials {
        /// The image's name.
        image: String,
        /// Why.
        source: CredentialsError,
    },
    /// The registry did not deliver.
    #[error("cannot pull image {image}")]
    Fetch {
        /// The image's name.
        image: String,
        /// The trouble with the host that was asked last.
        source: Box<FetchError>,
    },
    /// The registry does not take it.
    #[error("cannot push image {image}")]
    Push {
        /// The image's name here.
        image: String,
        /// The registry's trouble.
        source: Box<FetchError>,
    },
    /// The registry does not let us in.
    #[error("cannot log in to {registry}")]
    Login {
        /// The registry.
        registry: String,
        /// Its trouble with us.
        source: Box<FetchError>,
    },
    /// What the name stands for is no image.
    #[error("image {image} has an unusable manifest {digest}")]
    Manifest {
        /// The image's name.
        image: String,
        /// The document's digest.
        digest: String,
        /// Why.
        source: ManifestError,
    },
    /// Its configuration is malformed.
    #[error("image {image} has an unusable configuration {digest}")]
    Config {
        /// The image's name.
        image: String,
        /// The configuration's digest.
        digest: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It is something else that registries keep.
    #[error("{image} is no container image but an artifact of type {kind}")]
    Artifact {
        /// Its name.
        image: String,
        /// What it is: a media type.
        kind: String,
    },
    /// It is not there for this machine.
    #[error("image {image} is not made for {wanted}; there is {}", list(.offered))]
    Platform {
        /// The image's name.
        image: String,
        /// This machine's platform.
        wanted: String,
        /// The platforms that it is made for.
        offered: Vec<String>,
    },
    /// Manifest and configuration contradict each other.
    #[error("image {image} has {layers} layers but {diff_ids} layer ids")]
    Layers {
        /// The image's name.
        image: String,
        /// How many layers the manifest names.
        layers: usize,
        /// How many the configuration names.
        diff_ids: usize,
    },
    /// A layer unpacks to something else than the configuration says.
    #[error("layer {layer} of image {image} unpacks to {found} instead of {expected}")]
    DiffId {
        /// The image's name.
        image: String,
        /// The layer's digest.
        layer: String,
        /// What the configuration promises.
        expected: String,
        /// What came out.
        found: String,
    },
    /// A layer cannot be unpacked.
    #[error("layer {layer} of image {image} is packed in a way that cannot be read")]
    Packed {
        /// The image's name.
        image: String,
        /// The layer's digest.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// containerd knows the image but lacks a part of it.
    #[error("image {image} is incomplete: {digest} is missing")]
    Incomplete {
        /// The image's name.
        image: String,
        /// The missing part.
        digest: String,
    },
    /// Its files cannot be mounted there, or not unmounted.
    #[error("cannot mount or unmount an image at {}", .target.display())]
    Mount {
        /// The directory.
        target: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No image is mounted there.
    #[error("no image is mounted at {}", .target.display())]
    NotMounted {
        /// The directory.
        target: PathBuf,
    },
    /// containerd does not know the image.
    #[error("no such image: {image}")]
    NotFound {
        /// The image's name.
        image: String,
    },
}

fn list(offered: &[String]) -> String {
    match offered {
        [] => "nothing that runs".to_owned(),
        offered => offered.join(", "),
    }
}

impl Explain for ImageError {
    fn class(&self) -> Class {
        match self {
            ImageError::Containerd { source, .. }
            | ImageError::List(source)
            | ImageError::Leases(source) => source.class(),
            ImageError::Hosts { source, .. } => source.class(),
            ImageError::Credentials { source, .. } => source.class(),
            ImageError::Fetch { source, .. }
            | ImageError::Push { source, .. }
            | ImageError::Login { source, .. } => source.class(),
            ImageError::NoHost { .. }
            | ImageError::NoTaker { .. }
            | ImageError::Manifest { .. }
            | ImageError::Config { .. }
            | ImageError::Artifact { .. }
            | ImageError::Layers { .. }
            | ImageError::DiffId { .. }
            | ImageError::Packed { .. } => Class::InvalidInput,
            ImageError::Platform { .. } => Class::Unsupported,
            ImageError::Mount { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Class::NotFound,
                io::ErrorKind::ResourceBusy => Class::WrongState,
                _ => Class::Failed,
            },
            ImageError::Incomplete { .. }
            | ImageError::NotMounted { .. }
            | ImageError::NotFound { .. } => Class::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ImageError::Containerd { source, .. }
            | ImageError::List(source)
            | ImageError::Leases(source) => source.hint(),
            ImageError::Hosts { source, .. } => source.hint(),
            ImageError::Credentials { source, .. } => source.hint(),
            ImageError::Login { source, .. } if source.class() == Class::Denied => {
                Some("check user and password".to_owned())
            }
            ImageError::Fetch { source, .. } | ImageError::Login { source, .. } => source.hint(),
            ImageError::Push { source, .. } => source.push_hint(),
            ImageError::NoHost { .. } => {
                Some("give one of its hosts the capabilities pull and resolve".to_owned())
            }
            ImageError::NoTaker { .. } => {
                Some("give one of its hosts the capability push".to_owned())
            }
            ImageError::Incomplete { image, .. } => Some(format!("netrun pull {image}")),
            ImageError::Platform { offered, .. } if !offered.is_empty() => {
                Some("--platform takes one of those".to_owned())
            }
            ImageError::Artifact { .. } => {
                Some("the program that it is for fetches it: helm pull, oras pull".to_owned())
            }
            ImageError::NotFound { .. } => Some("netrun images lists what is there".to_owned()),
            _ => None,
        }
    }
}
