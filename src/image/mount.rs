//! An image's files at a directory of the host, to be looked at.
//!
//! Invariant: the view that is mounted says where, by a label; a view whose mount is gone (after a
//! reboot, after umount by hand) is swept.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use containerd_client::services::v1::snapshots as api;
use jiff::Timestamp;

use super::error::ImageError;
use super::local::{Image, access};
use crate::containerd::{Client, Error, check};
use crate::sys::mount;

/// Where a view is mounted.
const LABEL: &str = "netrun.mount";

/// Mounts an image's files, to be read only.
///
/// # Errors
/// [`ImageError::Mount`] with the kernel's refusal; what containerd refuses.
pub async fn mount(
    client: &Client,
    image: &Image,
    snapshotter: &str,
    target: &Path,
) -> Result<(), ImageError> {
    let refused = |source| access("mount", &image.name, source);
    let key = format!("netrun-mount-{}", Timestamp::now().as_nanosecond());
    let labels = HashMap::from([(LABEL.to_owned(), target.display().to_string())]);
    let view = client.view_snapshot(snapshotter, &key, &image.chain_id, labels);
    let mounts = view.await.map_err(refused)?;
    let mounted = mounts.into_iter().try_for_each(|one| {
        let instruction = (
            one.kind.as_str(),
            one.source.as_str(),
            one.options.as_slice(),
        );
        mount::attach(instruction, target)
    });
    if let Err(source) = mounted {
        let removed = client.remove_snapshot(snapshotter, &key).await;
        removed.map_err(refused)?;
        return Err(failed(target, source));
    }
    Ok(())
}

/// Unmounts what was mounted at a directory.
///
/// # Errors
/// [`ImageError::NotMounted`] if no image is; [`ImageError::Mount`] with the kernel's refusal.
pub async fn unmount(client: &Client, snapshotter: &str, target: &Path) -> Result<(), ImageError> {
    let views = views(client, snapshotter).await;
    let views = views.map_err(|source| access("unmount", "at a directory", source))?;
    let at_target = views.into_iter().filter(|(_, at)| at == target);
    let keys: Vec<String> = at_target.map(|(key, _)| key).collect();
    if keys.is_empty() {
        return Err(ImageError::NotMounted {
            target: target.to_owned(),
        });
    }
    mount::detach(target).map_err(|source| failed(target, source))?;
    for key in keys {
        let removed = client.remove_snapshot(snapshotter, &key).await;
        removed.map_err(|source| access("unmount", &key, source))?;
    }
    Ok(())
}

/// Removes the views that nothing is mounted of any more, and says how many there were.
///
/// # Errors
/// Any refusal by containerd.
pub async fn sweep(client: &Client, snapshotter: &str) -> Result<usize, Error> {
    let mut swept = 0;
    for (key, target) in views(client, snapshotter).await? {
        if !mount::is_mount_point(&target) {
            client.remove_snapshot(snapshotter, &key).await?;
            swept += 1;
        }
    }
    Ok(swept)
}

async fn views(client: &Client, snapshotter: &str) -> Result<Vec<(String, PathBuf)>, Error> {
    let request = api::ListSnapshotsRequest {
        snapshotter: snapshotter.to_owned(),
        filters: vec![format!("labels.\"{LABEL}\"")],
    };
    let operation = "list the snapshots";
    let mut stream = check(operation, client.snapshots().list(request).await)?;
    let mut found = Vec::new();
    loop {
        let next = stream.message().await.map(tonic::Response::new);
        let Some(answer) = check(operation, next)? else {
            return Ok(found);
        };
        for info in answer.info {
            if let Some(target) = info.labels.get(LABEL) {
                found.push((info.name.clone(), PathBuf::from(target)));
            }
        }
    }
}

fn failed(target: &Path, source: io::Error) -> ImageError {
    ImageError::Mount {
        target: target.to_owned(),
        source,
    }
}
