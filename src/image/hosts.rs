//! Where a registry's content may be fetched: containerd's `hosts.toml`, mirrors first.
//!
//! Invariant: the list is never empty and the registry itself is its last entry, as containerd has
//! it (its document "Registry Configuration - Introduction" is the specification).

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use crate::model::class::{Class, Explain};

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
}

/// A `hosts.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It exists but cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or not of the shape that containerd documents.
    #[error("{} is malformed", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// It names a host that is no HTTP address.
    #[error("{} names {url:?}, which is no address of a registry", .path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The address as given.
        url: String,
    },
}

impl Explain for HostsError {
    fn class(&self) -> Class {
        match self {
            HostsError::Read { .. } => Class::Failed,
            HostsError::Parse { .. } | HostsError::Address { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let (HostsError::Read { path, .. }
        | HostsError::Parse { path, .. }
        | HostsError::Address { path, .. }) = self;
        Some(format!("mend or remove {}", path.display()))
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
        let path = dir.join(name).join("hosts.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => return parse(&text, &path, registry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(HostsError::Read { path, source }),
        }
    }
    let path = dir.join(registry);
    Ok(vec![resolve(None, Entry::default(), &path, registry)?])
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
    let url = url.unwrap_or_else(|| upstream(registry));
    let base = base(&url, entry.override_path == Some(true));
    let base = base.ok_or_else(|| HostsError::Address {
        path: path.to_owned(),
        url,
    })?;
    let can = |what: &str| match &entry.capabilities {
        Some(capabilities) => capabilities.iter().any(|capability| capability == what),
        None => true,
    };
    let (resolves, serves) = (can("resolve"), can("pull"));
    let beside = |file: String| path.with_file_name(file);
    let authorities = entry.ca.map(OneOrMany::into_vec).unwrap_or_default();
    let headers = entry.header.unwrap_or_default().into_iter();
    Ok(Host {
        namespace: (!is_registry(&base, registry)).then(|| registry.to_owned()),
        base,
        resolves,
        serves,
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
    // Written out or not, the default port is the same place.
    let place = |url: &Url| {
        (
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    place(base) == place(&own)
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
mod tests {
    use super::*;

    fn read(text: &str, registry: &str) -> Vec<Host> {
        parse(text, Path::new("/certs/x/hosts.toml"), registry).unwrap()
    }

    fn bases(hosts: &[Host]) -> Vec<&str> {
        hosts.iter().map(|host| host.base.as_str()).collect()
    }

    #[test]
    fn without_a_file_the_registry_itself_serves() {
        let nowhere = Path::new("/nonexistent");
        for (registry, base) in [
            ("docker.io", "https://registry-1.docker.io/v2"),
            ("quay.io", "https://quay.io/v2"),
            ("localhost:5000", "http://localhost:5000/v2"),
            ("127.9.9.9:5000", "http://127.9.9.9:5000/v2"),
            ("[::1]:5000", "http://[::1]:5000/v2"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/v2"),
        ] {
            let hosts = hosts(nowhere, registry).unwrap();
            assert_eq!(bases(&hosts), [base]);
            assert_eq!(hosts[0].namespace, None, "{registry}");
            assert!(hosts[0].resolves && hosts[0].serves);
        }
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file_and_the_server_last() {
        let text = r#"
            server = "https://registry-1.docker.io"
            [host."http://z.example:5000"]
              capabilities = ["pull", "resolve"]
            [host."https://a.example"]
              capabilities = ["pull"]
              skip_verify = true
              ca = ["one.pem", "/two.pem"]
              client = [["c.cert", ""]]
              [host."https://a.example".header]
                x-one = "1"
                x-two = ["a", "b"]
            [host."https://h.example/v2/proxy"]
              override_path = true
        "#;
        let hosts = read(text, "docker.io");
        assert_eq!(
            bases(&hosts),
            [
                "http://z.example:5000/v2",
                "https://a.example/v2",
                "https://h.example/v2/proxy",
                "https://registry-1.docker.io/v2",
            ]
        );
        let namespaces: Vec<_> = hosts.iter().map(|h| h.namespace.as_deref()).collect();
        let hub = Some("docker.io");
        assert_eq!(namespaces, [hub, hub, hub, None]);
        let second = &hosts[1];
        assert!(second.serves && !second.resolves && second.skip_verify);
        let files: Vec<_> = second.authorities.iter().map(|p| p.to_str()).collect();
        assert_eq!(files, [Some("/certs/x/one.pem"), Some("/two.pem")]);
        assert_eq!(second.identities, [("/certs/x/c.cert".into(), None)]);
        let headers: Vec<_> = second
            .headers
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(headers, ["x-one=1", "x-two=a", "x-two=b"]);
    }

    #[test]
    fn a_file_without_server_falls_back_to_the_registry() {
        let hosts = read("[host.\"http://127.0.0.1:5000\"]", "docker.io");
        assert_eq!(
            bases(&hosts),
            [
                "http://127.0.0.1:5000/v2",
                "https://registry-1.docker.io/v2"
            ]
        );
        let hosts = read("server = \"mirror.example\"\nskip_verify = true", "quay.io");
        assert_eq!(bases(&hosts), ["https://mirror.example/v2"]);
        assert_eq!(hosts[0].namespace.as_deref(), Some("quay.io"));
        assert!(hosts[0].skip_verify);
        let hosts = read("server = \"https://quay.io:443\"", "quay.io");
        assert_eq!(hosts[0].namespace, None);
    }

    #[test]
    fn the_directory_without_colon_comes_first_and_default_last() {
        assert_eq!(directories("a:1"), ["a_1_", "a:1", "_default"]);
        assert_eq!(directories("docker.io"), ["docker.io", "_default"]);
        let dir = std::env::temp_dir().join(format!("netrun-hosts-{}", std::process::id()));
        let write = |name: &str, url: &str| {
            std::fs::create_dir_all(dir.join(name)).unwrap();
            let text = format!("[host.\"{url}\"]");
            std::fs::write(dir.join(name).join("hosts.toml"), text).unwrap();
        };
        write("_default", "http://default.example");
        write("b:2", "http://own.example");
        let first = |registry| hosts(&dir, registry).unwrap()[0].base.to_string();
        assert_eq!(first("b:2"), "http://own.example/v2");
        assert_eq!(first("docker.io"), "http://default.example/v2");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let path = Path::new("/certs/x/hosts.toml");
        let error = parse("host = 1", path, "docker.io").unwrap_err();
        assert_eq!(error.class(), Class::InvalidInput);
        assert!(error.to_string().contains("/certs/x/hosts.toml"));
        for url in ["ftp://x", "http://", "::"] {
            let text = format!("[host.\"{url}\"]");
            let error = parse(&text, path, "docker.io").unwrap_err();
            assert!(matches!(error, HostsError::Address { .. }), "{url}");
        }
    }
}
