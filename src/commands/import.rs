//! `netrun import`: an image from the files of a root file system.

use std::path::PathBuf;

use serde_json::json;

use super::changes::{Change, apply};
use super::context::Context;
use super::load::source;
use super::values::parse;
use crate::image::Image;
use crate::image::archive::{self, Import};
use crate::image::platform::{Machine, Platform};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun import rootfs.tar.zst base:1
  tar -C /srv/root -c . | netrun import -c 'CMD [\"/bin/sh\"]' - base:1";

/// Make an image of a tar of a root file system, packed or not
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What the image says besides, as in a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR, ...
    #[arg(short, long = "change", value_name = "INSTRUCTION", value_parser = parse::<Change>)]
    pub changes: Vec<Change>,

    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,

    /// The platform that the files are for
    #[arg(long, value_name = "PLATFORM", value_parser = parse::<Platform>)]
    pub platform: Option<Platform>,

    /// The tar; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The image's name; without one it is known by its id only
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Makes the image.
///
/// # Errors
/// The tar cannot be read, or containerd does not take it.
pub async fn import(context: &Context<'_>, args: &Args) -> Result<Image, Failure> {
    let name = args.name.as_deref().map(Reference::parse_new).transpose()?;
    let mut config = json!({});
    apply(&args.changes, &mut config);
    let platform = match &args.platform {
        Some(platform) => platform.clone(),
        None => Machine::this().name().parse()?,
    };
    let client = context.host.client().await?;
    let source = source(Some(&args.file));
    let snapshotter = &context.settings.snapshotter;
    let import = Import {
        name,
        platform,
        config,
        message: args.message.clone(),
        snapshotter: snapshotter.clone(),
    };
    Ok(archive::import(&client, &source, &import).await?)
}
