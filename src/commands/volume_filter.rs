//! What `volume ls --filter` takes: docker's filters of volumes.
//!
//! Invariant: filters of different keys must all apply, of several names one must.

use std::str::FromStr;

use jiff::Timestamp;
use regex::Regex;

use super::label_filter::LabelFilter;
use crate::engine::volumes::Volume;
use crate::model::class::{Class, Explain};
use crate::model::time::Moment;

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVolumeFilter {
    /// It is none of the filters.
    #[error("\"{0}\" is no filter of volumes")]
    Filter(String),
    /// A name that is no regular expression.
    #[error("\"{text}\" is no regular expression")]
    Pattern {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: regex::Error,
    },
}

impl Explain for InvalidVolumeFilter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        if let Self::Pattern { .. } = self {
            return Some("write \\( for a bracket that is in the name".to_owned());
        }
        Some(
            "write name=PATTERN, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=true|false or driver=local".to_owned(),
        )
    }
}

/// One filter.
#[derive(Debug, Clone)]
pub enum VolumeFilter {
    /// The name matches.
    Name(Regex),
    /// About its labels.
    Label(LabelFilter),
    /// Whether nobody uses it.
    Dangling(bool),
    /// Those with a name of their own, too: what docker's `volume prune` has for its `--all`.
    All(bool),
    /// It was made before this moment.
    Until(Moment),
    /// What keeps it.
    Driver(String),
}

impl PartialEq for VolumeFilter {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl FromStr for VolumeFilter {
    type Err = InvalidVolumeFilter;

    fn from_str(text: &str) -> Result<Self, InvalidVolumeFilter> {
        let invalid = || InvalidVolumeFilter::Filter(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        if let Some(label) = LabelFilter::of(key, value).filter(|_| !value.is_empty()) {
            return Ok(Self::Label(label));
        }
        Ok(match (key, value) {
            (_, "") => return Err(invalid()),
            ("name", pattern) => Self::Name(Regex::new(pattern).map_err(|source| {
                let text = pattern.to_owned();
                InvalidVolumeFilter::Pattern { text, source }
            })?),
            ("dangling", "true" | "1") => Self::Dangling(true),
            ("dangling", "false" | "0") => Self::Dangling(false),
            ("until", time) => Self::Until(time.parse().map_err(|_| invalid())?),
            ("all", "true" | "1") => Self::All(true),
            ("all", "false" | "0") => Self::All(false),
            ("driver", driver) => Self::Driver(driver.to_owned()),
            _ => return Err(invalid()),
        })
    }
}

impl VolumeFilter {
    /// Whether it must be known who uses a volume.
    pub fn asks_for_users(&self) -> bool {
        matches!(self, Self::Dangling(_))
    }

    fn applies(&self, volume: &Volume, used: bool) -> bool {
        match self {
            Self::Name(pattern) => pattern.is_match(volume.name.as_str()),
            Self::Label(label) => label.applies(&volume.labels),
            Self::All(_) => true,
            Self::Until(moment) => volume.created < moment.resolve(Timestamp::now()),
            Self::Dangling(wanted) => *wanted != used,
            Self::Driver(driver) => driver == "local",
        }
    }
}

/// Whether the filters let a volume through.
pub fn all(filters: &[VolumeFilter], volume: &Volume, used: bool) -> bool {
    let is_name = |filter: &&VolumeFilter| matches!(filter, VolumeFilter::Name(_));
    let mut names = filters.iter().filter(is_name).peekable();
    let named = names.peek().is_none() || names.any(|filter| filter.applies(volume, used));
    let others = filters.iter().filter(|filter| !is_name(filter));
    named
        && others
            .into_iter()
            .all(|filter| filter.applies(volume, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        let volume = Volume {
            name: "web-data".parse().unwrap(),
            created: jiff::Timestamp::UNIX_EPOCH,
            anonymous: false,
            labels: [("job".to_owned(), "42".to_owned())].into(),
        };
        let passes = |texts: &[&str], used| {
            let filters: Vec<VolumeFilter> = texts.iter().map(|t| t.parse().unwrap()).collect();
            all(&filters, &volume, used)
        };
        assert!(passes(&[], true));
        assert!(passes(&["name=data", "label=job", "label=job=42"], true));
        assert!(passes(&["name=^none$", "name=^web"], true));
        assert!(!passes(&["name=^data"], true));
        assert!(!passes(&["label=job=43"], true));
        assert!(passes(&["label!=job=43", "all=1"], true) && !passes(&["label!=job"], true));
        assert!(passes(&["until=1h"], true) && !passes(&["until=1969-01-01"], true));
        assert!(passes(&["dangling=true"], false) && !passes(&["dangling=true"], true));
        assert!(passes(&["driver=local"], false) && !passes(&["driver=nfs"], false));
        for bad in [
            "",
            "name",
            "name=",
            "dangling=maybe",
            "colour=red",
            "name=(",
        ] {
            assert!(bad.parse::<VolumeFilter>().is_err(), "{bad}");
        }
    }
}
