//! The registry client: manifests and blobs from the places that `hosts.toml` names.
//!
//! Invariant: nothing is taken for what it claims to be: a manifest is returned only if its digest
//! is the one asked for; a blob's digest is verified by containerd before the blob exists.
//!
//! The requests are our own: `oci-client` cannot send the headers of a `hosts.toml` nor leave
//! `/v2` out of a path, and its `ns` parameter is no part of its public interface. It does what is
//! hard to get right: the dance of challenge, token and scope.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::TryStreamExt;
use oci_client::RegistryOperation;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::OnceCell;

use super::fetch_error::{Answer, FetchError};
use super::hosts::Host;
use super::{credentials, digest, transport};
use crate::model::reference::Reference;

/// The largest manifest taken; containerd's own limit.
const MAX_MANIFEST: usize = 8 << 20;

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*";

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

/// One place that serves an image's content.
pub struct Endpoint {
    host: Host,
    repository: String,
    credentials: RegistryAuth,
    http: OnceCell<reqwest::Client>,
    authorization: RefCell<Option<HeaderValue>>,
    down: Cell<bool>,
}

/// The endpoints of an image, in the order to try them.
///
/// Credentials go to the registry itself only, never to its mirrors.
pub fn endpoints(
    reference: &Reference,
    hosts: Vec<Host>,
    credentials: &RegistryAuth,
) -> Vec<Endpoint> {
    let endpoint = |host: Host| Endpoint {
        credentials: match host.namespace {
            None => credentials.clone(),
            Some(_) => RegistryAuth::Anonymous,
        },
        repository: reference.repository().to_owned(),
        host,
        http: OnceCell::new(),
        authorization: RefCell::new(None),
        down: Cell::new(false),
    };
    hosts.into_iter().map(endpoint).collect()
}

impl Endpoint {
    /// The host's name and port, for messages.
    pub fn name(&self) -> String {
        let host = self.host.base.host_str().unwrap_or_default();
        match self.host.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether it may be asked what a tag means.
    pub fn resolves(&self) -> bool {
        self.host.resolves
    }

    /// Whether it may be asked for content by digest.
    pub fn serves(&self) -> bool {
        self.host.serves
    }

    /// Whether it was found out of reach, see [`Endpoint::set_down`].
    pub fn is_down(&self) -> bool {
        self.down.get()
    }

    /// Notes that it is out of reach.
    pub fn set_down(&self) {
        self.down.set(true);
    }

    /// Fetches a manifest or an index by tag or digest.
    ///
    /// # Errors
    /// [`FetchError`]: not there, refused, unreachable, not what its digest promises.
    pub async fn manifest(&self, wanted: &str) -> Result<Fetched, FetchError> {
        let path = format!("manifests/{wanted}");
        let response = self.get(&path, MANIFEST_TYPES, 0).await?;
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|v| v.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let media_type = header("content-type");
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let promised = match wanted.starts_with("sha256:") {
            true => wanted.to_owned(),
            false => header("docker-content-digest"),
        };
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
            media_type: media_type.to_owned(),
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
        let response = self.get(&format!("blobs/{digest}"), "*/*", offset).await?;
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => offset,
            _ => 0,
        };
        let host = self.name();
        let broken = move |source| FetchError::Broken {
            host: host.clone(),
            source,
        };
        Ok((response.bytes_stream().map_err(broken), begins))
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
                    let host = host();
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

    /// One GET; if the host wants to know who we are, a second one that says so.
    async fn get(&self, path: &str, accept: &str, offset: u64) -> Result<Response, FetchError> {
        let mut response = self.send(path, accept, offset).await?;
        let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
        if response.status() == StatusCode::UNAUTHORIZED && challenged {
            self.authorize().await?;
            response = self.send(path, accept, offset).await?;
        }
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            status => Err(FetchError::Refused {
                host: self.name(),
                what: path.to_owned(),
                source: Answer::new(status.as_u16(), self.small(response).await.ok().as_deref()),
            }),
        }
    }

    async fn send(&self, path: &str, accept: &str, offset: u64) -> Result<Response, FetchError> {
        let http = self
            .http
            .get_or_try_init(|| async { transport::http(&self.host, &self.name()) })
            .await?;
        let mut url = self.host.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{}/{path}", self.repository));
        if let Some(namespace) = &self.host.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        let mut request = self.with_headers(http.get(url)).header(ACCEPT, accept);
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let authorization = self.authorization.borrow().clone();
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|source| FetchError::Request {
            host: self.name(),
            source,
        })
    }

    fn with_headers(&self, request: RequestBuilder) -> RequestBuilder {
        let pairs = self.host.headers.iter();
        pairs.fold(request, |request, (name, value)| {
            match (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                (Ok(name), Ok(value)) => request.header(name, value),
                _ => request,
            }
        })
    }

    /// Answers the host's challenge and keeps the answer for the requests to come.
    async fn authorize(&self) -> Result<(), FetchError> {
        let host = self.name();
        let client = transport::auth(&self.host, &host)?;
        let token = client
            .auth(&self.scope(), &self.credentials, RegistryOperation::Pull)
            .await
            .map_err(|source| FetchError::Authorize {
                host,
                source: Box::new(source),
            })?;
        let value = match (token, &self.credentials) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, RegistryAuth::Basic(user, password)) => Some(credentials::basic(user, password)),
            (None, _) => None,
        };
        let mut value = value.and_then(|value| HeaderValue::try_from(value).ok());
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        *self.authorization.borrow_mut() = value;
        Ok(())
    }

    /// What the token is asked for: behind an overridden path the repository has its prefix.
    fn scope(&self) -> oci_client::Reference {
        let prefix = self.host.base.path().trim_start_matches("/v2");
        let repository = format!("{prefix}/{}", self.repository);
        oci_client::Reference::with_tag(
            self.name(),
            repository.trim_start_matches('/').to_owned(),
            "latest".to_owned(),
        )
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
