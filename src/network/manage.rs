//! Making and removing networks: the file, and what the network's attachments share.
//!
//! Invariant: one process at a time makes or removes networks; the file is written whole, and goes
//! last, so that a removal that was broken off can be repeated.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::cache::{self, Cache, CachedAttachment};
use super::config::{self, NetworkConfigList};
use super::create::{self, DATA_DIR, NewNetwork};
use super::create_error::CreateError;
use super::firewall::{self, FirewallError};
use super::ours::is_gone;
use super::pool::Pool;
use super::rules::{self, RulesError};
use super::subnets::{HostLink, SubnetPool, Surroundings};
use super::{default, locks};
use crate::model::class::{Class, Explain};
use crate::sys::lock::Lock;
use crate::sys::netlink;
use crate::sys::netns;
use crate::sys::routes;

/// Why a network cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// It cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The host's interfaces or routes cannot be read.
    #[error("cannot read the interfaces and routes of this host")]
    Host(#[source] io::Error),
    /// A lock cannot be taken.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It was not made by us.
    #[error("network \"{name}\" was not made by netrun")]
    Foreign {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// Somebody is attached.
    #[error("network \"{name}\" is in use by {}", users.join(", "))]
    InUse {
        /// Its name.
        name: String,
        /// By whom.
        users: Vec<String>,
    },
    /// The rules cannot be changed.
    #[error("cannot change the packet filter for network \"{name}\"")]
    Rules {
        /// The network.
        name: String,
        /// Why not.
        source: FirewallError,
    },
    /// Rules that nobody needs cannot be looked for or removed.
    #[error("cannot sweep the packet filter's rules of networks that are gone")]
    Sweep(#[source] FirewallError),
    /// The bridge cannot be removed.
    #[error("cannot remove the bridge \"{bridge}\" of network \"{name}\"")]
    Bridge {
        /// The network.
        name: String,
        /// The bridge.
        bridge: String,
        /// Why not.
        source: RulesError,
    },
    /// A file cannot be removed.
    #[error("cannot remove {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Explain for ManageError {
    fn class(&self) -> Class {
        match self {
            Self::Create(error) => error.class(),
            Self::Foreign { .. } | Self::InUse { .. } => Class::WrongState,
            Self::Lock { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Class::Denied
            }
            _ => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Create(error) => error.hint(),
            Self::Foreign { path, .. } => Some(format!("remove its file: rm {}", path.display())),
            Self::InUse { .. } => Some(
                "remove the containers first (netrun rm -f), or disconnect them (netrun network disconnect)"
                    .to_owned(),
            ),
            Self::Lock { .. } => Some("run netrun as root (sudo netrun ...)".to_owned()),
            Self::Rules { .. } => Some("it needs nft (Debian: apt install nftables) or iptables".to_owned()),
            Self::Bridge { .. } | Self::File { .. } => {
                Some("the same command again goes on from here".to_owned())
            }
            Self::Host(_) | Self::Sweep(_) => None,
        }
    }
}

/// The lock of all that make or remove networks.
async fn lock_all() -> Result<Lock, ManageError> {
    let path = Path::new(locks::DEFAULT_DIR).join("networks");
    let taken = Lock::exclusive(&path).await;
    taken.map_err(|source| ManageError::Lock { path, source })
}

/// Makes a network: its file in `dir`, and its rules.
///
/// # Errors
/// See [`ManageError`]; nothing has been changed then.
pub async fn create(
    dir: &Path,
    new: &NewNetwork,
    pools: &[SubnetPool],
) -> Result<NetworkConfigList, ManageError> {
    let _lock = lock_all().await?;
    let text = {
        let routes = netlink::route_destinations().map_err(ManageError::Host)?;
        let around = Surroundings {
            routes: &routes,
            networks: &config::scan(dir),
            links: &host_links().map_err(ManageError::Host)?,
            pools,
        };
        new.conflist(&around)?
    };
    let path = create::file_of(dir, &new.name);
    if fs::symlink_metadata(&path).is_ok() {
        return Err(CreateError::FileTaken(path).into());
    }
    let written = default::write_once(&path, &text);
    written.map_err(|source| CreateError::Write {
        path: path.clone(),
        source,
    })?;
    let list = NetworkConfigList::parse(&text, &path);
    let list = list.expect("a list of ours is well-formed");
    match firewall::settle(dir, &list).await {
        Ok(()) => Ok(list),
        Err(source) => {
            // Half a network is none. What cannot be withdrawn now, gc takes away.
            let _ = firewall::withdraw(dir, &list).await;
            let _ = fs::remove_file(&path);
            let name = new.name.clone();
            Err(ManageError::Rules { name, source })
        }
    }
}

fn host_links() -> io::Result<Vec<HostLink>> {
    let default = routes::default_link()?;
    let links = routes::links()?.into_iter();
    let known = links.map(|link| HostLink {
        is_default: Some(link.index) == default,
        name: link.name,
        mtu: link.mtu,
    });
    Ok(known.collect())
}

/// The largest packet of the interface that the default route leads through; none if there is none.
///
/// # Errors
/// The kernel's refusal.
pub fn outward_mtu() -> io::Result<Option<u32>> {
    let links = host_links()?;
    let outward = links.iter().find(|link| link.is_default);
    Ok(outward.map(|link| link.mtu))
}

/// Takes away the rules of networks whose files are gone, and files that were never finished; says of
/// which networks.
///
/// # Errors
/// A program failed.
pub async fn sweep(dir: &Path) -> Result<Vec<String>, ManageError> {
    let _lock = lock_all().await?;
    default::sweep_drafts(dir);
    firewall::sweep(dir).await.map_err(ManageError::Sweep)
}

/// Who is attached to a network now, whoever attached them.
pub fn attached(network: &str) -> Vec<CachedAttachment> {
    let all = Cache::new(cache::DEFAULT_DIR).list().into_iter();
    // Notes from before the last boot outlive what they are about.
    let lives = |one: &CachedAttachment| netns::exists(Path::new(&one.netns));
    all.filter(|one| one.network_name == network && lives(one))
        .collect()
}

/// Removes a network of ours that nobody uses: bridge, addresses, rules, notes, and its file.
/// `users` tells, once nobody can come any more, who else is in the way.
///
/// # Errors
/// See [`ManageError`].
pub async fn remove(
    dir: &Path,
    list: &NetworkConfigList,
    users: impl AsyncFnOnce() -> Vec<String>,
) -> Result<(), ManageError> {
    let name = list.name();
    if !create::is_ours(list) {
        return Err(ManageError::Foreign {
            name: name.to_owned(),
            path: list.source().to_owned(),
        });
    }
    let _lock = lock_all().await?;
    let path = lock_of(name);
    let taken = Lock::exclusive(&path).await;
    let own = taken.map_err(|source| ManageError::Lock {
        path: path.clone(),
        source,
    })?;
    let mut in_use = users().await;
    for one in attached(name) {
        let holder = super::ask::holder(&one);
        if !in_use.contains(&holder) {
            in_use.push(holder);
        }
    }
    if !in_use.is_empty() {
        return Err(ManageError::InUse {
            name: name.to_owned(),
            users: in_use,
        });
    }
    take_away(dir, list, own).await
}

/// Takes away what a network of ours left whose file was removed by hand, once nobody is attached to
/// it any more.
///
/// # Errors
/// See [`ManageError`].
pub async fn abandon(list: &NetworkConfigList) -> Result<(), ManageError> {
    if !is_gone(list) {
        return Ok(());
    }
    let _lock = lock_all().await?;
    let path = lock_of(list.name());
    let taken = Lock::try_exclusive(&path);
    let taken = taken.map_err(|source| ManageError::Lock { path, source })?;
    let dir = list.source().parent().unwrap_or(Path::new("/"));
    let networks = config::scan(dir).networks;
    let heir = |other: &NetworkConfigList| create::bridge_of(other) == create::bridge_of(list);
    let is_used = || {
        let given = Pool::of(list).is_some_and(|pool| !pool.taken().is_empty());
        given || !attached(list.name()).is_empty()
    };
    match taken {
        // Whoever has the lock, or made it again, sees to it.
        Some(own) if is_gone(list) && !is_used() && !networks.iter().any(heir) => {
            take_away(dir, list, own).await
        }
        _ => Ok(()),
    }
}

/// The lock that every attachment to a network holds.
fn lock_of(network: &str) -> PathBuf {
    Path::new(locks::DEFAULT_DIR).join(format!("net-{network}"))
}

/// `own` is the network's lock, which goes, too.
async fn take_away(dir: &Path, list: &NetworkConfigList, own: Lock) -> Result<(), ManageError> {
    let name = list.name();
    firewall::withdraw(dir, list)
        .await
        .map_err(|source| ManageError::Rules {
            name: name.to_owned(),
            source,
        })?;
    // The gateway of a VLAN is a port of the bridge.
    for gateway in create::gateways_of(list).into_iter().rev() {
        if !is_made_for(list, &gateway).map_err(ManageError::Host)? {
            continue;
        }
        let removed = rules::remove_device(&gateway).await;
        removed.map_err(|source| ManageError::Bridge {
            name: name.to_owned(),
            bridge: gateway,
            source,
        })?;
    }
    let addresses = Path::new(DATA_DIR).join(name);
    gone(fs::remove_dir_all(&addresses), &addresses)?;
    let mut others = config::scan(dir).networks.into_iter();
    if !others.any(|other| create::is_ours(&other) && other.name() != name) {
        // Nobody is about to write there; what others have there keeps it.
        let mut above = addresses.ancestors().skip(1).take(2);
        let _ = above.try_for_each(fs::remove_dir);
    }
    let cache = Cache::new(cache::DEFAULT_DIR);
    for stale in cache
        .list()
        .into_iter()
        .filter(|one| one.network_name == name)
    {
        // A note of what is gone, no more.
        let _ = cache.remove(name, &stale.container_id, &stale.if_name);
    }
    gone(fs::remove_file(list.source()), list.source())?;
    let path = lock_of(name);
    for mark in ["used", "rules"] {
        let mark = path.with_file_name(format!("net-{name}:{mark}"));
        gone(fs::remove_file(&mark), &mark)?;
    }
    let unlocked = own.remove(&path);
    gone(unlocked, &path)
}

/// Whether an interface is there, and is what the plugin makes for this network: others may have one of
/// that name for something else.
fn is_made_for(list: &NetworkConfigList, gateway: &str) -> io::Result<bool> {
    let links = routes::links()?;
    let Some(link) = links.iter().find(|link| link.name == gateway) else {
        return Ok(false);
    };
    let pool = Pool::of(list);
    let ranges = pool.as_ref().map_or(&[][..], |pool| &pool.ranges);
    let own = |address: &IpAddr| ranges.iter().any(|range| range.gateway == *address);
    let addresses = routes::addresses(link.index)?;
    let has_ports = links.iter().any(|other| other.master == Some(link.index));
    let is_used_otherwise = addresses.is_empty() && has_ports;
    let is_right = link.is_bridge || create::bridge_of(list) != Some(gateway);
    Ok(is_right && addresses.iter().all(own) && !is_used_otherwise)
}

fn gone(outcome: io::Result<()>, path: &Path) -> Result<(), ManageError> {
    match outcome {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ManageError::File {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
