//! The grammar of image references, from text to parts.
//!
//! Invariant: what is refused is refused with the byte where the trouble begins.

use super::{DOCKER_HUB, InvalidReference, Reference};

/// The longest repository and the longest tag, in bytes.
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A flaw at a byte of the text.
pub(super) struct Flaw {
    at: usize,
    reason: String,
}

impl Flaw {
    fn new(at: usize, reason: impl Into<String>) -> Flaw {
        let reason = reason.into();
        Flaw { at, reason }
    }

    pub(super) fn explain(self, text: &str) -> InvalidReference {
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

/// Takes a reference apart and checks every part.
pub(super) fn split(text: &str) -> Result<Reference, Flaw> {
    if text.is_empty() {
        return Err(Flaw::new(0, "it is empty"));
    }
    if let Some(scheme) = text.find("://") {
        let reason = "an image is named without a scheme";
        return Err(Flaw::new(scheme, reason));
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

/// The same name in lower case and without a scheme, if that is all that was wrong; tags keep their case.
fn propose(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let parts = Parts::of(bare);
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
