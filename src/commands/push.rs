//! `netrun push`: an image to its registry.

use super::context::Context;
use super::image_name::resolve;
use super::pull::ProgressStyle;
use super::registry::{Creds, access_as};
use crate::image::push::Pushed;
use crate::image::{self, PullEvent};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun push registry.example:5000/team/app:1
  netrun tag alpine:3.14 localhost:5000/alpine:3.14; netrun push localhost:5000/alpine:3.14";

/// Send an image to the registry that its name says
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show no progress, only the image's name
    #[arg(short, long)]
    pub quiet: bool,

    /// How to show the progress: auto, plain, json (lines for programs)
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub progress: ProgressStyle,

    /// Who we are at the registry, instead of what netrun login has kept
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<Creds>,

    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Sends the image.
///
/// # Errors
/// There is no such image, or the registry does not take it.
pub async fn push(context: &Context<'_>, args: &Args) -> Result<Pushed, Failure> {
    let reference = Reference::parse(&args.image)?;
    let name = resolve(context, &args.image).await?;
    let access = access_as(context, args.creds.as_ref())?;
    let client = context.host.client().await?.with_deadline(None);
    let progress = |event: PullEvent<'_>| context.audience.pulling(&args.image, event);
    let pushed = image::push::push(&client, &name, &reference, &access, &progress).await?;
    if pushed.reduced {
        context.audience.warn(
            "only this machine's image was pushed, the index names others that are not here: \
             netrun pull --all-platforms gets them",
        );
    }
    Ok(pushed)
}
