//! Images in files: docker's archives and OCI layouts in a tar, read and written.
//!
//! Invariant: an archive is read and written front to back, once, so a pipe will do; what is read is
//! believed only as far as its digests go.

mod docker;
mod error;
mod import;
mod ingest;
mod input;
mod load;
mod output;
mod save;

pub use error::ArchiveError;
pub use import::{Import, import};
pub use input::Source;
pub use load::{LoadOptions, Loaded, load};
pub use output::{Compression, Target};
pub use save::save;

/// The name that containerd and docker give an image in an OCI layout: the whole one.
const FULL_NAME: &str = "io.containerd.image.name";

/// The name that the image specification knows: a tag alone, or what somebody wrote there.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a layout keeps its blobs.
const BLOBS: &str = "blobs/sha256/";
