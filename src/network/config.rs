//! The networks of a directory: finding one by name, and listing them all.
//!
//! Invariant: a broken file is reported with its place and never hides a network that another file
//! describes (libcni gives up at the first).

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use super::conflist::{Flaw, NetworkConfigList, PluginConfig};
use crate::model::class::{Class, Explain};

/// Where networks are looked for unless the user says otherwise.
pub const DEFAULT_DIR: &str = "/etc/cni/net.d";

/// What is wrong with a network's configuration, or with finding it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no JSON.
    #[error("{}, line {line}: not valid JSON", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A file is JSON but no network configuration.
    #[error("{} is not a network configuration", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Flaw,
    },
    /// There is no configuration at all.
    #[error("no network configuration in {}", dir.display())]
    NoConfigs {
        /// The directory.
        dir: PathBuf,
    },
    /// There are configurations, but none of that name.
    #[error("no network \"{name}\" in {}{}", dir.display(), listed(known, broken))]
    NotFound {
        /// The name that was wanted.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// The names that are there.
        known: Vec<String>,
        /// The files that might hold it but cannot be understood.
        broken: Vec<BrokenFile>,
    },
}

impl ConfigError {
    pub(super) fn json(path: &Path, source: serde_json::Error) -> Self {
        Self::Json {
            path: path.to_owned(),
            line: source.line(),
            source,
        }
    }

    pub(super) fn invalid(path: &Path, source: Flaw) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            source,
        }
    }

    fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

impl Explain for ConfigError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::Failed,
            Self::Json { .. } | Self::Invalid { .. } => Class::InvalidInput,
            Self::NoConfigs { .. } | Self::NotFound { .. } => Class::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Json { path, .. } | Self::Invalid { path, .. } => {
                Some(format!("correct {} or take it away", path.display()))
            }
            Self::NotFound { broken, .. } if !broken.is_empty() => {
                Some("correct the broken files first, one of them may be it".to_owned())
            }
            Self::NoConfigs { dir } => Some(format!(
                "put a network's .conflist file into {}",
                dir.display()
            )),
            _ => None,
        }
    }
}

/// A file that should describe a network, or a network's plugin, and does not.
#[derive(Debug)]
pub struct BrokenFile {
    /// The network's name, where that much can be read.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub error: ConfigError,
}

impl fmt::Display for BrokenFile {
    /// The file and, in parentheses, what is wrong: in the parser's words, which end with the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.error.source() {
            Some(why) => write!(f, "{path} ({why})"),
            None => write!(f, "{path} ({})", self.error),
        }
    }
}

/// Everything that a directory holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// The networks, each name once (the file that [`load`] would take), in the order of lookup.
    pub networks: Vec<NetworkConfigList>,
    /// The files that cannot be understood.
    pub broken: Vec<BrokenFile>,
}

/// Finds a network by its name: lists (`.conflist`) first, then single plugins (`.conf`, `.json`),
/// each kind in the order of file names.
pub fn load(dir: &Path, name: &str) -> Result<NetworkConfigList, ConfigError> {
    let paths = candidates(dir)?;
    if paths.is_empty() {
        return Err(ConfigError::NoConfigs { dir: dir.into() });
    }
    let mut known: Vec<String> = Vec::new();
    let mut broken = Vec::new();
    for path in paths {
        match read_network(&path) {
            Ok(list) if list.name() == name => return Ok(list),
            Ok(list) if known.iter().any(|seen| seen == list.name()) => {}
            Ok(list) => known.push(list.name().to_owned()),
            Err(file) if file.name.as_deref() == Some(name) => return Err(file.error),
            Err(file) => broken.push(*file),
        }
    }
    Err(ConfigError::NotFound {
        name: name.to_owned(),
        dir: dir.to_owned(),
        known,
        broken,
    })
}

/// Lists every network of a directory and every file that cannot be understood. A directory that
/// does not exist is empty; one that cannot be read is a broken file itself.
pub fn scan(dir: &Path) -> Scan {
    let mut scan = Scan::default();
    let paths = match candidates(dir) {
        Ok(paths) => paths,
        Err(error) => {
            scan.broken.push(*broken_file(None, dir, error));
            return scan;
        }
    };
    for path in paths {
        match read_network(&path) {
            Ok(list) if scan.networks.iter().any(|seen| seen.name() == list.name()) => {}
            Ok(list) => scan.networks.push(list),
            Err(file) => scan.broken.push(*file),
        }
    }
    scan
}

fn read_network(path: &Path) -> Result<NetworkConfigList, Box<BrokenFile>> {
    let text = read(path).map_err(|error| broken_file(None, path, error))?;
    let whole = NetworkConfigList::parse_partial(&text, path).and_then(|list| {
        // As in libcni, a single plugin stays alone.
        let is_list = path.as_os_str().as_encoded_bytes().ends_with(b".conflist");
        let beside = match is_list && !list.only_inlined() {
            true => plugins_beside(path, list.name())?,
            false => Vec::new(),
        };
        list.complete(beside)
            .map_err(|flaw| ConfigError::invalid(path, flaw))
    });
    whole.map_err(|error| broken_file(name_in(&text), path, error))
}

fn broken_file(name: Option<String>, file: &Path, error: ConfigError) -> Box<BrokenFile> {
    let path = match &error {
        ConfigError::Json { path, .. }
        | ConfigError::Read { path, .. }
        | ConfigError::Invalid { path, .. } => path.clone(),
        _ => file.to_owned(),
    };
    Box::new(BrokenFile { name, path, error })
}

/// The name in a text that is JSON but no network configuration.
fn name_in(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(value.get("name")?.as_str()?.to_owned())
}

/// The plugins in `<directory of the list>/<network name>/*.conf`, in the order of file names.
fn plugins_beside(list: &Path, network: &str) -> Result<Vec<PluginConfig>, ConfigError> {
    let Some(dir) = list.parent() else {
        return Ok(Vec::new());
    };
    let paths = files(&dir.join(network), &["conf"])?;
    let plugin = |path: &PathBuf| {
        let text = read(path)?;
        let value = serde_json::from_str(&text).map_err(|error| ConfigError::json(path, error))?;
        PluginConfig::new(&value, 1).map_err(|flaw| ConfigError::invalid(path, flaw))
    };
    paths.iter().map(plugin).collect()
}

/// The files that may hold a network, in the order of lookup.
fn candidates(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths = files(dir, &["conflist"])?;
    paths.extend(files(dir, &["conf", "json"])?);
    Ok(paths)
}

/// The regular files of a directory with one of these extensions, sorted by name.
fn files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |error| ConfigError::read(dir, error);
    let entries = match fs::read_dir(dir) {
        // A file of the network's name in place of the directory of its plugins is as good as none.
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        // Not Path::extension: `.conflist` alone counts, as in Go.
        let Some((_, extension)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        if extensions.contains(&extension) && !leads_elsewhere(&entry.path()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether a path is something that exists and is no file: a directory, or a FIFO that would block
/// its reader for ever. A dangling link is left in, to be reported.
fn leads_elsewhere(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::read(path, error))
}

/// The tail of a "not found": what there is instead.
fn listed(known: &[String], broken: &[BrokenFile]) -> String {
    let mut text = String::new();
    if !known.is_empty() {
        text.push_str("; known: ");
        text.push_str(&known.join(", "));
    }
    let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
    if !broken.is_empty() {
        text.push_str("; broken: ");
        text.push_str(&broken.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let dir =
                std::env::temp_dir().join(format!("netrun-conf-{}-{name}", std::process::id()));
            for (file, text) in files {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn list(name: &str, plugin: &str) -> String {
        format!(r#"{{"name":"{name}","plugins":[{{"type":"{plugin}"}}]}}"#)
    }

    #[test]
    fn lists_come_first_then_single_plugins_each_by_file_name() {
        let single = r#"{"name":"a","type":"single"}"#;
        let dir = Dir::new(
            "order",
            &[
                ("00.conf", single),
                ("00.json", r#"{"name":"j","type":"json"}"#),
                ("20.conflist", &list("a", "late")),
                ("10.conflist", &list("a", "early")),
                ("05.conflist.bak", &list("bak", "x")),
                ("a.lock", ""),
                ("default/nerdctl-x.conflist", &list("inner", "x")),
                (".conflist", &list("dot", "x")),
            ],
        );
        assert_eq!(load(&dir.0, "a").unwrap().plugin_types(), ["early"]);
        let scan = scan(&dir.0);
        let names: Vec<&str> = scan.networks.iter().map(NetworkConfigList::name).collect();
        assert_eq!(names, ["dot", "a", "j"]);
        assert!(scan.broken.is_empty());
    }

    #[test]
    fn a_broken_file_is_no_obstacle_unless_it_is_the_wanted_one() {
        let dir = Dir::new(
            "broken",
            &[
                ("0.conflist", "{\n\n]"),
                ("1.conflist", r#"{"name":"empty","plugins":[]}"#),
                ("2.conflist", &list("good", "x")),
                ("3.conflist", &list("fine", "x")),
            ],
        );
        assert!(load(&dir.0, "good").is_ok());
        assert!(matches!(
            load(&dir.0, "empty"),
            Err(ConfigError::Invalid { .. })
        ));
        let error = load(&dir.0, "nope").unwrap_err();
        assert_eq!(error.class(), Class::NotFound);
        let text = error.to_string();
        assert!(text.contains("known: good, fine"), "{text}");
        let broken = "0.conflist (key must be a string at line 3 column 1), ";
        assert!(text.contains(broken), "{text}");
        assert!(
            text.ends_with("1.conflist (key \"plugins\" is an empty list)"),
            "{text}"
        );
        assert!(scan(&dir.0).broken[0].path.ends_with("0.conflist"));
        assert!(error.hint().is_some());
    }

    #[test]
    fn plugins_beside_the_list_are_appended_and_kept_in_its_bytes() {
        let files = [
            ("n.conflist", list("n", "inlined")),
            ("n/20.conf", r#"{"type":"second"}"#.to_owned()),
            ("n/10.conf", r#"{"type":"first","key":1}"#.to_owned()),
            ("n/x.json", "not looked at".to_owned()),
            ("bare.conflist", r#"{"name":"bare"}"#.to_owned()),
            ("bare/1.conf", r#"{"type":"only"}"#.to_owned()),
            (
                "sole.conflist",
                list("sole", "a").replace("{\"name", "{\"loadOnlyInlinedPlugins\":true,\"name"),
            ),
            ("sole/1.conf", r#"{"type":"ignored"}"#.to_owned()),
            ("bad.conflist", list("bad", "a")),
            ("bad/1.conf", "{".to_owned()),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let dir = Dir::new("beside", &files);
        let found = load(&dir.0, "n").unwrap();
        assert_eq!(found.plugin_types(), ["inlined", "first", "second"]);
        let again = NetworkConfigList::parse(found.bytes(), found.source()).unwrap();
        assert_eq!(again, found);
        assert_eq!(load(&dir.0, "bare").unwrap().plugin_types(), ["only"]);
        assert_eq!(load(&dir.0, "sole").unwrap().plugin_types(), ["a"]);
        match load(&dir.0, "bad") {
            Err(ConfigError::Json { path, line: 1, .. }) => assert!(path.ends_with("bad/1.conf")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_absent_or_empty_directory_holds_nothing() {
        let dir = Dir::new("none", &[("x.txt", "")]);
        assert!(matches!(
            load(&dir.0, "a"),
            Err(ConfigError::NoConfigs { .. })
        ));
        let absent = dir.0.join("absent");
        assert!(matches!(
            load(&absent, "a"),
            Err(ConfigError::NoConfigs { .. })
        ));
        assert!(scan(&absent).networks.is_empty());
    }
}
