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

use super::address::is_another;
use super::error::Error;
use super::teardown::remove_tree;
use crate::model::record::Record;
use crate::sys::cgroup;
use crate::sys::pidfd::PidFd;
use crate::sys::process::{Shim, in_cgroup, shims};

/// containerd's state directory unless its configuration names another, and its socket there; a shim
/// found tells its own.
const STATE: &str = "/run/containerd";
const SOCKET: &str = "containerd.sock";

/// Where the bundles of shims lie in the state directory.
const BUNDLES: &str = "io.containerd.runtime.v2.task";

/// How long a killed shim may take to end.
const SHIM_DEADLINE: Duration = Duration::from_secs(5);

/// How long apart a cgroup is tried to be removed whose processes are on their way.
const CGROUP_PAUSE: Duration = Duration::from_millis(10);

/// SIGKILL.
const KILL: i32 = 9;

/// Removes what a broken `Tasks.Create` left: the shim, runc's container, the bundle, the cgroup.
///
/// # Errors
/// What could not be removed.
pub async fn remove(record: &Record, address: &Path) -> Result<(), Error> {
    let (namespace, id) = (record.namespace.as_str(), record.id.as_str());
    let mut states: Vec<PathBuf> = usual_state(address).into_iter().collect();
    for shim in shims(namespace, id) {
        let address_of_shim = shim.address.as_deref();
        if address_of_shim.is_some_and(|other| is_another(other, address)) {
            // Another containerd has one of the same name.
            continue;
        }
        states.extend(shim.bundle.as_deref().and_then(state_of));
        end(&shim).await;
    }
    states.sort();
    states.dedup();
    for state in &states {
        let root = state.join("runc").join(namespace);
        if root.join(id).exists() {
            delete_from_runc(&root, id).await?;
        }
        let bundle = state.join(BUNDLES).join(namespace).join(id);
        if bundle.exists() {
            remove_bundle(&bundle)?;
        }
    }
    remove_socket(address, namespace, id)?;
    remove_cgroup(&record.id.netns_name(&record.namespace)).await
}

/// The usual state directory, unless it is another containerd's.
fn usual_state(address: &Path) -> Option<PathBuf> {
    let state = Path::new(STATE);
    (!is_another(&state.join(SOCKET), address)).then(|| state.to_owned())
}

/// The state directory of the containerd that made a bundle.
fn state_of(bundle: &Path) -> Option<PathBuf> {
    let top = bundle.parent()?.parent()?;
    top.ends_with(BUNDLES).then_some(top.parent()?.to_owned())
}

/// runc that died while it made the container has left its cgroup, and perhaps what was to become
/// its process.
async fn remove_cgroup(name: &str) -> Result<(), Error> {
    let deadline = Instant::now() + SHIM_DEADLINE;
    loop {
        match cgroup::remove(name) {
            Err(error) if Instant::now() > deadline => {
                return Err(Error::file("remove the cgroup", name)(error));
            }
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
        for pid in cgroup::processes(name) {
            // Of one that has ended the number may be another's by now.
            if let Ok(pidfd) = PidFd::open(pid)
                && in_cgroup(pid, name)
            {
                let _ = pidfd.signal(KILL);
            }
        }
        sleep(CGROUP_PAUSE).await;
    }
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

/// A shim listens on a socket that is named after containerd's own address, the namespace and the id,
/// wherever containerd's state is.
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
    remove_rootfs(bundle)?;
    // The bundle's `work` links to a directory of its own under containerd's root.
    if let Ok(work) = std::fs::read_link(bundle.join("work")) {
        remove_tree(&work)?;
    }
    remove_tree(bundle)
}

/// The container's own files are mounted there. What is left without them is runc's, which went on
/// making directories when they had been unmounted under its hands.
fn remove_rootfs(bundle: &Path) -> Result<(), Error> {
    let (rootfs, doomed) = (bundle.join("rootfs"), bundle.join("rootfs.doomed"));
    // Not mounted is done.
    while umount2(&rootfs, MntFlags::MNT_DETACH).is_ok() {}
    remove_tree(&doomed)?;
    // The kernel refuses to rename what something is mounted at, and nobody mounts at the new name.
    match std::fs::rename(&rootfs, &doomed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("remove", rootfs)(error)),
        Ok(()) => remove_tree(&doomed),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_bundle_goes_with_what_runc_left_in_it() {
        let bundle = std::env::temp_dir().join(format!("netrun-bundle-{}", std::process::id()));
        let work = bundle.with_extension("work");
        for dir in [bundle.join("rootfs/proc"), work.join("x")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::create_dir_all(bundle.join("rootfs.doomed/dev")).unwrap();
        std::os::unix::fs::symlink(&work, bundle.join("work")).unwrap();
        remove_bundle(&bundle).unwrap();
        assert!(!bundle.exists() && !work.exists());
        remove_bundle(&bundle).unwrap();
    }
}
