//! Image references: `alpine:3.14` and what it means.
//!
//! Invariant: a reference is normalised (registry, full repository, tag or digest) and keeps the
//! grammar of the distribution specification, so it is containerd's name of the image as it stands.

mod grammar;

use std::fmt;
use std::str::FromStr;

use self::grammar::split;
use super::class::{Class, Explain};

/// The registry that a name without one means.
const DOCKER_HUB: &str = "docker.io";

/// How much of a malformed reference is shown, in characters: more than a sound one may have.
const LONGEST_SHOWN: usize = 300;

/// A text that is no image reference: where, why, and what was perhaps meant.
#[derive(Debug, thiserror::Error)]
#[error(
    "image reference \"{}\" is malformed at character {}: {reason}",
    abridged(.given),
    .position + 1
)]
pub struct InvalidReference {
    given: String,
    /// In characters, from 0.
    position: usize,
    reason: String,
    proposal: Option<String>,
}

/// The beginning of a text that is too long for a message.
fn abridged(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
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

    /// As [`Reference::parse`], for the name that an image is to get.
    ///
    /// # Errors
    /// [`InvalidReference`], also for what would pass for an image that it need not be: a name with a
    /// digest, which nobody can give, and the repository `sha256`, whose tags read like ids.
    pub fn parse_new(text: &str) -> Result<Reference, InvalidReference> {
        let reference = Reference::parse(text)?;
        let refused = |position, reason: &str, proposal| InvalidReference {
            given: text.to_owned(),
            position,
            reason: reason.to_owned(),
            proposal,
        };
        if let Some((name, _)) = text.split_once('@') {
            // What comes before is ASCII.
            let reason = "a digest follows from the image and cannot be given to it";
            return Err(refused(name.len(), reason, Some(name.to_owned())));
        }
        if reference.familiar_repository() == "sha256" {
            let reason = "nobody could tell an image called \"sha256\" from one named by its id";
            return Err(refused(0, reason, None));
        }
        Ok(reference)
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
    fn an_image_gets_no_name_that_passes_for_another_image() {
        for given in ["a", "a:1", "localhost:5000/sha256:1", "sha256sum:1"] {
            let reference = Reference::parse_new(given).unwrap();
            assert_eq!(reference, Reference::parse(given).unwrap());
        }
        for (given, position, proposal) in [
            (format!("a@sha256:{HEX}"), 1, Some("a")),
            (format!("q.io/a:1@sha256:{HEX}"), 8, Some("q.io/a:1")),
            ("sha256:8e50".to_owned(), 0, None),
            ("docker.io/library/sha256".to_owned(), 0, None),
            (String::new(), 0, None),
        ] {
            let error = Reference::parse_new(&given).unwrap_err();
            assert_eq!(error.position(), position, "{given}");
            assert_eq!(error.proposal.as_deref(), proposal, "{given}");
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
            ("http://x.y:5000/a:1", 4, Some("x.y:5000/a:1")),
            ("docker://alpine", 6, Some("alpine")),
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
