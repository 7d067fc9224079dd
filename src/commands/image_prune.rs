//! `netrun image prune`: remove the images that nothing uses.
//!
//! Invariant: an image that a container was made from stays.

use super::context::Context;
use super::image_filter::{self, ImageFilter, is_dangling};
use super::images::all;
use super::rmi::users;
use super::values::parse;
use crate::image::usage::Footprint;
use crate::image::{self, ImageSummary};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun image prune
  netrun image prune -a -f --filter until=24h";

/// Remove images that no container was made from: those without a usable name, with -a all
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Those with names, too
    #[arg(short, long)]
    pub all: bool,

    /// Do not ask
    #[arg(short, long)]
    pub force: bool,

    /// Only those that match: until=, label=
    #[arg(long = "filter", value_name = "FILTER", value_parser = parse::<ImageFilter>)]
    pub filters: Vec<ImageFilter>,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// The names.
    pub names: Vec<String>,
    /// The bytes that came free.
    pub bytes: u64,
}

/// Removes them.
///
/// # Errors
/// containerd cannot be reached, or refuses.
pub async fn prune(context: &Context<'_>, args: &Args) -> Result<Pruned, Failure> {
    let client = context.host.client().await?;
    let snapshotter = &context.settings.snapshotter;
    let images = all(context).await?;
    let used = users(&client).await?;
    let goes = |image: &ImageSummary| {
        let in_use = used.iter().any(|user| user.keeps(image, &images));
        !in_use && (args.all || is_dangling(image))
    };
    let matching = image_filter::keep(images.clone(), &args.filters)?;
    let going: Vec<ImageSummary> = matching.into_iter().filter(goes).collect();
    let (mut lost, mut kept) = (Footprint::default(), Footprint::default());
    for image in &images {
        // What cannot be read takes no space that could be told.
        let Ok(whole) = image::named(&client, &image.name).await else {
            continue;
        };
        let side = if going.contains(image) {
            &mut lost
        } else {
            &mut kept
        };
        side.add(&client, snapshotter, &whole).await?;
    }
    let mut pruned = Pruned {
        bytes: lost.without(&kept),
        ..Pruned::default()
    };
    for (number, image) in going.iter().enumerate() {
        // One collection for all.
        let last = number + 1 == going.len();
        image::remove(&client, &image.name, last).await?;
        pruned.names.push(image.name.clone());
    }
    Ok(pruned)
}
