//! `netrun image mount` and `unmount`: look at an image's files from the host.

use std::path::PathBuf;

use super::context::Context;
use super::image_name::load;
use crate::image::{self, mount};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun image mount alpine:3.14 /mnt; ls /mnt; netrun image unmount /mnt";

/// Mount an image's files at a directory, to be read only
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// The directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}

/// Unmount an image that image mount has mounted
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun image unmount /mnt")]
pub struct UnmountArgs {
    /// The directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}

/// The directory as the kernel knows it.
fn absolute(path: &std::path::Path) -> Result<PathBuf, Failure> {
    let absolute = std::fs::canonicalize(path);
    Ok(absolute.map_err(|source| image::ImageError::Mount {
        target: path.to_owned(),
        source,
    })?)
}

/// Mounts it; gives the directory.
///
/// # Errors
/// There is no such image or directory; the kernel refuses.
pub async fn mount(context: &Context<'_>, args: &Args) -> Result<PathBuf, Failure> {
    let directory = absolute(&args.directory)?;
    let found = load(context, &args.image).await?;
    let client = context.host.client().await?;
    let snapshotter = &context.settings.snapshotter;
    mount::sweep(&client, snapshotter).await?;
    image::unpack(&client, &found, snapshotter, &|_| {}).await?;
    mount::mount(&client, &found, snapshotter, &directory).await?;
    Ok(directory)
}

/// Unmounts it; gives the directory.
///
/// # Errors
/// No image is mounted there; the kernel refuses.
pub async fn unmount(context: &Context<'_>, args: &UnmountArgs) -> Result<PathBuf, Failure> {
    let directory = absolute(&args.directory)?;
    let client = context.host.client().await?;
    mount::unmount(&client, &context.settings.snapshotter, &directory).await?;
    Ok(directory)
}
