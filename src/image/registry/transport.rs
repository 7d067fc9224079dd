//! How a host is spoken to: TLS, proxies, time-outs.
//!
//! Invariant: what `hosts.toml` says of a host's certificates holds for requests and for
//! authentication alike; a redirect is never followed here, because headers are not for everybody.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Identity, Response, Url};

use super::error::FetchError;
use super::hosts::{Host, is_loopback};

/// How long a connection may take to stand, and how long it may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);

const USER_AGENT: &str = concat!("netrun/", env!("CARGO_PKG_VERSION"));

/// How many redirects in a row are followed.
pub const MAX_REDIRECTS: usize = 10;

/// The client for requests to a host, which is called `name` in errors.
///
/// # Errors
/// A certificate cannot be read or is malformed, or there are no certificate authorities.
pub fn http(host: &Host, name: &str) -> Result<Client, FetchError> {
    install_crypto();
    let failed = |source| FetchError::Client {
        host: name.to_owned(),
        source,
    };
    match builder(host, name)?.build() {
        // A machine without certificate authorities can still pull over plain HTTP.
        Err(_) if host.base.scheme() == "http" => {
            let builder = builder(host, name)?.tls_certs_only([]);
            builder.build().map_err(failed)
        }
        built => built.map_err(failed),
    }
}

fn builder(host: &Host, name: &str) -> Result<ClientBuilder, FetchError> {
    let failed = |source| FetchError::Client {
        host: name.to_owned(),
        source,
    };
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .connect_timeout(host.dial_timeout.unwrap_or(CONNECT_TIMEOUT))
        .read_timeout(READ_TIMEOUT)
        .tls_danger_accept_invalid_certs(host.skip_verify);
    if is_loopback(name) {
        builder = builder.no_proxy();
    }
    for pem in authorities(host)? {
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(failed)?;
        builder = builder.tls_certs_merge(certificates);
    }
    for (certificate, key) in &host.identities {
        let mut pem = read(certificate)?;
        if let Some(key) = key {
            pem.extend_from_slice(&read(key)?);
        }
        builder = builder.identity(Identity::from_pem(&pem).map_err(failed)?);
    }
    Ok(builder)
}

/// Where an answer points, if it does.
pub fn redirect(response: &Response) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let target = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = response.url().join(target).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

fn authorities(host: &Host) -> Result<Vec<Vec<u8>>, FetchError> {
    host.authorities.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, FetchError> {
    std::fs::read(path).map_err(|source| FetchError::Certificate {
        path: path.to_owned(),
        source,
    })
}

/// TLS needs one provider of cryptography in the process.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only if somebody has installed one already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}
