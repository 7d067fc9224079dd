//! Named network namespaces as they are seen from outside: who holds each of them.
//!
//! Invariant: looking asks neither containerd nor any plugin; names, the result cache and `/proc`
//! tell. What nothing tells of may still be in use by somebody.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::model::id::{ContainerId, Namespace};
use crate::model::netns::NetnsName;
use crate::network::cache::{self, Cache, CachedAttachment};
use crate::network::cnitool;
use crate::sys::{netlink, netns};

/// Where docker keeps the namespaces of its containers; people link them into `/run/netns`.
const DOCKER: &str = "/run/docker/netns";

/// What made a namespace, or has attached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A container of netrun's.
    Container(Namespace, ContainerId),
    /// `cnitool` or `netrun cni`: somebody attached it by its path.
    Cnitool,
    /// Kubernetes' sandboxes in containerd.
    Cri,
    /// podman.
    Podman,
    /// docker.
    Docker,
    /// Another runtime, by the container id that plugins saw.
    Runtime(String),
}

/// A named network namespace.
#[derive(Debug)]
pub struct NamedNetns {
    /// Its name.
    pub name: NetnsName,
    /// Its path.
    pub path: PathBuf,
    /// Whether it is a namespace; else a file that was left in its place.
    pub real: bool,
    /// Its number in our own network namespace, as `ip netns list-id` has it.
    pub id: Option<u32>,
    /// How many processes are in it.
    pub processes: usize,
    /// Who holds it, as far as is known.
    pub holder: Option<Holder>,
    /// What the result cache knows to be attached in it.
    pub attachments: Vec<CachedAttachment>,
}

/// Looks at all of them, sorted by name.
///
/// # Errors
/// The directory of the names cannot be read.
pub fn list() -> io::Result<Vec<NamedNetns>> {
    let names = netns::names()?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let cached = Cache::new(cache::DEFAULT_DIR).list();
    let processes = netns::processes();
    let names = names.iter().filter_map(|name| name.parse().ok());
    let seen = names.map(|name| {
        let mut seen = look(name, &cached);
        let identity = netns::identity(&seen.path);
        seen.processes = identity
            .ok()
            .and_then(|id| processes.get(&id).copied())
            .unwrap_or_default();
        seen
    });
    Ok(seen.collect())
}

/// Looks at one, which need not exist, without counting its processes.
pub fn one(name: NetnsName) -> NamedNetns {
    look(name, &Cache::new(cache::DEFAULT_DIR).list())
}

/// The number that our own network namespace has for the one at a path.
///
/// # Errors
/// It cannot be opened, or is none.
pub fn id(path: &Path) -> io::Result<Option<u32>> {
    netlink::namespace_id(File::open(path)?.as_fd())
}

fn look(name: NetnsName, cached: &[CachedAttachment]) -> NamedNetns {
    let path = netns::path(name.as_str());
    let attachments = cached
        .iter()
        .filter(|one| cnitool::same_name(Path::new(&one.netns), &path));
    let attachments: Vec<CachedAttachment> = attachments.cloned().collect();
    let real = netns::exists(&path);
    NamedNetns {
        holder: holder(&name, &path, &attachments),
        id: if real { id(&path).ok().flatten() } else { None },
        processes: 0,
        real,
        name,
        path,
        attachments,
    }
}

fn holder(name: &NetnsName, path: &Path, attachments: &[CachedAttachment]) -> Option<Holder> {
    if let Some((namespace, id)) = name.container() {
        return Some(Holder::Container(namespace, id));
    }
    let leads_to = fs::canonicalize(path).unwrap_or_default();
    let is_uuid = |rest: &str| {
        let lengths = rest.split('-').map(str::len);
        lengths.eq([8, 4, 4, 4, 12]) && rest.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    };
    let follows = |prefix: &str| name.as_str().strip_prefix(prefix).is_some_and(is_uuid);
    match attachments.first() {
        _ if leads_to.starts_with(DOCKER) => Some(Holder::Docker),
        _ if follows("cni-") => Some(Holder::Cri),
        _ if follows("netns-") => Some(Holder::Podman),
        Some(one) if one.container_id == cnitool::container_id(Path::new(&one.netns)) => {
            Some(Holder::Cnitool)
        }
        Some(one) => Some(Holder::Runtime(one.container_id.clone())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attached(id: &str) -> Vec<CachedAttachment> {
        let file = json!({"containerId": id, "netns": "/var/run/netns/testing"});
        vec![serde_json::from_value(file).unwrap()]
    }

    #[test]
    fn names_and_attachments_tell_who_holds_it() {
        let cnitool = "cnitool-77383ca0a0715733ca6f";
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let web = Holder::Container("ci".parse().unwrap(), "web".parse().unwrap());
        for (name, id, expected) in [
            ("netrun-ci--web", "", Some(web)),
            ("testing", "", None),
            ("testing", cnitool, Some(Holder::Cnitool)),
            // Somebody gave that id to another namespace.
            (
                "testing",
                "cnitool-1",
                Some(Holder::Runtime("cnitool-1".to_owned())),
            ),
            (
                "testing",
                "default-x",
                Some(Holder::Runtime("default-x".to_owned())),
            ),
            (&format!("cni-{uuid}"), "abc", Some(Holder::Cri)),
            (&format!("netns-{uuid}"), "", Some(Holder::Podman)),
            ("cni-mine", "", None),
        ] {
            let attachments = if id.is_empty() {
                Vec::new()
            } else {
                attached(id)
            };
            let path = Path::new("/nowhere").join(name);
            assert_eq!(
                holder(&name.parse().unwrap(), &path, &attachments),
                expected,
                "{name} {id}"
            );
        }
    }
}
