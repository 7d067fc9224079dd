//! `netrun cni`: results as cnitool prints them, and versions.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::network::cache::CachedAttachment;
use crate::network::verbs::PluginVersions;
use crate::network::version::SUPPORTED;

const COLUMNS: &[Column] = &[
    ("PLUGIN", "Plugin"),
    ("CNI VERSIONS", "Versions"),
    ("PATH", "Path"),
];

/// A result, indented by four as cnitool does it, and its line ended, as cnitool does not.
pub fn result(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    // Values have no keys but texts, and memory takes what it is given.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&bytes).into_owned() + "\n"
}

/// What netrun speaks, as a plugin would answer VERSION.
pub fn own_versions() -> String {
    let newest = SUPPORTED.last();
    result(&json!({"cniVersion": newest, "supportedVersions": SUPPORTED}))
}

/// What each plugin of a network speaks.
///
/// # Errors
/// The template names a field that there is not.
pub fn versions(
    plugins: &[PluginVersions],
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    let row = |one: &PluginVersions| {
        Row::from(json!({
            "Plugin": one.plugin,
            "Versions": one.supported.join(" "),
            "Path": one.path,
        }))
    };
    let rows: Vec<Row> = plugins.iter().map(row).collect();
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, &[])
}

/// What GC detached, for people.
pub fn detached(attachment: &CachedAttachment) -> String {
    format!(
        "detached {} ({} in {})",
        attachment.container_id, attachment.if_name, attachment.netns
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_look_as_cnitools_do() {
        let shown = result(&json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/8"}]}));
        let expected = "{\n    \"cniVersion\": \"1.0.0\",\n    \"ips\": [\n        {\n            \
                        \"address\": \"10.0.0.2/8\"\n        }\n    ]\n}\n";
        assert_eq!(shown, expected);
        assert!(own_versions().starts_with("{\n    \"cniVersion\": \"1.1.0\""));
    }
}
