//! The scopes that were made by name: `/var/lib/netrun/.scopes/NS/NAME`, which process each is bound to.
//!
//! Invariant: a file appears whole and goes last, after all that belongs to the scope; whoever makes
//! or ends a scope holds its lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bound;
use super::error::Error;
use super::host::Host;
use super::paths::{LOCKS, SCOPES};
use crate::model::id::{Namespace, ScopeName};
use crate::model::record::BoundTo;
use crate::model::scope::BoundScope;
use crate::sys::lock::Lock;
use crate::sys::process;

/// What is known of a scope beside what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// Its name.
    pub name: ScopeName,
    /// When it was made.
    pub created: Timestamp,
    /// The containerd whose containers it has.
    pub address: PathBuf,
    /// The directory of its networks.
    pub networks: PathBuf,
    /// The process with whose end it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<BoundTo>,
    /// The kernel's boot id when it was made: a pid says nothing under another.
    pub boot_id: String,
}

impl Scope {
    /// A scope that is to be made now.
    ///
    /// # Errors
    /// [`Error::File`]: the boot's id cannot be read.
    pub fn new(
        name: ScopeName,
        host: &Host,
        networks: &Path,
        bound_to: Option<BoundTo>,
    ) -> Result<Scope, Error> {
        let boot_id = process::boot_id();
        Ok(Scope {
            name,
            created: Timestamp::now(),
            address: host.address.clone(),
            networks: networks.to_owned(),
            bound_to,
            boot_id: boot_id.map_err(Error::file("read", "/proc/sys/kernel/random"))?,
        })
    }

    /// The process that it is bound to, and whose end is its own, has ended.
    pub fn is_over(&self) -> bool {
        let Some(bound_to) = self.bound_to else {
            return false;
        };
        let other_boot = process::boot_id().is_ok_and(|boot| boot != self.boot_id);
        other_boot || !bound::lives(bound_to)
    }

    /// As containers keep it, if it is bound.
    pub fn bound(&self) -> Option<BoundScope> {
        Some(BoundScope {
            name: self.name.clone(),
            bound_to: self.bound_to?,
            networks: self.networks.clone(),
        })
    }
}

fn file(namespace: &Namespace, name: &ScopeName) -> PathBuf {
    let directory = Path::new(SCOPES).join(namespace.as_str());
    directory.join(name.as_str())
}

/// A scope while nobody else makes or ends it.
#[derive(Debug)]
pub struct Held {
    file: PathBuf,
    path: PathBuf,
    lock: Lock,
}

/// Waits until nobody else makes or ends a scope.
///
/// # Errors
/// [`Error::File`].
pub async fn hold(namespace: &Namespace, name: &ScopeName) -> Result<Held, Error> {
    // No id holds "--", so two pairs never share a lock.
    let path = Path::new(LOCKS).join(format!("scope-{namespace}--{name}"));
    let lock = Lock::exclusive(&path).await;
    let lock = lock.map_err(Error::file("lock", &path))?;
    let file = file(namespace, name);
    Ok(Held { file, path, lock })
}

impl Held {
    /// Writes down what is known of the scope.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, scope: &Scope) -> Result<(), Error> {
        let draft = self.file.with_file_name(format!(".{}", scope.name));
        let write = || -> io::Result<()> {
            if let Some(directory) = self.file.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&draft, serde_json::to_vec(scope)?)?;
            fs::rename(&draft, &self.file)
        };
        write().map_err(Error::file("write", &self.file))
    }

    /// Forgets the scope, of which nothing is left.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn forget(self) -> Result<(), Error> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", self.file)(error));
            }
            _ => {}
        }
        let unlocked = self.lock.remove(&self.path);
        unlocked.map_err(Error::file("remove", self.path))
    }
}

/// A scope, if it was made by name.
///
/// # Errors
/// [`Error::File`].
pub fn find(namespace: &Namespace, name: &ScopeName) -> Result<Option<Scope>, Error> {
    let file = file(namespace, name);
    let read = fs::read(&file).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(Error::file("read", file)),
    }
}

/// The scopes of a namespace that were made by name, and belong to the containerd at `address`.
pub fn made(namespace: &Namespace, address: &Path) -> Vec<Scope> {
    let names = names(&Path::new(SCOPES).join(namespace.as_str()));
    let names = names.iter().filter_map(|name| name.parse().ok());
    // One may go in the meantime.
    let scopes = names.filter_map(|name| find(namespace, &name).ok()?);
    scopes.filter(|scope| scope.address == address).collect()
}

/// The scopes of all namespaces whose process has ended.
pub fn over(address: &Path) -> Vec<(Namespace, Scope)> {
    let mut found = Vec::new();
    for namespace in names(Path::new(SCOPES)) {
        let Ok(namespace) = namespace.parse::<Namespace>() else {
            continue;
        };
        let over = made(&namespace, address).into_iter().filter(Scope::is_over);
        found.extend(over.map(|scope| (namespace.clone(), scope)));
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
