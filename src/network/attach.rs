//! ADD: the chain in order, its result kept; undone as a whole if any of it fails.
//!
//! Invariant: when [`Chain::add`] returns an error, DEL has been called on every plugin.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{NSFS_MAGIC, statfs};

use super::RuntimeConf;
use super::cache::{CacheError, CachedAttachment};
use super::chain::{Callee, Chain};
use super::config::NetworkConfigList;
use super::gateway;
use super::locks::LockError;
use super::ours::is_gone;
use super::plugin::{CniError, PluginError};
use super::request;
use super::result::CniResult;
use super::validate::InvalidParameter;
use crate::model::class::{Class, Explain};

/// Why a container could not be attached to a network.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// A parameter breaks the specification's rules; nothing was done.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// The network namespace cannot be used; nothing was done.
    #[error("{} is not a network namespace to attach to: {reason}", path.display())]
    Netns {
        /// Its path.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The network namespace is not there; nothing was done.
    #[error("cannot open network namespace {}", path.display())]
    NoNetns {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The container has an interface of that name already; nothing was done.
    #[error("\"{container_id}\" has an interface \"{ifname}\" already, on network \"{network}\"")]
    AlreadyAttached {
        /// The network it is attached to.
        network: String,
        /// The container id that plugins see.
        container_id: String,
        /// The interface.
        ifname: String,
    },
    /// A lock could not be taken; nothing was done.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The network was removed; nothing was done.
    #[error("network \"{network}\" is gone")]
    Gone {
        /// Its name.
        network: String,
    },
    /// A program of the chain is missing; nothing was done.
    #[error("network \"{network}\" ({}) cannot be used", file.display())]
    Unusable {
        /// The network.
        network: String,
        /// Where it is described.
        file: PathBuf,
        /// What is missing.
        source: Box<PluginError>,
    },
    /// It was tried, failed and was undone.
    #[error("cannot attach \"{container_id}\" to network \"{network}\" ({})", file.display())]
    Failed {
        /// The network.
        network: String,
        /// Where it is described.
        file: PathBuf,
        /// The container id that plugins see.
        container_id: String,
        /// What failed.
        source: Box<AttachCause>,
        /// What failed while it was undone.
        rollback: Vec<PluginError>,
    },
}

/// What failed in the middle of an ADD.
#[derive(Debug, thiserror::Error)]
pub enum AttachCause {
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The result speaks of other network namespaces only.
    #[error("the result is of another container: its interfaces are in {0:?}")]
    ForeignResult(String),
    /// The result could not be kept, so that DEL could not be done with it.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl AttachCause {
    /// Whether a plugin does not speak the configuration's version.
    fn is_about_version(&self) -> bool {
        let code = match self {
            Self::Plugin(error) => error.code(),
            _ => None,
        };
        code == Some(CniError::INCOMPATIBLE_VERSION)
    }
}

impl Explain for AttachCause {
    fn class(&self) -> Class {
        match self {
            Self::Plugin(error) => error.class(),
            Self::ForeignResult(_) => Class::Failed,
            Self::Cache(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Plugin(error) => error.hint(),
            Self::ForeignResult(_) => Some(
                "a plugin of the chain mixes containers up: install another release of it"
                    .to_owned(),
            ),
            Self::Cache(_) => None,
        }
    }
}

impl Explain for AttachError {
    fn class(&self) -> Class {
        match self {
            Self::Parameter(error) => error.class(),
            Self::Netns { .. } => Class::InvalidInput,
            Self::NoNetns { .. } | Self::Gone { .. } => Class::NotFound,
            Self::AlreadyAttached { .. } => Class::AlreadyExists,
            Self::Lock(error) => error.class(),
            Self::Unusable { source, .. } => source.class(),
            Self::Failed { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { source, .. } => source.hint(),
            Self::Failed { source, .. } => source.hint(),
            Self::AlreadyAttached { .. } => {
                Some("detach it first, or choose another interface name".to_owned())
            }
            Self::NoNetns { .. } | Self::Netns { .. } => {
                Some("name one that ip netns lists, by its path: /run/netns/NAME".to_owned())
            }
            Self::Gone { network } => {
                Some(format!("make it again: netrun network create {network}"))
            }
            Self::Parameter(error) => error.hint(),
            Self::Lock(_) => None,
        }
    }
}

impl Chain {
    /// Attaches a container: ADD on every plugin in order, the result kept in the cache. On a
    /// failure everything is undone with DEL in reverse order, and the first error is returned.
    pub async fn add(&self, conf: &RuntimeConf) -> Result<CniResult, AttachError> {
        self.validate(conf)?;
        check_netns(&conf.netns)?;
        let programs = self.programs().map_err(|source| AttachError::Unusable {
            network: self.list.name().to_owned(),
            file: self.list.source().to_owned(),
            source: Box::new(source),
        })?;
        let name = self.list.name();
        let _held = self
            .locks
            .attach(name, || self.cache.has_any_of(name))
            .await?;
        // Whoever removes it holds the lock until the file is gone. Its bridge would come back, and be
        // left to nobody.
        if is_gone(&self.list) {
            let network = name.to_owned();
            return Err(AttachError::Gone { network });
        }
        if let Some(there) = self.cache.find(&conf.container_id, &conf.ifname) {
            return Err(AttachError::AlreadyAttached {
                network: there.network_name,
                container_id: conf.container_id.clone(),
                ifname: conf.ifname.clone(),
            });
        }
        gateway::make_ready(&self.list);
        let mut list = Cow::Borrowed(&self.list);
        loop {
            let mut last = None;
            let source = match self.add_all(&list, &programs, conf, &mut last).await {
                Ok(result) => {
                    self.locks.mark_used(name);
                    return Ok(result);
                }
                Err(source) => source,
            };
            let rollback = self.detach_all(&list, conf, last.as_ref()).await;
            // Once: what all of them say they speak, they are asked to do but once.
            let lower = match (&list, source.is_about_version()) {
                (Cow::Borrowed(_), true) => self.lowered().await,
                _ => None,
            };
            match lower {
                Some(lower) => list = Cow::Owned(lower),
                None => {
                    return Err(AttachError::Failed {
                        network: name.to_owned(),
                        file: self.list.source().to_owned(),
                        container_id: conf.container_id.clone(),
                        source: Box::new(source),
                        rollback,
                    });
                }
            }
        }
    }

    /// This network in the highest offered version that all its plugins speak, if that is another
    /// than the one they are spoken to in.
    async fn lowered(&self) -> Option<NetworkConfigList> {
        if self.list.offered_versions().len() < 2 {
            return None;
        }
        // A plugin that does not answer has no version in common with others.
        let plugins = self.version().await.ok()?;
        let mut offered = self.list.offered_versions().iter();
        let common = offered.find(|offered| {
            let mut all = plugins.iter();
            all.all(|plugin| plugin.supported.contains(offered))
        })?;
        (common != self.list.cni_version()).then(|| self.list.speaking(common))
    }

    fn programs(&self) -> Result<Vec<PathBuf>, PluginError> {
        let types = self.list.plugin_types().into_iter();
        types.map(|plugin| self.find(plugin)).collect()
    }

    /// `last` is the result of the last plugin that succeeded, which undoing needs.
    async fn add_all(
        &self,
        list: &NetworkConfigList,
        programs: &[PathBuf],
        conf: &RuntimeConf,
        last: &mut Option<CniResult>,
    ) -> Result<CniResult, AttachCause> {
        for (plugin, path) in list.plugins().iter().zip(programs) {
            let callee = Callee {
                plugin: plugin.plugin_type(),
                path,
            };
            let request = request::attachment(list, plugin, conf, last.as_ref());
            let answer = self.call(&callee, "ADD", conf, request).await?;
            // Plugins read a previous result in the configuration's format only.
            let version = list.cni_version();
            let result = CniResult::parse(&answer, version)
                .and_then(|result| result.convert(version))
                .map_err(|source| PluginError::Result {
                    plugin: callee.plugin.to_owned(),
                    source,
                })?;
            *last = Some(result);
        }
        let result = last.clone().expect("a list has at least one plugin");
        is_of(&result, &conf.netns)?;
        let cached = CachedAttachment::new(list, conf, &result);
        self.cache.store(&cached)?;
        Ok(result)
    }
}

/// A result that tells where its interfaces are must mean this network namespace.
fn is_of(result: &CniResult, netns: &Path) -> Result<(), AttachCause> {
    let interfaces = result.interfaces();
    let mut told = interfaces.iter().filter_map(|one| one.sandbox.as_deref());
    let same = |sandbox: &str| {
        let sandbox = Path::new(sandbox);
        sandbox == netns || matches!((inode(sandbox), inode(netns)), (Ok(a), Ok(b)) if a == b)
    };
    match told.clone().next() {
        Some(first) if !told.any(same) => Err(AttachCause::ForeignResult(first.to_owned())),
        _ => Ok(()),
    }
}

/// The network namespace must be one, and not this process's own: plugins would rename, and DEL
/// would delete, the host's interfaces.
fn check_netns(path: &Path) -> Result<(), AttachError> {
    let missing = |source| AttachError::NoNetns {
        path: path.to_owned(),
        source,
    };
    let refused = |reason| AttachError::Netns {
        path: path.to_owned(),
        reason,
    };
    let found = inode(path).map_err(missing)?;
    let kind = statfs(path).map_err(|errno| missing(errno.into()))?;
    if kind.filesystem_type() != NSFS_MAGIC {
        return Err(refused("it is an ordinary file"));
    }
    if inode(Path::new("/proc/self/ns/net")).is_ok_and(|own| own == found) {
        return Err(refused("it is the host's own"));
    }
    Ok(())
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
