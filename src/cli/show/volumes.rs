//! `netrun volume`: a volume as a row, and as docker's document.

use serde_json::{Value, json};

use super::exact_time;
use crate::cli::format::{Column, Format, Row, TemplateError, documents as print, list as rows};
use crate::engine::volumes::{Volume, data};
use crate::model::id::Namespace;

const COLUMNS: &[Column] = &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn list(
    volumes: &[Volume],
    namespace: &Namespace,
    quiet: bool,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if quiet && format.is_none() {
        return Ok(volumes.iter().map(|v| format!("{}\n", v.name)).collect());
    }
    let row = |volume: &Volume| {
        let labels = volume.labels.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Row {
            fields: json!({
                "Name": volume.name,
                "Driver": "local",
                "Scope": "local",
                "Mountpoint": data(namespace, &volume.name),
                "Labels": labels.join(","),
                // docker counts them in `system df` alone, or for clusters.
                "Links": "N/A",
                "Size": "N/A",
                "Availability": "N/A",
                "Group": "N/A",
                "Status": "N/A",
            }),
            labels: volume.labels.clone(),
        }
    };
    let all: Vec<Row> = volumes.iter().map(row).collect();
    rows(format.unwrap_or(&Format::Table), &all, COLUMNS, &[])
}

/// The documents as they are printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn documents(
    volumes: &[Volume],
    namespace: &Namespace,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    let all = volumes.iter().map(|volume| document(volume, namespace));
    print(format, &all.collect::<Vec<Value>>())
}

/// A volume as docker's document.
pub(super) fn document(volume: &Volume, namespace: &Namespace) -> Value {
    json!({
        "CreatedAt": exact_time(volume.created),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": data(namespace, &volume.name),
        "Name": volume.name,
        "Options": null,
        "Scope": "local",
        "Anonymous": volume.anonymous,
    })
}
