//! The registry client: manifests and blobs from the places that `hosts.toml` names.
//!
//! Invariant: nothing is taken for what it claims to be: a manifest is returned only if its digest
//! is the one asked for; a blob's digest is verified by containerd before the blob exists. Headers
//! and credentials go to the host that they are for, never along with a redirect to another.

pub mod answer;
pub mod auth;
mod credential_file;
pub mod credential_helper;
pub mod credentials;
pub mod error;
mod exchange;
pub mod hosts;
pub mod hosts_error;
mod patience;
mod transport;
mod upload;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::TryStreamExt;
use reqwest::header::{ACCEPT, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use self::answer::Answer;
use self::credentials::{Credentials, Keyring};
use self::error::FetchError;
use self::exchange::Call;
use self::hosts::Host;
use super::digest;
use super::progress::Progress;
use crate::model::reference::Reference;

/// The largest manifest taken; containerd's own limit.
const MAX_MANIFEST: usize = 8 << 20;

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*";

/// Docker's first format, with signatures and without.
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
];

/// A manifest or an index as the registry sent it, its digest verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The exact bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: String,
    /// The media type that the registry gave, without parameters; may be empty.
    pub media_type: String,
}

/// What we want of a repository.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Access {
    /// To read it.
    Pull,
    /// To write it.
    Push,
}

/// One place that serves an image's content.
pub struct Endpoint<'a> {
    host: Host,
    repository: String,
    scopes: Vec<String>,
    /// Who we are there; looked up when the host asks, if it is not known from the beginning.
    credentials: OnceCell<Credentials>,
    keyring: Keyring,
    http: OnceCell<Client>,
    /// What met the host's challenges, by what a token had to allow besides `scopes`.
    authorization: RefCell<BTreeMap<Option<String>, HeaderValue>>,
    down: Cell<bool>,
    /// Whether a host that asks us to wait is waited for: where there is no other to turn to.
    patient: bool,
    progress: Progress<'a>,
}

/// The endpoints of an image, in the order to try them.
///
/// These credentials go to the registry itself only; a mirror gets its own, of the keyring's file.
pub fn endpoints<'a>(
    reference: &Reference,
    hosts: Vec<Host>,
    (credentials, keyring): (&Credentials, &Keyring),
    access: Access,
    progress: Progress<'a>,
) -> Vec<Endpoint<'a>> {
    let last = hosts.len().saturating_sub(1);
    let endpoint = |(number, host): (usize, Host)| Endpoint {
        credentials: match host.namespace {
            None => OnceCell::new_with(Some(credentials.clone())),
            Some(_) => OnceCell::new(),
        },
        keyring: Keyring {
            // What the command line gives is the registry's.
            given: None,
            file: keyring.file.clone(),
        },
        repository: reference.repository().to_owned(),
        scopes: vec![match access {
            Access::Pull => scope(&host, reference.repository(), "pull"),
            Access::Push => scope(&host, reference.repository(), "pull,push"),
        }],
        host,
        http: OnceCell::new(),
        authorization: RefCell::default(),
        down: Cell::new(false),
        patient: number == last || access == Access::Push,
        progress,
    };
    hosts.into_iter().enumerate().map(endpoint).collect()
}

/// What a token is asked for: behind an overridden path the repository has its prefix.
fn scope(host: &Host, repository: &str, actions: &str) -> String {
    let prefix = host.base.path().trim_start_matches("/v2");
    let whole = format!("{prefix}/{repository}");
    format!("repository:{}:{actions}", whole.trim_start_matches('/'))
}

impl<'a> Endpoint<'a> {
    /// A place that a descriptor names for one blob, where nobody is known.
    pub fn elsewhere(url: Url, progress: Progress<'a>) -> Endpoint<'a> {
        Endpoint::site(Host::unknown(url), Credentials::Anonymous, progress)
    }

    /// A registry as such, without a repository.
    pub fn site(host: Host, credentials: Credentials, progress: Progress<'a>) -> Endpoint<'a> {
        Endpoint {
            host,
            repository: String::new(),
            scopes: Vec::new(),
            credentials: OnceCell::new_with(Some(credentials)),
            keyring: Keyring::default(),
            http: OnceCell::new(),
            authorization: RefCell::default(),
            down: Cell::new(false),
            patient: true,
            progress,
        }
    }

    /// The host's name and port, for messages.
    pub fn name(&self) -> String {
        self.host.name()
    }

    /// Whether it may be asked what a tag means.
    pub fn resolves(&self) -> bool {
        self.host.resolves
    }

    /// Whether it may be asked for content by digest.
    pub fn serves(&self) -> bool {
        self.host.serves
    }

    /// Whether it may be given content.
    pub fn takes(&self) -> bool {
        self.host.takes
    }

    /// Whether it was found out of reach, see [`Endpoint::set_down`].
    pub fn is_down(&self) -> bool {
        self.down.get()
    }

    /// Notes that it is out of reach.
    pub fn set_down(&self) {
        self.down.set(true);
    }

    /// Asks for the digest and the media type of a tag without fetching it, which registries do not
    /// count; nothing if the host does not say, and only the manifest itself, or the words of a
    /// refusal to give it, tells.
    ///
    /// # Errors
    /// [`FetchError`]: out of reach, we are not let in.
    pub async fn look(&self, wanted: &str) -> Result<Option<(String, String)>, FetchError> {
        let path = format!("manifests/{wanted}");
        let call = Call::new(Method::HEAD, self.url(&path));
        let mut call = call.header(ACCEPT, MANIFEST_TYPES.to_owned());
        call.waits = false;
        let response = self.perform(&call).await?;
        let digest = text(&response, "docker-content-digest");
        let known = response.status() == StatusCode::OK && digest.starts_with("sha256:");
        Ok(known.then(|| (digest, media_type(&response))))
    }

    /// Fetches a manifest or an index by tag or digest.
    ///
    /// # Errors
    /// [`FetchError`]: not there, refused, unreachable, not what its digest promises.
    pub async fn manifest(&self, wanted: &str) -> Result<Fetched, FetchError> {
        let path = format!("manifests/{wanted}");
        let response = self.get(&path, self.url(&path), MANIFEST_TYPES, 0).await?;
        let media_type = media_type(&response);
        let promised = match wanted.starts_with("sha256:") {
            true => wanted.to_owned(),
            false => text(&response, "docker-content-digest"),
        };
        // Its digest leaves out the signatures that stand in it.
        if SCHEMA_1.contains(&media_type.as_str()) {
            return Err(FetchError::Schema1 { host: self.name() });
        }
        let bytes = self.small(response).await?;
        let digest = digest::of(&bytes);
        if promised.starts_with("sha256:") && promised != digest {
            return Err(FetchError::Digest {
                host: self.name(),
                expected: promised,
                found: digest,
            });
        }
        Ok(Fetched {
            bytes,
            digest,
            media_type,
        })
    }

    /// Opens a blob from byte `offset` on; the second value is the byte that the stream really
    /// begins at, 0 where the host does not know ranges.
    ///
    /// # Errors
    /// [`FetchError`]: not there, refused, unreachable; the stream fails when the connection does.
    pub async fn blob(
        &self,
        digest: &str,
        offset: u64,
    ) -> Result<(impl Stream<Item = Result<Bytes, FetchError>> + use<>, u64), FetchError> {
        let path = format!("blobs/{digest}");
        let url = match self.repository.is_empty() {
            true => self.host.base.clone(),
            false => self.url(&path),
        };
        let response = match self.get(&path, url.clone(), "*/*", offset).await {
            // A host that is at odds with us about the end begins anew.
            Err(FetchError::Refused { source, .. }) if offset > 0 && source.status == 416 => {
                self.get(&path, url, "*/*", 0).await?
            }
            outcome => outcome?,
        };
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => begin(&response).filter(|at| *at <= offset),
            _ => Some(0),
        };
        let host = self.name();
        let Some(begins) = begins else {
            return Err(FetchError::Range { host });
        };
        let broken = move |source: reqwest::Error| FetchError::Broken {
            host: host.clone(),
            source: source.without_url(),
        };
        Ok((response.bytes_stream().map_err(broken), begins))
    }

    /// Asks whether we are let in.
    ///
    /// # Errors
    /// [`FetchError`]: we are not, or nobody answers.
    pub async fn enter(&self) -> Result<(), FetchError> {
        let mut url = self.host.base.clone();
        url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
        self.get("/v2/", url, "*/*", 0).await.map(drop)
    }

    /// Reads a body that must not be large.
    async fn small(&self, mut response: Response) -> Result<Bytes, FetchError> {
        let host = || self.name();
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes.into()),
                Err(source) => {
                    let (host, source) = (host(), source.without_url());
                    return Err(FetchError::Broken { host, source });
                }
            }
            if bytes.len() > MAX_MANIFEST {
                let host = host();
                return Err(FetchError::TooLarge {
                    host,
                    limit: MAX_MANIFEST,
                });
            }
        }
    }

    /// Where something of the repository lies.
    fn url(&self, path: &str) -> Url {
        let mut url = self.host.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{}/{path}", self.repository));
        if let Some(namespace) = &self.host.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        url
    }

    async fn get(
        &self,
        what: &str,
        url: Url,
        accept: &str,
        offset: u64,
    ) -> Result<Response, FetchError> {
        let mut call = Call::new(Method::GET, url).header(ACCEPT, accept.to_owned());
        if offset > 0 {
            call = call.header(RANGE, format!("bytes={offset}-"));
        }
        let response = self.perform(&call).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            _ => Err(self.refused(what, response).await),
        }
    }

    async fn refused(&self, what: &str, response: Response) -> FetchError {
        FetchError::Refused {
            host: self.name(),
            what: what.to_owned(),
            source: self.answer(response).await,
        }
    }

    async fn answer(&self, response: Response) -> Answer {
        let retry_after = patience::asked(response.headers());
        let status = response.status().as_u16();
        let mut answer = Answer::new(status, self.small(response).await.ok().as_deref());
        answer.retry_after = retry_after;
        answer
    }
}

fn text(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).and_then(|v| v.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn media_type(response: &Response) -> String {
    let whole = text(response, "content-type");
    whole
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The first byte of a part: `bytes 5-9/10`.
fn begin(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
