//! `netrun netns ls`: a network namespace as a row.

use serde_json::json;

use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::netns::{Ls, describe};
use crate::engine::namespaces::NamedNetns;

const COLUMNS: &[Column] = &[
    ("NAME", "Name"),
    ("ID", "ID"),
    ("PROCESSES", "Processes"),
    ("HOLDER", "Holder"),
];

/// What stands where nobody is known to hold it.
const NOBODY: &str = "unknown";

/// What stands for a file that is no namespace.
const BROKEN: &str = "not a namespace";

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    all: &[NamedNetns],
    args: &Ls,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if args.quiet && format.is_none() {
        return Ok(all.iter().map(|seen| format!("{}\n", seen.name)).collect());
    }
    let rows: Vec<Row> = all.iter().map(row).collect();
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, &[])
}

fn row(seen: &NamedNetns) -> Row {
    let holder = match describe(seen) {
        _ if !seen.real => BROKEN.to_owned(),
        nobody if nobody.is_empty() => NOBODY.to_owned(),
        holder => holder,
    };
    let networks = seen.attachments.iter().map(|one| one.network_name.clone());
    Row::from(json!({
        "Name": seen.name.as_str(),
        "ID": seen.id.map(|id| id.to_string()).unwrap_or_default(),
        "Processes": seen.processes,
        "Holder": holder,
        "Path": seen.path,
        "Networks": networks.collect::<Vec<String>>().join(","),
    }))
}
