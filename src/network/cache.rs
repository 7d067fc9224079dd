//! The result cache in libcni's format, shared with cnitool, podman, CRI-O, nerdctl and containerd.
//!
//! Invariant: a file appears there whole or not at all, and no other file of ours ever stands in
//! that directory, since every runtime reads each file of it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RuntimeConf;
use super::cnitool;
use super::config::NetworkConfigList;
use super::result::CniResult;
use crate::model::class::{Class, Explain};

/// Where every runtime keeps its results.
pub const DEFAULT_DIR: &str = "/var/lib/cni/results";

const KIND: &str = "cniCacheV1";

/// The cache could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the CNI result cache {}", path.display())]
pub struct CacheError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Explain for CacheError {
    fn class(&self) -> Class {
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => Class::Denied,
            _ => Class::Failed,
        }
    }
}

/// One attachment as the cache describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CachedAttachment {
    kind: String,
    /// The container id that plugins saw.
    pub container_id: String,
    config: String,
    /// The interface's name in the container.
    pub if_name: String,
    /// The network's name.
    pub network_name: String,
    /// The network namespace's path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub netns: String,
    /// `CNI_ARGS`, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni_args: Option<Vec<(String, String)>>,
    /// The capability arguments, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability_args: Option<Map<String, Value>>,
    /// The final result of ADD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

impl CachedAttachment {
    /// Describes an attachment that has just been made.
    pub fn new(list: &NetworkConfigList, conf: &RuntimeConf, result: &CniResult) -> Self {
        let args = &conf.args;
        let capabilities = &conf.capability_args;
        Self {
            kind: KIND.to_owned(),
            container_id: conf.container_id.clone(),
            config: STANDARD.encode(list.bytes()),
            if_name: conf.ifname.clone(),
            network_name: list.name().to_owned(),
            netns: conf.netns.to_string_lossy().into_owned(),
            cni_args: (!args.is_empty()).then(|| args.clone()),
            capability_args: (!capabilities.is_empty()).then(|| capabilities.clone()),
            result: Some(result.to_value()),
        }
    }

    /// The configuration that ADD saw; nothing if it cannot be understood.
    pub fn config(&self) -> Option<NetworkConfigList> {
        let bytes = STANDARD.decode(&self.config).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        NetworkConfigList::parse(&text, Path::new("the CNI result cache")).ok()
    }

    /// The parameters that ADD was given, as far as they are kept.
    pub fn runtime_conf(&self) -> RuntimeConf {
        RuntimeConf {
            container_id: self.container_id.clone(),
            netns: PathBuf::from(&self.netns),
            ifname: self.if_name.clone(),
            args: self.cni_args.clone().unwrap_or_default(),
            capability_args: self.capability_args.clone().unwrap_or_default(),
        }
    }

    /// The runtime's parameters as DEL and CHECK must repeat them: the cached arguments count.
    pub fn restore(&self, conf: &RuntimeConf) -> RuntimeConf {
        let mut conf = conf.clone();
        // A bare result has none of it.
        if self.kind != KIND {
            return conf;
        }
        if let Some(args) = &self.cni_args {
            conf.args.clone_from(args);
        }
        conf.capability_args = self.capability_args.clone().unwrap_or_default();
        conf
    }
}

/// The directory of the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache in a directory, which is made at the first write.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, network: &str, container_id: &str, ifname: &str) -> PathBuf {
        self.dir.join(format!("{network}-{container_id}-{ifname}"))
    }

    /// Writes an attachment, over an older one of the same network, container and interface.
    pub fn store(&self, attachment: &CachedAttachment) -> Result<(), CacheError> {
        let path = self.path(
            &attachment.network_name,
            &attachment.container_id,
            &attachment.if_name,
        );
        self.write(&path, attachment).map_err(|source| CacheError {
            verb: "write",
            path,
            source,
        })
    }

    fn write(&self, path: &Path, attachment: &CachedAttachment) -> io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let bytes = serde_json::to_vec(attachment)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        // Beside the directory, not in it; on the same file system, so that it can be renamed.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".netrun-{}-{count}", std::process::id());
        let temporary = self.dir.parent().unwrap_or(&self.dir).join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Reads an attachment; nothing if there is none or it cannot be understood. A bare result, as
    /// runtimes wrote it before the format had a `kind`, counts with the names it was asked by.
    pub fn load(
        &self,
        network: &str,
        container_id: &str,
        ifname: &str,
    ) -> Option<CachedAttachment> {
        let value = read(&self.path(network, container_id, ifname))?;
        match value.get("kind").and_then(Value::as_str) {
            Some(KIND) => return serde_json::from_value(value).ok(),
            // A format that comes after ours. libcni would take it for a bare result without keys.
            Some(_) => return None,
            None => {}
        }
        Some(CachedAttachment {
            container_id: container_id.to_owned(),
            if_name: ifname.to_owned(),
            network_name: network.to_owned(),
            result: Some(value),
            ..CachedAttachment::default()
        })
    }

    /// Forgets an attachment. That there is none is success.
    pub fn remove(
        &self,
        network: &str,
        container_id: &str,
        ifname: &str,
    ) -> Result<(), CacheError> {
        let path = self.path(network, container_id, ifname);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CacheError {
                verb: "remove from",
                path,
                source,
            }),
            _ => Ok(()),
        }
    }

    /// All attachments, of every runtime; what is no attachment is passed over.
    pub fn list(&self) -> Vec<CachedAttachment> {
        self.list_where(|_| true)
    }

    /// The attachment that a container has under an interface's name, on whatever network.
    pub fn find(&self, container_id: &str, ifname: &str) -> Option<CachedAttachment> {
        // The name only saves reading all files; what counts stands in the file.
        let tail = format!("-{container_id}-{ifname}");
        let mut found = self.list_where(|name| name.ends_with(&tail)).into_iter();
        found.find(|one| one.container_id == container_id && one.if_name == ifname)
    }

    /// The attachment that a network namespace has under an interface's name, on whatever network
    /// and by whatever runtime; below `/run` and `/var/run` are the same names.
    pub fn find_in_netns(&self, netns: &Path, ifname: &str) -> Option<CachedAttachment> {
        let tail = format!("-{ifname}");
        let mut found = self.list_where(|name| name.ends_with(&tail)).into_iter();
        found.find(|one| one.if_name == ifname && cnitool::same_name(Path::new(&one.netns), netns))
    }

    fn list_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<CachedAttachment> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let wanted = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
        let read = wanted.filter_map(|entry| serde_json::from_value(read(&entry.path())?).ok());
        let whole = |one: &CachedAttachment| {
            one.kind == KIND && !one.if_name.is_empty() && !one.network_name.is_empty()
        };
        read.filter(whole).collect()
    }

    /// Whether the network seems to have any attachment, by the names of the files alone.
    pub(super) fn has_any_of(&self, network: &str) -> bool {
        let head = format!("{network}-");
        let mut entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.any(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(head.as_bytes())
        })
    }
}

/// Reads a file as JSON. libcni writes in place, so that a reader can come too early: once more.
fn read(path: &Path) -> Option<Value> {
    let parse = || serde_json::from_slice(&fs::read(path).ok()?).ok();
    parse().or_else(|| {
        if !path.is_file() {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
        parse()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = format!("netrun-cache-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(dir))
        }

        fn cache(&self) -> Cache {
            Cache::new(self.0.join("results"))
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn attachment() -> (NetworkConfigList, RuntimeConf, CachedAttachment) {
        let text = r#"{"name": "my-net", "cniVersion": "1.0.0", "plugins": [{"type": "p"}]}"#;
        let list = NetworkConfigList::parse(text, Path::new("x")).unwrap();
        let mut conf = RuntimeConf {
            container_id: "default-web".to_owned(),
            netns: PathBuf::from("/run/netns/x"),
            ifname: "eth0".to_owned(),
            args: vec![("IP".to_owned(), "10.0.0.7".to_owned())],
            ..RuntimeConf::default()
        };
        conf.capability_args
            .insert("ips".to_owned(), json!(["10.0.0.7/8"]));
        let result = CniResult::from_value(json!({"own": 1}), "1.0.0").unwrap();
        let cached = CachedAttachment::new(&list, &conf, &result);
        (list, conf, cached)
    }

    #[test]
    fn the_file_is_libcnis() {
        let dir = Dir::new("format");
        let cache = dir.cache();
        let (list, conf, cached) = attachment();
        cache.store(&cached).unwrap();
        let path = dir.0.join("results/my-net-default-web-eth0");
        let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            value,
            json!({
                "kind": "cniCacheV1", "containerId": "default-web", "ifName": "eth0",
                "networkName": "my-net", "netns": "/run/netns/x",
                "config": STANDARD.encode(list.bytes()),
                "cniArgs": [["IP", "10.0.0.7"]],
                "capabilityArgs": {"ips": ["10.0.0.7/8"]},
                "result": {"cniVersion": "1.0.0", "own": 1}
            })
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(&dir.0).unwrap().count(),
            1,
            "no temporary file stays"
        );
        let read = cache.load("my-net", "default-web", "eth0").unwrap();
        assert_eq!(read, cached);
        assert_eq!(read.config().unwrap().bytes(), list.bytes());
        let bare = RuntimeConf {
            args: vec![],
            capability_args: Map::new(),
            ..conf.clone()
        };
        assert_eq!(read.restore(&bare), conf);
        assert!(cache.has_any_of("my-net") && !cache.has_any_of("other"));
        cache.remove("my-net", "default-web", "eth0").unwrap();
        cache.remove("my-net", "default-web", "eth0").unwrap();
        assert_eq!(cache.load("my-net", "default-web", "eth0"), None);
    }

    #[test]
    fn listing_passes_over_what_is_no_attachment() {
        let dir = Dir::new("list");
        let cache = dir.cache();
        let (_, _, cached) = attachment();
        cache.store(&cached).unwrap();
        for (name, text) in [
            ("broken-default-web-eth0", "{"),
            ("legacy-default-web-eth0", r#"{"cniVersion":"0.4.0"}"#),
            (
                "other-default-web-eth0",
                r#"{"kind":"cniCacheV2","containerId":"default-web"}"#,
            ),
            ("nameless", r#"{"kind":"cniCacheV1","ifName":"eth0"}"#),
        ] {
            fs::write(dir.0.join("results").join(name), text).unwrap();
        }
        assert_eq!(cache.list(), std::slice::from_ref(&cached));
        assert_eq!(cache.find("default-web", "eth0"), Some(cached));
        assert_eq!(cache.find("web", "eth0"), None);
        let held = |netns: &str, ifname: &str| cache.find_in_netns(Path::new(netns), ifname);
        assert_eq!(
            held("/var/run/netns/x", "eth0").unwrap().network_name,
            "my-net"
        );
        assert_eq!(held("/run/netns/x", "eth1"), None);
        assert_eq!(held("/run/netns/y", "eth0"), None);
        let legacy = cache.load("legacy", "default-web", "eth0").unwrap();
        assert_eq!(legacy.result, Some(json!({"cniVersion": "0.4.0"})));
        assert_eq!(legacy.config(), None);
        for network in ["broken", "other", "absent"] {
            assert_eq!(cache.load(network, "default-web", "eth0"), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_found_again(
            id in "[a-z0-9][a-z0-9_.-]{0,8}", ifname in "[a-z0-9-]{1,8}", netns in "(/[a-z]{1,4}){0,3}",
            args in prop::collection::vec(("[A-Z]{1,3}", "\\PC{1,5}"), 0..3),
            value in crate::network::result::any_json(),
        ) {
            let dir = Dir::new("stored");
            let (list, _, _) = attachment();
            let conf = RuntimeConf {
                container_id: id.clone(),
                netns: PathBuf::from(netns),
                ifname: ifname.clone(),
                args,
                capability_args: Map::from_iter([("own".to_owned(), value.clone())]),
            };
            let result = CniResult::from_value(json!({"own": value}), "1.0.0").unwrap();
            let cached = CachedAttachment::new(&list, &conf, &result);
            dir.cache().store(&cached).unwrap();
            let found = dir.cache().load("my-net", &id, &ifname).unwrap();
            prop_assert_eq!(&found, &cached);
            prop_assert_eq!(&found.runtime_conf(), &conf);
            let config = found.config().unwrap();
            prop_assert_eq!(config.bytes(), list.bytes());
            prop_assert_eq!(found.result.as_ref().unwrap(), &result.to_value());
            prop_assert_eq!(dir.cache().find(&id, &ifname), Some(cached));
        }

        #[test]
        fn any_file_is_read_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let dir = Dir::new("any");
            let results = dir.0.join("results");
            fs::create_dir_all(&results).unwrap();
            fs::write(results.join("n-c-e"), bytes).unwrap();
            dir.cache().list();
            if let Some(found) = dir.cache().load("n", "c", "e") {
                found.config();
            }
        }
    }
}
