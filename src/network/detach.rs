//! DEL: the chain in reverse order, as often as it takes, whatever is gone already.
//!
//! Invariant: every plugin is called, also after another has failed; failures are collected.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::RuntimeConf;
use super::cache::CachedAttachment;
use super::chain::{Callee, Chain};
use super::config::{NetworkConfigList, PluginConfig};
use super::locks::LockError;
use super::plugin::PluginError;
use super::request;
use super::result::CniResult;
use super::sweep::{Sweep, SweepError};
use super::validate::InvalidParameter;
use super::version;
use crate::model::class::{Class, Explain};
use crate::sys::netns;

/// Why a container could not be detached from a network.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// A parameter breaks the specification's rules; nothing was done.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// A lock could not be taken; nothing was done.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The namespace is gone, and what the plugins could not reach for that could not be swept.
    #[error("the namespace {} is gone, and something of \"{container_id}\" is left of it", netns.display())]
    Left {
        /// The namespace.
        netns: PathBuf,
        /// The container id that plugins see.
        container_id: String,
        /// The first that could not be swept.
        source: SweepError,
    },
    /// Plugins failed; all the others have been called.
    #[error("cannot detach \"{container_id}\" from network \"{network}\" ({})", file.display())]
    Plugins {
        /// The network.
        network: String,
        /// Where it is described.
        file: PathBuf,
        /// The container id that plugins see.
        container_id: String,
        /// Every failure.
        source: Failures,
    },
}

/// Failures of several plugins: the first one's causes are told, the others by their headlines.
#[derive(Debug)]
pub struct Failures(pub Vec<PluginError>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the chain's plugins failed", self.0.len())
    }
}

impl std::error::Error for Failures {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.first().map(|first| first as _)
    }
}

impl Explain for DetachError {
    fn class(&self) -> Class {
        match self {
            Self::Parameter(error) => error.class(),
            Self::Lock(error) => error.class(),
            Self::Left { source, .. } => source.class(),
            Self::Plugins { source, .. } => source.0.first().map_or(Class::Failed, Explain::class),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Plugins { source, .. } => source.0.first().and_then(Explain::hint),
            Self::Left { source, .. } => source.hint(),
            Self::Parameter(error) => error.hint(),
            Self::Lock(_) => None,
        }
    }
}

impl Chain {
    /// Detaches a container. With `prev`, the result of ADD as the caller kept it, this chain and
    /// `conf` count; without, what the cache has: its configuration, arguments and result. What is
    /// not attached, or was never, is detached successfully.
    pub async fn del(&self, conf: &RuntimeConf, prev: Option<&Value>) -> Result<(), DetachError> {
        self.validate(conf)?;
        let network = self.list.name();
        let _held = self.locks.detach(network).await?;
        let (id, ifname) = (&conf.container_id, &conf.ifname);
        let failures = match prev {
            Some(prev) => {
                let list = made_in(&self.list, Some(prev));
                let prev = for_del(&list, prev);
                self.detach_all(&list, conf, prev.as_ref()).await
            }
            None => {
                let cached = self.cache.load(network, id, ifname);
                self.detach_cached(conf, cached.as_ref()).await
            }
        };
        if failures.is_empty() {
            self.forget(conf);
            return Ok(());
        }
        Err(DetachError::Plugins {
            network: network.to_owned(),
            file: self.list.source().to_owned(),
            container_id: id.clone(),
            source: Failures(failures),
        })
    }

    /// Detaches a container by what the cache has of it, and sweeps what plugins cannot reach where
    /// the network namespace is gone.
    pub async fn del_and_sweep(&self, conf: &RuntimeConf) -> Result<(), DetachError> {
        let kept = self
            .cache
            .load(self.list.name(), &conf.container_id, &conf.ifname);
        let config = kept.as_ref().and_then(CachedAttachment::config);
        let mut sweep = Sweep {
            list: config.as_ref().unwrap_or(&self.list),
            container_id: &conf.container_id,
            ifname: &conf.ifname,
            result: kept.as_ref().and_then(|kept| kept.result.as_ref()),
            reserved: &[],
        };
        let reserved = match sweep.result {
            Some(_) => Vec::new(),
            None => sweep.reserved(),
        };
        sweep.reserved = &reserved;
        let outcome = self.del(conf, None).await;
        // What a plugin that cannot be asked knows, no sweep does.
        let unasked = |error: &DetachError| error.class() == Class::Unavailable;
        if netns::exists(&conf.netns) || outcome.as_ref().is_err_and(unasked) {
            return outcome;
        }
        match sweep.run().await.failures.into_iter().next() {
            Some(source) => Err(DetachError::Left {
                netns: conf.netns.clone(),
                container_id: conf.container_id.clone(),
                source,
            }),
            None => {
                self.forget(conf);
                Ok(())
            }
        }
    }

    /// Takes an attachment out of the cache: for a caller that has seen nothing of it is left
    /// although a plugin failed to detach it.
    pub fn forget(&self, conf: &RuntimeConf) {
        // A file that stays is a note of what is gone, no more.
        let _ = self
            .cache
            .remove(self.list.name(), &conf.container_id, &conf.ifname);
    }

    async fn detach_cached(
        &self,
        conf: &RuntimeConf,
        cached: Option<&CachedAttachment>,
    ) -> Vec<PluginError> {
        let Some(cached) = cached else {
            return self.detach_all(&self.list, conf, None).await;
        };
        // DEL must see the configuration that ADD saw.
        let config = cached.config();
        let list = config.as_ref().unwrap_or(&self.list);
        let prev = cached.result.as_ref();
        let list = made_in(list, prev);
        let prev = prev.and_then(|prev| for_del(&list, prev));
        self.detach_all(&list, &cached.restore(conf), prev.as_ref())
            .await
    }

    /// DEL on every plugin, in reverse order.
    pub(super) async fn detach_all(
        &self,
        list: &NetworkConfigList,
        conf: &RuntimeConf,
        prev: Option<&CniResult>,
    ) -> Vec<PluginError> {
        // Plugins of older versions know no previous result on DEL.
        let prev = prev.filter(|_| list.version() >= version::CHECK);
        let mut failures = Vec::new();
        for plugin in list.plugins().iter().rev() {
            if let Err(failure) = self.detach_one(list, plugin, conf, prev).await {
                failures.push(failure);
            }
        }
        failures
    }

    /// A plugin that says no is asked once more at once: after somebody flushed the rules it made,
    /// a reference plugin's first DEL fails and its second succeeds.
    async fn detach_one(
        &self,
        list: &NetworkConfigList,
        plugin: &PluginConfig,
        conf: &RuntimeConf,
        prev: Option<&CniResult>,
    ) -> Result<(), PluginError> {
        let callee = Callee {
            plugin: plugin.plugin_type(),
            path: &self.find(plugin.plugin_type())?,
        };
        let request = request::attachment(list, plugin, conf, prev);
        let first = self.call(&callee, "DEL", conf, request.clone()).await;
        let outcome = match first {
            Err(error) if error.may_pass() => self.call(&callee, "DEL", conf, request).await,
            other => other,
        };
        outcome.map(drop)
    }
}

/// The network in the version that its result was made in, where it offers several.
pub(super) fn made_in(list: &NetworkConfigList, result: Option<&Value>) -> NetworkConfigList {
    let version = result.and_then(|result| result.get("cniVersion")?.as_str());
    list.speaking(version.unwrap_or_default())
}

/// A kept result as DEL's previous result; one that cannot be understood is done without.
fn for_del(list: &NetworkConfigList, prev: &Value) -> Option<CniResult> {
    let version = list.cni_version();
    let result = CniResult::from_value(prev.clone(), version).ok()?;
    result.convert(version).ok()
}
