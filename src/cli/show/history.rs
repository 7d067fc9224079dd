//! `netrun history`: the steps of an image, the last one first.

use jiff::Timestamp;
use serde_json::json;

use super::ellipsis;
use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::history::Args;
use crate::engine::view::age;
use crate::image::Image;
use crate::model::bytes::Bytes;

/// How much of a step's command docker shows.
const COMMAND: usize = 45;

/// What docker shows for a step that is no image of its own.
const MISSING: &str = "<missing>";

const COLUMNS: &[Column] = &[
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
];

/// The steps as they are printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(image: &Image, args: &Args, format: Option<&Format>) -> Result<String, TemplateError> {
    let rows = rows(image, args, Timestamp::now());
    if args.quiet && format.is_none() {
        let ids = rows.iter().filter_map(|row| row.fields["ID"].as_str());
        return Ok(ids.map(|id| format!("{id}\n")).collect());
    }
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, &[])
}

fn rows(image: &Image, args: &Args, now: Timestamp) -> Vec<Row> {
    let (whole, human) = (args.no_trunc, args.human);
    let since = |at: Timestamp| match human {
        true => format!("{} ago", age(at, now)),
        false => rfc3339(at),
    };
    let steps = image.config.history().clone().unwrap_or_default();
    let mut sizes = image.layers.iter().map(|layer| layer.size());
    let mut rows: Vec<Row> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let empty = step.empty_layer().unwrap_or(false);
        let size = if empty { 0 } else { sizes.next().unwrap_or(0) };
        let last = number + 1 == steps.len();
        let id = match (last, whole) {
            (false, _) => MISSING.to_owned(),
            (true, true) => image.config_digest.clone(),
            (true, false) => image
                .config_digest
                .chars()
                .skip("sha256:".len())
                .take(12)
                .collect(),
        };
        let created: Option<Timestamp> = step.created().as_ref().and_then(|at| at.parse().ok());
        let command = step.created_by().clone().unwrap_or_default();
        rows.push(Row::from(json!({
            "ID": id,
            "CreatedSince": created.map_or("N/A".to_owned(), since),
            "CreatedAt": created.map_or("N/A".to_owned(), rfc3339),
            "CreatedBy": if whole { command } else { ellipsis(&command, COMMAND) },
            "Size": match human {
                true => Bytes(i64::try_from(size).unwrap_or(i64::MAX)).decimal(),
                false => size.to_string(),
            },
            "Comment": step.comment().clone().unwrap_or_default(),
        })));
    }
    rows.reverse();
    rows
}

/// A moment as docker's history has it: to the second.
fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
