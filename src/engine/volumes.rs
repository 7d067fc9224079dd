//! Volumes: directories that outlive containers, `/var/lib/netrun/volumes/NS/NAME/_data`.
//!
//! Invariant: a volume appears and vanishes whole, under the store's lock; what is in the store under
//! a name that begins with a dot is half-made or half-removed, and whoever holds the lock sweeps it
//! away. One that a container's record names is never removed: records are written before volumes
//! are made, and looked at after the lock is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::host::{Host, record_of};
use super::paths::{LOCKS, VOLUMES};
use super::teardown::remove_tree;
use crate::containerd::Mount;
use crate::model::id::{ContainerId, Namespace, VolumeName};
use crate::model::record::{MountPoint, Record};
use crate::sys::lock::Lock;
use crate::sys::mount::look_into;
use crate::sys::tree;

/// The directory that containers see, and the file that says the rest.
const DATA: &str = "_data";
const ABOUT: &str = "volume.json";

/// What is known of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// When it was made.
    pub created: Timestamp,
    /// It was made for one container, without a name of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The directory of a volume's content.
pub fn data(namespace: &Namespace, name: &VolumeName) -> PathBuf {
    let store = Path::new(VOLUMES).join(namespace.as_str());
    store.join(name.as_str()).join(DATA)
}

/// The bytes that a volume's files take on the disk. What goes meanwhile, or cannot be read, takes none.
pub fn bytes(namespace: &Namespace, name: &VolumeName) -> u64 {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![data(namespace, name)];
    let mut blocks = 0;
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries {
            // Those of a link, not of what it leads to.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            if about.is_dir() {
                waiting.push(entry.path());
            }
            if about.nlink() == 1 || seen.insert((about.dev(), about.ino())) {
                blocks += about.blocks();
            }
        }
    }
    blocks * 512
}

/// The volumes of one containerd namespace.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    lock: PathBuf,
}

/// The store while nobody else changes it.
#[derive(Debug)]
pub struct Held<'a> {
    store: &'a Store,
    _lock: Lock,
}

impl Store {
    /// Names the place; touches nothing.
    pub fn new(namespace: &Namespace) -> Store {
        Store {
            directory: Path::new(VOLUMES).join(namespace.as_str()),
            lock: Path::new(LOCKS).join(format!("volumes-{namespace}")),
        }
    }

    /// Waits until nobody else changes the store, and sweeps away what others left half-done.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn hold(&self) -> Result<Held<'_>, Error> {
        let lock = Lock::exclusive(&self.lock).await;
        let held = Held {
            store: self,
            _lock: lock.map_err(Error::file("lock", &self.lock))?,
        };
        held.sweep()?;
        Ok(held)
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn list(&self) -> Result<Vec<Volume>, Error> {
        let mut volumes = Vec::new();
        for name in self.names()? {
            // One may go in the meantime.
            volumes.extend(name.parse().ok().and_then(|name| self.find(&name).ok()?));
        }
        volumes.sort_by(|a: &Volume, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// One volume, if there is one of this name.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn find(&self, name: &VolumeName) -> Result<Option<Volume>, Error> {
        let about = self.directory.join(name.as_str()).join(ABOUT);
        let read = fs::read(&about).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(Error::file("read", about)),
        }
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::file("read", &self.directory)(source);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.into_string().ok()).collect())
    }
}

impl Held<'_> {
    /// Makes a volume, unless there is one of its name; says whether it did.
    ///
    /// # Errors
    /// [`Error::File`]; nothing of it stays then.
    pub fn make(&self, volume: &Volume) -> Result<bool, Error> {
        let directory = &self.store.directory;
        let place = directory.join(volume.name.as_str());
        if place.exists() {
            return Ok(false);
        }
        let draft = directory.join(format!(".new-{}", volume.name));
        let make = || -> io::Result<()> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o701)
                .create(directory)?;
            DirBuilder::new().mode(0o701).create(&draft)?;
            DirBuilder::new().mode(0o755).create(draft.join(DATA))?;
            fs::write(draft.join(ABOUT), serde_json::to_vec(volume)?)?;
            let flags = RenameFlags::RENAME_NOREPLACE;
            Ok(renameat2(AT_FDCWD, &draft, AT_FDCWD, &place, flags)?)
        };
        match make() {
            Ok(()) => Ok(true),
            Err(error) => {
                remove_tree(&draft)?;
                Err(Error::file("make", place)(error))
            }
        }
    }

    /// Removes a volume with all that is in it; absence is success.
    ///
    /// # Errors
    /// [`Error::File`]; what is left has no name any more, and goes with the next change.
    pub fn remove(&self, name: &VolumeName) -> Result<(), Error> {
        let directory = &self.store.directory;
        let place = directory.join(name.as_str());
        let doomed = directory.join(format!(".old-{name}"));
        match fs::rename(&place, &doomed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => {
                renamed.map_err(Error::file("remove", place))?;
                remove_tree(&doomed)
            }
        }
    }

    fn sweep(&self) -> Result<(), Error> {
        for name in self.store.names()? {
            if name.starts_with('.') {
                remove_tree(&self.store.directory.join(name))?;
            }
        }
        Ok(())
    }
}

/// The containers that use each volume, whether they run or not.
///
/// # Errors
/// containerd cannot be reached.
pub async fn users(host: &Host) -> Result<BTreeMap<VolumeName, Vec<ContainerId>>, Error> {
    let mut users: BTreeMap<VolumeName, Vec<ContainerId>> = BTreeMap::new();
    for container in host.client().await?.list_containers().await? {
        // What is not ours uses none of our volumes.
        let Ok(record) = record_of(&container) else {
            continue;
        };
        for volume in record.mounts.iter().filter_map(|m| m.volume.as_ref()) {
            let of_volume = users.entry(volume.name.clone()).or_default();
            of_volume.push(record.id.clone());
        }
    }
    Ok(users)
}

/// Makes the volumes of a container that are not there, and fills new ones with what the image has
/// in their places.
///
/// # Errors
/// [`Error::File`].
pub async fn prepare(record: &Record, root: &[Mount]) -> Result<(), Error> {
    let store = Store::new(&record.namespace);
    let held = store.hold().await?;
    for mount in &record.mounts {
        let Some(used) = &mount.volume else {
            continue;
        };
        let volume = Volume {
            name: used.name.clone(),
            created: Timestamp::now(),
            anonymous: used.anonymous,
            labels: BTreeMap::new(),
        };
        held.make(&volume)?;
        if used.copy {
            fill(mount, root)?;
        }
    }
    Ok(())
}

/// Fills an empty volume with what the image has in its place.
fn fill(mount: &MountPoint, root: &[Mount]) -> Result<(), Error> {
    let failed = |source| Error::file("fill", &mount.source)(source);
    let is_empty = fs::read_dir(&mount.source)
        .map_err(failed)?
        .next()
        .is_none();
    let Some(first) = root.first().filter(|_| is_empty) else {
        return Ok(());
    };
    let instruction = (
        first.kind.as_str(),
        first.source.as_str(),
        first.options.as_slice(),
    );
    let copied = look_into(instruction, |root| {
        tree::copy(root, &mount.destination, &mount.source)
    });
    copied.and_then(|copied| copied).map_err(failed)
}

/// Removes the volumes that were made for a container alone, unless others use them by now.
///
/// # Errors
/// containerd cannot be reached, or [`Error::File`].
pub async fn remove_anonymous(host: &Host, record: &Record) -> Result<(), Error> {
    let used = record.mounts.iter().filter_map(|m| m.volume.as_ref());
    let anonymous: Vec<&VolumeName> = used.filter(|v| v.anonymous).map(|v| &v.name).collect();
    if anonymous.is_empty() {
        return Ok(());
    }
    let store = Store::new(&record.namespace);
    let held = store.hold().await?;
    let users = users(host).await?;
    for name in anonymous {
        let mut others = users.get(name).into_iter().flatten();
        if others.all(|user| *user == record.id) {
            held.remove(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> Store {
        let own = std::env::temp_dir().join(format!("netrun-{name}-{}", std::process::id()));
        Store {
            directory: own.join("volumes"),
            lock: own.join("lock"),
        }
    }

    fn volume(name: &str) -> Volume {
        Volume {
            name: name.parse().unwrap(),
            created: Timestamp::now(),
            anonymous: false,
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        }
    }

    #[tokio::test]
    async fn a_volume_appears_and_vanishes_whole() {
        let store = store("volumes");
        assert!(store.list().unwrap().is_empty());
        let held = store.hold().await.unwrap();
        assert!(held.make(&volume("b")).unwrap());
        assert!(held.make(&volume("a")).unwrap());
        assert!(!held.make(&volume("a")).unwrap());
        let names: Vec<String> = store
            .list()
            .unwrap()
            .iter()
            .map(|v| v.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b"]);
        let found = store.find(&"a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(found.labels["a"], "b");
        fs::write(store.directory.join("a/_data/x"), "x").unwrap();
        held.remove(&"a".parse().unwrap()).unwrap();
        held.remove(&"a".parse().unwrap()).unwrap();
        assert_eq!(store.names().unwrap(), ["b"]);
        drop(held);
        fs::remove_dir_all(store.directory.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn what_was_left_half_done_is_swept() {
        let store = store("volumes-half");
        for half in [".new-a/_data", ".old-b/_data"] {
            fs::create_dir_all(store.directory.join(half)).unwrap();
        }
        assert!(store.list().unwrap().is_empty());
        let held = store.hold().await.unwrap();
        assert!(store.names().unwrap().is_empty());
        drop(held);
        fs::remove_dir_all(store.directory.parent().unwrap()).unwrap();
    }
}
