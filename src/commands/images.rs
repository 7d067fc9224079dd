//! `netrun images`: list images.

use super::context::Context;
use super::image_filter::{self, ImageFilter};
use super::values::parse;
use crate::image::{self, ImageSummary};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun images
  netrun images --filter reference='alpine:*' --digests
  netrun images --format '{{.Repository}}:{{.Tag}}\\t{{.Size}}'";

/// List images
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only their ids
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print: table, json, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,

    /// Show digests
    #[arg(long)]
    pub digests: bool,

    /// All images; netrun shows no others in any case
    #[arg(short, long)]
    pub all: bool,

    /// Only those that match: reference=, label=, before=, since=, until=, dangling=
    #[arg(short, long = "filter", value_name = "FILTER", value_parser = parse::<ImageFilter>)]
    pub filters: Vec<ImageFilter>,

    /// Only those of this repository, or of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub reference: Option<String>,
}

/// The images of the namespace that the filters let through, by name.
///
/// # Errors
/// containerd cannot be reached; a filter names an image that is not here.
pub async fn images(context: &Context<'_>, args: &Args) -> Result<Vec<ImageSummary>, Failure> {
    let images = all(context).await?;
    let mut filters = args.filters.clone();
    filters.extend(args.reference.clone().map(ImageFilter::Reference));
    image_filter::keep(images, &filters)
}

/// All images of the namespace, by name.
///
/// # Errors
/// containerd cannot be reached.
pub async fn all(context: &Context<'_>) -> Result<Vec<ImageSummary>, Failure> {
    let client = context.host.client().await?;
    Ok(image::list(&client, &context.settings.snapshotter).await?)
}
