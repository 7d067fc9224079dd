//! `netrun ps`: a container as a row.

use jiff::Timestamp;
use serde_json::json;

use super::{decimal, ellipsis, listed_time};
use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::ps::{Args, Listed};
use crate::engine::view::age;
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

const HEADERS: &[Column] = &[("CONTAINER ID", "ID"), ("SIZE", "Size")];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    listed: &[Listed],
    args: &Args,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if args.quiet && format.is_none() {
        let ids = listed.iter().map(|one| &one.view.record.id);
        return Ok(ids.map(|id| format!("{id}\n")).collect());
    }
    let now = Timestamp::now();
    let rows = listed.iter().map(|one| row(one, now, args.no_trunc));
    let rows: Vec<Row> = rows.collect();
    let mut columns = COLUMNS.to_vec();
    if args.size {
        columns.push(("SIZE", "Size"));
    }
    list(format.unwrap_or(&Format::Table), &rows, &columns, HEADERS)
}

fn row(listed: &Listed, now: Timestamp, whole: bool) -> Row {
    let Listed { view, size } = listed;
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
    let published = view.ports();
    let exposed = record.exposed.iter().filter(|port| {
        let is_published = published.iter().any(|(own, _)| own.to_string() == **port);
        view.state.status.is_live() && !is_published
    });
    let ports = published.iter().map(|(own, at)| format!("{at}->{own}"));
    let ports: Vec<String> = ports.chain(exposed.cloned()).collect();
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
        "LocalVolumes": record.mounts.iter().filter(|mount| mount.volume.is_some()).count().to_string(),
        "Size": size.map_or("0B".to_owned(), |size| {
            format!("{} (virtual {})", decimal(size.own), decimal(size.whole))
        }),
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
    use crate::commands::size::Size;
    use crate::engine::view::{Status, sample};
    use crate::model::record::Record;

    fn args(quiet: bool, no_trunc: bool) -> Args {
        Args {
            all: false,
            quiet,
            filters: Vec::new(),
            last: None,
            latest: false,
            size: false,
            format: None,
            no_trunc,
        }
    }

    fn listed(record: Record, status: Status) -> Listed {
        let view = sample::view(record, status);
        let size = Some(Size {
            own: 1_500,
            whole: 5_600_000,
        });
        Listed { view, size }
    }

    fn shown(template: &str, no_trunc: bool) -> String {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        record.started = Some(record.created);
        let format: Format = template.parse().unwrap();
        let views = [listed(record, Status::Running)];
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
            ("{{.Mounts}}{{.Ports}} {{.LocalVolumes}}", "/srv/site 0"),
            ("{{.Size}}", "1.5kB (virtual 5.6MB)"),
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
        let view = listed(
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
