//! What `ps --filter` takes: docker's filters of containers.
//!
//! Invariant: as with docker, filters of different keys must all apply, of several with the same key
//! one must; only of labels all must.

use std::mem::discriminant;
use std::path::Path;
use std::str::FromStr;

use regex::Regex;

use crate::engine::view::{Status, View};
use crate::model::class::{Class, Explain};
use crate::model::health::HealthStatus;
use crate::model::port::Protocol;
use crate::model::reference::{InvalidReference, Reference};
use crate::network::default;

/// The keys, as messages name them.
const KEYS: &str =
    "ancestor, before, exited, health, id, label, name, network, publish, since, status, volume";

/// The shortest beginning of an image's id that is taken for one.
const SHORTEST_ID: usize = 4;

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    /// It is not `KEY=VALUE`.
    #[error("\"{0}\" is not KEY=VALUE")]
    NoValue(String),
    /// A key that nobody knows.
    #[error("there is no filter \"{0}\"")]
    Key(String),
    /// A key that docker has, too.
    #[error("the filter \"{0}\" is not supported yet")]
    Unsupported(String),
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
    /// A health that no container has.
    #[error("there is no health \"{0}\"")]
    Health(String),
    /// A port that is none.
    #[error("\"{0}\" is no port and no range of ports")]
    Port(String),
    /// A container whose age is asked for, and that there is not.
    #[error("there is no container \"{0}\" to be older or newer than")]
    NoSuchContainer(String),
    /// An exit status that is no number.
    #[error("\"{0}\" is no exit status")]
    ExitStatus(String),
    /// An ancestor that is no image.
    #[error(transparent)]
    Ancestor(#[from] InvalidReference),
}

impl Explain for InvalidFilter {
    fn class(&self) -> Class {
        match self {
            Self::NoSuchContainer(_) => Class::NotFound,
            Self::Unsupported(_) => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoValue(_) | Self::Key(_) | Self::Unsupported(_) => {
                Some(format!("the filters are {KEYS}"))
            }
            Self::Status(_) => {
                let names: Vec<&str> = Status::ALL.into_iter().map(Status::name).collect();
                Some(format!("write {}", names.join(", ")))
            }
            Self::Health(_) => Some("write starting, healthy, unhealthy or none".to_owned()),
            Self::Port(_) => Some("write 80, 8000-8010 or 53/udp".to_owned()),
            Self::NoSuchContainer(_) => Some("netrun ps -a lists all containers".to_owned()),
            Self::ExitStatus(_) => Some("write a number, such as 0".to_owned()),
            Self::Pattern { .. } => Some("write \\( for a bracket that is in the name".to_owned()),
            Self::Ancestor(error) => error.hint(),
        }
    }
}

/// A pattern that names match.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it matches anywhere in the text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl FromStr for Pattern {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let pattern = Regex::new(text).map_err(|source| InvalidFilter::Pattern {
            text: text.to_owned(),
            source,
        })?;
        Ok(Pattern(pattern))
    }
}

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
    /// It is in this state; nothing for one of docker's that no container gets into here.
    Status(Option<Status>),
    /// Its health is this; nothing if nobody checks it.
    Health(Option<HealthStatus>),
    /// This volume, or something at this place, is mounted.
    Volume(String),
    /// One of its ports, from the first to the last, is published.
    Publish(u16, u16, Protocol),
    /// It was made before this one.
    Before(String),
    /// It was made after this one.
    Since(String),
    /// It is attached to this network.
    Network(String),
    /// It was made from this image, by its name or the beginning of its id.
    Ancestor(Reference, String),
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
            "name" => Self::Name(value.parse()?),
            "id" => Self::Id(owned()),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(owned(), None),
            },
            "status" => Self::Status(status(value)?),
            "health" => Self::Health(match value {
                "none" => None,
                "starting" => Some(HealthStatus::Starting),
                "healthy" => Some(HealthStatus::Healthy),
                "unhealthy" => Some(HealthStatus::Unhealthy),
                _ => return Err(InvalidFilter::Health(owned())),
            }),
            "volume" => Self::Volume(owned()),
            "publish" => {
                let (first, last, protocol) =
                    ports(value).ok_or_else(|| InvalidFilter::Port(owned()))?;
                Self::Publish(first, last, protocol)
            }
            "before" => Self::Before(owned()),
            "since" => Self::Since(owned()),
            "network" => Self::Network(owned()),
            "ancestor" => Self::Ancestor(value.parse()?, owned()),
            "exited" => {
                let status = value.parse();
                Self::Exited(status.map_err(|_| InvalidFilter::ExitStatus(owned()))?)
            }
            "expose" | "is-task" | "isolation" => {
                return Err(InvalidFilter::Unsupported(key.to_owned()));
            }
            unknown => return Err(InvalidFilter::Key(unknown.to_owned())),
        })
    }
}

fn status(text: &str) -> Result<Option<Status>, InvalidFilter> {
    if matches!(text, "dead" | "removing") {
        return Ok(None);
    }
    let mut all = Status::ALL.into_iter();
    let found = all.find(|status| status.name() == text);
    found
        .map(Some)
        .ok_or_else(|| InvalidFilter::Status(text.to_owned()))
}

/// `80`, `8000-8010`, `53/udp`.
fn ports(text: &str) -> Option<(u16, u16, Protocol)> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.parse().ok()?),
        None => (text, Protocol::Tcp),
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, protocol))
}

impl Filter {
    /// It can apply to containers that do not run.
    pub fn is_about_status(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Exited(_))
    }

    /// The container whose age it asks for.
    fn other(&self) -> Option<&str> {
        match self {
            Self::Before(name) | Self::Since(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it applies to one of these.
    fn applies(&self, view: &View, all: &[View]) -> bool {
        let record = &view.record;
        let made = |name: &str| {
            let other = all.iter().find(|other| other.record.id.as_str() == name);
            other.map(|other| other.record.created)
        };
        match self {
            Self::Name(pattern) => {
                let name = record.id.as_str();
                pattern.matches(name) || pattern.matches(&format!("/{name}"))
            }
            Self::Id(beginning) => record.id.as_str().starts_with(beginning),
            Self::Label(key, wanted) => record.labels.get(key).is_some_and(|value| {
                let wanted = wanted.as_ref();
                wanted.is_none_or(|wanted| wanted == value)
            }),
            Self::Status(status) => Some(view.state.status) == *status,
            Self::Health(wanted) => view.health().map(|health| health.status) == *wanted,
            Self::Volume(wanted) => record.mounts.iter().any(|mount| {
                let volume = mount.volume.as_ref().map(|volume| volume.name.as_str());
                volume == Some(wanted)
                    || mount.destination == Path::new(wanted)
                    || mount.source == Path::new(wanted)
            }),
            Self::Publish(first, last, protocol) => record.network.ports.iter().any(|port| {
                port.protocol == *protocol && (*first..=*last).contains(&port.container_port)
            }),
            Self::Before(name) => made(name).is_some_and(|made| record.created < made),
            Self::Since(name) => made(name).is_some_and(|made| record.created > made),
            Self::Network(name) if default::WORDS.contains(&name.as_str()) => {
                let networks = view.networks();
                networks.contains(&name.as_str()) || networks.contains(&default::NAME)
            }
            Self::Network(name) => view.networks().contains(&name.as_str()),
            Self::Ancestor(image, id) => {
                record.image == image.to_string() || is_id(&record.image_id, id)
            }
            Self::Exited(status) => {
                let exit = view.state.exit.as_ref();
                exit.is_some_and(|exit| exit.status == *status)
            }
        }
    }
}

/// Whether a digest is meant by what `images -q` prints, or by all of it.
fn is_id(digest: &str, given: &str) -> bool {
    let bare = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_owned();
    given.len() >= SHORTEST_ID && bare(digest).starts_with(&bare(given))
}

/// Which of these containers the filters let through, as a list of truths beside theirs.
///
/// # Errors
/// [`InvalidFilter::NoSuchContainer`].
pub fn all(filters: &[Filter], views: &[View]) -> Result<Vec<bool>, InvalidFilter> {
    for name in filters.iter().filter_map(Filter::other) {
        if !views.iter().any(|view| view.record.id.as_str() == name) {
            return Err(InvalidFilter::NoSuchContainer(name.to_owned()));
        }
    }
    Ok(views.iter().map(|view| one(filters, view, views)).collect())
}

fn one(filters: &[Filter], view: &View, views: &[View]) -> bool {
    filters.iter().all(|filter| match filter {
        Filter::Label(..) => filter.applies(view, views),
        other => {
            let same_key = |one: &&Filter| discriminant(*one) == discriminant(other);
            let mut alike = filters.iter().filter(same_key);
            alike.any(|one| one.applies(view, views))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;
    use crate::model::port::PortSpec;
    use crate::model::record::Exit;

    fn passes(filters: &[&str]) -> bool {
        let mut record = sample::record("web-1", "2026-01-01T12:00:00Z");
        record.labels.insert("team".to_owned(), "a=b".to_owned());
        let ports: PortSpec = "8080:80".parse().unwrap();
        record.network.ports = ports.0;
        record.exit = Some(Exit::new(3, record.created));
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        let older = sample::record("older", "2026-01-01T11:00:00Z");
        let views = [
            sample::view(record, Status::Exited),
            sample::view(older, Status::Exited),
        ];
        all(&filters, &views).unwrap()[0]
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
            "health=none",
            "volume=/site",
            "volume=/srv/site",
            "since=older",
            "publish=80",
            "publish=79-81/tcp",
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
            "status=dead",
            "health=healthy",
            "volume=/srv",
            "before=older",
            "before=web-1",
            "publish=80/udp",
            "publish=81-90",
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
        for text in ["web", "name=", "colour=x", "=x"] {
            let hint = refused(text).hint();
            assert!(hint.is_some_and(|hint| hint.contains("ancestor")), "{text}");
        }
        let hint = refused("status=well").hint();
        assert_eq!(
            hint.as_deref(),
            Some("write created, running, paused, restarting, exited")
        );
        let nobody = all(&["since=none".parse().unwrap()], &[]).unwrap_err();
        assert_eq!(nobody.class(), Class::NotFound);
        for text in [
            "name=(",
            "exited=many",
            "ancestor=A",
            "health=fine",
            "publish=90-80",
            "publish=http",
        ] {
            assert_eq!(refused(text).class(), Class::InvalidInput, "{text}");
        }
    }
}
