//! Who we are at a registry: docker's `config.json` or podman's `auth.json`, and the helpers that they name.
//!
//! Invariant: a secret never appears in an error or in `Debug` output, nor in a file that others can
//! read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::credential_helper::{self, HelperError};
use crate::model::class::{Class, Explain};

/// What Docker Hub is called in credential stores.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What proves to a registry who we are.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that token servers exchange for others (OAuth2's refresh token).
    IdentityToken(String),
    /// A token that the registry itself takes.
    RegistryToken(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "Anonymous",
            Credentials::Password { .. } => "Password",
            Credentials::IdentityToken(_) => "IdentityToken",
            Credentials::RegistryToken(_) => "RegistryToken",
        })
    }
}

impl Credentials {
    /// A user and a password as one text, parted by the first colon; nothing if there is none.
    pub fn from_pair(text: &str) -> Option<Credentials> {
        let (user, password) = text.split_once(':')?;
        Some(Credentials::password(user, password))
    }

    /// A user and a password.
    pub fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }
}

/// Credentials that cannot be used, looked up or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not of docker's shape.
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
    /// The helper that the file names does not do its work.
    #[error("{} names a credential helper that cannot be used", .path.display())]
    Helper {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HelperError,
    },
}

impl Explain for CredentialsError {
    fn class(&self) -> Class {
        match self {
            CredentialsError::Read { .. } | CredentialsError::Write { .. } => Class::Failed,
            CredentialsError::Parse { .. } | CredentialsError::Entry { .. } => Class::InvalidInput,
            CredentialsError::Helper { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CredentialsError::Helper { source, .. } => source.hint(),
            CredentialsError::Parse { path, .. } | CredentialsError::Entry { path, .. } => {
                Some(format!("mend or remove {}", path.display()))
            }
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// Where credentials are: a file of docker's or podman's, or what the command line gave.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// They win over the file.
    pub given: Option<Credentials>,
    /// The file; without it everybody is anonymous.
    pub file: Option<PathBuf>,
}

impl Keyring {
    /// The credentials for a repository of a registry; anonymous if there are none.
    ///
    /// # Errors
    /// [`CredentialsError`] if the file is there but cannot be used.
    pub async fn find(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Credentials, CredentialsError> {
        match (&self.given, &self.file) {
            (Some(given), _) => Ok(given.clone()),
            (None, None) => Ok(Credentials::Anonymous),
            (None, Some(path)) => find(path, registry, repository).await,
        }
    }
}

async fn find(
    path: &Path,
    registry: &str,
    repository: &str,
) -> Result<Credentials, CredentialsError> {
    let file: File = match read(path)? {
        Some(document) => parse(path, document)?,
        None => return Ok(Credentials::Anonymous),
    };
    if let Some(helper) = file.helper(registry) {
        let found = credential_helper::get(helper, server(registry)).await;
        let found = found.map_err(|source| refused(path, source))?;
        if let Some(credentials) = found {
            return Ok(credentials);
        }
    }
    file.plain(registry, repository)
        .ok_or_else(|| CredentialsError::Entry {
            path: path.to_owned(),
            registry: registry.to_owned(),
        })
}

/// Keeps credentials where the file says: with a helper, else in the file itself.
///
/// # Errors
/// [`CredentialsError`]; then nothing was changed.
pub async fn store(
    path: &Path,
    registry: &str,
    user: &str,
    password: &str,
) -> Result<(), CredentialsError> {
    let mut document = read(path)?.unwrap_or_default();
    let file: File = parse(path, document.clone())?;
    if let Some(helper) = file.helper(registry) {
        let stored = credential_helper::store(helper, server(registry), user, password).await;
        return stored.map_err(|source| refused(path, source));
    }
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let auths = document.entry("auths").or_insert_with(|| json!({}));
    if let Some(auths) = auths.as_object_mut() {
        auths.insert(server(registry).to_owned(), json!({ "auth": auth }));
    }
    write(path, &document)
}

/// Forgets the credentials of a registry; says whether there were any.
///
/// # Errors
/// [`CredentialsError`].
pub async fn erase(path: &Path, registry: &str) -> Result<bool, CredentialsError> {
    let Some(mut document) = read(path)? else {
        return Ok(false);
    };
    let file: File = parse(path, document.clone())?;
    let mut erased = false;
    if let Some(helper) = file.helper(registry) {
        let gone = credential_helper::erase(helper, server(registry)).await;
        erased = gone.map_err(|source| refused(path, source))?;
    }
    if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) {
        let before = auths.len();
        auths.retain(|key, _| !names(registry).contains(key));
        if auths.len() < before {
            write(path, &document)?;
            erased = true;
        }
    }
    Ok(erased)
}

fn refused(path: &Path, source: HelperError) -> CredentialsError {
    let path = path.to_owned();
    CredentialsError::Helper { path, source }
}

/// Nothing if there is no file.
fn read(path: &Path) -> Result<Option<Map<String, Value>>, CredentialsError> {
    let path = path.to_owned();
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match serde_json::from_str(&text) {
            Ok(document) => Ok(Some(document)),
            Err(source) => Err(CredentialsError::Parse { path, source }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::Read { path, source }),
    }
}

fn parse(path: &Path, document: Map<String, Value>) -> Result<File, CredentialsError> {
    serde_json::from_value(Value::Object(document)).map_err(|source| CredentialsError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// The whole file or none of it, and for nobody else to read.
fn write(path: &Path, document: &Map<String, Value>) -> Result<(), CredentialsError> {
    // A link stays one: people keep this file elsewhere.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = real.with_extension(format!("{}.new", std::process::id()));
    let attempt = || {
        if let Some(parent) = real.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut open = fs::OpenOptions::new();
        let mut file = open.write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &real)
    };
    attempt().map_err(|source| {
        // What counts is why it could not be written.
        drop(fs::remove_file(&fresh));
        let path = path.to_owned();
        CredentialsError::Write { path, source }
    })
}

impl File {
    fn helper(&self, registry: &str) -> Option<&str> {
        let own = names(registry)
            .into_iter()
            .find_map(|name| self.cred_helpers.get(&name));
        let helper = own.unwrap_or(&self.creds_store);
        (!helper.is_empty()).then_some(helper.as_str())
    }

    /// Nothing if the entry is malformed.
    fn plain(mut self, registry: &str, repository: &str) -> Option<Credentials> {
        let keys = repositories(registry, repository).chain(names(registry));
        let mut keys = keys.collect::<Vec<_>>().into_iter();
        let Some(entry) = keys.find_map(|key| self.auths.remove(&key)) else {
            return Some(Credentials::Anonymous);
        };
        if !entry.registrytoken.is_empty() {
            return Some(Credentials::RegistryToken(entry.registrytoken));
        }
        if !entry.identitytoken.is_empty() {
            return Some(Credentials::IdentityToken(entry.identitytoken));
        }
        if !entry.username.is_empty() {
            return Some(Credentials::password(&entry.username, &entry.password));
        }
        if entry.auth.is_empty() {
            // The secret lies with a credential helper that does not know it.
            return Some(Credentials::Anonymous);
        }
        let plain = STANDARD.decode(entry.auth.trim()).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        Credentials::from_pair(plain.trim_end_matches('\0'))
    }
}

/// What a registry is called in stores.
fn server(registry: &str) -> &str {
    match registry {
        "docker.io" => DOCKER_HUB,
        other => other,
    }
}

/// podman's more special keys: the repository and its parents, the longest first.
fn repositories(registry: &str, repository: &str) -> impl Iterator<Item = String> {
    let ends = repository.match_indices('/').map(|(at, _)| at);
    let ends: Vec<usize> = ends.chain([repository.len()]).collect();
    let keys: Vec<String> = (ends.into_iter().rev())
        .map(|end| format!("{registry}/{}", &repository[..end]))
        .collect();
    keys.into_iter()
}

/// The keys under which docker and podman write a registry's entry, in the order of preference.
fn names(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => [
            DOCKER_HUB,
            "https://index.docker.io/v1",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
        ]
        .map(str::to_owned)
        .to_vec(),
        _ => vec![
            registry.to_owned(),
            format!("https://{registry}"),
            format!("https://{registry}/"),
            format!("https://{registry}/v1/"),
            format!("https://{registry}/v2/"),
            format!("http://{registry}"),
        ],
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
