//! `netrun history`: how an image came about.

use super::context::Context;
use super::image_name::load;
use crate::image::Image;
use crate::model::class::Failure;

/// Show how an image came about, its last step first
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun history alpine:3.14\n  netrun history --no-trunc --format '{{.CreatedBy}}' alpine:3.14"
)]
pub struct Args {
    /// Only the ids of the steps
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print: table, json, or a template such as '{{.CreatedBy}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,

    /// Sizes and times as people read them; --human=false for programs
    #[arg(
        short = 'H',
        long,
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub human: bool,

    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// The image whose history is asked for.
///
/// # Errors
/// There is no such image.
pub async fn history(context: &Context<'_>, args: &Args) -> Result<Image, Failure> {
    load(context, &args.image).await
}
