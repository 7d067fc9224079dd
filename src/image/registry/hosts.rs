//! Where a registry's content may be fetched: containerd's `hosts.toml`, mirrors first.
//!
//! Invariant: the list is never empty and the registry itself is its last entry, as containerd has
//! it (its document "Registry Configuration - Introduction" is the specification).

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use super::hosts_error::HostsError;
use crate::model::time::parse_duration;

/// Where containerd and its clients look for `<registry>/hosts.toml`.
pub const DEFAULT_DIR: &str = "/etc/containerd/certs.d";

/// One place that serves a registry's content.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Scheme, host, port and the path that `/<repository>/manifests/...` is appended to.
    pub base: Url,
    /// It may be asked which digest a tag means.
    pub resolves: bool,
    /// It may be asked for content by digest.
    pub serves: bool,
    /// The registry to name in the `ns` parameter; nothing if this host is the registry itself.
    pub namespace: Option<String>,
    /// Its certificate is not verified.
    pub skip_verify: bool,
    /// Files of further certificate authorities, PEM.
    pub authorities: Vec<PathBuf>,
    /// Files of client certificates, PEM, with their keys if those are in files of their own.
    pub identities: Vec<(PathBuf, Option<PathBuf>)>,
    /// Headers that every request carries.
    pub headers: Vec<(String, String)>,
    /// It may be given content.
    pub takes: bool,
    /// How long a connection may take to stand, if the file says so.
    pub dial_timeout: Option<Duration>,
}

impl Host {
    /// A place of which nothing is known but its address.
    pub fn unknown(base: Url) -> Host {
        Host {
            base,
            resolves: true,
            serves: true,
            takes: false,
            namespace: None,
            skip_verify: false,
            authorities: Vec::new(),
            identities: Vec::new(),
            headers: Vec::new(),
            dial_timeout: None,
        }
    }

    /// Its name and port, for messages.
    pub fn name(&self) -> String {
        name(&self.base)
    }
}

/// An address's host, with its port if it says one.
pub fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The places that serve `registry`, in the order to try them.
///
/// The first of `<dir>/<host>_<port>_/hosts.toml`, `<dir>/<host>:<port>/hosts.toml` and
/// `<dir>/_default/hosts.toml` counts; without any the registry itself is the only place.
///
/// # Errors
/// [`HostsError`] if the file that counts cannot be used.
pub fn hosts(dir: &Path, registry: &str) -> Result<Vec<Host>, HostsError> {
    for name in directories(registry) {
        let place = dir.join(name);
        let path = place.join("hosts.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => return parse(&text, &path, registry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(HostsError::Read { path, source }),
        }
        if let Ok(files) = std::fs::read_dir(&place) {
            let names = files.flatten().map(|file| file.path()).collect();
            let entry = docker_certificates(names).unwrap_or_default();
            return Ok(vec![resolve(None, entry, &path, registry)?]);
        }
    }
    let path = dir.join(registry);
    Ok(vec![resolve(None, Entry::default(), &path, registry)?])
}

/// What docker has beside each other in a registry's directory: authorities as `*.crt`, client
/// certificates as `*.cert` with their keys as `*.key`.
fn docker_certificates(mut files: Vec<PathBuf>) -> Option<Entry> {
    files.sort();
    let of_kind = |kind: &str| {
        let fits = |file: &&PathBuf| file.extension().is_some_and(|own| own == kind);
        files.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let text = |file: &Path| file.to_string_lossy().into_owned();
    let authorities: Vec<String> = of_kind("crt").iter().map(|file| text(file)).collect();
    let pair =
        |file: &PathBuf| OneOrMany::Many(vec![text(file), text(&file.with_extension("key"))]);
    let clients: Vec<OneOrMany> = of_kind("cert").iter().map(pair).collect();
    (!authorities.is_empty() || !clients.is_empty()).then(|| Entry {
        ca: Some(OneOrMany::Many(authorities)),
        client: Some(Clients::Many(clients)),
        ..Entry::default()
    })
}

/// Whether a registry is on this machine: it is spoken to in plain HTTP.
pub fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The names of a registry's directory: file systems and tools that dislike a colon have one
/// without.
fn directories(registry: &str) -> Vec<String> {
    let mut names = Vec::new();
    if let Some((host, port)) = registry.rsplit_once(':') {
        names.push(format!("{host}_{port}_"));
    }
    names.push(registry.to_owned());
    names.push("_default".to_owned());
    names
}

#[derive(Deserialize)]
struct File {
    server: Option<String>,
    #[serde(default)]
    host: BTreeMap<Spanned<String>, Entry>,
    #[serde(flatten)]
    root: Entry,
}

#[derive(Default, Deserialize)]
struct Entry {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    header: Option<BTreeMap<String, OneOrMany>>,
    override_path: Option<bool>,
    dial_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// One file with certificate and key, several such, or pairs of files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    One(String),
    Many(Vec<OneOrMany>),
}

impl Entry {
    fn has_tls(&self) -> bool {
        self.ca.is_some() || self.client.is_some() || self.skip_verify == Some(true)
    }
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

fn parse(text: &str, path: &Path, registry: &str) -> Result<Vec<Host>, HostsError> {
    let file: File = toml::from_str(text).map_err(|source| HostsError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    // The order of the file is the order to try; a table knows none, but its keys' places do.
    let mut entries: Vec<(Spanned<String>, Entry)> = file.host.into_iter().collect();
    entries.sort_by_key(|(url, _)| url.span().start);
    let mut hosts = Vec::new();
    for (url, entry) in entries {
        hosts.push(resolve(Some(url.into_inner()), entry, path, registry)?);
    }
    hosts.push(resolve(file.server, file.root, path, registry)?);
    Ok(hosts)
}

/// Fills in what an entry leaves out; without an address it is the registry itself.
fn resolve(
    url: Option<String>,
    entry: Entry,
    path: &Path,
    registry: &str,
) -> Result<Host, HostsError> {
    // Where something is said of certificates, there is TLS, on this machine too.
    let url = url.unwrap_or_else(|| match entry.has_tls() && is_loopback(registry) {
        true => format!("https://{registry}"),
        false => upstream(registry),
    });
    let base = base(&url, entry.override_path == Some(true));
    let base = base.ok_or_else(|| HostsError::Address {
        path: path.to_owned(),
        url,
    })?;
    let (resolves, serves, takes) = capabilities(&entry, path)?;
    let dial_timeout = entry.dial_timeout.as_deref().map(|text| {
        parse_duration(text).map_err(|_| HostsError::Duration {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    });
    let dial_timeout = dial_timeout.transpose()?;
    let beside = |file: String| path.with_file_name(file);
    let authorities = entry.ca.map(OneOrMany::into_vec).unwrap_or_default();
    let headers = entry.header.unwrap_or_default().into_iter();
    Ok(Host {
        namespace: (!is_registry(&base, registry)).then(|| registry.to_owned()),
        base,
        resolves,
        serves,
        takes,
        dial_timeout,
        skip_verify: entry.skip_verify.unwrap_or(false),
        authorities: authorities.into_iter().map(beside).collect(),
        identities: identities(entry.client, path),
        headers: headers
            .flat_map(|(name, values)| {
                let pair = move |value| (name.clone(), value);
                values.into_vec().into_iter().map(pair)
            })
            .collect(),
    })
}

/// Whether it may be asked for tags, for content, and be given some; nothing said is all of them.
fn capabilities(entry: &Entry, path: &Path) -> Result<(bool, bool, bool), HostsError> {
    let named = entry.capabilities.as_deref().unwrap_or_default();
    let known = ["resolve", "pull", "push"];
    if let Some(capability) = named.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(HostsError::Capability {
            path: path.to_owned(),
            capability: capability.clone(),
        });
    }
    let [resolves, serves, takes] =
        known.map(|one| named.is_empty() || named.iter().any(|name| name == one));
    Ok((resolves, serves, takes))
}

/// The address that a registry is known to have by its name alone.
fn upstream(registry: &str) -> String {
    match registry {
        "docker.io" => "https://registry-1.docker.io".to_owned(),
        _ if is_loopback(registry) => format!("http://{registry}"),
        _ => format!("https://{registry}"),
    }
}

fn base(url: &str, override_path: bool) -> Option<Url> {
    let url = match url.contains("://") {
        true => Url::parse(url),
        false => Url::parse(&format!("https://{url}")),
    };
    let mut url = url.ok().filter(|url| url.has_host())?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if override_path || path.ends_with("/v2") {
        url.set_path(&path);
    } else {
        url.set_path(&format!("{path}/v2"));
    }
    Some(url)
}

fn is_registry(base: &Url, registry: &str) -> bool {
    let Ok(own) = Url::parse(&upstream(registry)) else {
        return false;
    };
    // Written out or not, the default port is the same place; so is one without encryption, if the file
    // says so.
    let ports = |url: &Url| (url.port(), url.port_or_known_default());
    let (ours, theirs) = (ports(&own), ports(base));
    own.host_str() == base.host_str() && (ours.0 == theirs.0 || ours.1 == theirs.1)
}

fn identities(clients: Option<Clients>, path: &Path) -> Vec<(PathBuf, Option<PathBuf>)> {
    let files: Vec<Vec<String>> = match clients {
        None => Vec::new(),
        Some(Clients::One(file)) => vec![vec![file]],
        Some(Clients::Many(many)) => many.into_iter().map(OneOrMany::into_vec).collect(),
    };
    files
        .into_iter()
        .filter_map(|pair| {
            let mut pair = pair.into_iter().map(|file| path.with_file_name(file));
            let certificate = pair.next()?;
            // Without a key of its own the file holds both; an empty name says the same.
            let key = pair.next().filter(|key| key.is_file());
            Some((certificate, key))
        })
        .collect()
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
