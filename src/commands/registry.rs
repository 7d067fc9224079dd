//! Where registries are and who we are there, as options, environment and settings have it.
//!
//! Invariant: what the command line gives wins over the environment, that over docker's file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::context::Context;
use crate::image::platform::Machine;
use crate::image::registry::credentials::{Credentials, Keyring};
use crate::image::{PullOptions, RegistryAccess};
use crate::model::class::{Class, Explain};

/// A user and a password, as `--creds` takes them.
#[derive(Clone, PartialEq)]
pub struct Creds(pub Credentials);

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no user and password; it may be a secret, so it is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("these are no credentials")]
pub struct NotCreds;

impl Explain for NotCreds {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write USER:PASSWORD, or use netrun login".to_owned())
    }
}

impl FromStr for Creds {
    type Err = NotCreds;

    fn from_str(text: &str) -> Result<Creds, NotCreds> {
        Credentials::from_pair(text).map(Creds).ok_or(NotCreds)
    }
}

/// The file of credentials: podman's variable, docker's variable, docker's place.
pub fn auth_file() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let docker = || {
        let own = || variable("HOME").map(|home| home.join(".docker"));
        let directory = variable("DOCKER_CONFIG").or_else(own);
        directory.map(|directory| directory.join("config.json"))
    };
    variable("REGISTRY_AUTH_FILE").or_else(docker)
}

/// How registries are reached from here.
pub fn access(context: &Context<'_>, creds: Option<&Creds>) -> RegistryAccess {
    let dirs = &context.settings.hosts_dir;
    let existing = dirs.iter().find(|dir| dir.is_dir()).or(dirs.first());
    RegistryAccess {
        hosts_dir: existing.cloned().unwrap_or_default(),
        keyring: Keyring {
            given: creds.map(|creds| creds.0.clone()),
            file: auth_file(),
        },
    }
}

/// How images for this machine are pulled here.
pub fn pull_options(context: &Context<'_>, snapshotter: &str) -> PullOptions {
    PullOptions {
        snapshotter: snapshotter.to_owned(),
        access: access(context, None),
        machine: Machine::this(),
        all_platforms: false,
    }
}
