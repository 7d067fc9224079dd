//! Writing to a registry: blobs and manifests (distribution specification, "Push").
//!
//! Invariant: a blob is announced by its digest, and the registry verifies it.

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::error::FetchError;
use super::exchange::Call;
use super::{Endpoint, scope, text};

/// What came of asking a registry to take a blob over.
enum Begun {
    /// It has it now.
    Mounted,
    /// It is to be sent there.
    At(Url),
}

impl Endpoint<'_> {
    /// Whether the repository is known to have a blob.
    ///
    /// # Errors
    /// [`FetchError`]: refused, unreachable.
    pub async fn has_blob(&self, digest: &str) -> Result<bool, FetchError> {
        let path = format!("blobs/{digest}");
        self.has(&path, &self.blob_named(digest)).await
    }

    /// Whether the repository is known to have a manifest.
    ///
    /// # Errors
    /// [`FetchError`]: refused, unreachable.
    pub async fn has_manifest(&self, digest: &str) -> Result<bool, FetchError> {
        let path = format!("manifests/{digest}");
        self.has(&path, &self.manifest_named(digest)).await
    }

    async fn has(&self, path: &str, what: &str) -> Result<bool, FetchError> {
        let response = self
            .perform(&Call::new(Method::HEAD, self.url(path)))
            .await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            // Whoever does not say, or points to a storage that does not, may still take it.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
                Ok(false)
            }
            _ => Err(self.not_taken(what, response).await),
        }
    }

    /// Sends a blob, unless the registry takes it over from one of the repositories `sources` of its
    /// own, which is only an attempt, however it is refused; says whether it did. `body` gives the
    /// blob's bytes, from the beginning at each call.
    ///
    /// # Errors
    /// [`FetchError`]: refused, unreachable.
    pub async fn send_blob(
        &self,
        digest: &str,
        size: u64,
        sources: &[String],
        body: &dyn Fn() -> reqwest::Body,
    ) -> Result<bool, FetchError> {
        let mut begun = None;
        for source in sources {
            match self.begin_upload(digest, Some(source)).await {
                Ok(Begun::Mounted) => return Ok(true),
                Ok(Begun::At(url)) => begun = Some(url),
                Err(error) if error.is_answer() => {}
                Err(error) => return Err(error),
            }
        }
        let url = match begun {
            Some(url) => url,
            None => match self.begin_upload(digest, None).await? {
                Begun::Mounted => return Ok(true),
                Begun::At(url) => url,
            },
        };
        let mut url = url;
        url.query_pairs_mut().append_pair("digest", digest);
        let mut call = Call::new(Method::PUT, url)
            .header(CONTENT_TYPE, "application/octet-stream".to_owned())
            .header(CONTENT_LENGTH, size.to_string());
        call.body = Some(body);
        let response = self.perform(&call).await?;
        self.created(&self.blob_named(digest), response).await?;
        Ok(false)
    }

    /// Opens an upload; a registry that cannot mount a blob from elsewhere opens one too.
    async fn begin_upload(&self, digest: &str, from: Option<&str>) -> Result<Begun, FetchError> {
        let mut url = self.url("blobs/uploads/");
        if let Some(from) = from {
            url.query_pairs_mut()
                .append_pair("mount", digest)
                .append_pair("from", from);
        }
        let empty = || reqwest::Body::from(Bytes::new());
        let mut call = Call::new(Method::POST, url).header(CONTENT_LENGTH, "0".to_owned());
        call.body = Some(&empty);
        // A host that cannot mount it now may take the blob itself, and is waited for then.
        call.waits = from.is_none();
        // What may not be read there may still be written here, so the other requests' tokens do
        // without.
        call.scope = from.map(|from| scope(&self.host, from, "pull"));
        let response = self.perform(&call).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Begun::Mounted),
            StatusCode::ACCEPTED => {
                let at = response.headers().get(LOCATION);
                let at = at.and_then(|value| value.to_str().ok());
                let at = at.and_then(|text| response.url().join(text).ok());
                at.map(Begun::At)
                    .ok_or_else(|| FetchError::NoLocation { host: self.name() })
            }
            _ => Err(self.not_taken(&self.blob_named(digest), response).await),
        }
    }

    /// Stores a manifest or an index under a tag or its digest.
    ///
    /// # Errors
    /// [`FetchError`]: refused, unreachable; the registry took it for something else.
    pub async fn send_manifest(
        &self,
        wanted: &str,
        media_type: &str,
        digest: &str,
        bytes: &Bytes,
    ) -> Result<(), FetchError> {
        let url = self.url(&format!("manifests/{wanted}"));
        let body = || reqwest::Body::from(bytes.clone());
        let mut call = Call::new(Method::PUT, url);
        call = call.header(CONTENT_TYPE, media_type.to_owned());
        call.body = Some(&body);
        let response = self.perform(&call).await?;
        let stored = text(
            &response,
            HeaderName::from_static("docker-content-digest").as_str(),
        );
        self.created(&self.manifest_named(wanted), response).await?;
        match stored.is_empty() || stored == digest {
            true => Ok(()),
            false => Err(FetchError::Digest {
                host: self.name(),
                expected: digest.to_owned(),
                found: stored,
            }),
        }
    }

    async fn created(&self, what: &str, response: Response) -> Result<(), FetchError> {
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(self.not_taken(what, response).await),
        }
    }

    async fn not_taken(&self, what: &str, response: Response) -> FetchError {
        FetchError::NotTaken {
            host: self.name(),
            what: what.to_owned(),
            source: self.answer(response).await,
        }
    }

    fn blob_named(&self, digest: &str) -> String {
        format!("the blob {digest} of {}", self.repository)
    }

    /// A manifest by its tag or its digest.
    fn manifest_named(&self, wanted: &str) -> String {
        match wanted.starts_with("sha256:") {
            true => format!("the manifest {wanted} of {}", self.repository),
            false => format!("the tag {wanted} of {}", self.repository),
        }
    }
}
