//! What goes wrong between us and a registry.
//!
//! Invariant: the class comes from the HTTP status or the transport's own kind, never from a text. No
//! address is shown whole: the part behind `?` may be a signature that lets anybody in.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::answer::Answer;
use super::credentials::CredentialsError;
use crate::model::class::{Class, Explain};

/// A request to one host that did not yield what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A certificate that `hosts.toml` names cannot be read.
    #[error("cannot read the certificate {}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No client could be made: no certificate authorities, a malformed certificate.
    #[error("cannot set up TLS for {host}")]
    Client {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The host did not answer.
    #[error("{host} does not answer")]
    Request {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It wants to be told who we are in a way that we do not have, or we have nothing to tell.
    #[error("{host} wants to know who we are, and there is no credential for it")]
    Challenge {
        /// The host.
        host: String,
    },
    /// The file of credentials, or a helper that it names, cannot be used for it.
    #[error("cannot tell who we are at {host}")]
    Credentials {
        /// The host.
        host: String,
        /// Why.
        source: CredentialsError,
    },
    /// It wants a secret to be sent unencrypted.
    #[error("{host} wants the credentials to be sent to {server} without encryption")]
    Insecure {
        /// The host.
        host: String,
        /// The token server that it names.
        server: String,
    },
    /// The token server that the host named refuses us.
    #[error("{server}, where {host} sends us for a token, does not give one")]
    Token {
        /// The host.
        host: String,
        /// The token server.
        server: String,
        /// Its answer.
        source: Answer,
    },
    /// The token server does not answer.
    #[error("the token server {server} does not answer")]
    TokenServer {
        /// The token server.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The token server's answer holds no token.
    #[error("the token server {server} answered without a token")]
    NoToken {
        /// The token server.
        server: String,
    },
    /// It sent another part of a blob than the one asked for.
    #[error("{host} sent another part of a blob than was asked for")]
    Range {
        /// The host.
        host: String,
    },
    /// It opened an upload and does not say where.
    #[error("{host} does not say where to send a blob")]
    NoLocation {
        /// The host.
        host: String,
    },
    /// One redirect after the other, or one to nowhere.
    #[error("{host} redirects without an end")]
    Redirects {
        /// The host.
        host: String,
    },
    /// The host answered with an error.
    #[error("{host} does not hand out {what}")]
    Refused {
        /// The host.
        host: String,
        /// What was asked for, as in the URL: `manifests/3.14`.
        what: String,
        /// Its answer.
        source: Answer,
    },
    /// The host does not store what it is sent.
    #[error("{host} does not take {what}")]
    NotTaken {
        /// The host.
        host: String,
        /// What was sent: `the blob sha256:... of team/app`.
        what: String,
        /// Its answer.
        source: Answer,
    },
    /// The connection broke within an answer.
    #[error("the connection to {host} broke")]
    Broken {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It has the image in a format that containerd has given up.
    #[error("{host} has it in docker's schema 1, which nobody writes any more")]
    Schema1 {
        /// The host.
        host: String,
    },
    /// What came is not what its digest promises.
    #[error("{host} sent content with digest {found} instead of {expected}")]
    Digest {
        /// The host.
        host: String,
        /// The digest that was promised.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// What came is not what digest and size promise; containerd found out.
    #[error("{host} sent content that is not {expected}")]
    Content {
        /// The host.
        host: String,
        /// The digest that was promised.
        expected: String,
        /// What containerd says of it.
        source: crate::containerd::Error,
    },
    /// A blob has another size than its manifest says.
    #[error("{host} sent {found} bytes for {digest} instead of {expected}")]
    Size {
        /// The host.
        host: String,
        /// The blob.
        digest: String,
        /// The size that the manifest gives, bytes.
        expected: u64,
        /// How many bytes came before we stopped.
        found: u64,
    },
    /// A manifest is larger than any manifest.
    #[error("{host} sent a manifest of more than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl FetchError {
    /// Whether the host has spoken, as opposed to not having been reached.
    pub fn is_answer(&self) -> bool {
        !matches!(
            self,
            FetchError::Certificate { .. } | FetchError::Client { .. } | FetchError::Request { .. }
        )
    }
}

impl FetchError {
    /// What to do next where something was to be pushed.
    pub fn push_hint(&self) -> Option<String> {
        match self {
            FetchError::Token { host, source, .. } => source.push_hint(host),
            _ => self.hint(),
        }
    }

    /// Whether the connection to a host that can be reached broke: it is worth another try.
    pub fn is_broken(&self) -> bool {
        match self {
            FetchError::Broken { .. } => true,
            // Whoever does not say how much is to come may be cut off unnoticed; some never send more
            // than a part at once.
            FetchError::Size {
                expected, found, ..
            } => found < expected,
            FetchError::Request { source, .. } => !source.is_connect() && !source.is_timeout(),
            _ => false,
        }
    }
}

/// Whether TLS failed: somewhere down the causes is rustls. An I/O error that wraps another one
/// does not count it among its causes, so it is asked for it.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

impl Explain for FetchError {
    fn class(&self) -> Class {
        match self {
            FetchError::Certificate { .. } | FetchError::Client { .. } => Class::InvalidInput,
            FetchError::Request { source, .. }
            | FetchError::TokenServer { source, .. }
            | FetchError::Broken { source, .. } => match source.is_timeout() {
                true => Class::Timeout,
                false => Class::Unavailable,
            },
            FetchError::Credentials { source, .. } => source.class(),
            FetchError::Schema1 { .. } => Class::InvalidInput,
            FetchError::Challenge { .. } | FetchError::Insecure { .. } => Class::Denied,
            FetchError::Token { source, .. }
            | FetchError::Refused { source, .. }
            | FetchError::NotTaken { source, .. } => source.class(),
            FetchError::NoToken { .. }
            | FetchError::Redirects { .. }
            | FetchError::Range { .. }
            | FetchError::NoLocation { .. }
            | FetchError::Digest { .. }
            | FetchError::Content { .. }
            | FetchError::Size { .. }
            | FetchError::TooLarge { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            FetchError::Token { source, .. } | FetchError::Refused { source, .. } => {
                return source.hint();
            }
            FetchError::NotTaken { host, source, .. } => return source.push_hint(host),
            FetchError::Credentials { source, .. } => return source.hint(),
            FetchError::Challenge { host } => return Some(format!("netrun login {host}")),
            FetchError::Client { .. } => {
                "install ca-certificates, or name the registry's \
                                          authority in its hosts.toml"
            }
            FetchError::Request { source, .. } if is_tls(source) => {
                "name the registry's certificate authority in its hosts.toml (ca = \"FILE\"), or \
                 have it not verified there (skip_verify = true); one that speaks plain HTTP needs \
                 an http:// entry"
            }
            FetchError::Request { source, .. } if source.is_builder() => {
                "mend the headers that hosts.toml gives this host"
            }
            FetchError::Request { source, .. } if source.is_connect() => {
                "check the network, the registry's address and its hosts.toml; a registry that \
                 speaks plain HTTP needs an http:// entry there"
            }
            FetchError::Schema1 { .. } => {
                "have it pushed again by a docker of this decade (docker pull and docker push)"
            }
            FetchError::Digest { .. } | FetchError::Content { .. } | FetchError::Size { .. } => {
                "the registry or a proxy on the way is damaged; try another mirror"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> FetchError {
        FetchError::Refused {
            host: "h".into(),
            what: "manifests/1".into(),
            source: Answer::new(status, None),
        }
    }

    #[test]
    fn the_status_decides_the_class() {
        for (status, class) in [
            (404, Class::NotFound),
            (401, Class::Denied),
            (403, Class::Denied),
            (429, Class::Unavailable),
            (503, Class::Unavailable),
            (418, Class::Failed),
        ] {
            assert_eq!(refused(status).class(), class, "{status}");
        }
    }

    #[test]
    fn rustls_is_found_among_the_causes_however_wrapped() {
        let tls = || rustls::Error::HandshakeNotComplete;
        assert!(is_tls(&io::Error::other(io::Error::other(tls()))));
        assert!(is_tls(&tls()));
        assert!(!is_tls(&io::Error::other("x")));
    }
}
