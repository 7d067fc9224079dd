//! `netrun diff` and `netrun export`: what a container made of its root file system.

use std::io;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::values::parse;
use super::written;
use crate::engine::files::{self, Change};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::sys::draft::Draft;
use crate::sys::tree::{Packed, Root, pack};

/// Show what a container has changed in its root file system
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun diff web\n\nA line is A for added, C for changed or D for deleted, and the path."
)]
pub struct DiffArgs {
    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// Write a container's root file system as a tar stream
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun export web | gzip >web.tar.gz\n  netrun export -o web.tar web"
)]
pub struct ExportArgs {
    /// Write to a file, not to standard output
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// The stream cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be written.
    #[error("cannot export container \"{id}\" to {}", .path.display())]
    File {
        /// The container.
        id: ContainerId,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Either side failed.
    #[error("cannot export container \"{id}\"")]
    Failed {
        /// The container.
        id: ContainerId,
        /// What the kernel says.
        source: io::Error,
    },
}

impl Explain for ExportError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { .. } | Self::File { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { path, source, .. } => written::hint(path, source),
            Self::Failed { .. } => None,
        }
    }
}

/// What has changed, by path.
///
/// # Errors
/// There is no such container, or its snapshotter keeps no layer of changes.
pub async fn diff(
    context: &Context<'_>,
    args: &DiffArgs,
) -> Result<Vec<(Change, PathBuf)>, Failure> {
    Ok(files::changes(&context.host, &args.container).await?)
}

/// Writes the root file system, without what is mounted in it; to `stdout` if no file is given.
///
/// # Errors
/// See [`ExportError`]; a file that could not be written whole does not stay.
pub async fn export(
    context: &Context<'_>,
    args: &ExportArgs,
    stdout: impl io::Write + Send,
) -> Result<(), Failure> {
    let id = &args.container;
    let record = context.host.record(id).await?;
    let place = files::root(&context.host, &record).await?;
    let whole = Packed {
        path: Path::new("/"),
        name: Path::new("."),
        follow: true,
    };
    let failed = |source| ExportError::Failed {
        id: id.clone(),
        source,
    };
    let Some(path) = &args.output else {
        let written = place.look(|root| pack(&Root::open(root)?, whole, stdout));
        return match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written.map_err(failed)?),
        };
    };
    let failed = |source| ExportError::File {
        id: id.clone(),
        path: path.clone(),
        source,
    };
    let (file, draft) = Draft::begin(path).map_err(failed)?;
    let written = place.look(|root| pack(&Root::open(root)?, whole, io::BufWriter::new(file)));
    Ok(written.and_then(|()| draft.keep()).map_err(failed)?)
}
