//! `netrun pull`: fetch an image from its registry.

use super::context::Context;
use super::registry::pull_options;
use crate::image::{self, Image, PullEvent};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun pull alpine:3.14
  netrun pull -q registry.example:5000/team/app@sha256:...";

/// Fetch an image from its registry
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show no progress, only the image's name
    #[arg(short, long)]
    pub quiet: bool,

    /// The snapshotter to unpack it for [env: CONTAINERD_SNAPSHOTTER]
    #[arg(long, value_name = "NAME")]
    pub snapshotter: Option<String>,

    /// The image, such as alpine:3.14
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Pulls the image and unpacks it; what is there already is not fetched again.
///
/// # Errors
/// The registry does not deliver, or containerd does not take it.
pub async fn pull(context: &Context<'_>, args: &Args) -> Result<Image, Failure> {
    let reference = Reference::parse(&args.image)?;
    let client = context.host.client().await?;
    let snapshotter = args.snapshotter.as_ref();
    let options = pull_options(
        context,
        snapshotter.unwrap_or(&context.settings.snapshotter),
    );
    let progress = |event: PullEvent<'_>| context.audience.pulling(event);
    Ok(image::pull(&client, &reference, &options, &progress).await?)
}
