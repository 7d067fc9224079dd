//! Who we are at a registry: docker's `config.json` or podman's `auth.json`, and the helpers that they name.
//!
//! Invariant: a secret never appears in an error or in `Debug` output, nor in a file that others can
//! read.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::credential_file::{lock, read, write};
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

/// JSON that is none, or not of the shape that is meant. serde's own words repeat what they stumbled
/// over, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON.
    #[error("no JSON from line {0}, column {1} on")]
    Syntax(usize, usize),
    /// A value is of another kind than docker and podman write.
    #[error("a field has a value of another kind than docker and podman write")]
    Shape,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        match error.is_data() {
            true => Self::Shape,
            false => Self::Syntax(error.line(), error.column()),
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
        source: Malformed,
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
    #[serde(deserialize_with = "or_none")]
    auths: BTreeMap<String, Option<Entry>>,
    #[serde(deserialize_with = "or_none")]
    creds_store: String,
    #[serde(deserialize_with = "or_none")]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "or_none")]
    auth: String,
    #[serde(deserialize_with = "or_none")]
    username: String,
    #[serde(deserialize_with = "or_none")]
    password: String,
    #[serde(deserialize_with = "or_none")]
    identitytoken: String,
    #[serde(deserialize_with = "or_none")]
    registrytoken: String,
}

/// What Go reads from `null`: nothing.
fn or_none<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
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
    let _lock = lock(path).await?;
    let mut document = read(path)?.unwrap_or_default();
    let file: File = parse(path, document.clone())?;
    if let Some(helper) = file.helper(registry) {
        let stored = credential_helper::store(helper, server(registry), user, password).await;
        return stored.map_err(|source| refused(path, source));
    }
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let auths = document.entry("auths").or_insert(Value::Null);
    if auths.is_null() {
        *auths = json!({});
    }
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
    if read(path)?.is_none() {
        return Ok(false);
    }
    let _lock = lock(path).await?;
    let mut document = read(path)?.unwrap_or_default();
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

fn parse(path: &Path, document: Map<String, Value>) -> Result<File, CredentialsError> {
    serde_json::from_value(Value::Object(document)).map_err(|error| CredentialsError::Parse {
        path: path.to_owned(),
        source: error.into(),
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
        let Some(entry) = keys.find_map(|key| self.auths.remove(&key).flatten()) else {
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
