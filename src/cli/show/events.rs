//! `netrun events`: an event as docker's line and docker's JSON.

use serde_json::{Value, json};

use super::exact_time;
use crate::cli::format::{Format, Row, TemplateError};
use crate::commands::events::Event;

/// An event in one line.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(event: &Event, format: Option<&Format>) -> Result<String, TemplateError> {
    match format {
        None | Some(Format::Table) => Ok(line(event)),
        Some(Format::Json) => Ok(format!("{}\n", document(event))),
        Some(Format::Template(template) | Format::TableOf(template)) => {
            Ok(template.render(&Row::from(fields(event)))? + "\n")
        }
    }
}

fn line(event: &Event) -> String {
    let attributes = event.attributes.iter();
    let attributes: Vec<String> = attributes.map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "{} {} {} {} ({})\n",
        exact_time(event.at),
        event.kind,
        event.action,
        event.id,
        attributes.join(", ")
    )
}

fn document(event: &Event) -> Value {
    let nanoseconds = event.at.as_nanosecond();
    let mut document = json!({
        "status": event.action,
        "id": event.id,
        "from": event.attributes.get("image").cloned().unwrap_or_default(),
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": event.at.as_second(),
        "timeNano": i64::try_from(nanoseconds).unwrap_or(i64::MAX),
    });
    if event.kind != "container"
        && let Some(object) = document.as_object_mut()
    {
        object.shift_remove("from");
    }
    document
}

/// For templates docker has its own names of what is small in JSON.
fn fields(event: &Event) -> Value {
    let mut document = document(event);
    for (small, name) in [
        ("status", "Status"),
        ("id", "ID"),
        ("from", "From"),
        ("scope", "Scope"),
        ("time", "Time"),
        ("timeNano", "TimeNano"),
    ] {
        document[name] = document.get(small).cloned().unwrap_or_else(|| "".into());
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die() -> Event {
        Event {
            at: "2026-01-31T10:00:00.5Z".parse().unwrap(),
            kind: "container",
            action: "die".to_owned(),
            id: "web".to_owned(),
            attributes: [("exitCode", "3"), ("image", "alpine:3.14"), ("name", "web")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        }
    }

    #[test]
    fn lines_and_documents_are_dockers() {
        let expected = "2026-01-31T10:00:00.500000000Z container die web \
                        (exitCode=3, image=alpine:3.14, name=web)\n";
        assert_eq!(show(&die(), None).unwrap(), expected);
        let json: Value =
            serde_json::from_str(&show(&die(), Some(&Format::Json)).unwrap()).unwrap();
        assert_eq!(json["status"], "die");
        assert_eq!(json["from"], "alpine:3.14");
        assert_eq!(json["Actor"]["Attributes"]["exitCode"], "3");
        assert_eq!(json["time"], 1_769_853_600);
        assert_eq!(json["timeNano"], 1_769_853_600_500_000_000_i64);
        let format = "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.exitCode}}"
            .parse()
            .unwrap();
        assert_eq!(show(&die(), Some(&format)).unwrap(), "die web 3\n");
        let format =
            "{{.Status}} {{.ID}} {{.From}} {{.Scope}} {{.Time}} {{.Actor.Attributes.signal}}";
        let expected = "die web alpine:3.14 local 1769853600 <no value>\n";
        let format = format.parse().unwrap();
        assert_eq!(show(&die(), Some(&format)).unwrap(), expected);
    }
}
