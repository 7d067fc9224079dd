//! What dead supervisors left, and what nobody needs any more.
//!
//! Invariant: only what carries our mark or our names is touched, and nothing that somebody else is
//! busy with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::address::elsewhere;
use super::attachment;
use super::claim::{self, Supervision, supervision};
use super::control;
use super::error::Error;
use super::host::{Host, record_of};
use super::neighbours;
use super::paths::{LOCKS, Paths, RUN, STATE};
use super::protocol::{Assignment, Event, Launcher, Orders};
use super::session::{PipeEnds, Session};
use super::supervise::CGROUP;
use super::teardown::remove_tree;
use crate::model::id::{ContainerId, Namespace};
use crate::model::netns::{NetnsName, OURS};
use crate::model::record::Record;
use crate::sys::lock::Lock;
use crate::sys::{cgroup, netns};

/// How long a pass waits at most for supervisors that are on their way.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Containers of the containerd at `address` whose supervisor died, from the run directories alone.
pub fn orphans(address: &Path) -> Vec<(Namespace, ContainerId)> {
    let supervised = supervised(address).into_iter();
    let dead = supervised.filter(|(_, _, supervision)| *supervision == Supervision::Dead);
    dead.map(|(namespace, id, _)| (namespace, id)).collect()
}

/// Containers of the containerd at `address` that have, or had, a supervisor, and whether it lives.
pub fn supervised(address: &Path) -> Vec<(Namespace, ContainerId, Supervision)> {
    let found = directories(Path::new(RUN)).into_iter();
    found
        .filter_map(|(namespace, id)| {
            let paths = Paths::new(&namespace, &id);
            let ours = elsewhere(&paths, address).is_none();
            ours.then(|| (namespace, id, supervision(&paths)))
        })
        .collect()
}

/// The pairs of namespace and id that a tree of ours has directories for.
fn directories(top: &Path) -> Vec<(Namespace, ContainerId)> {
    let mut found = Vec::new();
    for namespace in entries(top) {
        for id in entries(&namespace) {
            let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
            let pair = (
                name(&namespace).map(|n| n.parse()),
                name(&id).map(|n| n.parse()),
            );
            if let (Some(Ok(namespace)), Some(Ok(id))) = pair {
                found.push((namespace, id));
            }
        }
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.path())
        .collect()
}

/// Starts a supervisor that takes over, and waits until it has, or has finished what was there.
///
/// # Errors
/// What the new supervisor met.
pub async fn adopt(address: &Path, namespace: &Namespace, id: &ContainerId) -> Result<(), Error> {
    let orders = Orders {
        address: address.to_owned(),
        namespace: namespace.clone(),
        id: id.clone(),
        task: Assignment::Adopt,
        client: Launcher::Leaves,
        fault: None,
    };
    let mut session = Session::launch(&orders, PipeEnds::default()).await?;
    match session.event().await {
        Ok(Event::Failed(report)) => Err(report.into()),
        // It ended without a word: there was nothing to take over any more.
        Ok(_) | Err(Error::SupervisorGone { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a pass of `gc` found and did: one line each, for people.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was done.
    pub done: Vec<String>,
    /// What could not be done.
    pub failures: Vec<Error>,
}

impl Swept {
    fn note(&mut self, what: String, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => self.done.push(what),
            Err(error) => self.failures.push(error),
        }
    }
}

/// Removes what is worth nothing of what killed commands left, without asking containerd: run
/// directories half made or half removed, and the locks of containers that nothing else is left of.
pub fn tidy() {
    for namespace in entries(Path::new(RUN)) {
        let name = namespace.file_name().and_then(|name| name.to_str());
        if let Some(Ok(namespace)) = name.map(str::parse) {
            // What cannot be removed is told of by `gc`.
            let _ = claim::sweep(&namespace);
        }
    }
    for (namespace, id) in locks() {
        let paths = Paths::new(&namespace, &id);
        if paths.state.exists() || paths.run.exists() {
            continue;
        }
        // A lock means something only while it is held.
        if let Ok(Some(lock)) = Lock::try_exclusive_inside(&paths.lock) {
            let _ = lock.remove(&paths.lock);
        }
    }
}

/// Finishes whatever dead supervisors left in this namespace: adopts what runs, takes down what
/// does not, removes what has no record.
///
/// # Errors
/// containerd cannot be reached; other failures are collected.
pub async fn gc(host: &Host) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    for (namespace, id) in orphans(&host.address) {
        if namespace == host.namespace {
            take_over(host, &id, &mut swept, DIED).await;
        }
    }
    match claim::sweep(&host.namespace) {
        Ok(paths) => swept.done.extend(paths.iter().map(|path| {
            let path = path.display();
            format!("{path}: removed what was half made or half removed")
        })),
        Err(error) => swept.failures.push(error),
    }
    settle(host).await;
    let client = host.client().await?;
    let mut known = BTreeSet::new();
    for container in client.list_containers().await? {
        known.insert(container.id.clone());
        // What is not ours is nobody's business here.
        if let Ok(record) = record_of(&container) {
            finish(host, record, &mut swept).await;
        }
    }
    sweep_state(host, &known, &mut swept).await;
    match neighbours::sweep(&host.namespace).await {
        Ok(ids) => swept
            .done
            .extend(ids.iter().map(|id| format!("{id}: removed its names"))),
        Err(error) => swept.failures.push(error),
    }
    cgroup::remove_empty(CGROUP);
    Ok(swept)
}

/// Waits for supervisors that are on their way up or down: what they do needs no help.
async fn settle(host: &Host) {
    let ours = supervised(&host.address)
        .into_iter()
        .filter(|(namespace, _, supervision)| {
            *namespace == host.namespace && *supervision == Supervision::Alive
        });
    let settled = ours.map(|(namespace, id, _)| async move {
        let paths = Paths::new(&namespace, &id);
        let wait = async {
            // A launch holds the container's lock, and listens to nobody yet.
            let _ = Lock::settled(&paths.lock).await;
            control::settle(host, &id).await
        };
        // One that takes longer is busy, and is left alone.
        let _ = timeout(SETTLE_LIMIT, wait).await;
    });
    join_all(settled).await;
}

/// What is told of a container that is taken over.
const DIED: &str = "its supervisor had died";
const LEFT: &str = "finished what was left of its run";

async fn take_over(host: &Host, id: &ContainerId, swept: &mut Swept, why: &str) {
    let adopted = adopt(&host.address, &host.namespace, id).await;
    swept.note(format!("container {id}: {why}"), adopted);
}

/// Looks after what has a record and no supervisor, where anything of its run is left: a new
/// supervisor goes on with it if it runs, or takes it down.
async fn finish(host: &Host, record: Record, swept: &mut Swept) {
    let id = record.id.clone();
    let Ok(paths) = host.paths(&id) else {
        return;
    };
    match supervision(&paths) {
        Supervision::Alive => return,
        // It died since we looked for the dead.
        Supervision::Dead => return take_over(host, &id, swept, DIED).await,
        Supervision::None if !attachment::is_unfinished(&record) => return,
        Supervision::None => {}
    }
    // Somebody is busy with it.
    let Ok(Some(lock)) = Lock::try_exclusive(&paths.lock) else {
        return;
    };
    // It may have changed, or gone, before we had the lock.
    let Ok(record) = host.record(&id).await else {
        return;
    };
    drop(lock);
    if supervision(&paths) != Supervision::Alive && attachment::is_unfinished(&record) {
        take_over(host, &id, swept, LEFT).await;
    }
}

/// Removes state, locks, namespaces and cgroups that belong to no record.
async fn sweep_state(host: &Host, known: &BTreeSet<String>, swept: &mut Swept) {
    for (namespace, id) in directories(Path::new(STATE)) {
        if namespace == host.namespace && !known.contains(id.as_str()) {
            remove_unowned(host, &id, swept).await;
        }
    }
    let named = named(&host.namespace);
    for id in named.into_iter().chain(locked(&host.namespace)) {
        if !known.contains(id.as_str()) {
            remove_unowned(host, &id, swept).await;
        }
    }
}

async fn remove_unowned(host: &Host, id: &ContainerId, swept: &mut Swept) {
    let Ok(paths) = host.paths(id) else {
        return;
    };
    if supervision(&paths) != Supervision::None {
        return;
    }
    let Ok(Some(lock)) = Lock::try_exclusive(&paths.lock) else {
        return;
    };
    // A container of this name may have been made since we looked.
    if !matches!(host.record(id).await, Err(Error::NoSuchContainer { .. })) {
        return;
    }
    let removed = netns::remove(&paths.netns).map_err(|source| Error::Netns {
        action: "remove",
        path: paths.netns.clone(),
        source,
    });
    let removed = removed.and_then(|()| remove_tree(&paths.state));
    let name = id.netns_name(&host.namespace);
    let removed = removed.and_then(|()| cgroup::remove(&name).map_err(Error::file("remove", name)));
    let unlocked = |source| Error::file("remove", &paths.lock)(source);
    let removed = removed.and_then(|()| lock.remove(&paths.lock).map_err(unlocked));
    swept.note(format!("{id}: removed files without a container"), removed);
}

/// The ids whose network namespaces are there, or cgroups that nobody is in.
fn named(namespace: &Namespace) -> BTreeSet<ContainerId> {
    let names = netns::names().unwrap_or_default().into_iter();
    let left = cgroup::names().into_iter();
    let left = left.filter(|name| name.starts_with(OURS) && cgroup::processes(name).is_empty());
    names
        .chain(left)
        .filter_map(|name| owner(&name, namespace))
        .collect()
}

/// The ids that have a lock.
fn locked(namespace: &Namespace) -> impl Iterator<Item = ContainerId> {
    let ours = locks().filter(move |(owner, _)| owner == namespace);
    ours.map(|(_, id)| id)
}

/// The containers that have a lock.
fn locks() -> impl Iterator<Item = (Namespace, ContainerId)> {
    let entries = fs::read_dir(LOCKS).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let (namespace, id) = name.to_str()?.strip_prefix("ctr-")?.split_once("--")?;
        Some((namespace.parse().ok()?, id.parse().ok()?))
    })
}

fn owner(name: &str, namespace: &Namespace) -> Option<ContainerId> {
    let (owner, id) = name.parse::<NetnsName>().ok()?.container()?;
    (owner == *namespace).then_some(id)
}
