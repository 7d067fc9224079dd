//! A container's files, whether it runs or not: where they are looked for, and what has changed.
//!
//! Invariant: nothing is mounted where others see it; a running container is looked into through its
//! process, one that does not run through its snapshot, with its volumes mounted in it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::error::Error;
use super::host::Host;
use crate::containerd::{Mount, TaskState};
use crate::model::id::ContainerId;
use crate::model::mount::clean;
use crate::model::record::{MountKind, Record};
use crate::sys::mount::{Inside, look_into_with};

/// Where a container's files are.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a directory of the host.
    Directory(PathBuf),
    /// In a snapshot that has yet to be mounted.
    Snapshot {
        /// How.
        mount: Mount,
        /// Nobody may write to it.
        read_only: bool,
        /// What of the host is mounted in it.
        inside: Vec<Inside>,
    },
}

impl Place {
    /// Calls `look` with the directory of the files, which is there as long as that takes.
    ///
    /// # Errors
    /// The kernel's refusal to mount, or what `look` returns.
    pub fn look<T: Send>(&self, look: impl FnOnce(&Path) -> io::Result<T> + Send) -> io::Result<T> {
        match self {
            Self::Directory(path) => look(path),
            Self::Snapshot {
                mount,
                read_only,
                inside,
            } => {
                let (kind, source) = (mount.kind.as_str(), mount.source.as_str());
                look_into_with((kind, source, &mount.options), *read_only, inside, look)?
            }
        }
    }
}

/// What is done at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is read.
    Read,
    /// It is written to, which what the container may not write to must not be.
    Write,
}

/// Where a path of a container lies: the place, and the path in it.
///
/// # Errors
/// There is no such container, or its path may not be written to.
pub async fn find(
    host: &Host,
    id: &ContainerId,
    path: &Path,
    access: Access,
) -> Result<(Place, PathBuf), Error> {
    let (container, record) = host.container(id).await?;
    let path = clean(&Path::new("/").join(path));
    if let Some(pid) = running(host, id).await? {
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        return Ok((Place::Directory(root), path));
    }
    let mounts = record.mounts.iter();
    let mounts = mounts.filter(|mount| matches!(mount.kind, MountKind::Bind | MountKind::Volume));
    let mut inside: Vec<_> = mounts
        .filter(|mount| mount.source.exists())
        .map(|mount| Inside {
            source: mount.source.clone(),
            target: mount.destination.clone(),
            read_only: mount.is_read_only(),
        })
        .collect();
    inside.sort_by_key(|one| one.target.components().count());
    // One that never ran has nothing yet to mount on: the deepest mount that the path lies in will do.
    let mut holding = inside.iter().rev();
    let holding = holding.find(|one| path.starts_with(&one.target) && one.source.is_dir());
    if let (None, Some(one)) = (&record.started, holding) {
        if one.read_only && access == Access::Write {
            let id = id.clone();
            return Err(Error::ReadOnly { id, path });
        }
        let below = path.strip_prefix(&one.target).unwrap_or(&path);
        let directory = Place::Directory(one.source.clone());
        return Ok((directory, Path::new("/").join(below)));
    }
    let spec: Spec = serde_json::from_slice(&container.spec).map_err(|source| Error::Record {
        id: id.to_string(),
        source,
    })?;
    let root = spec.root().as_ref();
    let place = Place::Snapshot {
        mount: snapshot(host, &record).await?,
        read_only: root.is_some_and(|root| root.readonly() == Some(true)),
        inside,
    };
    Ok((place, path))
}

/// The root file system of a container as its snapshot has it, without what is mounted in it.
///
/// # Errors
/// containerd knows no such snapshot.
pub async fn root(host: &Host, record: &Record) -> Result<Place, Error> {
    Ok(Place::Snapshot {
        mount: snapshot(host, record).await?,
        read_only: false,
        inside: Vec::new(),
    })
}

async fn snapshot(host: &Host, record: &Record) -> Result<Mount, Error> {
    let client = host.client().await?;
    let mounts = client
        .snapshot_mounts(&record.snapshotter, record.id.as_str())
        .await?;
    let mount = mounts.into_iter().next();
    let none = || Error::NoSuchContainer {
        id: record.id.to_string(),
    };
    mount.ok_or_else(none)
}

async fn running(host: &Host, id: &ContainerId) -> Result<Option<u32>, Error> {
    match host.client().await?.task(id.as_str()).await {
        Ok(task) => Ok(match task.state {
            TaskState::Running | TaskState::Paused => Some(task.pid),
            _ => None,
        }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What became of a path, in docker's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `A`: it was not in the image.
    Added,
    /// `C`: it is not as it was in the image.
    Changed,
    /// `D`: it is gone.
    Deleted,
}

impl Change {
    /// Docker's letter.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Changed => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// What has changed in a container's root file system since it was made, by path.
///
/// # Errors
/// [`Error::NoChanges`] if its snapshotter keeps no layer of changes.
pub async fn changes(host: &Host, id: &ContainerId) -> Result<Vec<(Change, PathBuf)>, Error> {
    let record = host.record(id).await?;
    let mount = snapshot(host, &record).await?;
    let option = |name: &str| {
        let mut options = mount.options.iter();
        options.find_map(|option| option.strip_prefix(name).map(str::to_owned))
    };
    let (Some(upper), Some(lower)) = (option("upperdir="), option("lowerdir=")) else {
        return Err(Error::NoChanges {
            id: id.clone(),
            snapshotter: record.snapshotter,
        });
    };
    let lower: Vec<PathBuf> = lower.split(':').map(PathBuf::from).collect();
    let mut found = Vec::new();
    let upper = PathBuf::from(upper);
    let walked = walk(&upper, &lower, Path::new("/"), &mut found);
    walked.map_err(Error::file("read", upper))?;
    Ok(found)
}

/// What the runtime makes in every container to mount something on: docker's image has it already.
const MOUNTED_ON: [&str; 10] = [
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
];

/// The entries of a directory of changes, each before what is in it.
fn walk(
    upper: &Path,
    lower: &[PathBuf],
    at: &Path,
    found: &mut Vec<(Change, PathBuf)>,
) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(upper)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = at.join(entry.file_name());
        let metadata = entry.metadata()?;
        // overlayfs marks what is gone by a device that nothing can be.
        let gone = metadata.file_type().is_char_device() && metadata.rdev() == 0;
        let change = match (gone, was_there(lower, &path)) {
            (true, _) => Change::Deleted,
            (false, true) => Change::Changed,
            (false, false) => Change::Added,
        };
        let ours = MOUNTED_ON.iter().any(|place| path == Path::new(place));
        let place = found.len();
        let is_directory = metadata.is_dir();
        if is_directory {
            walk(&entry.path(), lower, &path, found)?;
        }
        let made_for_ours =
            ours && change == Change::Added && (is_directory || metadata.len() == 0);
        let changed_for_ours = is_directory
            && change == Change::Changed
            && has_ours(&path)
            && is_as_before(lower, &path, &metadata);
        let nothing_else = found.len() == place;
        if !(nothing_else && (made_for_ours || changed_for_ours)) {
            found.insert(place, (change, path));
        }
    }
    Ok(())
}

/// Something to mount on is made in it.
fn has_ours(directory: &Path) -> bool {
    let parent = |place: &&str| Path::new(place).parent() == Some(directory);
    MOUNTED_ON.iter().any(parent)
}

/// A directory belongs to whom it did, with the rights that it had.
fn is_as_before(layers: &[PathBuf], path: &Path, now: &fs::Metadata) -> bool {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let mut layers = layers
        .iter()
        .map(|layer| fs::symlink_metadata(layer.join(relative)));
    let before = layers.find_map(Result::ok);
    let what = |file: &fs::Metadata| (file.uid(), file.gid(), file.mode());
    before.is_some_and(|before| what(&before) == what(now))
}

/// Whether the topmost layer that says anything about a path says that it is there.
fn was_there(layers: &[PathBuf], path: &Path) -> bool {
    let relative = path.strip_prefix("/").unwrap_or(path);
    for layer in layers {
        if let Ok(metadata) = fs::symlink_metadata(layer.join(relative)) {
            return !(metadata.file_type().is_char_device() && metadata.rdev() == 0);
        }
    }
    false
}
