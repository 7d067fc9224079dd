//! The namespaces of a container and the place of its cgroup.
//!
//! Invariant: what is shared with another container is joined at each start (see `engine::join`); the
//! spec says so only then, for a process id does not outlive its process.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

use super::SpecRequest;
use crate::model::isolation::{Shared, Sharing};
use crate::model::mount::clean;
use crate::model::record::Record;
use crate::sys::facts::CgroupMode;

/// Whose network a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Netns {
    /// The named one at this path.
    Path(PathBuf),
    /// The host's.
    Host,
}

pub(super) fn namespaces(request: &SpecRequest<'_>) -> Vec<LinuxNamespace> {
    let extras = request.extras;
    let mut namespaces = vec![namespace(LinuxNamespaceType::Mount, None)];
    let mut unless_the_hosts = |typ, hosts: bool| {
        if !hosts {
            namespaces.push(namespace(typ, None));
        }
    };
    let uts_is_hosts = extras.uts == Some(Sharing::Host);
    unless_the_hosts(LinuxNamespaceType::Uts, uts_is_hosts);
    unless_the_hosts(LinuxNamespaceType::Pid, extras.pid == Shared::Host);
    unless_the_hosts(LinuxNamespaceType::Ipc, extras.ipc == Shared::Host);
    if let Netns::Path(path) = request.netns {
        namespaces.push(namespace(LinuxNamespaceType::Network, Some(path.clone())));
    }
    // On cgroup v1 docker shares the host's, since images there expect the whole path.
    let usual = match request.host.cgroups {
        CgroupMode::V2 => Sharing::Private,
        CgroupMode::V1 | CgroupMode::Hybrid => Sharing::Host,
    };
    if extras.cgroupns.unwrap_or(usual) == Sharing::Private {
        namespaces.push(namespace(LinuxNamespaceType::Cgroup, None));
    }
    namespaces
}

fn namespace(typ: LinuxNamespaceType, path: Option<PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(typ).set_path(path);
    namespace
}

/// A directory of its own right below the root, by the name of the container's netns: runc removes
/// it, and there is no parent that it would leave behind as containerd's `/<namespace>/<id>` does.
/// With `--cgroup-parent` it lies below that, which stays, as with docker.
pub(super) fn cgroups_path(request: &SpecRequest<'_>) -> PathBuf {
    let parent = request.extras.cgroup_parent.as_deref();
    below(parent, &request.id.netns_name(request.namespace))
}

/// Where the cgroup of a container is that was made so.
pub fn cgroup(record: &Record) -> PathBuf {
    let parent = record.asked.cgroup_parent.as_deref().map(clean);
    below(parent.as_deref(), &record.id.netns_name(&record.namespace))
}

fn below(parent: Option<&Path>, name: &str) -> PathBuf {
    parent.unwrap_or(Path::new("/")).join(name)
}
