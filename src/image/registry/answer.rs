//! What a registry says when it refuses a request, and what that means.
//!
//! Invariant: the class comes from the HTTP status, never from the registry's words.

use std::time::Duration;

use serde::Deserialize;

use crate::model::class::Class;

/// A registry's answer to a request that it refused.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {status}{}", .message.as_deref().map(|m| format!(": {m}")).unwrap_or_default())]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the registry asks us to wait.
    pub retry_after: Option<Duration>,
    /// The registry's own words, where it has any.
    message: Option<String>,
}

impl Answer {
    /// Reads the answer; a body that is not the distribution specification's is not shown.
    pub fn new(status: u16, body: Option<&[u8]>) -> Answer {
        let envelope = body.and_then(|body| serde_json::from_slice::<Envelope>(body).ok());
        let message = envelope.and_then(|envelope| {
            let messages = envelope.errors.into_iter().map(|error| error.message);
            let messages = messages.chain([envelope.details]);
            // It may be anything, and it is shown on a terminal.
            let plain = messages.map(|text| text.replace(|c: char| c.is_control(), " "));
            let messages: Vec<String> = plain.filter(|text| !text.is_empty()).collect();
            (!messages.is_empty()).then(|| messages.join("; "))
        });
        Answer {
            status,
            retry_after: None,
            message,
        }
    }

    /// What it means for the request.
    pub fn class(&self) -> Class {
        match self.status {
            401 | 403 => Class::Denied,
            404 => Class::NotFound,
            408 => Class::Timeout,
            429 | 500.. => Class::Unavailable,
            _ => Class::Failed,
        }
    }

    /// What to do next where something was asked for.
    pub fn hint(&self) -> Option<String> {
        Some(match (self.status, self.retry_after) {
            (401 | 403, _) => {
                "check the image's name; if the repository is private, netrun login".to_owned()
            }
            (404, _) => "check the image's name and tag".to_owned(),
            (429 | 503, Some(wait)) => format!(
                "wait {} seconds as the registry asks, log in, or name a mirror in /etc/containerd/certs.d",
                wait.as_secs()
            ),
            (429, None) => "wait, log in, or name a mirror in /etc/containerd/certs.d".to_owned(),
            _ => return None,
        })
    }

    /// What to do next where something was sent to `host`.
    pub fn push_hint(&self, host: &str) -> Option<String> {
        Some(match (self.status, self.retry_after) {
            (401 | 403, _) => {
                format!("netrun login {host}, as somebody who may push there")
            }
            (404, _) => {
                "check the image's name; some registries want a repository to be made before it is \
                 pushed to"
                    .to_owned()
            }
            (405, _) => "it cannot be pushed to: it may be a mirror, see its hosts.toml".to_owned(),
            (413, _) => "have the registry, or a proxy before it, take larger ones".to_owned(),
            (429 | 503, Some(wait)) => {
                format!("wait {} seconds as the registry asks", wait.as_secs())
            }
            (429, None) => "wait, and push again".to_owned(),
            _ => return None,
        })
    }
}

/// The distribution specification's form of errors; Docker's token server has another.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    errors: Vec<Problem>,
    details: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_words_are_shown_and_foreign_pages_are_not() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        let answer = Answer::new(404, Some(body));
        assert_eq!(answer.to_string(), "HTTP status 404: manifest unknown");
        let answer = Answer::new(502, Some(b"<html>"));
        assert_eq!(answer.to_string(), "HTTP status 502");
    }
}
