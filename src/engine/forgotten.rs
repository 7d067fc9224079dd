//! Shims and runc containers that containerd has forgotten.
//!
//! Invariant: only what serves this very namespace and id is touched; whatever containerd still
//! knows has been deleted through containerd before.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::teardown::remove_tree;
use crate::model::record::Record;
use crate::sys::pidfd::PidFd;
use crate::sys::process::{Shim, shims};

/// containerd's state directory unless its configuration names another; a shim found tells its own.
const STATE: &str = "/run/containerd";

/// Where the bundles of shims lie in the state directory.
const BUNDLES: &str = "io.containerd.runtime.v2.task";

/// How long a killed shim may take to end.
const SHIM_DEADLINE: Duration = Duration::from_secs(5);

/// SIGKILL.
const KILL: i32 = 9;

/// Removes what a broken `Tasks.Create` left: the shim, runc's container, the bundle.
///
/// # Errors
/// What could not be removed.
pub async fn remove(record: &Record, address: &Path) -> Result<(), Error> {
    let (namespace, id) = (record.namespace.as_str(), record.id.as_str());
    let mut bundles = vec![Path::new(STATE).join(BUNDLES).join(namespace).join(id)];
    for shim in shims(namespace, id) {
        bundles.extend(shim.bundle.clone());
        end(&shim).await;
    }
    let root = runc_root(&bundles).join("runc").join(namespace);
    if root.join(id).exists() {
        delete_from_runc(&root, id).await?;
    }
    bundles.dedup();
    for bundle in bundles
        .iter()
        .filter(|bundle| bundle.ends_with(id) && bundle.exists())
    {
        remove_bundle(bundle)?;
    }
    remove_socket(address, namespace, id)
}

/// containerd's state directory: two levels above the bundles of a shim that was found.
fn runc_root(bundles: &[PathBuf]) -> PathBuf {
    let found = bundles.last().and_then(|bundle| bundle.ancestors().nth(3));
    found.unwrap_or(Path::new(STATE)).to_owned()
}

async fn end(shim: &Shim) {
    // A shim that is gone in between has ended.
    let Ok(pidfd) = PidFd::open(shim.pid) else {
        return;
    };
    if pidfd.signal(KILL).is_ok() {
        let _ = tokio::time::timeout(SHIM_DEADLINE, pidfd.ended()).await;
    }
}

async fn delete_from_runc(root: &Path, id: &str) -> Result<(), Error> {
    let mut runc = Command::new("runc");
    runc.arg("--root").arg(root).args(["delete", "--force", id]);
    let output = runc
        .output()
        .await
        .map_err(Error::file("run runc for", root.join(id)))?;
    // runc may refuse a state that it never finished writing; then the directory is all there is.
    let deadline = Instant::now() + SHIM_DEADLINE;
    while root.join(id).exists() && Instant::now() < deadline && output.status.success() {
        sleep(Duration::from_millis(10)).await;
    }
    remove_tree(&root.join(id))
}

/// A shim listens on a socket that is named after containerd's own address, the namespace and the id.
fn remove_socket(address: &Path, namespace: &str, id: &str) -> Result<(), Error> {
    let name = address.join(namespace).join(id);
    let digest = Sha256::digest(name.as_os_str().as_encoded_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let socket = Path::new(STATE).join("s").join(digest);
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", socket)(error))
        }
        _ => Ok(()),
    }
}

fn remove_bundle(bundle: &Path) -> Result<(), Error> {
    let rootfs = bundle.join("rootfs");
    // Not mounted is done.
    let _ = umount2(&rootfs, MntFlags::MNT_DETACH);
    // The bundle's `work` links to a directory of its own under containerd's root.
    if let Ok(work) = std::fs::read_link(bundle.join("work")) {
        remove_tree(&work)?;
    }
    match std::fs::remove_dir(&rootfs) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("remove", rootfs)(error));
        }
        _ => {}
    }
    remove_tree(bundle)
}
