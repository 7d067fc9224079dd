//! The images that a container has mounted: of each a view, which goes with the container.
//!
//! Invariant: the record is written before a view is made, and tells its key.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use super::error::Error;
use super::host::Host;
use crate::containerd::Mount;
use crate::model::record::{MountPoint, Record};

/// The images among the mounts of a container, with the keys of their views. No id holds "--".
fn images(record: &Record) -> impl Iterator<Item = (String, &MountPoint, &String)> {
    let numbered = record.mounts.iter().zip(0..);
    numbered.filter_map(|(mount, number)| {
        let chain_id = mount.image.as_ref()?;
        Some((format!("{}--image-{number}", record.id), mount, chain_id))
    })
}

/// Whether the container has any.
pub fn any(record: &Record) -> bool {
    images(record).next().is_some()
}

/// Makes the views of a new container, and writes into its spec how they are mounted.
///
/// # Errors
/// containerd's refusal.
pub async fn prepare(host: &Host, record: &Record) -> Result<(), Error> {
    let id = &record.id;
    let (container, _) = host.container(id).await?;
    let unreadable = |source| Error::Record {
        id: id.to_string(),
        source,
    };
    let mut spec: Spec = serde_json::from_slice(&container.spec).map_err(unreadable)?;
    let client = host.client().await?;
    for (key, mount, chain_id) in images(record) {
        let labels = HashMap::new();
        let view = client.view_snapshot(&record.snapshotter, &key, chain_id, labels);
        place(&mut spec, mount, view.await?);
    }
    let text = serde_json::to_vec(&spec).map_err(unreadable)?;
    Ok(client.update_spec(id.as_str(), text).await?)
}

/// Says in the spec how an image is mounted.
fn place(spec: &mut Spec, image: &MountPoint, view: Vec<Mount>) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let Some(mount) = mounts
        .iter_mut()
        .find(|mount| *mount.destination() == image.destination)
    else {
        return;
    };
    // A snapshotter tells one.
    for one in view {
        let mut options = one.options;
        options.extend(image.options.iter().cloned());
        mount
            .set_typ(Some(one.kind))
            .set_source(Some(one.source.into()))
            .set_options(Some(options));
    }
    spec.set_mounts(Some(mounts));
}

/// Removes the views; absence is success.
///
/// # Errors
/// containerd's refusal.
pub async fn remove(host: &Host, record: &Record) -> Result<(), Error> {
    let client = host.client().await?;
    for (key, ..) in images(record) {
        match client.remove_snapshot(&record.snapshotter, &key).await {
            Err(error) if error.is_not_found() => {}
            removed => removed?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;
    use crate::model::record::MountKind;

    fn mounted(place: &str) -> MountPoint {
        MountPoint {
            kind: MountKind::Image,
            source: "docker.io/library/tools:1".into(),
            destination: place.into(),
            options: vec!["ro".to_owned()],
            volume: None,
            image: Some("sha256:aa".to_owned()),
        }
    }

    #[test]
    fn an_image_is_mounted_as_its_snapshotter_says() {
        let mut spec = Spec::default();
        let destination = spec.mounts().as_ref().unwrap()[1].destination().clone();
        let view = Mount {
            kind: "overlay".to_owned(),
            source: "overlay".to_owned(),
            options: vec!["lowerdir=/a:/b".to_owned()],
        };
        place(
            &mut spec,
            &mounted(destination.to_str().unwrap()),
            vec![view],
        );
        let mount = &spec.mounts().as_ref().unwrap()[1];
        assert_eq!(mount.typ().as_deref(), Some("overlay"));
        let options = mount.options().as_ref().unwrap();
        assert_eq!(options, &["lowerdir=/a:/b", "ro"]);
    }

    #[test]
    fn each_has_a_view_of_its_own() {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        assert!(!any(&record));
        record.mounts.extend(["/a", "/b"].map(mounted));
        let keys: Vec<String> = images(&record).map(|(key, ..)| key).collect();
        assert_eq!(keys, ["web--image-1", "web--image-2"]);
    }
}
