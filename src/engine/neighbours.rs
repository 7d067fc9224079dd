//! The names of the containers of a network, in each other's hosts files.
//!
//! Invariant: what stands of a container in others' files stands in its notes below [`NOTES`] too,
//! from before the first of those writes until after the last; all is done under one lock, since a
//! file may be changed for several networks.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use super::claim::{Supervision, supervision};
use super::error::Error;
use super::paths::{LOCKS, Paths};
use crate::model::id::{ContainerId, Namespace};
use crate::model::record::{Attachment, Record};
use crate::network::CniResult;
use crate::network::hosts_file::{Patch, insertion, removal};
use crate::sys::lock::Lock;

/// Where the notes lie, one directory for each network. No containerd namespace begins with a dot.
pub const NOTES: &str = "/run/netrun/.names";

/// A hosts file beyond this size has been made so by its container, and is left alone.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A line is at most so long: musl reads no longer ones.
const MAX_LINE: usize = 500;

/// The lock of all hosts files.
#[derive(Debug)]
pub struct Names {
    _lock: Lock,
}

/// Waits until nobody changes names.
///
/// # Errors
/// The lock cannot be made.
pub async fn lock() -> Result<Names, Error> {
    let path = Path::new(LOCKS).join("names");
    let taken = Lock::exclusive(&path).await;
    let _lock = taken.map_err(Error::file("lock", path))?;
    Ok(Names { _lock })
}

/// The lines by which others, or the container itself (`own`), find it on a network.
pub fn entry(record: &Record, attachment: &Attachment, result: &CniResult, own: bool) -> String {
    let id = record.id.as_str();
    let full = match &record.names.domain {
        Some(domain) => format!("{}.{domain}", record.names.hostname),
        None => record.names.hostname.clone(),
    };
    let hostname = full.as_str();
    let mut names: Vec<String> = Vec::new();
    if own && !hostname.is_empty() {
        names.push(hostname.to_owned());
        // A name with a domain is known without it too.
        names.extend(hostname.split_once('.').map(|(short, _)| short.to_owned()));
    }
    names.push(id.to_owned());
    names.push(format!("{id}.{}", attachment.network));
    names.extend(attachment.aliases.iter().cloned());
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let addresses = result.container_addresses().into_iter();
    addresses
        .map(|one| lines(one.address.addr(), &seen))
        .collect()
}

fn lines(address: IpAddr, names: &[String]) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for name in names {
        if line.is_empty() || line.len() + name.len() > MAX_LINE {
            if !line.is_empty() {
                text.push_str(&line);
                text.push('\n');
            }
            line = format!("{address}\t{name}");
        } else {
            line.push(' ');
            line.push_str(name);
        }
    }
    if line.is_empty() {
        return text;
    }
    text + &line + "\n"
}

impl Names {
    /// Makes a container known on a network; gives the lines of those that are there.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn join(&self, record: &Record, network: &str, entry: &str) -> Result<Vec<String>, Error> {
        let dir = Path::new(NOTES).join(network);
        let mut directory = fs::DirBuilder::new();
        let made = directory.recursive(true).mode(0o700).create(&dir);
        made.map_err(Error::file("make", &dir))?;
        let note = dir.join(note_name(&record.namespace, &record.id));
        fs::write(&note, entry).map_err(Error::file("write", &note))?;
        let mut lines = Vec::new();
        for other in others(&dir, &note) {
            change(&other.hosts, |text| insertion(text, entry));
            lines.push(other.entry);
        }
        Ok(lines)
    }

    /// Makes a container unknown on a network.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn leave(
        &self,
        namespace: &Namespace,
        id: &ContainerId,
        network: &str,
    ) -> Result<(), Error> {
        let dir = Path::new(NOTES).join(network);
        let note = dir.join(note_name(namespace, id));
        let Ok(entry) = fs::read_to_string(&note) else {
            return Ok(());
        };
        for other in others(&dir, &note) {
            change(&other.hosts, |text| removal(text, &entry));
        }
        match fs::remove_file(&note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", note)(error));
            }
            _ => {}
        }
        // They stay while others have notes there.
        let _ = fs::remove_dir(&dir);
        let _ = fs::remove_dir(NOTES);
        Ok(())
    }

    /// Adds and removes lines in the file of a container itself.
    pub fn rewrite(&self, paths: &Paths, add: &[String], remove: &[String]) {
        for entry in remove {
            change(&paths.hosts(), |text| removal(text, entry));
        }
        for entry in add {
            change(&paths.hosts(), |text| insertion(text, entry));
        }
    }

    /// The lines of all others on a network.
    pub fn of_others(&self, record: &Record, network: &str) -> Vec<String> {
        let dir = Path::new(NOTES).join(network);
        let note = dir.join(note_name(&record.namespace, &record.id));
        others(&dir, &note)
            .into_iter()
            .map(|other| other.entry)
            .collect()
    }
}

/// Whether a container is known on any of its networks.
pub fn is_known(record: &Record) -> bool {
    let mut networks = record.network.attachments.iter();
    networks.any(|one| is_known_on(record, &one.network))
}

/// Whether a container is known on a network.
pub fn is_known_on(record: &Record, network: &str) -> bool {
    let name = note_name(&record.namespace, &record.id);
    Path::new(NOTES).join(network).join(name).exists()
}

/// Makes a container unknown on all its networks.
///
/// # Errors
/// [`Error::File`].
pub async fn leave_all(record: &Record) -> Result<(), Error> {
    if !is_known(record) {
        return Ok(());
    }
    let names = lock().await?;
    for attachment in &record.network.attachments {
        names.leave(&record.namespace, &record.id, &attachment.network)?;
    }
    Ok(())
}

/// Makes those unknown that have no supervisor and none that died: nobody else would.
///
/// # Errors
/// [`Error::File`].
pub async fn sweep(namespace: &Namespace) -> Result<Vec<ContainerId>, Error> {
    let stale = |(of, id): &(Namespace, ContainerId)| {
        of == namespace && supervision(&Paths::new(of, id)) == Supervision::None
    };
    let mut swept = Vec::new();
    for dir in entries(Path::new(NOTES)) {
        let network = name_of(&dir);
        for note in entries(&dir) {
            let Some(owner) = owner_of(&note).filter(stale) else {
                continue;
            };
            lock().await?.leave(&owner.0, &owner.1, &network)?;
            swept.push(owner.1);
        }
    }
    Ok(swept)
}

/// No id and no namespace holds `--`.
fn note_name(namespace: &Namespace, id: &ContainerId) -> String {
    format!("{namespace}--{id}")
}

fn owner_of(note: &Path) -> Option<(Namespace, ContainerId)> {
    let name = name_of(note);
    let (namespace, id) = name.split_once("--")?;
    Some((namespace.parse().ok()?, id.parse().ok()?))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Another container of a network.
struct Other {
    hosts: PathBuf,
    entry: String,
}

fn others(dir: &Path, own: &Path) -> Vec<Other> {
    let notes = entries(dir).into_iter().filter(|note| note != own);
    let other = |note: PathBuf| {
        let (namespace, id) = owner_of(&note)?;
        Some(Other {
            hosts: Paths::new(&namespace, &id).hosts(),
            entry: fs::read_to_string(note).ok()?,
        })
    };
    notes.filter_map(other).collect()
}

/// Changes a hosts file by one write. One that cannot be changed is its container's loss alone: it
/// may be going at this moment, or has filled its file with rubbish.
fn change(path: &Path, patch: impl FnOnce(&[u8]) -> Option<Patch>) {
    let attempt = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() > MAX_FILE {
            return Ok(());
        }
        let text = fs::read(path)?;
        match patch(&text) {
            Some(patch) => file.write_all_at(&patch.bytes, patch.offset as u64),
            None => Ok(()),
        }
    };
    let _ = attempt();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::view::sample;

    #[test]
    fn a_container_is_known_by_its_names_on_all_its_addresses() {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        record.network.attachments[0].aliases = vec!["www".to_owned(), "web".to_owned()];
        record.names.hostname = "box.example.org".to_owned();
        let result = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/16"}, {"address": "fd00::2/64"}]});
        let result = CniResult::from_value(result, "").unwrap();
        let attachment = &record.network.attachments[0];
        assert_eq!(
            entry(&record, attachment, &result, false),
            "10.1.0.2\tweb web.mynet www\nfd00::2\tweb web.mynet www\n"
        );
        let own = entry(&record, attachment, &result, true);
        assert!(
            own.starts_with("10.1.0.2\tbox.example.org box web web.mynet www\n"),
            "{own}"
        );
    }

    #[test]
    fn lines_stay_short_enough_for_every_resolver() {
        let names: Vec<String> = (0..40).map(|n| format!("{}{n}", "a".repeat(60))).collect();
        let text = lines("10.1.0.2".parse().unwrap(), &names);
        assert!(text.lines().count() > 4 && text.lines().all(|line| line.len() < 512));
        assert!(text.lines().all(|line| line.starts_with("10.1.0.2\t")));
        assert_eq!(
            text.split_whitespace()
                .filter(|word| word.starts_with('a'))
                .count(),
            40
        );
    }
}
