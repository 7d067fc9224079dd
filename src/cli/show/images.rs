//! `netrun images`: an image as a row; `netrun rmi`: what was removed.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;

use super::{decimal, listed_time};
use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::image_prune::Pruned;
use crate::commands::images::Args;
use crate::commands::rmi::Removed;
use crate::commands::system_df::Usage;
use crate::engine::view::age;
use crate::image::ImageSummary;
use crate::image::archive::Loaded;
use crate::model::reference::Reference;

/// How many digits of an id are shown.
const SHORT_ID: usize = 12;

/// What docker shows where there is nothing.
const NONE: &str = "<none>";

const COLUMNS: &[Column] = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
    ("UNPACKED", "Unpacked"),
    ("PLATFORM", "Platform"),
];

const USAGE: &[Column] = &[
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    images: &[ImageSummary],
    args: &Args,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if args.quiet && format.is_none() {
        let ids = images.iter().map(|image| id(image, args.no_trunc) + "\n");
        // An image of several names has one id, which is wanted once.
        let mut seen = HashSet::new();
        return Ok(ids.filter(|id| seen.insert(id.clone())).collect());
    }
    let now = Timestamp::now();
    let rows = images.iter().map(|image| row(image, now, args.no_trunc));
    let rows: Vec<Row> = rows.collect();
    let mut columns = COLUMNS.to_vec();
    if args.digests {
        columns.insert(2, ("DIGEST", "Digest"));
    }
    list(format.unwrap_or(&Format::Table), &rows, &columns, &[])
}

/// What a prune took away, as docker says it.
pub fn pruned(pruned: &Pruned) -> String {
    let untagged = pruned
        .names
        .iter()
        .map(|name| format!("Untagged: {}\n", familiar(name)));
    let lines: String = untagged.collect();
    format!("{lines}Total reclaimed space: {}\n", decimal(pruned.bytes))
}

/// What images and containers take.
///
/// # Errors
/// The template names a field that there is not.
pub fn usage(usage: &[Usage], format: Option<&Format>) -> Result<String, TemplateError> {
    let row = |usage: &Usage| {
        let share = (usage.reclaimable * 100)
            .checked_div(usage.size)
            .unwrap_or(0);
        Row::from(json!({
            "Type": usage.kind,
            "TotalCount": usage.total.to_string(),
            "Active": usage.active.to_string(),
            "Size": decimal(usage.size),
            "Reclaimable": format!("{} ({share}%)", decimal(usage.reclaimable)),
        }))
    };
    let rows: Vec<Row> = usage.iter().map(row).collect();
    list(format.unwrap_or(&Format::Table), &rows, USAGE, &[])
}

/// What was removed, as docker says it.
pub fn removed(removed: &Removed) -> String {
    let untagged = format!("Untagged: {}", familiar(&removed.untagged));
    match &removed.deleted {
        Some(id) => format!("{untagged}\nDeleted: {id}"),
        None => untagged,
    }
}

/// What was loaded, as docker says it.
pub fn loaded(image: &Loaded) -> String {
    match &image.id {
        Some(id) => format!("Loaded image ID: {id}"),
        None => format!("Loaded image: {}", familiar(&image.name)),
    }
}

/// A name as people write it.
pub fn familiar(name: &str) -> String {
    reference(name).map_or_else(|| name.to_owned(), |reference| reference.familiar())
}

/// What a name says; nothing if it is one that other programs give and that is no reference.
fn reference(name: &str) -> Option<Reference> {
    let reference = Reference::parse(name).ok()?;
    (reference.to_string() == name).then_some(reference)
}

/// docker's id, the configuration's digest; of an image for other machines its own digest.
fn id(image: &ImageSummary, whole: bool) -> String {
    let id = if image.id.is_empty() {
        &image.digest
    } else {
        &image.id
    };
    match (whole, id.split_once(':')) {
        (false, Some((_, hex))) => hex.chars().take(SHORT_ID).collect(),
        _ => id.clone(),
    }
}

fn row(image: &ImageSummary, now: Timestamp, whole: bool) -> Row {
    let reference = reference(&image.name);
    let repository = reference.as_ref().map(Reference::familiar_repository);
    let tag = reference.as_ref().and_then(Reference::tag);
    let created: Option<Timestamp> = image.created.parse().ok();
    let or_none = |text: &str| if text.is_empty() { NONE } else { text }.to_owned();
    // What programs call by its digest has no name that would help anybody.
    let by_others = match image.name.ends_with(&format!("@{}", image.digest)) {
        true => "",
        false => &image.name,
    };
    // docker shows no figures here either, unless its own API is asked.
    let uncounted = "N/A";
    Row::from(json!({
        "ID": id(image, whole),
        "Name": image.name,
        "Repository": repository.unwrap_or_else(|| or_none(by_others)),
        "Tag": or_none(tag.unwrap_or_default()),
        "Digest": or_none(&image.digest),
        "CreatedSince": created.map_or("N/A".to_owned(), |at| format!("{} ago", age(at, now))),
        "CreatedAt": created.map_or("N/A".to_owned(), listed_time),
        "Size": decimal(image.size),
        "VirtualSize": decimal(image.size),
        "SharedSize": uncounted,
        "UniqueSize": uncounted,
        "Containers": uncounted,
        "Unpacked": decimal(image.unpacked),
        "Platform": or_none(&image.platform),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> ImageSummary {
        ImageSummary {
            name: name.to_owned(),
            digest: "sha256:0123456789abcdef".to_owned(),
            id: "sha256:fedcba9876543210".to_owned(),
            created: "2020-01-01T00:00:00Z".to_owned(),
            size: 5_600_000,
            unpacked: 9_000_000,
            labels: Default::default(),
            platform: "linux/amd64".to_owned(),
        }
    }

    fn args(quiet: bool, no_trunc: bool) -> Args {
        Args {
            quiet,
            no_trunc,
            ..Args::default()
        }
    }

    fn shown(name: &str, template: &str) -> String {
        let format: Format = template.parse().unwrap();
        show(&[image(name)], &args(false, false), Some(&format)).unwrap()
    }

    #[test]
    fn names_are_parted_as_docker_parts_them() {
        let template = "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}";
        for (name, expected) in [
            (
                "docker.io/library/alpine:3.14",
                "alpine 3.14 fedcba987654 5.6MB\n",
            ),
            (
                "localhost:5000/a/b:1",
                "localhost:5000/a/b 1 fedcba987654 5.6MB\n",
            ),
            ("odd", "odd <none> fedcba987654 5.6MB\n"),
            (
                "overlayfs@sha256:0123456789abcdef",
                "<none> <none> fedcba987654 5.6MB\n",
            ),
        ] {
            assert_eq!(shown(name, template), expected);
        }
    }

    #[test]
    fn ids_are_short_unless_wanted_whole() {
        let images = [image("docker.io/library/alpine:3.14"), image("again")];
        let quiet = |whole| show(&images, &args(true, whole), None).unwrap();
        assert_eq!(quiet(false), "fedcba987654\n");
        assert_eq!(quiet(true), "sha256:fedcba9876543210\n");
    }

    #[test]
    fn what_was_removed_is_said_as_docker_says_it() {
        let mut gone = Removed {
            untagged: "docker.io/library/alpine:3.14".to_owned(),
            deleted: None,
        };
        assert_eq!(removed(&gone), "Untagged: alpine:3.14");
        gone.untagged = "odd".to_owned();
        gone.deleted = Some("sha256:aa".to_owned());
        assert_eq!(removed(&gone), "Untagged: odd\nDeleted: sha256:aa");
    }
}
