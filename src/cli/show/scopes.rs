//! `netrun scope ls`: a scope as a row, with the names of what belongs to it.

use std::collections::BTreeMap;

use serde_json::json;

use super::exact_time;
use crate::cli::format::{Column, Format, Row, TemplateError, list as rows};
use crate::engine::scope_end::Members;
use crate::model::id::ScopeName;

const COLUMNS: &[Column] = &[
    ("SCOPE", "Name"),
    ("CONTAINERS", "Containers"),
    ("NETWORKS", "Networks"),
    ("VOLUMES", "Volumes"),
    ("BOUND TO", "Pid"),
];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn list(
    scopes: &[(ScopeName, Members)],
    quiet: bool,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if quiet && format.is_none() {
        return Ok(scopes.iter().map(|(name, _)| format!("{name}\n")).collect());
    }
    let all: Vec<Row> = scopes.iter().map(row).collect();
    rows(format.unwrap_or(&Format::Table), &all, COLUMNS, &[])
}

fn row((name, members): &(ScopeName, Members)) -> Row {
    let joined = |names: Vec<&str>| names.join(",");
    let scope = members.scope.as_ref();
    let pid = scope.and_then(|scope| scope.bound_to.map(|bound| bound.pid.to_string()));
    Row {
        fields: json!({
            "Name": name,
            "Containers": joined(members.containers.iter().map(AsRef::as_ref).collect()),
            "Networks": joined(members.networks.iter().map(|list| list.name()).collect()),
            "Volumes": joined(members.volumes.iter().map(AsRef::as_ref).collect()),
            "Pid": pid.unwrap_or_default(),
            "CreatedAt": scope.map(|scope| exact_time(scope.created)).unwrap_or_default(),
        }),
        labels: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_shown_with_what_belongs_to_it() {
        let members = Members {
            containers: vec!["web".parse().unwrap(), "db".parse().unwrap()],
            volumes: vec!["data".parse().unwrap()],
            ..Members::default()
        };
        let scopes = [("job".parse().unwrap(), members)];
        assert_eq!(list(&scopes, true, None).unwrap(), "job\n");
        let template: Format = "{{.Name}} {{.Containers}} {{.Volumes}}{{.Pid}}"
            .parse()
            .unwrap();
        let shown = list(&scopes, false, Some(&template)).unwrap();
        assert_eq!(shown, "job web,db data\n");
        let table = list(&scopes, false, None).unwrap();
        assert!(table.starts_with("SCOPE "), "{table}");
    }
}
