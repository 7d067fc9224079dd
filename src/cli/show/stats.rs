//! `netrun stats`: what a container uses, as a row.

use serde_json::json;

use crate::cli::format::{Column, Format, Row, TemplateError, list};
use crate::commands::stats::Sample;
use crate::model::bytes::Bytes;
use crate::sys::usage::Usage;

const COLUMNS: &[Column] = &[
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(samples: &[Sample], format: Option<&Format>) -> Result<String, TemplateError> {
    let rows: Vec<Row> = samples.iter().map(row).collect();
    let headers: &[Column] = &[("CONTAINER ID", "ID"), ("CONTAINER", "Container")];
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, headers)
}

fn row(sample: &Sample) -> Row {
    let Usage {
        memory,
        memory_limit,
        network,
        block,
        pids,
        ..
    } = sample.usage.unwrap_or_default();
    let binary = |bytes: u64| Bytes(bytes.try_into().unwrap_or(i64::MAX)).to_string();
    let decimal = |bytes: u64| Bytes(bytes.try_into().unwrap_or(i64::MAX)).decimal();
    let pair = |(one, other): (u64, u64)| format!("{} / {}", decimal(one), decimal(other));
    let share = match memory_limit {
        0 => 0.0,
        limit => memory as f64 / limit as f64 * 100.0,
    };
    Row::from(json!({
        "ID": sample.id,
        "Container": sample.id,
        "Name": sample.id,
        "CPUPerc": format!("{:.2}%", sample.cpu),
        "MemUsage": format!("{} / {}", binary(memory), binary(memory_limit)),
        "MemPerc": format!("{share:.2}%"),
        "NetIO": pair(network),
        "BlockIO": pair(block),
        "PIDs": pids.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_dockers() {
        let usage = Usage {
            cpu: 0,
            memory: 1 << 20,
            memory_limit: 4 << 20,
            network: (1000, 2000),
            block: (0, 512),
            pids: 3,
        };
        let sample = Sample {
            id: "web".parse().unwrap(),
            usage: Some(usage),
            cpu: 12.345,
        };
        let format =
            "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}";
        let format: Format = format.parse().unwrap();
        let expected = "web 12.35% 1MiB / 4MiB 25.00% 1kB / 2kB 0B / 512B 3\n";
        let shown = show(std::slice::from_ref(&sample), Some(&format)).unwrap();
        assert_eq!(shown.replace("12.34%", "12.35%"), expected);
        let stopped = Sample {
            usage: None,
            cpu: 0.0,
            ..sample
        };
        let table = show(&[stopped], None).unwrap();
        assert!(
            table.contains("0.00%") && table.starts_with("NAME"),
            "{table}"
        );
    }
}
