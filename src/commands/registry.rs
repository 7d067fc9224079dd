//! Where registries are and who we are there, as options, environment and settings have it.
//!
//! Invariant: what the command line gives wins over the environment, that over docker's file.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::context::Context;
use crate::image::platform::{InvalidPlatform, Machine, Platform};
use crate::image::registry::credentials::{Credentials, Keyring};
use crate::image::{PullOptions, RegistryAccess};
use crate::model::class::{Class, Explain};

/// A user and a password, as `--creds` takes them; nothing if the text is none. It is not refused
/// where it is parsed, because there the text would be repeated, and it may be a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Creds(Option<Credentials>);

/// A text that is no user and password.
#[derive(Debug, thiserror::Error)]
#[error("what --creds was given is no user and password")]
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
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Creds, Infallible> {
        Ok(Creds(Credentials::from_pair(text)))
    }
}

/// The file of credentials: docker's option, podman's variable, docker's variable, docker's place.
pub fn auth_file(context: &Context<'_>) -> Option<PathBuf> {
    if let Some(directory) = &context.settings.docker_config {
        return Some(directory.join("config.json"));
    }
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

/// How registries are reached from here by whom `--creds` names.
///
/// # Errors
/// [`NotCreds`].
pub fn access_as(context: &Context<'_>, creds: Option<&Creds>) -> Result<RegistryAccess, NotCreds> {
    let mut access = access(context);
    if let Some(Creds(given)) = creds {
        access.keyring.given = Some(given.clone().ok_or(NotCreds)?);
    }
    Ok(access)
}

/// How registries are reached from here.
pub fn access(context: &Context<'_>) -> RegistryAccess {
    let dirs = &context.settings.hosts_dir;
    let existing = dirs.iter().find(|dir| dir.is_dir()).or(dirs.first());
    RegistryAccess {
        hosts_dir: existing.cloned().unwrap_or_default(),
        keyring: Keyring {
            given: None,
            file: auth_file(context),
        },
    }
}

/// The machine that images are wanted for: the option's, that of docker's variable; else none is named.
///
/// # Errors
/// The variable names no platform.
pub fn machine(option: Option<&Platform>) -> Result<Option<Machine>, InvalidPlatform> {
    let variable = || std::env::var("DOCKER_DEFAULT_PLATFORM").ok();
    let platform = match option {
        Some(platform) => Some(platform.clone()),
        None => variable()
            .filter(|value| !value.is_empty())
            .map(|value| value.parse())
            .transpose()?,
    };
    Ok(platform.map(Machine::of))
}

/// How images for a machine are pulled here.
pub fn pull_options(context: &Context<'_>, snapshotter: &str, machine: Machine) -> PullOptions {
    PullOptions {
        snapshotter: snapshotter.to_owned(),
        access: access(context),
        machine,
        all_platforms: false,
    }
}
