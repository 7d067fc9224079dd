//! What scripts want to know of a container that was started: as a value, and as lines of a file.
//!
//! Invariant: a line is `NAME=VALUE` without blanks or quotes, which `$GITHUB_ENV`, `$GITHUB_OUTPUT` and
//! a shell's `source` take alike; lines are appended by one write.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::context::Context;
use crate::engine::steps::Taken;
use crate::engine::view::{self, View};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot append to {}, which --env-out names", .path.display())]
pub struct EnvOutError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for EnvOutError {
    fn class(&self) -> Class {
        Class::Failed
    }
}

/// A container that was started, and the steps that it took.
#[derive(Debug)]
pub struct Started {
    /// The container as it is seen now.
    pub view: View,
    /// The steps.
    pub steps: Vec<Taken>,
}

/// Looks at a container that was just started.
///
/// # Errors
/// It is gone already.
pub async fn started(
    context: &Context<'_>,
    id: &ContainerId,
    steps: Vec<Taken>,
) -> Result<Started, Failure> {
    let view = view::one(&context.host, id).await?;
    Ok(Started { view, steps })
}

/// Appends a container's lines to a file.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, view: &View) -> Result<(), EnvOutError> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(lines(view).as_bytes()));
    written.map_err(|source| EnvOutError {
        path: path.to_owned(),
        source,
    })
}

/// `NAME_ID=`, `NAME_IP=`, `NAME_NETNS=` and for each published port `NAME_PORT_5432=`.
fn lines(view: &View) -> String {
    let id = &view.record.id;
    let name = variable(id.as_str());
    let mut lines = format!("{name}_ID={id}\n");
    if let Some(address) = view.addresses().first() {
        lines += &format!("{name}_IP={}\n", address.address.addr());
    }
    if let Some(netns) = view.netns() {
        lines += &format!("{name}_NETNS={}\n", netns.display());
    }
    for (port, address) in view.ports() {
        let number = port.number;
        // Of the addresses of one port the first one counts.
        let line = format!("{name}_PORT_{number}=");
        if !lines.contains(&line) {
            lines += &format!("{line}{}\n", address.port());
        }
    }
    lines
}

/// A container's name as the beginning of a variable's.
fn variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = name.chars().map(letter).collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::{Status, sample};

    #[test]
    fn lines_are_what_shells_and_jobs_take() {
        let mut record = sample::record("my-db.1", "2026-01-01T12:00:00Z");
        record.started = Some(record.created);
        let lines = lines(&sample::view(record, Status::Running));
        let expected = "MY_DB_1_ID=my-db.1\nMY_DB_1_IP=10.10.0.2\n\
                        MY_DB_1_NETNS=/run/netns/netrun-my-db.1\n";
        assert!(lines.starts_with(expected), "{lines}");
        assert_eq!(variable("1st"), "_1ST");
    }
}
