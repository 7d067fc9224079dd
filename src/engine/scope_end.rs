//! What belongs to scopes, and the end of one: its containers, then its networks, then its volumes.
//!
//! Invariant: every step can be repeated, what is absent counts as done, and the scope is forgotten
//! last, so that an end that was broken off is finished by the next one.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;

use super::control;
use super::error::Error;
use super::host::Host;
use super::networks;
use super::scopes::{self, Scope};
use super::view;
use super::volumes::{self, Store};
use crate::model::class::{Class, Explain};
use crate::model::id::{ContainerId, Namespace, ScopeName, VolumeName};
use crate::model::scope::LABEL;
use crate::network::create::kept;
use crate::network::manage::ManageError;
use crate::network::{NetworkConfigList, config};

/// How often is looked for what came to the scope while it was ended.
const ROUNDS: usize = 3;

/// Why something of a scope stays.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// A container, or a file.
    #[error(transparent)]
    Engine(#[from] Error),
    /// A network.
    #[error(transparent)]
    Network(#[from] ManageError),
    /// A volume that containers beside the scope use.
    #[error("volume \"{name}\" is used by container \"{user}\"")]
    Volume {
        /// The volume.
        name: VolumeName,
        /// One of the containers.
        user: ContainerId,
    },
}

impl Explain for ScopeError {
    fn class(&self) -> Class {
        match self {
            Self::Engine(error) => error.class(),
            Self::Network(error) => error.class(),
            Self::Volume { .. } => Class::WrongState,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Network(error) => error.hint(),
            Self::Volume { user, .. } => Some(format!("remove it first: netrun rm -f {user}")),
        }
    }
}

/// What belongs to a scope.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// What is known of it, if it was made by name.
    pub scope: Option<Scope>,
    /// Its containers.
    pub containers: Vec<ContainerId>,
    /// Its networks.
    pub networks: Vec<NetworkConfigList>,
    /// Its volumes.
    pub volumes: Vec<VolumeName>,
}

impl Members {
    /// Nothing belongs to it.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

/// All scopes of the namespace by name; `dir` is the directory of the networks.
///
/// # Errors
/// containerd cannot be reached.
pub async fn all(host: &Host, dir: &Path) -> Result<BTreeMap<ScopeName, Members>, Error> {
    let mut all: BTreeMap<ScopeName, Members> = BTreeMap::new();
    for scope in scopes::made(&host.namespace, &host.address) {
        let members = all.entry(scope.name.clone()).or_default();
        members.scope = Some(scope);
    }
    let named = |labels: &BTreeMap<String, String>| labels.get(LABEL)?.parse().ok();
    for view in view::list(host).await?.own {
        if let Some(name) = named(&view.record.labels) {
            let members = all.entry(name).or_default();
            members.containers.push(view.record.id);
        }
    }
    for list in config::scan(dir).networks {
        if let Some(name) = scope_of(&list, &host.namespace) {
            all.entry(name).or_default().networks.push(list);
        }
    }
    for volume in Store::new(&host.namespace).list()? {
        if let Some(name) = named(&volume.labels) {
            all.entry(name).or_default().volumes.push(volume.name);
        }
    }
    Ok(all)
}

/// The scope of this namespace that a network belongs to.
pub fn scope_of(list: &NetworkConfigList, namespace: &Namespace) -> Option<ScopeName> {
    let label = kept(list, "labels")?.get(LABEL)?.as_str()?;
    ScopeName::from_network(label, namespace)
}

/// Ends a scope: stops its containers, `timeout` seconds after being asked at the latest, and
/// removes all that belongs to it. Says whether there was anything.
///
/// # Errors
/// What could not be removed, and why; all else is gone.
pub async fn end(
    host: &Host,
    dir: &Path,
    name: &ScopeName,
    timeout: Option<u32>,
) -> Result<bool, Vec<ScopeError>> {
    let one = |error: Error| vec![ScopeError::from(error)];
    let held = scopes::hold(&host.namespace, name).await.map_err(one)?;
    let mut was_there = false;
    let mut failures = Vec::new();
    for _ in 0..ROUNDS {
        let members = all(host, dir).await.map_err(one)?.remove(name);
        let members = members.unwrap_or_default();
        was_there |= members.scope.is_some() || !members.is_empty();
        failures.clear();
        if members.is_empty() {
            break;
        }
        failures = take_away(host, dir, &members, timeout).await;
    }
    match failures.is_empty() {
        true => held.forget().map(|()| was_there).map_err(one),
        false => Err(failures),
    }
}

async fn take_away(
    host: &Host,
    dir: &Path,
    members: &Members,
    timeout: Option<u32>,
) -> Vec<ScopeError> {
    let containers = members.containers.iter();
    let removed = join_all(containers.map(|id| remove_container(host, id, timeout))).await;
    let mut failures: Vec<ScopeError> = removed
        .into_iter()
        .filter_map(|outcome| outcome.err().map(ScopeError::from))
        .collect();
    for list in &members.networks {
        let removed = networks::remove(host, dir, list).await;
        failures.extend(removed.err().map(ScopeError::from));
    }
    if !members.volumes.is_empty() {
        match remove_volumes(host, &members.volumes).await {
            Ok(left) => failures.extend(left),
            Err(error) => failures.push(error.into()),
        }
    }
    failures
}

/// Stops a container and removes it with its anonymous volumes.
async fn remove_container(
    host: &Host,
    id: &ContainerId,
    timeout: Option<u32>,
) -> Result<(), Error> {
    let absent = |error: &Error| error.class() == Class::NotFound;
    // Which volumes are its own is not known any more once it is gone.
    let record = match host.record(id).await {
        Err(error) if absent(&error) => return Ok(()),
        record => record?,
    };
    // What cannot be stopped gently is removed by force.
    let _ = control::stop(host, id, timeout, None).await;
    match control::remove(host, id, true, None).await {
        Err(error) if !absent(&error) => return Err(error),
        _ => {}
    }
    volumes::remove_anonymous(host, &record).await
}

async fn remove_volumes(host: &Host, names: &[VolumeName]) -> Result<Vec<ScopeError>, Error> {
    let store = Store::new(&host.namespace);
    let held = store.hold().await?;
    let users = volumes::users(host).await?;
    let mut left = Vec::new();
    for name in names {
        match users.get(name).and_then(|users| users.first()) {
            Some(user) => left.push(ScopeError::Volume {
                name: name.clone(),
                user: user.clone(),
            }),
            None => held.remove(name)?,
        }
    }
    Ok(left)
}

/// Ends scopes whose process has ended; says which, and what of them stays.
pub async fn sweep(host: &Host, over: Vec<Scope>) -> Vec<(ScopeName, Result<(), Vec<ScopeError>>)> {
    let ends = over.into_iter().map(async |scope| {
        let ended = end(host, &scope.networks, &scope.name, None).await;
        (scope.name, ended.map(drop))
    });
    join_all(ends).await
}
