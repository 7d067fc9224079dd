//! GC: telling a network's plugins which attachments are still wanted, so that they free the rest.
//!
//! Invariant: what the caller does not call unwanted is wanted, whoever made it; a plugin is told
//! all of it, and no attachment is made or undone while it is told.

use std::path::PathBuf;

use super::RuntimeConf;
use super::cache::CachedAttachment;
use super::chain::Chain;
use super::detach::{DetachError, Failures};
use super::locks::LockError;
use super::plugin::PluginError;
use super::request::{self, ValidAttachment};
use super::version;
use crate::model::class::{Class, Explain};

/// Why GC was not done, or not in whole.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A lock could not be taken; nothing was done.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An attachment could not be detached at all; the plugins have not been told anything.
    #[error(transparent)]
    Detach(#[from] DetachError),
    /// Plugins failed; all have been called.
    #[error("GC of network \"{network}\" ({}) failed", file.display())]
    Plugins {
        /// The network.
        network: String,
        /// Where it is described.
        file: PathBuf,
        /// Every failure.
        source: Failures,
    },
}

impl Explain for GcError {
    fn class(&self) -> Class {
        match self {
            Self::Lock(error) => error.class(),
            Self::Detach(error) => error.class(),
            Self::Plugins { source, .. } => source.0.first().map_or(Class::Failed, Explain::class),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.hint(),
            Self::Detach(error) => error.hint(),
            Self::Plugins { source, .. } => source.0.first().and_then(Explain::hint),
        }
    }
}

impl Chain {
    /// Detaches those of this network's cached attachments that are `unwanted`, with what the cache
    /// has of them, and then tells every plugin which are still wanted: all the others in the cache,
    /// of every network and runtime. Gives what was detached. A network with `disableGC` is left
    /// alone; one of a version before 1.1.0 has no GC to tell.
    pub async fn gc(
        &self,
        unwanted: impl Fn(&CachedAttachment) -> bool,
    ) -> Result<Vec<CachedAttachment>, GcError> {
        if self.list.gc_disabled() {
            return Ok(Vec::new());
        }
        let ours = |one: &CachedAttachment| one.network_name == self.list.name() && unwanted(one);
        let mut detached = Vec::new();
        let mut failures = Vec::new();
        for attachment in self.cache.list().into_iter().filter(&ours) {
            match self.del_and_sweep(&attachment.runtime_conf()).await {
                Ok(()) => detached.push(attachment),
                Err(DetachError::Plugins { source, .. }) => failures.extend(source.0),
                Err(error) => return Err(error.into()),
            }
        }
        if self.list.version() >= version::STATUS_AND_GC {
            failures.extend(self.tell_all(&ours).await?);
        }
        match failures.is_empty() {
            true => Ok(detached),
            false => Err(GcError::Plugins {
                network: self.list.name().to_owned(),
                file: self.list.source().to_owned(),
                source: Failures(failures),
            }),
        }
    }

    async fn tell_all(
        &self,
        unwanted: &impl Fn(&CachedAttachment) -> bool,
    ) -> Result<Vec<PluginError>, LockError> {
        let _alone = self.locks.gc().await?;
        // Read under the lock: an attachment made a moment ago is as wanted as any.
        let cached = self.cache.list().into_iter();
        let wanted = cached.filter(|one| !unwanted(one));
        let valid: Vec<ValidAttachment> = wanted
            .map(|one| ValidAttachment {
                container_id: one.container_id,
                ifname: one.if_name,
            })
            .collect();
        let nobody = RuntimeConf::default();
        let mut failures = Vec::new();
        for plugin in self.list.plugins() {
            let request = request::gc(&self.list, plugin, &valid);
            let called = self.call_by_type(plugin.plugin_type(), "GC", &nobody, request);
            failures.extend(called.await.err());
        }
        Ok(failures)
    }
}
