//! `netrun login` and `logout`: keep credentials for a registry, and forget them.
//!
//! Invariant: nothing is kept that the registry has not accepted.

use std::path::PathBuf;

use super::context::Context;
use super::registry::{access, auth_file};
use crate::image::registry::credentials::{Credentials, erase, store};
use crate::model::class::{Class, Explain, Failure};

const LOGIN_EXAMPLES: &str = "\
Examples:
  netrun login registry.example:5000
  echo \"$TOKEN\" | netrun login -u ci --password-stdin ghcr.io";

/// Log in to a registry, and keep the credentials in docker's file or with the helper that it names
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = LOGIN_EXAMPLES)]
pub struct Args {
    /// The user
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,

    /// The password; everybody on this machine can see it here
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_stdin"
    )]
    pub password: Option<String>,

    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,

    /// The registry, Docker Hub if none is given
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}

/// Log out of a registry
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun logout ghcr.io")]
pub struct LogoutArgs {
    /// The registry, Docker Hub if none is given
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}

/// Why credentials cannot be kept or forgotten.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error("there is no place for credentials")]
    NoPlace,
    #[error("\"{0}\" is no registry")]
    NotRegistry(String),
}

impl Explain for LoginError {
    fn class(&self) -> Class {
        match self {
            Self::NoPlace | Self::NotRegistry(_) => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoPlace => "set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE".to_owned(),
            Self::NotRegistry(_) => "write a host with its port, such as ghcr.io".to_owned(),
        })
    }
}

/// Asks the registry whether it lets us in, and keeps the credentials if so; gives the file that
/// they, or the name of their helper, are in.
///
/// # Errors
/// The registry does not let us in; the file or the helper does not take them.
pub async fn login(
    context: &Context<'_>,
    registry: &str,
    user: &str,
    password: &str,
) -> Result<PathBuf, Failure> {
    let registry = name(registry)?;
    let file = auth_file(context).ok_or(LoginError::NoPlace)?;
    let mut access = access(context);
    access.keyring.given = Some(Credentials::password(user, password));
    access.enter(&registry).await?;
    store(&file, &registry, user, password).await?;
    Ok(file)
}

/// Forgets the credentials of a registry; gives its name, and whether there were any.
///
/// # Errors
/// The file or the helper cannot be used.
pub async fn logout(context: &Context<'_>, args: &LogoutArgs) -> Result<(String, bool), Failure> {
    let registry = name(&args.registry)?;
    let file = auth_file(context).ok_or(LoginError::NoPlace)?;
    let erased = erase(&file, &registry).await?;
    Ok((registry, erased))
}

/// The registry's name: people also write its address, and Docker Hub's old ones.
fn name(text: &str) -> Result<String, LoginError> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = bare.split('/').next().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    if host.is_empty() || !host.chars().all(allowed) {
        return Err(LoginError::NotRegistry(text.to_owned()));
    }
    Ok(match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_named_by_its_host() {
        for (text, expected) in [
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("http://localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("ghcr.io/team", "ghcr.io"),
        ] {
            assert_eq!(name(text).unwrap(), expected);
        }
        for text in ["", "https://", "a b", "a@b"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
