//! What `run` can say beside the ordinary: sharing, security, devices, limits of the process.
//!
//! Invariant: everything here is resolved: paths are absolute, files are read, names looked up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::LinuxDevice;

use crate::model::device::DeviceRule;
use crate::model::isolation::{Shared, Sharing, Sysctl};
use crate::model::record::MountPoint;
use crate::model::ulimit::Ulimit;

/// The less usual wishes; the default is that nobody wished anything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's volumes.
    pub mounts: Vec<MountPoint>,
    /// `/dev/shm`.
    pub shm: Shm,
    /// `--init`: a static init on the host.
    pub init: Option<PathBuf>,
    /// `--pid`; another container's namespace is joined at each start.
    pub pid: Shared,
    /// `--ipc` as far as the namespace goes.
    pub ipc: Shared,
    /// `--uts`.
    pub uts: Option<Sharing>,
    /// `--cgroupns`.
    pub cgroupns: Option<Sharing>,
    /// `--cgroup-parent`, absolute.
    pub cgroup_parent: Option<PathBuf>,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `systempaths=unconfined`.
    pub unmasked: bool,
    /// The profile of AppArmor.
    pub apparmor: Option<String>,
    /// `--device`: the nodes as the container sees them, each with its access.
    pub devices: Vec<(LinuxDevice, String)>,
    /// `--device-cgroup-rule`.
    pub device_rules: Vec<DeviceRule>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// Columns and rows of the client's terminal: that of `-t` has them from the beginning.
    pub window: Option<(u16, u16)>,
    /// `--umask`.
    pub umask: Option<u32>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// `--sysctl` and `--domainname`.
    pub sysctls: Vec<Sysctl>,
    /// `--annotation`.
    pub annotations: BTreeMap<String, String>,
}

/// Where a container's `/dev/shm` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shm {
    /// Memory of its own, of so many bytes.
    Own(i64),
    /// A directory of the host.
    Bind(PathBuf),
    /// Nowhere: it has none.
    None,
}

/// The size of `/dev/shm` unless told otherwise: docker's.
pub const SHM_SIZE: i64 = 64 << 20;

impl Default for Shm {
    fn default() -> Self {
        Self::Own(SHM_SIZE)
    }
}

/// The filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// netrun's own, unless the container is privileged.
    #[default]
    Default,
    /// None.
    Off,
    /// A profile's text, docker's format or the OCI's.
    Profile(String),
}
