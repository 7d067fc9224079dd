//! Image references: `alpine:3.14` and what it means.
//!
//! Invariant: a reference is normalised (registry, full repository, tag or digest) and keeps the
//! grammar of the distribution specification, so it is containerd's name of the image as it stands.

use std::fmt;
use std::str::FromStr;

use super::class::{Class, Explain};

/// The registry that a name without one means.
const DOCKER_HUB: &str = "docker.io";

/// The longest repository and the longest tag, in bytes.
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A text that is no image reference: where, why, and what was perhaps meant.
#[derive(Debug, thiserror::Error)]
#[error("image reference \"{given}\" is malformed at character {}: {reason}", .position + 1)]
pub struct InvalidReference {
    given: String,
    /// In characters, from 0.
    position: usize,
    reason: String,
    proposal: Option<String>,
}

impl InvalidReference {
    /// Where the trouble begins, in characters from 0.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Explain for InvalidReference {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let proposal = self.proposal.as_ref()?;
        Some(format!("try \"{proposal}\""))
    }
}

/// The name of an image in a registry: `docker.io/library/alpine:3.14`, with tag, digest or both.
///
/// `Display` gives the full name, which is the one that containerd, ctr and nerdctl know it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Parses what a user typed; a missing registry is Docker Hub, a missing tag is `latest`.
    ///
    /// # Errors
    /// [`InvalidReference`] with the position and the reason.
    pub fn parse(text: &str) -> Result<Reference, InvalidReference> {
        text.parse()
    }

    /// The registry's host, with its port if it has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag: `3.14`; nothing if only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given: `sha256:...`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The repository as people write it: `alpine`, `team/app`, `localhost:5000/app`.
    pub fn familiar_repository(&self) -> String {
        match (self.registry.as_str(), &self.repository) {
            (DOCKER_HUB, repository) => {
                let official = repository.strip_prefix("library/");
                let word = official.filter(|name| !name.contains('/'));
                word.unwrap_or(repository).to_owned()
            }
            (registry, repository) => format!("{registry}/{repository}"),
        }
    }

    /// The name as people write it: `alpine:3.14`.
    pub fn familiar(&self) -> String {
        let mut name = self.familiar_repository();
        if let Some(tag) = &self.tag {
            name += &format!(":{tag}");
        }
        if let Some(digest) = &self.digest {
            name += &format!("@{digest}");
        }
        name
    }

    /// What the registry is asked for: the digest if there is one, else the tag.
    pub fn wanted(&self) -> &str {
        self.digest().or(self.tag()).unwrap_or("latest")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Reference, InvalidReference> {
        split(text).map_err(|flaw| flaw.explain(text))
    }
}

/// A flaw at a byte of the text.
struct Flaw {
    at: usize,
    reason: String,
}

impl Flaw {
    fn new(at: usize, reason: impl Into<String>) -> Flaw {
        let reason = reason.into();
        Flaw { at, reason }
    }

    fn explain(self, text: &str) -> InvalidReference {
        InvalidReference {
            given: text.to_owned(),
            position: text[..self.at].chars().count(),
            reason: self.reason,
            proposal: propose(text),
        }
    }
}

/// The parts of a text as it stands, with the byte that each begins at.
struct Parts<'a> {
    name: &'a str,
    tag: Option<(usize, &'a str)>,
    digest: Option<(usize, &'a str)>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Parts<'a> {
        let (rest, digest) = match text.find('@') {
            Some(at) => (&text[..at], Some((at + 1, &text[at + 1..]))),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        match rest[last..].find(':').map(|colon| last + colon) {
            Some(colon) => Parts {
                name: &rest[..colon],
                tag: Some((colon + 1, &rest[colon + 1..])),
                digest,
            },
            None => Parts {
                name: rest,
                tag: None,
                digest,
            },
        }
    }

    /// The registry, if the name begins with one, and the byte that the repository begins at.
    fn registry(&self) -> (Option<&'a str>, usize) {
        let Some(slash) = self.name.find('/') else {
            return (None, 0);
        };
        let first = &self.name[..slash];
        let is_host = first == "localhost" || first.contains(['.', ':', '[']);
        if is_host {
            (Some(first), slash + 1)
        } else {
            (None, 0)
        }
    }
}

fn split(text: &str) -> Result<Reference, Flaw> {
    if text.is_empty() {
        return Err(Flaw::new(0, "it is empty"));
    }
    let parts = Parts::of(text);
    let (registry, start) = parts.registry();
    if let Some(registry) = registry {
        check_host(registry)?;
    }
    let path = &parts.name[start..];
    check_repository(path, start)?;
    if let Some((at, tag)) = parts.tag {
        check_tag(tag, at)?;
    }
    if let Some((at, digest)) = parts.digest {
        check_digest(digest, at)?;
    }
    if registry.is_none() && parts.tag.is_none() && is_sha256_hex(path) {
        let reason = "64 hexadecimal digits are an image's id, not a name";
        return Err(Flaw::new(0, reason));
    }
    let registry = match registry {
        None | Some("index.docker.io") => DOCKER_HUB,
        Some(registry) => registry,
    };
    let repository = match path.contains('/') || registry != DOCKER_HUB {
        true => path.to_owned(),
        false => format!("library/{path}"),
    };
    let digest = parts.digest.map(|(_, digest)| digest.to_owned());
    let tag = parts.tag.map(|(_, tag)| tag.to_owned());
    Ok(Reference {
        registry: registry.to_owned(),
        repository,
        tag: tag.or_else(|| digest.is_none().then(|| "latest".to_owned())),
        digest,
    })
}

/// A host name or address with an optional port, standing at the text's beginning.
fn check_host(host: &str) -> Result<(), Flaw> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some(end) = rest.find(']') else {
                return Err(Flaw::new(0, "the registry's address lacks its \"]\""));
            };
            if rest[..end].parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Flaw::new(
                    1,
                    "the registry is not an IPv6 address in brackets",
                ));
            }
            host.split_at(end + 2)
        }
        None => {
            let end = host.find(':').unwrap_or(host.len());
            check_host_name(&host[..end])?;
            host.split_at(end)
        }
    };
    if port.is_empty() {
        return Ok(());
    }
    let number = port.strip_prefix(':').unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    match digits && number.parse::<u16>().is_ok_and(|port| port != 0) {
        true => Ok(()),
        false => Err(Flaw::new(
            name.len(),
            "the registry's port is not a number from 1 to 65535",
        )),
    }
}

fn check_host_name(name: &str) -> Result<(), Flaw> {
    let mut at = 0;
    for label in name.split('.') {
        let odd = label
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .map(|odd| at + odd);
        if let Some(odd) = odd {
            let reason = "the registry's name has letters, digits, \"-\" and \".\" only";
            return Err(Flaw::new(odd, reason));
        }
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            let reason = "each part of the registry's name begins and ends with a letter or digit";
            return Err(Flaw::new(at, reason));
        }
        at += label.len() + 1;
    }
    Ok(())
}

/// Parts of lower-case letters and digits, joined within by `.`, `_`, `__` or any number of `-`.
fn check_repository(path: &str, start: usize) -> Result<(), Flaw> {
    if path.is_empty() {
        return Err(Flaw::new(start, "the repository's name is missing"));
    }
    if path.len() > MAX_REPOSITORY {
        let reason = format!("the repository's name has more than {MAX_REPOSITORY} bytes");
        return Err(Flaw::new(start + MAX_REPOSITORY, reason));
    }
    let mut at = start;
    for part in path.split('/') {
        check_part(part).map_err(|flaw| Flaw::new(at + flaw.at, flaw.reason))?;
        at += part.len() + 1;
    }
    Ok(())
}

fn check_part(part: &str) -> Result<(), Flaw> {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if let Some((at, bad)) = part.char_indices().find(|&(_, c)| !allowed(c)) {
        let reason = match bad.is_ascii_uppercase() {
            true => "the repository's name must be lower case".to_owned(),
            false => format!("{bad:?} cannot stand in a repository's name"),
        };
        return Err(Flaw::new(at, reason));
    }
    let separator = |c: char| matches!(c, '.' | '_' | '-');
    if part.is_empty() || part.starts_with(separator) || part.ends_with(separator) {
        let reason = "each part of the repository's name begins and ends with a letter or digit";
        let at = match part.starts_with(separator) {
            true => 0,
            false => part.len().saturating_sub(1),
        };
        return Err(Flaw::new(at, reason));
    }
    let mut at = 0;
    while let Some(found) = part[at..].find(separator) {
        let begin = at + found;
        let run = &part[begin..];
        let run = &run[..run.find(|c| !separator(c)).unwrap_or(run.len())];
        if !matches!(run, "." | "_" | "__") && run.contains(['.', '_']) {
            let reason = format!("{run:?} cannot join two words of a repository's name");
            return Err(Flaw::new(begin, reason));
        }
        at = begin + run.len();
    }
    Ok(())
}

fn check_tag(tag: &str, start: usize) -> Result<(), Flaw> {
    if tag.is_empty() {
        return Err(Flaw::new(start, "the tag is missing after \":\""));
    }
    if tag.len() > MAX_TAG {
        let reason = format!("the tag has more than {MAX_TAG} bytes");
        // The flaw's place must be a character's beginning: count from the start instead.
        return Err(Flaw::new(start, reason));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let bad = tag
        .char_indices()
        .find(|&(at, c)| !word(c) && (at == 0 || !matches!(c, '.' | '-')));
    match bad {
        None => Ok(()),
        Some((0, bad @ ('.' | '-'))) => {
            Err(Flaw::new(start, format!("a tag cannot begin with {bad:?}")))
        }
        Some((at, bad)) => Err(Flaw::new(
            start + at,
            format!("{bad:?} cannot stand in a tag"),
        )),
    }
}

/// Only SHA-256: containerd's content store knows content by nothing else.
fn check_digest(digest: &str, start: usize) -> Result<(), Flaw> {
    let Some(hex) = digest.strip_prefix("sha256:") else {
        let reason = "a digest begins with \"sha256:\", the only kind that containerd stores";
        return Err(Flaw::new(start, reason));
    };
    match is_sha256_hex(hex) {
        true => Ok(()),
        false => Err(Flaw::new(
            start + "sha256:".len(),
            "a sha256 digest has 64 hexadecimal digits, lower case",
        )),
    }
}

fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// The same name in lower case, if that is all that was wrong; tags keep their case.
fn propose(text: &str) -> Option<String> {
    let parts = Parts::of(text);
    let (_, start) = parts.registry();
    let (registry, path) = parts.name.split_at(start);
    let digest = parts.digest.map_or(String::new(), |(_, digest)| {
        format!("@{}", digest.to_ascii_lowercase())
    });
    let tag = parts
        .tag
        .map_or(String::new(), |(_, tag)| format!(":{tag}"));
    let proposal = format!("{registry}{}{tag}{digest}", path.to_ascii_lowercase());
    (proposal != text && split(&proposal).is_ok()).then_some(proposal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn familiar_names_are_short_and_mean_the_same() {
        let digest = format!("sha256:{HEX}");
        for (given, familiar) in [
            ("docker.io/library/alpine:3.14", "alpine:3.14".to_owned()),
            ("team/app", "team/app:latest".to_owned()),
            (
                "localhost:5000/library/app:1",
                "localhost:5000/library/app:1".to_owned(),
            ),
            ("library/a/b:1", "library/a/b:1".to_owned()),
            (&format!("alpine@{digest}"), format!("alpine@{digest}")),
        ] {
            let reference = Reference::parse(given).unwrap();
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(Reference::parse(&familiar).unwrap(), reference);
        }
    }

    #[test]
    fn short_names_mean_docker_hub_and_latest() {
        let digest = format!("sha256:{HEX}");
        for (given, full) in [
            ("alpine:3.14", "docker.io/library/alpine:3.14".to_owned()),
            ("alpine", "docker.io/library/alpine:latest".to_owned()),
            ("me/app", "docker.io/me/app:latest".to_owned()),
            (
                "docker.io/alpine",
                "docker.io/library/alpine:latest".to_owned(),
            ),
            ("index.docker.io/a", "docker.io/library/a:latest".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            (
                "localhost:5000",
                "docker.io/library/localhost:5000".to_owned(),
            ),
            ("[::1]:5000/x:1", "[::1]:5000/x:1".to_owned()),
            ("quay.io/a/b/c:V1.0", "quay.io/a/b/c:V1.0".to_owned()),
            ("Quay.io/a", "Quay.io/a:latest".to_owned()),
            (
                "a__b/c---d.e_f",
                "docker.io/a__b/c---d.e_f:latest".to_owned(),
            ),
            (
                &format!("alpine@{digest}"),
                format!("docker.io/library/alpine@{digest}"),
            ),
            (
                &format!("localhost:5000/x:1@{digest}"),
                format!("localhost:5000/x:1@{digest}"),
            ),
        ] {
            let reference = Reference::parse(given).unwrap();
            assert_eq!(reference.to_string(), full, "{given}");
            assert_eq!(Reference::parse(&full).unwrap(), reference, "{given}");
        }
    }

    #[test]
    fn the_parts_are_there() {
        let reference = Reference::parse("localhost:5000/a/b:1").unwrap();
        assert_eq!(reference.registry(), "localhost:5000");
        assert_eq!(reference.repository(), "a/b");
        assert_eq!(reference.tag(), Some("1"));
        assert_eq!(reference.wanted(), "1");
        let reference = Reference::parse(&format!("a:1@sha256:{HEX}")).unwrap();
        assert_eq!(reference.wanted(), format!("sha256:{HEX}"));
    }

    #[test]
    fn errors_say_where_and_propose() {
        for (given, position, proposal) in [
            ("", 0, None),
            ("Alpine:3.14", 0, Some("alpine:3.14")),
            ("me/App:V1", 3, Some("me/app:V1")),
            ("Me/app", 0, Some("me/app")),
            ("quay.io/Big/Name", 8, Some("quay.io/big/name")),
            ("alpine:", 7, None),
            ("alpine:-x", 7, None),
            ("alpine:a b", 8, None),
            ("alpine:é", 7, None),
            ("éa", 0, None),
            ("a//b", 2, None),
            ("a/", 2, None),
            ("-a", 0, None),
            ("ab-", 2, None),
            ("a..b", 1, None),
            ("a___b", 1, None),
            ("a._b", 1, None),
            ("a:1:2", 3, None),
            ("x.y:0/a", 3, None),
            ("x.y:70000/a", 3, None),
            ("x.y:+1/a", 3, None),
            ("x.y:/a", 3, None),
            ("x_.y/a", 1, None),
            ("x..y/a", 2, None),
            ("[::1/a", 0, None),
            ("[zz]/a", 1, None),
            ("[::1]", 0, None),
            ("localhost:5000/", 15, None),
            ("a@md5:00", 2, None),
            ("a@sha256:00", 9, None),
            (HEX, 0, None),
        ] {
            let error = Reference::parse(given).unwrap_err();
            assert_eq!(error.position(), position, "{given}: {error}");
            let hint = proposal.map(|proposal| format!("try \"{proposal}\""));
            assert_eq!(error.hint(), hint, "{given}");
        }
        let upper = format!("a@sha256:{}", HEX.to_uppercase());
        let error = Reference::parse(&upper).unwrap_err();
        assert_eq!(error.hint(), Some(format!("try \"a@sha256:{HEX}\"")));
        assert!(Reference::parse(&"a".repeat(256)).is_err());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
    }

    proptest! {
        // A failing case belongs into a test of its own name, not into a file beside.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_answered_and_what_parses_is_stable(text in "\\PC{0,40}|[a-zA-Z0-9:/@._\\[\\]-]{0,40}") {
            match Reference::parse(&text) {
                Ok(reference) => {
                    let again = Reference::parse(&reference.to_string()).unwrap();
                    prop_assert_eq!(again, reference);
                }
                Err(error) => prop_assert!(error.position() <= text.chars().count()),
            }
        }

        #[test]
        fn what_the_grammar_allows_parses_as_the_registry_crate_reads_it(
            host in "([a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.[a-z]{2,4}(:[1-9][0-9]{0,3})?/)?",
            path in "[a-z0-9]{1,8}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}(\\.[a-z0-9]{1,4})?){0,2}",
            tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,10})?",
            digest in "(@sha256:[0-9a-f]{64})?",
        ) {
            let text = format!("{host}{path}{tag}{digest}");
            let ours = Reference::parse(&text).unwrap();
            let theirs: oci_client::Reference = text.parse().unwrap();
            prop_assert_eq!(ours.to_string(), theirs.whole());
            prop_assert_eq!(ours.registry(), theirs.registry());
            prop_assert_eq!(ours.repository(), theirs.repository());
        }
    }
}
