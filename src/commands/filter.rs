//! What `ps --filter` takes: docker's filters of containers.
//!
//! Invariant: as with docker, filters of different keys must all apply, of several with the same key
//! one must; only of labels all must.

use std::mem::discriminant;
use std::str::FromStr;

use regex::Regex;

use crate::engine::view::{Status, View};
use crate::model::class::{Class, Explain};
use crate::model::reference::{InvalidReference, Reference};

/// The keys, as messages name them.
const KEYS: &str = "ancestor, exited, id, label, name, network, status";

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    /// It is not `KEY=VALUE`.
    #[error("\"{0}\" is not KEY=VALUE")]
    NoValue(String),
    /// A key that nobody knows.
    #[error("there is no filter \"{0}\"")]
    Key(String),
    /// A name that is no regular expression.
    #[error("\"{text}\" is no regular expression")]
    Pattern {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// A status that no container has.
    #[error("there is no status \"{0}\"")]
    Status(String),
    /// An exit status that is no number.
    #[error("\"{0}\" is no exit status")]
    ExitStatus(String),
    /// An ancestor that is no image.
    #[error(transparent)]
    Ancestor(#[from] InvalidReference),
}

impl Explain for InvalidFilter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoValue(_) | Self::Key(_) => Some(format!("the filters are {KEYS}")),
            Self::Status(_) => {
                let names: Vec<&str> = Status::ALL.into_iter().map(Status::name).collect();
                Some(format!("write {}", names.join(", ")))
            }
            Self::ExitStatus(_) => Some("write a number, such as 0".to_owned()),
            Self::Pattern { .. } => None,
            Self::Ancestor(error) => error.hint(),
        }
    }
}

/// A pattern that names match.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// One filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// The name matches; docker's names begin with a slash that the pattern may have.
    Name(Pattern),
    /// The id begins so.
    Id(String),
    /// It has this label, with this value if one is given.
    Label(String, Option<String>),
    /// It is in this state.
    Status(Status),
    /// It is attached to this network.
    Network(String),
    /// It was made from this image.
    Ancestor(Reference),
    /// It ended with this status.
    Exited(u32),
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) if !value.is_empty() => (key.trim(), value.trim()),
            _ => return Err(InvalidFilter::NoValue(text.to_owned())),
        };
        let owned = || value.to_owned();
        Ok(match key {
            "name" => Self::Name(Pattern(Regex::new(value).map_err(|source| {
                let text = owned();
                InvalidFilter::Pattern { text, source }
            })?)),
            "id" => Self::Id(owned()),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(owned(), None),
            },
            "status" => {
                let mut all = Status::ALL.into_iter();
                let found = all.find(|status| status.name() == value);
                Self::Status(found.ok_or_else(|| InvalidFilter::Status(owned()))?)
            }
            "network" => Self::Network(owned()),
            "ancestor" => Self::Ancestor(value.parse()?),
            "exited" => {
                let status = value.parse();
                Self::Exited(status.map_err(|_| InvalidFilter::ExitStatus(owned()))?)
            }
            unknown => return Err(InvalidFilter::Key(unknown.to_owned())),
        })
    }
}

impl Filter {
    /// It can apply to containers that do not run.
    pub fn is_about_status(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Exited(_))
    }

    fn applies(&self, view: &View) -> bool {
        let record = &view.record;
        match self {
            Self::Name(Pattern(pattern)) => {
                let name = record.id.as_str();
                pattern.is_match(name) || pattern.is_match(&format!("/{name}"))
            }
            Self::Id(beginning) => record.id.as_str().starts_with(beginning),
            Self::Label(key, wanted) => record.labels.get(key).is_some_and(|value| {
                let wanted = wanted.as_ref();
                wanted.is_none_or(|wanted| wanted == value)
            }),
            Self::Status(status) => view.state.status == *status,
            Self::Network(name) => view.networks().contains(&name.as_str()),
            Self::Ancestor(image) => record.image == image.to_string(),
            Self::Exited(status) => {
                let exit = view.state.exit.as_ref();
                exit.is_some_and(|exit| exit.status == *status)
            }
        }
    }
}

/// Whether the filters let a container through.
pub fn all(filters: &[Filter], view: &View) -> bool {
    filters.iter().all(|filter| match filter {
        Filter::Label(..) => filter.applies(view),
        other => {
            let same_key = |one: &&Filter| discriminant(*one) == discriminant(other);
            filters.iter().filter(same_key).any(|one| one.applies(view))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;
    use crate::model::record::Exit;

    fn passes(filters: &[&str]) -> bool {
        let mut record = sample::record("web-1", "2026-01-01T12:00:00Z");
        record.labels.insert("team".to_owned(), "a=b".to_owned());
        record.exit = Some(Exit {
            status: 3,
            at: record.created,
            reason: None,
        });
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        all(&filters, &sample::view(record, Status::Exited))
    }

    #[test]
    fn each_key_looks_at_its_field() {
        for filter in [
            "name=eb",
            "name=^web-[0-9]$",
            "name=^/web-1$",
            "id=we",
            "label=job",
            "label=job=42",
            "label=team=a=b",
            "status=exited",
            "network=mynet",
            "ancestor=alpine:3.14",
            "exited=3",
        ] {
            assert!(passes(&[filter]), "{filter}");
        }
        for filter in [
            "name=^eb",
            "id=eb",
            "label=jo",
            "label=job=4",
            "status=running",
            "network=my",
            "ancestor=alpine",
            "exited=0",
        ] {
            assert!(!passes(&[filter]), "{filter}");
        }
    }

    #[test]
    fn one_of_a_key_must_apply_all_labels_and_all_keys() {
        assert!(passes(&["status=running", "status=exited"]));
        assert!(passes(&["label=job", "label=team"]));
        assert!(!passes(&["label=job", "label=none"]));
        assert!(!passes(&["name=web", "status=running"]));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_known_ones() {
        let refused = |text: &str| text.parse::<Filter>().unwrap_err();
        for text in ["web", "name=", "volume=x", "=x"] {
            let hint = refused(text).hint();
            assert!(hint.is_some_and(|hint| hint.contains("ancestor")), "{text}");
        }
        let hint = refused("status=dead").hint();
        assert_eq!(
            hint.as_deref(),
            Some("write created, running, paused, restarting, exited")
        );
        for text in ["name=(", "exited=many", "ancestor=A"] {
            assert_eq!(refused(text).class(), Class::InvalidInput, "{text}");
        }
    }
}
