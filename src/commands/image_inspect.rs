//! `netrun image inspect`: images as documents in docker's form.

use super::context::Context;
use super::each::{Each, each};
use super::image_name::load_named;
use super::inspect::Object;

/// Show all that there is to know of images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun image inspect alpine:3.14\n  netrun image inspect -f '{{.Os}}/{{.Architecture}}' alpine:3.14"
)]
pub struct Args {
    /// How to print: json, or a template such as '{{.Id}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// The images, by name, or by the beginning of an id
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// The images, in the order given.
pub async fn inspect(context: &Context<'_>, args: &Args) -> Each<Object> {
    let one = async |text: String| Ok(Object::Image(Box::new(load_named(context, &text).await?)));
    each(&args.images, one).await
}
