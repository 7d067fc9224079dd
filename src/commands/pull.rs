//! `netrun pull`: fetch images from their registries.

use super::context::Context;
use super::each::{Each, each};
use super::registry::{Creds, access_as, machine};
use super::values::parse;
use crate::image::platform::{Machine, Platform};
use crate::image::{self, Image, ImageError, PullEvent, PullOptions};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun pull alpine:3.14 busybox
  netrun pull -q registry.example:5000/team/app@sha256:...
  netrun pull --if-missing --platform linux/arm64 alpine:3.14";

/// Fetch images from their registries
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show no progress, only the images' names
    #[arg(short, long)]
    pub quiet: bool,

    /// How to show the progress: auto, plain, json (lines for programs)
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub progress: ProgressStyle,

    /// Leave alone what is here already, whatever its tag means now
    #[arg(long)]
    pub if_missing: bool,

    /// Fetch the image for this platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM", value_parser = parse::<Platform>)]
    pub platform: Option<Platform>,

    /// Fetch what other platforms need, too
    #[arg(long)]
    pub all_platforms: bool,

    /// Who we are at the registry, instead of what netrun login has kept
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<Creds>,

    /// The snapshotter to unpack them for [env: CONTAINERD_SNAPSHOTTER]
    #[arg(long, value_name = "NAME")]
    pub snapshotter: Option<String>,

    /// The images, such as alpine:3.14
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressStyle {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Lines.
    Plain,
    /// One JSON object per line.
    Json,
}

/// Pulls the images beside each other and unpacks them; what is there already is not fetched again.
///
/// # Errors
/// containerd cannot be reached; what could not be pulled is in the value.
pub async fn pull(context: &Context<'_>, args: &Args) -> Result<Each<Image>, Failure> {
    let client = &context.host.client().await?;
    let snapshotter = args.snapshotter.as_ref();
    let options = PullOptions {
        snapshotter: snapshotter.unwrap_or(&context.settings.snapshotter).clone(),
        access: access_as(context, args.creds.as_ref())?,
        machine: machine(args.platform.as_ref())?.unwrap_or_else(Machine::this),
        all_platforms: args.all_platforms,
    };
    let mut texts = args.images.clone();
    texts.dedup();
    let pull_one = async |text: String| {
        let reference = Reference::parse(&text)?;
        let progress = |event: PullEvent<'_>| context.audience.pulling(&text, event);
        let here = match args.if_missing {
            true => image::local_for(client, &reference, &options.machine).await,
            false => Ok(None),
        };
        let here = match here {
            // What is here for other machines is all that was asked for, if it is all.
            Err(ImageError::Platform { .. }) if args.all_platforms => None,
            here => here?,
        };
        if let Some(image) = here {
            match image::unpack(client, &image, &options.snapshotter, &progress).await {
                Err(ImageError::Incomplete { .. }) => {}
                outcome => return Ok(outcome.map(|()| image)?),
            }
        }
        Ok(image::pull(client, &reference, &options, &progress).await?)
    };
    Ok(each(&texts, pull_one).await)
}
