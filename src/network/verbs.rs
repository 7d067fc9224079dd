//! CHECK, STATUS and VERSION.
//!
//! Invariant: a verb that the configuration's version does not have is not sent to any plugin.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::RuntimeConf;
use super::chain::{Callee, Chain};
use super::detach::made_in;
use super::locks::LockError;
use super::plugin::PluginError;
use super::request;
use super::result::{CniResult, ResultError};
use super::validate::InvalidParameter;
use super::version;
use crate::model::class::{Class, Explain};

/// What a plugin of the very first version answers to VERSION, word for word; by the specification
/// that is how such a plugin is known.
const NO_VERSION_VERB: &str = "unknown CNI_COMMAND: VERSION";

/// Why a verb on a network failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// A parameter breaks the specification's rules.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// A lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The network's version has no CHECK.
    #[error("configuration version {version:?} of network \"{network}\" does not support CHECK")]
    CheckUnsupported {
        /// The network.
        network: String,
        /// Its version.
        version: String,
    },
    /// There is nothing to check against.
    #[error("no result of \"{container_id}\" on network \"{network}\" is known")]
    NotAttached {
        /// The network.
        network: String,
        /// The container id that plugins see.
        container_id: String,
    },
    /// What is kept of ADD's result cannot be understood.
    #[error("the kept result of \"{container_id}\" on network \"{network}\" cannot be used")]
    KeptResult {
        /// The container id that plugins see.
        container_id: String,
        /// The network.
        network: String,
        /// Why not.
        source: ResultError,
    },
    /// A plugin failed.
    #[error("{command} of network \"{network}\" ({}) failed", file.display())]
    Plugin {
        /// The network.
        network: String,
        /// Where it is described.
        file: PathBuf,
        /// The verb.
        command: &'static str,
        /// What failed.
        source: Box<PluginError>,
    },
}

impl Explain for VerbError {
    fn class(&self) -> Class {
        match self {
            Self::Parameter(error) => error.class(),
            Self::Lock(error) => error.class(),
            Self::CheckUnsupported { .. } => Class::Unsupported,
            Self::NotAttached { .. } => Class::NotFound,
            Self::KeptResult { source, .. } => source.class(),
            Self::Plugin { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::CheckUnsupported { .. } => {
                Some("set \"cniVersion\" to 0.4.0 or higher in the network's file".to_owned())
            }
            Self::Plugin { source, .. } => source.hint(),
            Self::NotAttached { .. } => {
                Some("attach it first: CHECK comes between ADD and DEL".to_owned())
            }
            Self::Parameter(error) => error.hint(),
            Self::KeptResult { .. } => Some("detach it and attach it again".to_owned()),
            _ => None,
        }
    }
}

/// The versions that one plugin speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersions {
    /// The plugin's type.
    pub plugin: String,
    /// Its program.
    pub path: PathBuf,
    /// What it speaks.
    pub supported: Vec<String>,
}

/// The answer to VERSION.
#[derive(Deserialize)]
struct VersionAnswer {
    #[serde(rename = "cniVersion", default)]
    cni_version: String,
    #[serde(rename = "supportedVersions", default)]
    supported: Vec<String>,
}

impl Chain {
    /// Checks that an attachment is still as ADD made it, against `prev`, the result of ADD as the
    /// caller kept it, or else against the cache's. A failure means that it will not mend itself.
    pub async fn check(&self, conf: &RuntimeConf, prev: Option<&Value>) -> Result<(), VerbError> {
        self.validate(conf)?;
        let network = self.list.name();
        let version = self.list.cni_version();
        if self.list.version() < version::CHECK {
            return Err(VerbError::CheckUnsupported {
                network: network.to_owned(),
                version: version.to_owned(),
            });
        }
        if self.list.check_disabled() {
            return Ok(());
        }
        let _held = self.locks.detach(network).await?;
        let (conf, prev) = self.kept(conf, prev)?;
        let list = made_in(&self.list, Some(&prev));
        let prev = self.usable(&conf.container_id, &prev, list.cni_version())?;
        for plugin in list.plugins() {
            let request = request::attachment(&list, plugin, &conf, Some(&prev));
            let called = self.call_by_type(plugin.plugin_type(), "CHECK", &conf, request);
            called
                .await
                .map_err(|source| self.failed("CHECK", source))?;
        }
        Ok(())
    }

    /// What is kept of an attachment: from the caller, or else from the cache.
    fn kept(
        &self,
        conf: &RuntimeConf,
        prev: Option<&Value>,
    ) -> Result<(RuntimeConf, Value), VerbError> {
        let network = self.list.name();
        let (conf, prev) = match prev {
            Some(prev) => (conf.clone(), Some(prev.clone())),
            None => match self.cache.load(network, &conf.container_id, &conf.ifname) {
                Some(cached) => (cached.restore(conf), cached.result),
                None => (conf.clone(), None),
            },
        };
        let prev = prev.ok_or_else(|| VerbError::NotAttached {
            network: network.to_owned(),
            container_id: conf.container_id.clone(),
        })?;
        Ok((conf, prev))
    }

    fn usable(&self, id: &str, kept: &Value, version: &str) -> Result<CniResult, VerbError> {
        let result = CniResult::from_value(kept.clone(), version);
        let result = result.and_then(|result| result.convert(version));
        result.map_err(|source| VerbError::KeptResult {
            container_id: id.to_owned(),
            network: self.list.name().to_owned(),
            source,
        })
    }

    /// Asks every plugin whether it could serve an ADD now. The first refusal is the error, with
    /// the plugin's own code.
    pub async fn status(&self) -> Result<(), VerbError> {
        if self.list.version() < version::STATUS_AND_GC {
            return Ok(());
        }
        let nobody = RuntimeConf::default();
        for plugin in self.list.plugins() {
            let request = request::plain(&self.list, plugin);
            let called = self.call_by_type(plugin.plugin_type(), "STATUS", &nobody, request);
            called
                .await
                .map_err(|source| self.failed("STATUS", source))?;
        }
        Ok(())
    }

    /// Asks every plugin which versions it speaks.
    pub async fn version(&self) -> Result<Vec<PluginVersions>, VerbError> {
        let mut versions = Vec::new();
        for plugin in self.list.plugin_types() {
            let asked = self.plugin_version(plugin).await;
            versions.push(asked.map_err(|source| self.failed("VERSION", source))?);
        }
        Ok(versions)
    }

    async fn plugin_version(&self, plugin: &str) -> Result<PluginVersions, PluginError> {
        let path = self.find(plugin)?;
        let callee = Callee {
            plugin,
            path: &path,
        };
        // The oldest plugins check these before they look at the verb.
        let dummy = RuntimeConf {
            netns: PathBuf::from("dummy"),
            ifname: "dummy".to_owned(),
            ..RuntimeConf::default()
        };
        let mut request = Map::new();
        request.insert("cniVersion".to_owned(), json!("1.1.0"));
        let supported = match self.call(&callee, "VERSION", &dummy, request).await {
            Ok(answer) => read_versions(plugin, &answer)?,
            Err(PluginError::Refused { source, .. }) if source.msg == NO_VERSION_VERB => {
                vec!["0.1.0".to_owned()]
            }
            Err(error) => return Err(error),
        };
        Ok(PluginVersions {
            plugin: plugin.to_owned(),
            path,
            supported,
        })
    }

    pub(super) async fn call_by_type(
        &self,
        plugin: &str,
        command: &'static str,
        conf: &RuntimeConf,
        request: Map<String, Value>,
    ) -> Result<Vec<u8>, PluginError> {
        let path = self.find(plugin)?;
        let callee = Callee {
            plugin,
            path: &path,
        };
        self.call(&callee, command, conf, request).await
    }

    fn failed(&self, command: &'static str, source: PluginError) -> VerbError {
        VerbError::Plugin {
            network: self.list.name().to_owned(),
            file: self.list.source().to_owned(),
            command,
            source: Box::new(source),
        }
    }
}

fn read_versions(plugin: &str, answer: &[u8]) -> Result<Vec<String>, PluginError> {
    let unusable = |source| PluginError::Result {
        plugin: plugin.to_owned(),
        source,
    };
    let answer: VersionAnswer =
        serde_json::from_slice(answer).map_err(|error| unusable(ResultError::Json(error)))?;
    if !answer.supported.is_empty() {
        return Ok(answer.supported);
    }
    // Plugins of 0.2.0 need not list what they support.
    match answer.cni_version.as_str() {
        "0.2.0" => Ok(vec!["0.1.0".to_owned(), "0.2.0".to_owned()]),
        other => Err(unusable(ResultError::Version(other.to_owned()))),
    }
}
