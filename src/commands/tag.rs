//! `netrun tag`: give an image another name.

use super::context::Context;
use super::image_name::resolve;
use crate::engine::announce::{Subject, announce};
use crate::image::{ImageError, record};
use crate::model::class::Failure;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun tag alpine:3.14 registry.example:5000/base:1";

/// Give an image another name
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// Its further name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Gives the image the name, which another image may have had before.
///
/// # Errors
/// There is no such image; the name is none.
pub async fn tag(context: &Context<'_>, args: &Args) -> Result<(), Failure> {
    let name = Reference::parse_new(&args.name)?.to_string();
    let image = resolve(context, &args.image).await?;
    let client = context.host.client().await?;
    let target = record::get(&client, &image).await?;
    let target = target.ok_or(ImageError::NotFound { image })?;
    // containerd tells of a new name only, and a pull gives one, too: who listens hears which it is.
    announce(&context.host, Subject::Image(&name), "tag", &[]).await;
    Ok(record::put(&client, &name, &target).await?)
}
