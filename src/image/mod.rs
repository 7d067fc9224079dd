//! The registry client, pull and push, unpacking, archives, and what containerd has.

pub mod access;
mod ahead;
pub mod archive;
mod beside;
mod by_id;
pub mod commit;
pub mod content;
pub mod digest;
pub mod docker_config;
pub mod error;
mod fetch;
pub mod lease;
pub mod local;
pub mod manifest;
pub mod mount;
pub mod packed;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod push;
pub mod record;
pub mod registry;
pub mod unpack;
pub mod usage;
mod verify;
mod wire;

pub use access::RegistryAccess;
pub use by_id::by_id;
pub use docker_config::{DockerConfig, Healthcheck};
pub use error::ImageError;
pub use local::{Image, ImageSummary, known, list, local_for, named, remove};
pub use progress::{BlobState, Progress, PullEvent};
pub use pull::{PullOptions, pull};
pub use unpack::{unpack, unpack_brought};
