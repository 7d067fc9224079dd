//! References, the registry client, pull and unpack.

pub mod content;
pub mod credentials;
pub mod digest;
pub mod docker_config;
pub mod error;
mod fetch;
pub mod fetch_error;
pub mod hosts;
pub mod lease;
pub mod local;
pub mod manifest;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod registry;
mod transport;
pub mod unpack;

pub use docker_config::{DockerConfig, Healthcheck};
pub use error::ImageError;
pub use local::{Image, ImageSummary, list, local, remove};
pub use progress::{BlobState, Progress, PullEvent};
pub use pull::{PullOptions, pull};
pub use unpack::unpack;
