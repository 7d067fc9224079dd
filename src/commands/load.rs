//! `netrun load`: images from an archive.

use std::path::PathBuf;

use super::context::Context;
use super::pull::ProgressStyle;
use crate::image::PullEvent;
use crate::image::archive::{self, LoadOptions, Loaded, Source};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun load -i images.tar
  skopeo copy docker://alpine:3.14 oci-archive:a.tar; netrun load -i a.tar --name alpine:3.14
  zcat images.tgz | netrun load";

/// Load images from an archive of docker, podman, skopeo or ctr, packed or not
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The archive; standard input if none is given, or -
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// The name of an image that the archive gives none
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,

    /// How to show the progress: auto, plain, json (lines for programs)
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub progress: ProgressStyle,

    /// The snapshotter to unpack them for [env: CONTAINERD_SNAPSHOTTER]
    #[arg(long, value_name = "NAME")]
    pub snapshotter: Option<String>,
}

/// Where the bytes come from.
pub fn source(path: Option<&PathBuf>) -> Source {
    match path.filter(|path| path.as_os_str() != "-") {
        Some(path) => Source::File(path.clone()),
        None => Source::Stdin,
    }
}

/// Loads the images.
///
/// # Errors
/// The archive cannot be read, or containerd does not take it.
pub async fn load(context: &Context<'_>, args: &Args) -> Result<Vec<Loaded>, Failure> {
    let source = source(args.input.as_ref());
    let client = context.host.client().await?;
    let snapshotter = args.snapshotter.as_ref();
    let options = LoadOptions {
        snapshotter: snapshotter.unwrap_or(&context.settings.snapshotter).clone(),
        name: args.name.as_deref().map(Reference::parse_new).transpose()?,
    };
    let name = source.name();
    let progress = |event: PullEvent<'_>| context.audience.pulling(&name, event);
    Ok(archive::load(&client, &source, &options, &progress).await?)
}
