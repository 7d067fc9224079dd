//! `netrun images`: list images.

use super::context::Context;
use crate::image::{self, ImageSummary};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun images
  netrun images --format '{{.Repository}}:{{.Tag}}\\t{{.Size}}'";

/// List images
#[derive(Debug, Clone, PartialEq, clap::Args)]
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
}

/// The images of the namespace, by name.
///
/// # Errors
/// containerd cannot be reached.
pub async fn images(context: &Context<'_>) -> Result<Vec<ImageSummary>, Failure> {
    let client = context.host.client().await?;
    Ok(image::list(&client).await?)
}
