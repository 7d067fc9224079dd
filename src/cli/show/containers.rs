//! `netrun ps`: a container as a row.

use jiff::Timestamp;
use serde_json::json;

use super::{ellipsis, listed_time};
use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::ps::Args;
use crate::engine::view::{View, age};
use crate::model::record::{MountKind, MountPoint};
use crate::model::reference::Reference;

/// How many characters of a command, and of a mount, are shown.
const COMMAND: usize = 20;
const MOUNT: usize = 15;

const COLUMNS: &[Column] = &[
    ("NAMES", "Names"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("NETWORKS", "Networks"),
    ("ADDRESSES", "Addresses"),
    ("PORTS", "Ports"),
];

const HEADERS: &[Column] = &[("CONTAINER ID", "ID")];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(views: &[View], args: &Args, format: Option<&Format>) -> Result<String, TemplateError> {
    if args.quiet && format.is_none() {
        return Ok(views
            .iter()
            .map(|view| format!("{}\n", view.record.id))
            .collect());
    }
    let now = Timestamp::now();
    let rows: Vec<Row> = views
        .iter()
        .map(|view| row(view, now, args.no_trunc))
        .collect();
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, HEADERS)
}

fn row(view: &View, now: Timestamp, whole: bool) -> Row {
    let record = &view.record;
    let cut = |text: String, length| match whole {
        true => text,
        false => ellipsis(&text, length),
    };
    let image = match (whole, Reference::parse(&record.image)) {
        (false, Ok(reference)) => reference.familiar(),
        _ => record.image.clone(),
    };
    let addresses = view.addresses().into_iter();
    let addresses: Vec<String> = addresses.map(|a| a.address.addr().to_string()).collect();
    let ports = view.ports().into_iter();
    let ports: Vec<String> = ports.map(|(own, at)| format!("{at}->{own}")).collect();
    let labels = record.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mounts = record.mounts.iter().filter_map(mounted);
    let mounts: Vec<String> = mounts.map(|what| cut(what, MOUNT)).collect();
    let fields = json!({
        "ID": record.id,
        "Names": record.id,
        "Image": image,
        "Command": format!("{:?}", cut(command(&record.process.command), COMMAND)),
        "CreatedAt": listed_time(record.created),
        "RunningFor": format!("{} ago", age(record.created, now)),
        "State": view.state.status.name(),
        "Status": view.phrase(now),
        "Networks": view.networks().join(","),
        "Addresses": addresses.join(","),
        "Ports": ports.join(", "),
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
    });
    Row {
        fields,
        labels: record.labels.clone(),
    }
}

/// What is mounted: a volume by its name, anything else of the host by its path; memory is nothing.
fn mounted(mount: &MountPoint) -> Option<String> {
    match (&mount.volume, mount.kind) {
        (Some(volume), _) => Some(volume.name.to_string()),
        (None, MountKind::Tmpfs) => None,
        (None, _) => Some(mount.source.display().to_string()),
    }
}

/// The words of a command in one line, those with blanks in quotes.
fn command(words: &[String]) -> String {
    let quoted = words.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::{Status, sample};

    fn args(quiet: bool, no_trunc: bool) -> Args {
        Args {
            all: false,
            quiet,
            filters: Vec::new(),
            format: None,
            no_trunc,
        }
    }

    fn shown(template: &str, no_trunc: bool) -> String {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        record.started = Some(record.created);
        let format: Format = template.parse().unwrap();
        let views = [sample::view(record, Status::Running)];
        show(&views, &args(false, no_trunc), Some(&format)).unwrap()
    }

    #[test]
    fn fields_have_dockers_names() {
        for (template, expected) in [
            ("{{.ID}} {{.Names}} {{.State}}", "web web running"),
            ("{{.Image}}", "alpine:3.14"),
            ("{{.Command}}", "\"sh -c 'echo hello; …\""),
            ("{{.Networks}} {{.Addresses}}", "mynet 10.10.0.2,fd00::2"),
            ("{{.Labels}} {{.Label \"job\"}}", "job=42 42"),
            ("{{.Mounts}}{{.Ports}}", "/srv/site"),
        ] {
            assert_eq!(
                shown(template, false),
                format!("{expected}\n"),
                "{template}"
            );
        }
        assert!(shown("{{.Status}}|{{.RunningFor}}", false).starts_with("Up "));
    }

    #[test]
    fn nothing_is_cut_if_so_wished() {
        let shown = shown("{{.Image}} {{.Command}}", true);
        let expected = "docker.io/library/alpine:3.14 \"sh -c 'echo hello; sleep 1000'\"\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_a_format_there_is_a_table_or_names_alone() {
        let view = sample::view(
            sample::record("web", "2026-01-01T12:00:00Z"),
            Status::Created,
        );
        let table = show(std::slice::from_ref(&view), &args(false, false), None).unwrap();
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words[..2], ["NAMES", "IMAGE"]);
        assert_eq!(show(&[view], &args(true, false), None).unwrap(), "web\n");
        let empty = show(&[], &args(false, false), None).unwrap();
        assert!(empty.starts_with("NAMES"), "{empty}");
    }
}
