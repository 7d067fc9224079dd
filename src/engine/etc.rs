//! The container's hosts, hostname and resolv.conf on the host's side.
//!
//! Invariant: they exist before the task is created, for they are bind-mounted, and are filled in
//! place: a file is never replaced while a container may see it.

use std::fs::{self, OpenOptions};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use super::address::mark;
use super::error::Error;
use super::neighbours;
use super::paths::Paths;
use super::report::Report;
use crate::model::record::{NetworkMode, Record};
use crate::network::hosts_file::layout;
use crate::network::names::{self, Hosts, ResolvConf};
use crate::network::result::Address;
use crate::network::{CniResult, NetworkConfigList};

/// The host's own files.
const HOST_HOSTS: &str = "/etc/hosts";
const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";
const SYSTEMD_RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// Makes the state directory of the containerd at `address`, with the three files in it.
///
/// # Errors
/// [`Error::File`].
pub fn make(paths: &Paths, record: &Record, address: &Path) -> Result<(), Error> {
    let mut directory = fs::DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(&paths.state);
    let marked = made.and_then(|()| mark(&paths.state, address));
    marked.map_err(Error::file("make", &paths.state))?;
    let hostname = names::hostname(&record.names.hostname);
    write_in_place(&paths.hostname(), hostname.as_bytes())?;
    // Their contents follow when the networks have given their addresses.
    write_in_place(&paths.hosts(), b"")?;
    write_in_place(&paths.resolv_conf(), b"")
}

/// Writes what the networks gave into hosts and resolv.conf.
///
/// # Errors
/// [`Error::File`], or an `--add-host` that cannot be meant.
pub async fn fill(paths: &Paths, record: &Record, results: &[CniResult]) -> Result<(), Error> {
    if let NetworkMode::Joined(joined) = &record.network.mode
        && joined.container.is_some()
    {
        // The container sees the other one's files.
        return Ok(());
    }
    let addresses: Vec<Address> = results
        .iter()
        .flat_map(CniResult::container_addresses)
        .collect();
    let host_network = record.network.mode == NetworkMode::Host;
    let beginning = hosts(record, &addresses, host_network)?;
    fill_hosts(paths, record, results, &beginning).await?;
    let text = resolv_conf(record, results, &addresses, host_network);
    write_in_place(&paths.resolv_conf(), text.as_bytes())
}

/// Writes the whole hosts file; the others on the container's networks know it from here on. Who
/// joins after us adds itself to our file, so that must be written before others may change names.
async fn fill_hosts(
    paths: &Paths,
    record: &Record,
    results: &[CniResult],
    beginning: &str,
) -> Result<(), Error> {
    let mut entries = Vec::new();
    let attachments = || record.network.attachments.iter().zip(results);
    for (attachment, result) in attachments() {
        entries.push(neighbours::entry(record, attachment, result, true));
    }
    let names = match attachments().next() {
        Some(_) => Some(neighbours::lock().await?),
        None => None,
    };
    if let Some(names) = &names {
        for (attachment, result) in attachments() {
            let entry = neighbours::entry(record, attachment, result, false);
            entries.extend(names.join(record, &attachment.network, &entry)?);
        }
    }
    let text = layout(beginning, entries.iter().map(String::as_str));
    let written = write_in_place(&paths.hosts(), &text);
    drop(names);
    written
}

fn hosts(record: &Record, addresses: &[Address], host_network: bool) -> Result<String, Error> {
    let host_file = host_network.then(|| read(HOST_HOSTS));
    // In the host's network the host is as near as it can be.
    let loopback = host_network.then_some(IpAddr::from([127, 0, 0, 1]));
    let gateway = addresses.iter().find_map(|address| address.gateway);
    let text = names::hosts(&Hosts {
        host_file: host_file.as_deref(),
        add_hosts: &record.names.add_hosts,
        gateway: gateway.or(loopback),
    });
    text.map_err(|error| Error::Image {
        id: record.id.clone(),
        source: Report::of(&error),
    })
}

fn resolv_conf(
    record: &Record,
    results: &[CniResult],
    addresses: &[Address],
    host_network: bool,
) -> String {
    let from_results = results.iter().find_map(CniResult::dns);
    let configured = || {
        let lists = record.network.attachments.iter().filter_map(|attachment| {
            NetworkConfigList::parse(&attachment.config, &attachment.source).ok()
        });
        lists.into_iter().find_map(|list| list.dns())
    };
    let network = from_results.or_else(configured);
    names::resolv_conf(&ResolvConf {
        servers: &record.names.dns,
        search: &record.names.dns_search,
        options: &record.names.dns_options,
        network: network.as_ref(),
        host: &read(HOST_RESOLV_CONF),
        systemd: fs::read_to_string(SYSTEMD_RESOLV_CONF).ok().as_deref(),
        host_network,
        ipv6: addresses
            .iter()
            .any(|address| address.address.addr().is_ipv6()),
    })
}

/// A host without the file has an empty one.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// One write, no truncation before it: a reader sees the old text or the new one. What was longer is
/// overwritten with line ends.
fn write_in_place(path: &Path, text: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut bytes = text.to_vec();
        bytes.resize(bytes.len().max(length), b'\n');
        file.write_all_at(&bytes, 0)
    };
    write().map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_text_leaves_nothing_of_the_longer_one() {
        let path = std::env::temp_dir().join(format!("netrun-etc-{}", std::process::id()));
        write_in_place(&path, b"10.0.0.1 a-long-name\n").unwrap();
        write_in_place(&path, b"10.0.0.2 b\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim_end_matches('\n'), "10.0.0.2 b");
        assert_eq!(text.len(), "10.0.0.1 a-long-name\n".len());
        fs::remove_file(path).unwrap();
    }
}
