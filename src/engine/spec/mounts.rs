//! What is mounted in a container: docker's default mounts, its names' files, the user's mounts.
//!
//! Invariant: a user's mount replaces a default of the same destination; no place is mounted twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::{Shm, SpecError, SpecRequest};
use crate::model::record::{MountKind, MountPoint};

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

/// Where the init lies in the container: docker's place.
pub const INIT: &str = "/sbin/docker-init";

pub(super) fn mounts(request: &SpecRequest<'_>) -> Result<Vec<Mount>, SpecError> {
    let mut taken: HashSet<&Path> = HashSet::new();
    for asked in &request.extras.mounts {
        if !taken.insert(&asked.destination) {
            return Err(SpecError::DuplicateMount {
                destination: asked.destination.clone(),
            });
        }
    }
    let hidden_by_dev =
        |destination: &Path| taken.contains(Path::new("/dev")) && destination.starts_with("/dev");
    let mut mounts: Vec<Mount> = DEFAULTS
        .into_iter()
        .filter(|(destination, ..)| !taken.contains(Path::new(destination)))
        .filter(|(destination, ..)| !hidden_by_dev(Path::new(destination)))
        .filter_map(|default| shared_mount(default, request))
        .collect();
    let own_files = etc_mounts(request).into_iter().chain(init_mount(request));
    let mut placed: Vec<Mount> = own_files
        .filter(|mount| !taken.contains(mount.destination().as_path()))
        .chain(request.extras.mounts.iter().map(asked_mount))
        .collect();
    // A place must be mounted before what lies below it.
    placed.sort_by_key(|mount| mount.destination().components().count());
    mounts.extend(placed);
    Ok(mounts)
}

/// A default mount, or what is there instead where the IPC namespace is not the container's own.
fn shared_mount(default: (&str, &str, &str, &[&str]), request: &SpecRequest<'_>) -> Option<Mount> {
    let place = default.0;
    let bind = |source: PathBuf| {
        let options = ["rbind", "nosuid", "noexec", "nodev", "rprivate"];
        mount(place.into(), "bind", source, options)
    };
    match (place, &request.extras.shm) {
        ("/dev/shm", Shm::None) => None,
        ("/dev/shm", Shm::Bind(source)) => Some(bind(source.clone())),
        ("/dev/shm", Shm::Own(bytes)) => {
            let size = format!("size={bytes}");
            let options = default.3.iter().copied();
            let options = options.map(|o| if o.starts_with("size=") { &size } else { o });
            Some(mount(place.into(), default.1, default.2.into(), options))
        }
        _ => Some(default_mount(default, request.privileged)),
    }
}

fn init_mount(request: &SpecRequest<'_>) -> Option<Mount> {
    let init = request.extras.init.clone()?;
    let options = ["bind", "ro", "rprivate"];
    Some(mount(INIT.into(), "bind", init, options))
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

fn asked_mount(asked: &MountPoint) -> Mount {
    let (typ, source) = match asked.kind {
        MountKind::Bind | MountKind::Volume => ("bind", asked.source.clone()),
        MountKind::Tmpfs => ("tmpfs", PathBuf::from("tmpfs")),
        // How, is written here once there is a view of it.
        MountKind::Image => ("bind", PathBuf::new()),
    };
    let options = asked.options.iter().map(String::as_str);
    mount(asked.destination.clone(), typ, source, options)
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
