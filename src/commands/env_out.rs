//! What scripts want to know of a container that was started: as a value, and as lines of a file.
//!
//! Invariant: a line is `NAME=VALUE` without blanks or quotes, which `$GITHUB_ENV`, `$GITHUB_OUTPUT` and
//! a shell's `source` take alike; lines are appended by one write.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::written;
use crate::engine::steps::Taken;
use crate::engine::view::{self, View};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::port::{ContainerPort, Protocol};

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

    fn hint(&self) -> Option<String> {
        written::hint(&self.path, &self.source)
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

/// Looks whether a file can be appended to, before anything is made; makes none.
///
/// # Errors
/// It cannot.
pub fn check(path: &Path) -> Result<(), EnvOutError> {
    written::check(path).map_err(|source| failed(path, source))
}

/// Appends a container's lines to a file.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, view: &View) -> Result<(), EnvOutError> {
    let text = lines(view);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).read(true).create(true).open(path)?;
        // What others left without its end would take our first line into it.
        let begin = if ends_line(&mut file) { "" } else { "\n" };
        file.write_all(format!("{begin}{text}").as_bytes())
    };
    write().map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> EnvOutError {
    EnvOutError {
        path: path.to_owned(),
        source,
    }
}

/// Whether what is written next begins a line; a pipe has no end to look at.
fn ends_line(file: &mut File) -> bool {
    let mut last = [b'\n'];
    let looked = file
        .seek(SeekFrom::End(-1))
        .and_then(|_| file.read_exact(&mut last));
    looked.is_err() || last == [b'\n']
}

/// `NAME_ID=`, `NAME_IP=`, `NAME_NETNS=` and for each published port `NAME_PORT_5432=`, of other
/// protocols than TCP `NAME_PORT_53_UDP=`.
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
    lines + &port_lines(&name, &view.ports())
}

/// The plain name is TCP's; where it has no such port, the other protocol's, too.
fn port_lines(name: &str, ports: &[(ContainerPort, SocketAddr)]) -> String {
    let mut lines = String::new();
    let mut add = |variable: String, address: &SocketAddr| {
        // Of the addresses of one port the first one counts.
        if !lines.contains(&format!("{variable}=")) {
            lines += &format!("{variable}={}\n", address.port());
        }
    };
    let is_tcp = |port: &ContainerPort| port.protocol == Protocol::Tcp;
    for (port, address) in ports.iter().filter(|(port, _)| is_tcp(port)) {
        add(format!("{name}_PORT_{}", port.number), address);
    }
    for (port, address) in ports.iter().filter(|(port, _)| !is_tcp(port)) {
        let protocol = port.protocol.name().to_uppercase();
        add(format!("{name}_PORT_{}_{protocol}", port.number), address);
        add(format!("{name}_PORT_{}", port.number), address);
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

    #[test]
    fn no_port_hides_one_of_another_protocol() {
        let port = |number, protocol, at: &str| {
            let own = ContainerPort { number, protocol };
            (own, at.parse::<SocketAddr>().unwrap())
        };
        let ports = [
            port(53, Protocol::Udp, "0.0.0.0:1053"),
            port(53, Protocol::Tcp, "0.0.0.0:2053"),
            port(53, Protocol::Tcp, "[::]:2054"),
            port(69, Protocol::Udp, "0.0.0.0:1069"),
        ];
        let expected = "N_PORT_53=2053\nN_PORT_53_UDP=1053\nN_PORT_69_UDP=1069\nN_PORT_69=1069\n";
        assert_eq!(port_lines("N", &ports), expected);
    }
}
