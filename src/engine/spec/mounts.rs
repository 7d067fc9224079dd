//! What is mounted in a container: docker's default mounts, its names' files, the user's binds.
//!
//! Invariant: a user's bind replaces a default of the same destination; no place is mounted twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::{SpecError, SpecRequest};
use crate::model::mount::Bind;

/// The files on the host that a container sees as its `hosts`, `hostname` and `resolv.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcFiles {
    /// Seen at `/etc/hosts`.
    pub hosts: PathBuf,
    /// Seen at `/etc/hostname`.
    pub hostname: PathBuf,
    /// Seen at `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// Destination, type, source and options of docker's default mounts, in order.
const DEFAULTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
    ),
];

/// Defaults that a privileged container may write to.
const WRITABLE_IF_PRIVILEGED: [&str; 2] = ["/sys", "/sys/fs/cgroup"];

pub(super) fn mounts(request: &SpecRequest<'_>) -> Result<Vec<Mount>, SpecError> {
    let mut taken: HashSet<&Path> = HashSet::new();
    for bind in request.binds {
        if !taken.insert(&bind.destination) {
            return Err(SpecError::DuplicateMount {
                destination: bind.destination.clone(),
            });
        }
    }
    let hidden_by_dev =
        |destination: &Path| taken.contains(Path::new("/dev")) && destination.starts_with("/dev");
    let mut mounts: Vec<Mount> = DEFAULTS
        .into_iter()
        .filter(|(destination, ..)| !taken.contains(Path::new(destination)))
        .filter(|(destination, ..)| !hidden_by_dev(Path::new(destination)))
        .map(|default| default_mount(default, request.privileged))
        .collect();
    let mut placed: Vec<Mount> = etc_mounts(request)
        .into_iter()
        .filter(|mount| !taken.contains(mount.destination().as_path()))
        .chain(request.binds.iter().map(bind_mount))
        .collect();
    // A place must be mounted before what lies below it.
    placed.sort_by_key(|mount| mount.destination().components().count());
    mounts.extend(placed);
    Ok(mounts)
}

fn default_mount(
    (destination, typ, source, options): (&str, &str, &str, &[&str]),
    privileged: bool,
) -> Mount {
    let writable = privileged && WRITABLE_IF_PRIVILEGED.contains(&destination);
    let options = options.iter().map(|&option| {
        if writable && option == "ro" {
            "rw"
        } else {
            option
        }
    });
    mount(destination.into(), typ, source.into(), options)
}

fn etc_mounts(request: &SpecRequest<'_>) -> [Mount; 3] {
    let files = request.etc_files;
    let access = if request.read_only { "ro" } else { "rw" };
    [
        ("/etc/resolv.conf", &files.resolv_conf),
        ("/etc/hostname", &files.hostname),
        ("/etc/hosts", &files.hosts),
    ]
    .map(|(destination, source)| {
        let options = ["rbind", access, "rprivate"];
        mount(destination.into(), "bind", source.clone(), options)
    })
}

fn bind_mount(bind: &Bind) -> Mount {
    let access = if bind.read_only { "ro" } else { "rw" };
    let options = ["rbind", access, bind.propagation.as_str()];
    mount(
        bind.destination.clone(),
        "bind",
        bind.source.clone(),
        options,
    )
}

fn mount<'a>(
    destination: PathBuf,
    typ: &str,
    source: PathBuf,
    options: impl IntoIterator<Item = &'a str>,
) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination)
        .set_typ(Some(typ.to_owned()))
        .set_source(Some(source))
        .set_options(Some(options.into_iter().map(str::to_owned).collect()));
    mount
}
