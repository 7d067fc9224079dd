//! References, the registry client, pull and unpack.

pub mod access;
pub mod content;
pub mod digest;
pub mod error;
mod fetch;
pub mod lease;
pub mod local;
pub mod manifest;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod record;
pub mod registry;
pub mod unpack;

pub use access::RegistryAccess;
pub use error::ImageError;
pub use local::{Image, ImageSummary, list, local, local_for, remove};
pub use progress::{BlobState, Progress, PullEvent};
pub use pull::{PullOptions, pull};
pub use unpack::unpack;
