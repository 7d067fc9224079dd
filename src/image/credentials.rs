//! Who we are at a registry: the plain `auths` of Docker's `config.json`.
//!
//! Invariant: a secret never appears in an error or in `Debug` output.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::model::class::{Class, Explain};

/// A `config.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not of Docker's shape.
    #[error("{} is malformed", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The entry of a registry is not the base64 of user and password.
    #[error("{} has a malformed entry for {registry}", .path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
    },
}

impl Explain for CredentialsError {
    fn class(&self) -> Class {
        match self {
            CredentialsError::Read { .. } => Class::Failed,
            CredentialsError::Parse { .. } | CredentialsError::Entry { .. } => Class::InvalidInput,
        }
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// The credentials for `registry` in `<dir>/config.json`; anonymous if there are none.
///
/// # Errors
/// [`CredentialsError`] if the file is there but cannot be used.
pub fn find(dir: &Path, registry: &str) -> Result<RegistryAuth, CredentialsError> {
    let path = dir.join("config.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(RegistryAuth::Anonymous);
        }
        Err(source) => return Err(CredentialsError::Read { path, source }),
    };
    match serde_json::from_str(&text) {
        Ok(file) => choose(file, registry).ok_or_else(|| CredentialsError::Entry {
            path,
            registry: registry.to_owned(),
        }),
        Err(source) => Err(CredentialsError::Parse { path, source }),
    }
}

/// The value of the `Authorization` header that says who we are without a token.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Nothing if the entry is malformed.
fn choose(mut file: File, registry: &str) -> Option<RegistryAuth> {
    let Some(entry) = keys(registry)
        .iter()
        .find_map(|key| file.auths.remove(key.as_str()))
    else {
        return Some(RegistryAuth::Anonymous);
    };
    if !entry.username.is_empty() {
        return Some(RegistryAuth::Basic(entry.username, entry.password));
    }
    if entry.auth.is_empty() {
        // The secret lies with a credential helper.
        return Some(RegistryAuth::Anonymous);
    }
    let plain = STANDARD.decode(entry.auth.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (user, password) = plain.trim_end_matches('\0').split_once(':')?;
    Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

/// The keys under which Docker writes a registry's entry, in the order of preference.
fn keys(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
        ]
        .map(str::to_owned)
        .to_vec(),
        _ => vec![
            registry.to_owned(),
            format!("https://{registry}"),
            format!("https://{registry}/"),
            format!("https://{registry}/v1/"),
            format!("https://{registry}/v2/"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, registry: &str) -> Option<RegistryAuth> {
        choose(serde_json::from_str(json).unwrap(), registry)
    }

    #[test]
    fn the_entry_of_the_registry_counts() {
        let json = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2Vj cmV0"},
            "quay.io": {"auth": "bWU6czplY3JldA=="},
            "https://ghcr.io": {"username": "a", "password": "b"},
            "helped.io": {}
        }, "credsStore": "x"}"#;
        let basic = |user: &str, word: &str| Some(RegistryAuth::Basic(user.into(), word.into()));
        assert_eq!(found(json, "quay.io"), basic("me", "s:ecret"));
        assert_eq!(found(json, "ghcr.io"), basic("a", "b"));
        assert_eq!(found(json, "helped.io"), Some(RegistryAuth::Anonymous));
        assert_eq!(found(json, "other.io"), Some(RegistryAuth::Anonymous));
        assert_eq!(found(json, "docker.io"), None, "base64 with a blank within");
    }

    #[test]
    fn no_file_is_anonymous() {
        let auth = find(Path::new("/nonexistent"), "docker.io").unwrap();
        assert_eq!(auth, RegistryAuth::Anonymous);
    }
}
