//! `netrun run -d --format`: a container that was started, as one document for scripts.

use serde_json::{Value, json};

use super::network_settings::network_settings;
use crate::cli::format::{Format, Row, TemplateError};
use crate::commands::env_out::Started;

/// The document as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(started: &Started, format: &Format) -> Result<String, TemplateError> {
    let document = document(started);
    match format {
        Format::Json | Format::Table => Ok(format!("{document}\n")),
        Format::Template(template) | Format::TableOf(template) => {
            Ok(template.render(&Row::from(document))? + "\n")
        }
    }
}

fn document(started: &Started) -> Value {
    let view = &started.view;
    let addresses = view.addresses();
    let settings = network_settings(view);
    let timings = started.steps.iter().map(|taken| {
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        json!({
            "Step": taken.step.name(),
            "Object": taken.object,
            "Began": milliseconds(taken.began),
            "Took": milliseconds(taken.took),
        })
    });
    json!({
        "ID": view.record.id,
        "Name": view.record.id,
        "Image": view.record.image,
        "Pid": view.state.pid,
        "Netns": view.netns(),
        "IPAddress": addresses.first().map(|a| a.address.addr().to_string()).unwrap_or_default(),
        "MacAddress": settings["MacAddress"].as_str().unwrap_or_default(),
        "Networks": settings["Networks"],
        "Ports": settings["Ports"],
        "Timings": timings.collect::<Vec<_>>(),
    })
}
