//! One request to a host: who we are, patience, redirects.
//!
//! Invariant: our headers and credentials go to the host's own address only, and only that may ask
//! who we are.

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::auth::{Applicant, Challenge, challenges};
use super::error::FetchError;
use super::transport::{MAX_REDIRECTS, redirect};
use super::{Endpoint, hosts, patience, transport};
use crate::image::progress::PullEvent;

/// One request, which can be made again.
pub(super) struct Call<'c> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, String)>,
    /// What a token must allow besides what the endpoint's do: the same host's, for this request.
    pub scope: Option<String>,
    pub body: Option<&'c dyn Fn() -> reqwest::Body>,
    /// Whether a host that asks us to wait, or fails for now, is asked again: not where another request
    /// tells the same.
    pub waits: bool,
}

impl Call<'_> {
    pub fn new(method: Method, url: Url) -> Self {
        Call {
            method,
            url,
            headers: Vec::new(),
            scope: None,
            body: None,
            waits: true,
        }
    }

    pub fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Endpoint<'_> {
    /// Makes a request: says who we are if the host wants to know, waits if it asks us to or
    /// fails for now, and follows where it points.
    pub(super) async fn perform(&self, call: &Call<'_>) -> Result<Response, FetchError> {
        let mut introduced = false;
        let mut waits = 0;
        loop {
            let used = self.authorization.borrow().get(&call.scope).cloned();
            let response = self.follow(call, used.as_ref()).await?;
            let status = response.status();
            let wanted = challenges(response.headers());
            // Whoever a redirect led to has no right to ask.
            let asks = status == StatusCode::UNAUTHORIZED && self.is_own(response.url());
            if asks && !introduced && !wanted.is_empty() {
                introduced = true;
                let renewed = self.authorization.borrow().get(&call.scope) != used.as_ref();
                if !renewed {
                    let value = self.introduce(&wanted, call.scope.as_ref()).await?;
                    let mut known = self.authorization.borrow_mut();
                    known.insert(call.scope.clone(), value);
                }
                continue;
            }
            let pause = patience::pause(status, response.headers(), waits);
            match pause.filter(|_| self.patient && call.waits) {
                None => return Ok(response),
                Some(pause) => {
                    waits += 1;
                    let host = &self.name();
                    let status = status.as_u16();
                    (self.progress)(PullEvent::HostBusy {
                        host,
                        status,
                        pause,
                    });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn introduce(
        &self,
        wanted: &[Challenge],
        scope: Option<&String>,
    ) -> Result<HeaderValue, FetchError> {
        let find = || async {
            let found = self.keyring.find(&self.name(), &self.repository).await;
            found.map_err(|source| FetchError::Credentials {
                host: self.name(),
                source,
            })
        };
        let scopes: Vec<String> = self.scopes.iter().chain(scope).cloned().collect();
        let applicant = Applicant {
            http: self.http().await?,
            host: &self.name(),
            over_tls: self.host.base.scheme() == "https",
            credentials: self.credentials.get_or_try_init(find).await?,
            scopes: &scopes,
        };
        applicant.answer(wanted).await
    }

    async fn http(&self) -> Result<&Client, FetchError> {
        let made = || async { transport::http(&self.host, &self.name()) };
        self.http.get_or_try_init(made).await
    }

    /// Sends the request where it is to go, and on to where that points.
    async fn follow(
        &self,
        call: &Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, FetchError> {
        let http = self.http().await?;
        let mut url = call.url.clone();
        for _ in 0..MAX_REDIRECTS {
            let mut request = http.request(call.method.clone(), url.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if self.is_own(&url) {
                for (name, value) in &self.host.headers {
                    request = request.header(name, value);
                }
                if let Some(value) = authorization {
                    request = request.header(AUTHORIZATION, value);
                }
            }
            if let Some(body) = call.body {
                request = request.body(body());
            }
            let response = request.send().await.map_err(|source| FetchError::Request {
                host: self.place(&url),
                source: source.without_url(),
            })?;
            match redirect(&response) {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        Err(FetchError::Redirects { host: self.name() })
    }

    /// An address's host, for messages: storage that we were pointed to is not the registry.
    fn place(&self, url: &Url) -> String {
        match self.is_own(url) {
            true => self.name(),
            false => format!("{}, where {} points,", hosts::name(url), self.name()),
        }
    }

    /// Whether an address is the host's own.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.host.base.origin()
    }
}
