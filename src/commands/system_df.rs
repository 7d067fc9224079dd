//! `netrun system df`: what images, containers and volumes take on the disk.

use super::context::Context;
use super::images::all;
use super::rmi::users;
use crate::engine::host::record_of;
use crate::engine::volumes::{self, Store};
use crate::image;
use crate::image::usage::{Footprint, snapshot};
use crate::model::class::Failure;

/// Show what images, containers and volumes take on the disk
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun system df\n  netrun system df --format json")]
pub struct Args {
    /// How to print: table, json, or a template such as '{{.Size}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// What one kind of thing takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The kind, in docker's words.
    pub kind: &'static str,
    /// How many there are.
    pub total: usize,
    /// How many are in use.
    pub active: usize,
    /// The bytes of all; what images share counts once.
    pub size: u64,
    /// The bytes that come free if those not in use go.
    pub reclaimable: u64,
}

/// Images, packed and unpacked, containers, and volumes.
///
/// # Errors
/// containerd cannot be reached.
pub async fn df(context: &Context<'_>) -> Result<Vec<Usage>, Failure> {
    let client = context.host.client().await?;
    let snapshotter = &context.settings.snapshotter;
    let images = all(context).await?;
    let used = users(&client).await?;
    let (mut active, mut kept, mut whole) = (0, Footprint::default(), Footprint::default());
    for image in &images {
        let in_use = used.iter().any(|user| user.uses(image));
        active += usize::from(in_use);
        // What cannot be read takes no space that could be told.
        let Ok(found) = image::named(&client, &image.name).await else {
            continue;
        };
        whole.add(&client, snapshotter, &found).await?;
        if in_use {
            kept.add(&client, snapshotter, &found).await?;
        }
    }
    let images = Usage {
        kind: "Images",
        total: images.len(),
        active,
        size: whole.bytes(),
        reclaimable: whole.without(&kept),
    };
    Ok(vec![
        images,
        containers(context).await?,
        volumes(context).await?,
    ])
}

async fn volumes(context: &Context<'_>) -> Result<Usage, Failure> {
    let namespace = &context.settings.namespace;
    let users = volumes::users(&context.host).await?;
    let mut usage = Usage {
        kind: "Local Volumes",
        total: 0,
        active: 0,
        size: 0,
        reclaimable: 0,
    };
    for volume in Store::new(namespace).list()? {
        let size = volumes::bytes(namespace, &volume.name);
        let used = users.contains_key(&volume.name);
        usage.total += 1;
        usage.active += usize::from(used);
        usage.size += size;
        usage.reclaimable += if used { 0 } else { size };
    }
    Ok(usage)
}

async fn containers(context: &Context<'_>) -> Result<Usage, Failure> {
    let client = context.host.client().await?;
    let mut usage = Usage {
        kind: "Containers",
        total: 0,
        active: 0,
        size: 0,
        reclaimable: 0,
    };
    for container in client.list_containers().await? {
        // Those of others are theirs to count.
        let Ok(record) = record_of(&container) else {
            continue;
        };
        let size = snapshot(&client, &record.snapshotter, record.id.as_str()).await?;
        let size = size.unwrap_or(0);
        let lives = record.started.is_some() && record.exit.is_none();
        usage.total += 1;
        usage.active += usize::from(lives);
        usage.size += size;
        usage.reclaimable += if lives { 0 } else { size };
    }
    Ok(usage)
}
