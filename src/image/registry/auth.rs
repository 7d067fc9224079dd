//! The dance of challenge, scope and token (distribution specification, "Token Authentication").
//!
//! Invariant: a secret goes to the registry that it is for, or to the token server that this one
//! names; never in the clear where the registry itself is spoken to over TLS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::parser::ChallengeParser;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use super::answer::Answer;
use super::credentials::Credentials;
use super::error::FetchError;
use super::hosts::{is_loopback, name};
use super::patience;
use super::transport::{MAX_REDIRECTS, redirect};

/// Who we are to token servers.
const CLIENT_ID: &str = "netrun";

/// The largest answer of a token server that is read.
const MAX_TOKEN: usize = 1 << 20;

/// What a registry wants to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Challenge {
    /// A token that a server elsewhere gives.
    Bearer {
        /// The server.
        realm: Url,
        /// The registry's name there.
        service: String,
        /// What the token must allow, if the registry says so.
        scope: Option<String>,
    },
    /// User and password.
    Basic,
}

/// The challenges of an answer that we can meet, those with tokens first. A header that cannot be
/// parsed is passed over: another may do.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let text = header.to_str().unwrap_or_default();
        for challenge in ChallengeParser::new(text).map_while(Result::ok) {
            let value = |key: &str| {
                let mut all = challenge.params.iter();
                let found = all.find(|(name, _)| name.eq_ignore_ascii_case(key));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                found.push(Challenge::Basic);
            } else if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = value("realm").and_then(|realm| Url::parse(&realm).ok())
            {
                found.push(Challenge::Bearer {
                    realm,
                    service: value("service").unwrap_or_default(),
                    scope: value("scope").filter(|scope| !scope.is_empty()),
                });
            }
        }
    }
    found.sort_by_key(|challenge| *challenge == Challenge::Basic);
    found
}

/// Who asks, and what for.
pub struct Applicant<'a> {
    /// The client that speaks to the registry.
    pub http: &'a Client,
    /// The registry's name, for messages.
    pub host: &'a str,
    /// Whether the registry is spoken to over TLS.
    pub over_tls: bool,
    /// What proves who we are.
    pub credentials: &'a Credentials,
    /// What the token must allow.
    pub scopes: &'a [String],
}

impl Applicant<'_> {
    /// The value of the `Authorization` header that meets the first of these challenges that can be
    /// met.
    ///
    /// # Errors
    /// [`FetchError`]: the first trouble, if none can be met.
    pub async fn answer(&self, challenges: &[Challenge]) -> Result<HeaderValue, FetchError> {
        let mut first = None;
        for challenge in challenges {
            let answer = match (challenge, self.credentials) {
                (_, Credentials::RegistryToken(token)) => Ok(format!("Bearer {token}")),
                (Challenge::Basic, Credentials::Password { user, password }) => {
                    Ok(basic(user, password))
                }
                (Challenge::Basic, _) => continue,
                (Challenge::Bearer { .. }, _) => self.token(challenge).await,
            };
            match answer.and_then(|value| self.header(&value)) {
                Ok(value) => return Ok(value),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| FetchError::Challenge {
            host: self.host.to_owned(),
        }))
    }

    fn header(&self, value: &str) -> Result<HeaderValue, FetchError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| FetchError::Challenge {
            host: self.host.to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn token(&self, challenge: &Challenge) -> Result<String, FetchError> {
        let Challenge::Bearer { realm, scope, .. } = challenge else {
            return Err(FetchError::Challenge {
                host: self.host.to_owned(),
            });
        };
        let server = name(realm);
        let in_clear = realm.scheme() != "https" && !is_loopback(&server);
        if self.over_tls && in_clear && *self.credentials != Credentials::Anonymous {
            let host = self.host.to_owned();
            return Err(FetchError::Insecure { host, server });
        }
        let own = self.scopes.iter().cloned();
        let scopes: Vec<String> = match self.scopes.is_empty() {
            true => scope.iter().cloned().collect(),
            false => own.collect(),
        };
        let asked = self.ask_patiently(challenge, realm, &scopes).await;
        let (status, body) = asked.map_err(|source| FetchError::TokenServer {
            server: server.clone(),
            source: source.without_url(),
        })?;
        if !status.is_success() {
            return Err(FetchError::Token {
                host: self.host.to_owned(),
                server,
                source: Answer::new(status.as_u16(), Some(&body)),
            });
        }
        let answer: Token = serde_json::from_slice(&body).unwrap_or_default();
        match [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty())
        {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(FetchError::NoToken { server }),
        }
    }

    /// The server's answer; one that asks us to wait is asked again.
    async fn ask_patiently(
        &self,
        challenge: &Challenge,
        realm: &Url,
        scopes: &[String],
    ) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
        let mut waits = 0;
        let mut response = loop {
            let response = self.ask(challenge, realm, scopes).send().await?;
            match patience::pause(response.status(), response.headers(), waits) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break response,
            }
            waits += 1;
        };
        // Where it points is asked the same, but only its own host is told who we are; an identity token
        // stands in the request itself, and goes nowhere else.
        let is_told = matches!(self.credentials, Credentials::IdentityToken(_));
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = redirect(&response).filter(|_| !is_told) else {
                break;
            };
            let own = next.origin() == realm.origin();
            let mut request = self.http.get(next);
            if let (true, Credentials::Password { user, password }) = (own, self.credentials) {
                request = request.header(AUTHORIZATION, basic(user, password));
            }
            response = request.send().await?;
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_TOKEN {
                break;
            }
        }
        Ok((response.status(), body))
    }

    /// GET as docker does it; an identity token can only be exchanged by OAuth2's POST.
    fn ask(&self, challenge: &Challenge, realm: &Url, scopes: &[String]) -> RequestBuilder {
        let mut url = realm.clone();
        let service = match challenge {
            Challenge::Bearer { service, .. } => service.as_str(),
            Challenge::Basic => "",
        };
        if let Credentials::IdentityToken(token) = self.credentials {
            let scope = scopes.join(" ");
            let form = form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("service", service),
                ("client_id", CLIENT_ID),
                ("scope", &scope),
            ]);
            let request = self.http.post(url).body(form);
            return request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let account = match self.credentials {
            Credentials::Password { user, .. } => Some(("account", user.as_str())),
            _ => None,
        };
        let wanted = scopes.iter().map(|scope| ("scope", scope.as_str()));
        let service = (!service.is_empty()).then_some(("service", service));
        url.query_pairs_mut()
            .extend_pairs(wanted.chain(service).chain(account));
        let request = self.http.get(url);
        match self.credentials {
            Credentials::Password { user, password } => {
                request.header(AUTHORIZATION, basic(user, password))
            }
            _ => request,
        }
    }
}

/// The pairs as a form's body.
fn form(pairs: &[(&str, &str)]) -> String {
    // An address without a host is never refused.
    let mut encoder = Url::parse("form:").ok();
    let query = encoder.as_mut().map(|url| {
        url.query_pairs_mut().extend_pairs(pairs);
        url.query().unwrap_or_default().to_owned()
    });
    query.unwrap_or_default()
}

/// What a token server gives; which of the two fields depends on its age.
#[derive(Default, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::super::hosts::Host;
    use super::super::transport;
    use super::*;

    fn read(headers: &[&str]) -> Vec<Challenge> {
        let pairs = headers.iter().map(|text| {
            let value = HeaderValue::try_from(*text).unwrap();
            (WWW_AUTHENTICATE, value)
        });
        challenges(&pairs.collect())
    }

    fn bearer(realm: &str, service: &str, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: Url::parse(realm).unwrap(),
            service: service.to_owned(),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn of_several_challenges_those_with_tokens_come_first() {
        let token = "Bearer realm=\"https://a.io/token\",service=\"s\",scope=\"x:y:pull\"";
        let expected = bearer("https://a.io/token", "s", Some("x:y:pull"));
        assert_eq!(read(&[token]), std::slice::from_ref(&expected));
        let both = [expected, Challenge::Basic];
        assert_eq!(read(&["Basic realm=\"r\"", token]), both);
        assert_eq!(read(&[&format!("Basic realm=\"r\", {token}")]), both);
        assert_eq!(read(&["Negotiate", "BASIC realm=x"]), [Challenge::Basic]);
        assert_eq!(read(&["Bearer realm=\"no url\"", "Negotiate"]), []);
        let plain = bearer("https://a.io/t", "", None);
        assert_eq!(read(&["bearer Realm=\"https://a.io/t\""]), [plain]);
    }

    #[test]
    fn a_form_is_encoded() {
        assert_eq!(form(&[("a", "b c&d"), ("e", "ü")]), "a=b+c%26d&e=%C3%BC");
    }

    #[tokio::test]
    async fn what_cannot_be_met_and_what_would_be_sent_in_the_clear_is_refused() {
        let password = Credentials::password("me", "secret");
        let host = Host::unknown(Url::parse("https://h").unwrap());
        let http = transport::http(&host, "h").unwrap();
        let applicant = |credentials| Applicant {
            http: &http,
            host: "h",
            over_tls: true,
            credentials,
            scopes: &[],
        };
        let answer = applicant(&Credentials::Anonymous)
            .answer(&[Challenge::Basic])
            .await;
        assert!(matches!(answer, Err(FetchError::Challenge { .. })));
        let clear = bearer("http://tokens.example/t", "s", None);
        let answer = applicant(&password)
            .answer(std::slice::from_ref(&clear))
            .await;
        assert!(matches!(answer, Err(FetchError::Insecure { .. })));
        let both = [clear, Challenge::Basic];
        let value = applicant(&password).answer(&both).await.unwrap();
        assert_eq!(value, "Basic bWU6c2VjcmV0");
        assert!(value.is_sensitive());
    }
}
