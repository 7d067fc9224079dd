//! What can be wrong with an archive.
//!
//! Invariant: every variant but that of an image names the archive.

use std::io;

use crate::containerd;
use crate::image::error::ImageError;
use crate::image::packed::Unreadable;
use crate::model::class::{Class, Explain};

/// An archive that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be opened.
    #[error("cannot open {archive}")]
    Open {
        /// The archive.
        archive: String,
        /// Why.
        source: io::Error,
    },
    /// Its bytes end early or are no tar.
    #[error("cannot read {archive}")]
    Read {
        /// The archive.
        archive: String,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {archive}")]
    Write {
        /// The archive.
        archive: String,
        /// Why.
        source: io::Error,
    },
    /// containerd does not take what is in it, or does not give what is to be in it.
    #[error("cannot move the content of {archive}")]
    Content {
        /// The archive.
        archive: String,
        /// containerd's refusal.
        source: containerd::Error,
    },
    /// A file in it is not what it must be.
    #[error("{archive} has a malformed {file}")]
    Malformed {
        /// The archive.
        archive: String,
        /// The file in it.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It names a file that is not in it.
    #[error("{archive} lacks {file}, which it names")]
    Missing {
        /// The archive.
        archive: String,
        /// The file.
        file: String,
    },
    /// A file in it that is to be kept in memory is too large.
    #[error("{archive} has a {file} that is too large")]
    TooLarge {
        /// The archive.
        archive: String,
        /// The file.
        file: String,
    },
    /// It has more files than are kept in mind.
    #[error("{archive} has too many files for one of images")]
    TooMany {
        /// The archive.
        archive: String,
    },
    /// There is no image in it.
    #[error("there is no image in {archive}")]
    Empty {
        /// The archive.
        archive: String,
    },
    /// An image in it has no name, or one that is none.
    #[error("{archive} gives its image {digest} no name")]
    Unnamed {
        /// The archive.
        archive: String,
        /// The image's digest.
        digest: String,
    },
    /// Something is wrong with an image in it.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl Explain for ArchiveError {
    fn class(&self) -> Class {
        match self {
            Self::Open { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Class::NotFound,
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Failed,
            },
            Self::Write { .. } => Class::Failed,
            Self::Content { source, .. } => source.class(),
            Self::Image(source) => source.class(),
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Content { source, .. } => source.hint(),
            Self::Image(source) => source.hint(),
            Self::Read { archive, source } => unreadable_hint(archive, source),
            Self::Open { archive, .. } if archive.contains("://") => Some(format!(
                "curl -fL {archive} | netrun import - NAME; netrun itself only reads files"
            )),
            Self::Unnamed { .. } => Some("give it one: netrun load --name NAME".to_owned()),
            Self::Empty { .. } | Self::TooMany { .. } => Some(
                "docker save, netrun save, skopeo and podman write archives with images; \
                 netrun import takes the files of a root file system"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn unreadable_hint(archive: &str, source: &io::Error) -> Option<String> {
    let inner = source.get_ref()?.downcast_ref::<Unreadable>()?;
    Some(match inner {
        Unreadable::Packed(by) => format!("{by} -dc {archive} | netrun load"),
        Unreadable::NoTar => {
            "netrun load reads what docker save, netrun save, skopeo and podman write".to_owned()
        }
    })
}
