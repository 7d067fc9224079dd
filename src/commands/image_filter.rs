//! What `images --filter` and `image prune --filter` take: docker's filters of images.
//!
//! Invariant: as with docker, filters of different keys must all apply, of several with the same key
//! one must; only of labels all must.

use std::mem::discriminant;
use std::str::FromStr;

use jiff::Timestamp;
use regex::Regex;

use super::image_name::find;
use super::label_filter::LabelFilter;
use crate::image::ImageSummary;
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;
use crate::model::time::{InvalidTime, Moment};

/// The keys, as messages name them.
const KEYS: &str = "before, dangling, label, reference, since, until";

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidImageFilter {
    /// It is not `KEY=VALUE`.
    #[error("\"{0}\" is not KEY=VALUE")]
    NoValue(String),
    /// A key that nobody knows.
    #[error("there is no filter \"{0}\"")]
    Key(String),
    /// Neither true nor false.
    #[error("\"{0}\" is neither true nor false")]
    Truth(String),
    /// No time.
    #[error(transparent)]
    Time(#[from] InvalidTime),
}

impl Explain for InvalidImageFilter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Time(error) => error.hint(),
            Self::Truth(_) => None,
            _ => Some(format!("the filters are {KEYS}")),
        }
    }
}

/// One filter.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageFilter {
    /// Its name matches a pattern of `*` and `?`.
    Reference(String),
    /// About its labels.
    Label(LabelFilter),
    /// It was made before this image.
    Before(String),
    /// It was made after this image.
    Since(String),
    /// It was made before this moment.
    Until(Moment),
    /// It has a name that nobody can type, or not.
    Dangling(bool),
}

impl FromStr for ImageFilter {
    type Err = InvalidImageFilter;

    fn from_str(text: &str) -> Result<Self, InvalidImageFilter> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) if !value.is_empty() => (key.trim(), value.trim()),
            _ => return Err(InvalidImageFilter::NoValue(text.to_owned())),
        };
        if let Some(label) = LabelFilter::of(key, value) {
            return Ok(Self::Label(label));
        }
        let owned = || value.to_owned();
        Ok(match key {
            "reference" => Self::Reference(owned()),
            "before" => Self::Before(owned()),
            "since" => Self::Since(owned()),
            "until" => Self::Until(value.parse()?),
            "dangling" => match value {
                "true" | "1" => Self::Dangling(true),
                "false" | "0" => Self::Dangling(false),
                _ => return Err(InvalidImageFilter::Truth(owned())),
            },
            unknown => return Err(InvalidImageFilter::Key(unknown.to_owned())),
        })
    }
}

/// The images that the filters let through.
///
/// # Errors
/// A filter names an image that is not here.
pub fn keep(
    images: Vec<ImageSummary>,
    filters: &[ImageFilter],
) -> Result<Vec<ImageSummary>, Failure> {
    let now = Timestamp::now();
    let mut tests = Vec::new();
    for filter in filters {
        tests.push((filter, test(filter, &images, now)?));
    }
    let passes = |image: &ImageSummary| {
        tests.iter().all(|(filter, test)| match filter {
            ImageFilter::Label(..) => test(image),
            other => {
                let same = tests
                    .iter()
                    .filter(|(one, _)| discriminant(*one) == discriminant(*other));
                same.into_iter().any(|(_, test)| test(image))
            }
        })
    };
    Ok(images
        .iter()
        .filter(|image| passes(image))
        .cloned()
        .collect())
}

type Test = Box<dyn Fn(&ImageSummary) -> bool>;

fn test(filter: &ImageFilter, images: &[ImageSummary], now: Timestamp) -> Result<Test, Failure> {
    let made = |name: &str| -> Result<Option<Timestamp>, Failure> {
        let found = find(images, name, true)?;
        Ok(found.first().and_then(|image| created(image)))
    };
    Ok(match filter.clone() {
        ImageFilter::Reference(pattern) => {
            let pattern = glob(&pattern);
            Box::new(move |image| names(image).iter().any(|name| pattern.is_match(name)))
        }
        ImageFilter::Label(label) => Box::new(move |image| label.applies(&image.labels)),
        ImageFilter::Before(name) => {
            let then = made(&name)?;
            Box::new(move |image| created(image) < then)
        }
        ImageFilter::Since(name) => {
            let then = made(&name)?;
            Box::new(move |image| created(image) > then)
        }
        ImageFilter::Until(moment) => {
            let then = moment.resolve(now);
            Box::new(move |image| created(image).is_some_and(|at| at < then))
        }
        ImageFilter::Dangling(wanted) => Box::new(move |image| is_dangling(image) == wanted),
    })
}

/// Whether an image has a name that nobody can type: one that some program gave it.
pub fn is_dangling(image: &ImageSummary) -> bool {
    let reference = Reference::parse(&image.name).ok();
    reference.is_none_or(|reference| reference.to_string() != image.name)
}

fn created(image: &ImageSummary) -> Option<Timestamp> {
    image.created.parse().ok()
}

/// What people call an image: with its tag and without, short and whole.
fn names(image: &ImageSummary) -> Vec<String> {
    let mut names = vec![image.name.clone()];
    if let Ok(reference) = Reference::parse(&image.name) {
        names.push(reference.familiar());
        names.push(reference.familiar_repository());
        names.push(format!(
            "{}/{}",
            reference.registry(),
            reference.repository()
        ));
    }
    names
}

/// A pattern of which `*` and `?` stay within a part of the name.
fn glob(pattern: &str) -> Regex {
    let words: String = pattern
        .chars()
        .map(|c| match c {
            '*' => "[^/]*".to_owned(),
            '?' => "[^/]".to_owned(),
            other => regex::escape(&other.to_string()),
        })
        .collect();
    Regex::new(&format!("^{words}$")).unwrap_or_else(|_| never())
}

/// What is escaped is never refused; if it were, nothing would match.
fn never() -> Regex {
    Regex::new("[^\\s\\S]").expect("the pattern is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, created: &str) -> ImageSummary {
        ImageSummary {
            name: name.to_owned(),
            digest: format!("sha256:{name}"),
            id: format!("sha256:id-{name}"),
            created: created.to_owned(),
            size: 0,
            unpacked: 0,
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            platform: String::new(),
        }
    }

    fn kept(filters: &[&str]) -> Vec<String> {
        let images = vec![
            image("docker.io/library/alpine:3.14", "2021-01-01T00:00:00Z"),
            image("localhost:5000/team/app:1", "2022-01-01T00:00:00Z"),
            image("overlayfs@sha256:x", "2023-01-01T00:00:00Z"),
        ];
        let filters: Vec<ImageFilter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        let kept = keep(images, &filters).unwrap();
        kept.iter()
            .map(|image| image.created[..4].to_owned())
            .collect()
    }

    #[test]
    fn each_key_looks_at_its_field() {
        for (filters, expected) in [
            (vec![], vec!["2021", "2022", "2023"]),
            (vec!["reference=alpine"], vec!["2021"]),
            (vec!["reference=alpine:3.*"], vec!["2021"]),
            (vec!["reference=*"], vec!["2021", "2023"]),
            (vec!["reference=*/team/a?p"], vec!["2022"]),
            (
                vec!["reference=alpine", "reference=*/*/app:1"],
                vec!["2021", "2022"],
            ),
            (vec!["dangling=true"], vec!["2023"]),
            (
                vec!["dangling=false", "before=localhost:5000/team/app:1"],
                vec!["2021"],
            ),
            (vec!["since=alpine:3.14"], vec!["2022", "2023"]),
            (
                vec!["until=2022-06-01T00:00:00Z", "label=team=blue"],
                vec!["2021", "2022"],
            ),
            (vec!["label=team=red"], vec![]),
            (vec!["label!=team"], vec![]),
            (vec!["label=team", "label=none"], vec![]),
        ] {
            assert_eq!(kept(&filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "x",
            "reference=",
            "colour=red",
            "dangling=perhaps",
            "until=soon",
        ] {
            let error = text.parse::<ImageFilter>().unwrap_err();
            assert_eq!(error.class(), Class::InvalidInput, "{text}");
        }
        let filter: ImageFilter = "before=nothing".parse().unwrap();
        assert!(keep(Vec::new(), &[filter]).is_err());
    }
}
