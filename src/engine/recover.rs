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

use super::attachment;
use super::claim::{Supervision, supervision};
use super::control;
use super::error::Error;
use super::host::{Host, record_of};
use super::launch::Job;
use super::neighbours;
use super::orders::forget_lock;
use super::paths::{LOCKS, Paths, RUN, STATE};
use super::protocol::{Assignment, Event, Orders};
use super::session::{PipeEnds, Session};
use super::steps::Steps;
use super::teardown::{Process, Scope, remove_tree, teardown};
use crate::model::id::{ContainerId, Namespace};
use crate::model::record::Record;
use crate::sys::lock::Lock;
use crate::sys::netns;

/// How long a pass waits at most for supervisors that are on their way.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Containers whose supervisor died, from the run directories alone.
pub fn orphans() -> Vec<(Namespace, ContainerId)> {
    let supervised = supervised().into_iter();
    let dead = supervised.filter(|(_, _, supervision)| *supervision == Supervision::Dead);
    dead.map(|(namespace, id, _)| (namespace, id)).collect()
}

/// Containers that have, or had, a supervisor, and whether it lives.
pub fn supervised() -> Vec<(Namespace, ContainerId, Supervision)> {
    let found = directories(Path::new(RUN)).into_iter();
    found
        .map(|(namespace, id)| {
            let supervision = supervision(&Paths::new(&namespace, &id));
            (namespace, id, supervision)
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
        foreground: false,
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

/// Finishes whatever dead supervisors left in this namespace: adopts what runs, takes down what
/// does not, removes what has no record.
///
/// # Errors
/// containerd cannot be reached; other failures are collected.
pub async fn gc(host: &Host) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    for (namespace, id) in orphans() {
        if namespace == host.namespace {
            take_over(host, &id, &mut swept).await;
        }
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
    Ok(swept)
}

/// Waits for supervisors that are on their way up or down: what they do needs no help.
async fn settle(host: &Host) {
    let ours = supervised()
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

async fn take_over(host: &Host, id: &ContainerId, swept: &mut Swept) {
    let adopted = adopt(&host.address, &host.namespace, id).await;
    swept.note(format!("container {id}: its supervisor had died"), adopted);
}

/// Takes down what has a record and no supervisor, where anything of its run is left.
async fn finish(host: &Host, record: Record, swept: &mut Swept) {
    let id = record.id.clone();
    let paths = Paths::new(&record.namespace, &id);
    match supervision(&paths) {
        Supervision::Alive => return,
        // It died since we looked for the dead.
        Supervision::Dead => return take_over(host, &id, swept).await,
        Supervision::None => {}
    }
    // Somebody is busy with it.
    let Ok(Some(lock)) = Lock::try_exclusive(&paths.lock) else {
        return;
    };
    // It may have changed, or gone, before we had the lock.
    let Ok(mut record) = host.record(&id).await else {
        return;
    };
    if supervision(&paths) != Supervision::None || !attachment::is_unfinished(&record) {
        return;
    }
    let steps = Steps::new();
    let job = Job {
        host,
        steps: &steps,
        paths: &paths,
    };
    let gone = record.provisional || record.auto_remove;
    let scope = if gone { Scope::Container } else { Scope::Run };
    let down = teardown(job, &mut record, scope, Process::Unknown).await;
    let down = down.and_then(|()| remove_tree(&paths.run));
    if down.is_ok() {
        forget_lock(job, scope, Some(lock));
    }
    swept.note(
        format!("container {id}: took down what was left of its run"),
        down,
    );
}

/// Removes state, locks and namespaces that belong to no record.
async fn sweep_state(host: &Host, known: &BTreeSet<String>, swept: &mut Swept) {
    for (namespace, id) in directories(Path::new(STATE)) {
        if namespace == host.namespace && !known.contains(id.as_str()) {
            remove_unowned(host, &id, swept).await;
        }
    }
    let named = named_netns(&host.namespace);
    for id in named.into_iter().chain(locked(&host.namespace)) {
        if !known.contains(id.as_str()) {
            remove_unowned(host, &id, swept).await;
        }
    }
}

async fn remove_unowned(host: &Host, id: &ContainerId, swept: &mut Swept) {
    let paths = Paths::new(&host.namespace, id);
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
    let unlocked = |source| Error::file("remove", &paths.lock)(source);
    let removed = removed.and_then(|()| lock.remove(&paths.lock).map_err(unlocked));
    swept.note(format!("{id}: removed files without a container"), removed);
}

/// The ids whose namespaces' names are ours.
fn named_netns(namespace: &Namespace) -> Vec<ContainerId> {
    let Ok(entries) = fs::read_dir(netns::DIRECTORY) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| netns_owner(&name, namespace))
        .collect()
}

/// The ids that have a lock.
fn locked(namespace: &Namespace) -> Vec<ContainerId> {
    let Ok(entries) = fs::read_dir(LOCKS) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let prefix = format!("ctr-{namespace}--");
    names
        .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok())
        .collect()
}

fn netns_owner(name: &str, namespace: &Namespace) -> Option<ContainerId> {
    let rest = name.strip_prefix("netrun-")?;
    let id: ContainerId = match rest.split_once("--") {
        Some((owner, id)) if owner == namespace.as_str() => id.parse().ok()?,
        Some(_) => return None,
        None => rest.parse().ok()?,
    };
    (id.netns_name(namespace) == name).then_some(id)
}
