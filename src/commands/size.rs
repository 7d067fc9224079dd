//! What a container takes on the disk, as `ps --size` and `inspect --size` tell it.

use super::context::Context;
use crate::image;
use crate::image::usage::{Footprint, snapshot};
use crate::model::class::Failure;
use crate::model::record::Record;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What it has written itself.
    pub own: u64,
    /// With its image, unpacked.
    pub whole: u64,
}

/// Measures a container's root file system. One that has none yet takes nothing; an image whose name
/// is gone is not counted.
///
/// # Errors
/// containerd cannot be reached.
pub async fn of(context: &Context<'_>, record: &Record) -> Result<Size, Failure> {
    let client = context.host.client().await?;
    let snapshotter = &record.snapshotter;
    let own = snapshot(&client, snapshotter, record.id.as_str()).await?;
    let own = own.unwrap_or(0);
    let mut below = Footprint::default();
    if let Ok(image) = image::named(&client, &record.image).await {
        below.add(&client, snapshotter, &image).await?;
    }
    Ok(Size {
        own,
        whole: own + below.unpacked(),
    })
}
