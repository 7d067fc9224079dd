//! Namespaces that a container shares with another one: found at each start, by the other's process.
//!
//! Invariant: a container never starts with a namespace of its own where it was to share one.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

use super::error::Error;
use super::host::Host;
use crate::containerd::TaskState;
use crate::model::id::ContainerId;
use crate::model::record::{Join, Record};

/// Writes into the spec whose namespaces are joined.
///
/// # Errors
/// One of the others does not run; containerd's refusal.
pub async fn write(host: &Host, record: &Record) -> Result<(), Error> {
    let id = &record.id;
    let (container, _) = host.container(id).await?;
    let unreadable = |source| Error::Record {
        id: id.to_string(),
        source,
    };
    let mut spec: Spec = serde_json::from_slice(&container.spec).map_err(unreadable)?;
    for join in &record.joins {
        let pid = process(host, &join.container).await?;
        set(&mut spec, join, pid);
    }
    let text = serde_json::to_vec(&spec).map_err(unreadable)?;
    let client = host.client().await?;
    Ok(client.update_spec(id.as_str(), text).await?)
}

/// The first process of a container that runs.
async fn process(host: &Host, id: &ContainerId) -> Result<u32, Error> {
    match host.client().await?.task(id.as_str()).await {
        Ok(task) if matches!(task.state, TaskState::Running | TaskState::Paused) => Ok(task.pid),
        Ok(_) => Err(Error::not_running(id)),
        Err(error) if error.is_not_found() => Err(Error::not_running(id)),
        Err(error) => Err(error.into()),
    }
}

fn set(spec: &mut Spec, join: &Join, pid: u32) {
    let typ = match join.namespace.as_str() {
        "pid" => LinuxNamespaceType::Pid,
        _ => LinuxNamespaceType::Ipc,
    };
    let path = PathBuf::from(format!("/proc/{pid}/ns/{}", join.namespace));
    let mut joined = LinuxNamespace::default();
    joined.set_typ(typ).set_path(Some(path));
    let mut linux = spec.linux().clone().unwrap_or_default();
    let mut namespaces = linux.namespaces().clone().unwrap_or_default();
    namespaces.retain(|namespace| namespace.typ() != typ);
    namespaces.push(joined);
    linux.set_namespaces(Some(namespaces));
    spec.set_linux(Some(linux));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_gives_way_to_the_joined_one() {
        let mut spec = Spec::default();
        let before = spec.linux().clone().unwrap().namespaces().clone().unwrap();
        let join = Join {
            namespace: "pid".to_owned(),
            container: "db".parse().unwrap(),
        };
        set(&mut spec, &join, 7);
        set(&mut spec, &join, 42);
        let after = spec.linux().clone().unwrap().namespaces().clone().unwrap();
        assert_eq!(after.len(), before.len());
        let pid: Vec<_> = after
            .iter()
            .filter(|n| n.typ() == LinuxNamespaceType::Pid)
            .collect();
        assert_eq!(pid.len(), 1);
        assert_eq!(pid[0].path().as_deref(), Some("/proc/42/ns/pid".as_ref()));
    }
}
