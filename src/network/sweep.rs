//! What DEL could not reach: leftovers of the reference plugins, found by what carries the
//! attachment's identity, and removed.
//!
//! Invariant: only what carries this container's id (or a hash made of it) is ever touched. Chains
//! and tables that containers share, bridges and `firewall`'s rules by address stay.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::config::NetworkConfigList;
use super::hashes;
use super::rules::{self, Chains, Rule, RulesError};
use crate::model::class::{Class, Explain};
use crate::sys::lock::Lock;

/// Where `host-local` keeps addresses unless `ipam.dataDir` says otherwise.
const HOST_LOCAL_DIR: &str = "/var/lib/cni/networks";
/// Where `tuning` keeps what it changed unless `dataDir` says otherwise.
const TUNING_DIR: &str = "/run/cni/tuning";

/// Something of an attachment that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// An address that `host-local` holds for it: the address's file.
    Address(PathBuf),
    /// Chains of `ipMasq` or `portmap` in one table of iptables.
    Chains(Chains),
    /// A rule of `ipMasq` or `portmap` in nftables.
    Rule(Rule),
    /// The ifb device of `bandwidth`.
    Device(String),
    /// The note of `tuning` of what it changed.
    TuningBackup(PathBuf),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(file) => write!(f, "address {}", file.display()),
            Self::Chains(chains) => chains.fmt(f),
            Self::Rule(rule) => rule.fmt(f),
            Self::Device(name) => write!(f, "device {name}"),
            Self::TuningBackup(file) => write!(f, "tuning's {}", file.display()),
        }
    }
}

/// A leftover could not be looked for or removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file or directory of a plugin.
    #[error("cannot sweep {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Rules of the kernel.
    #[error("cannot sweep the container's network rules")]
    Rules(#[from] RulesError),
}

impl Explain for SweepError {
    fn class(&self) -> Class {
        Class::LeftBehind
    }
}

/// What a sweep found, and what of it could not be removed.
#[derive(Debug, Default)]
pub struct Swept {
    /// Everything that was found.
    pub found: Vec<Leftover>,
    /// Why something could not be looked for or removed; if there is nothing here, nothing of the
    /// attachment is left.
    pub failures: Vec<SweepError>,
}

/// One attachment that is to leave nothing behind.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// The network, as ADD saw it.
    pub list: &'a NetworkConfigList,
    /// The container id that plugins saw.
    pub container_id: &'a str,
    /// The interface's name in the container.
    pub ifname: &'a str,
}

impl Sweep<'_> {
    /// Finds what is left and removes it. `portmap` marks its nftables rules with the container
    /// alone: they go for all the container's networks, as with the plugin's own DEL.
    pub async fn run(&self) -> Swept {
        let mut swept = self.find().await;
        for leftover in &swept.found {
            if let Err(failure) = self.remove(leftover).await {
                swept.failures.push(failure);
            }
        }
        swept
    }

    /// Finds what is left and touches nothing.
    pub async fn find(&self) -> Swept {
        let mut swept = Swept::default();
        for dir in self.address_dirs() {
            match self.addresses(&dir) {
                Ok(files) => swept.found.extend(files.into_iter().map(Leftover::Address)),
                Err(source) => swept.failures.push(SweepError::File { path: dir, source }),
            }
        }
        if self.makes_rules() {
            self.find_rules(&mut swept).await;
        }
        let types = self.list.plugin_types();
        let device = hashes::bandwidth_device(self.list.name(), self.container_id);
        if types.contains(&"bandwidth") && if_nametoindex(device.as_str()).is_ok() {
            swept.found.push(Leftover::Device(device));
        }
        let backups = self
            .tuning_backups()
            .into_iter()
            .filter(|file| file.exists());
        swept.found.extend(backups.map(Leftover::TuningBackup));
        swept
    }

    async fn find_rules(&self, swept: &mut Swept) {
        let network = self.list.name();
        let [dnat, snat] = hashes::portmap_chains(network, self.container_id);
        let chains = [
            hashes::masquerade_chain(network, self.container_id),
            dnat,
            snat,
        ];
        match rules::find_chains(&chains).await {
            Ok(found) => swept.found.extend(found.into_iter().map(Leftover::Chains)),
            Err(error) => swept.failures.push(error.into()),
        }
        let masquerade = hashes::masquerade_comment(network, self.ifname, self.container_id);
        match rules::find_rules(&masquerade, self.container_id).await {
            Ok(found) => swept.found.extend(found.into_iter().map(Leftover::Rule)),
            Err(error) => swept.failures.push(error.into()),
        }
    }

    /// Whether any plugin of the chain makes rules: without, no program need be asked. Plugins
    /// before 1.6 silently use iptables whatever backend is configured.
    fn makes_rules(&self) -> bool {
        let mut plugins = self.list.plugins().iter();
        plugins.any(|plugin| {
            let masquerades = plugin.object().get("ipMasq") == Some(&Value::Bool(true));
            masquerades || plugin.plugin_type() == "portmap"
        })
    }

    async fn remove(&self, leftover: &Leftover) -> Result<(), SweepError> {
        match leftover {
            Leftover::Address(file) => self
                .release(file)
                .await
                .map_err(|source| file_error(file, source)),
            Leftover::Chains(chains) => Ok(rules::remove_chains(chains).await?),
            Leftover::Rule(rule) => Ok(rules::remove_rule(rule).await?),
            Leftover::Device(name) => Ok(rules::remove_device(name).await?),
            Leftover::TuningBackup(file) => {
                gone(fs::remove_file(file)).map_err(|source| file_error(file, source))
            }
        }
    }

    fn address_dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for plugin in self.list.plugins() {
            let Some(ipam) = plugin.object().get("ipam") else {
                continue;
            };
            if plugin.ipam_type() == Some("host-local") {
                let dir = dir_or(ipam.get("dataDir"), HOST_LOCAL_DIR).join(self.list.name());
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
        }
        dirs
    }

    /// The files of one network's directory that hold an address for this attachment.
    fn addresses(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Beside addresses there are `lock` and `last_reserved_ip.N`.
            let name = entry.file_name();
            let is_address = |name: &str| name.parse::<std::net::IpAddr>().is_ok();
            if name.to_str().is_some_and(is_address) && self.holds(&entry.path()) {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    /// Whether an address's file names this attachment: the container's id and, since 0.8, on a
    /// line of its own the interface.
    fn holds(&self, file: &Path) -> bool {
        // A file that vanishes meanwhile is as good as one that never was.
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        let id = lines.next();
        let ifname = lines.next().filter(|name| !name.is_empty());
        id == Some(self.container_id) && ifname.is_none_or(|name| name == self.ifname)
    }

    /// Gives an address back under the plugin's own lock, if it is still this attachment's.
    async fn release(&self, file: &Path) -> io::Result<()> {
        let dir = file.parent().unwrap_or(Path::new("/"));
        let _lock = Lock::exclusive(&dir.join("lock")).await?;
        match self.holds(file) {
            true => gone(fs::remove_file(file)),
            false => Ok(()),
        }
    }

    fn tuning_backups(&self) -> Vec<PathBuf> {
        let plugins = self.list.plugins().iter();
        let tuning = plugins.filter(|plugin| plugin.plugin_type() == "tuning");
        let name = format!("{}_{}.json", self.container_id, self.ifname);
        tuning
            .map(|plugin| dir_or(plugin.object().get("dataDir"), TUNING_DIR).join(&name))
            .collect()
    }
}

fn dir_or(configured: Option<&Value>, default: &str) -> PathBuf {
    let configured = configured.and_then(Value::as_str);
    let configured = configured.filter(|dir| !dir.is_empty());
    PathBuf::from(configured.unwrap_or(default))
}

/// Absence is what is wanted.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn file_error(path: &Path, source: io::Error) -> SweepError {
    SweepError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_what_carries_the_containers_id_goes() {
        let dir = std::env::temp_dir().join(format!("netrun-sweep-{}", std::process::id()));
        let (ipam, tuning) = (dir.join("ipam/net"), dir.join("tuning"));
        for (file, text) in [
            ("10.0.0.2", "ns-web\r\neth0"),
            ("10.0.0.3", "ns-web"),
            ("10.0.0.4", "ns-web\r\neth1"),
            ("10.0.0.5", "ns-web2\r\neth0"),
            ("10.0.0.6", ""),
            ("fd00::2", "ns-web\neth0\n"),
            ("last_reserved_ip.0", "10.0.0.5"),
            ("lock", "ns-web"),
        ] {
            fs::create_dir_all(&ipam).unwrap();
            fs::write(ipam.join(file), text).unwrap();
        }
        fs::create_dir_all(&tuning).unwrap();
        fs::write(tuning.join("ns-web_eth0.json"), "{}").unwrap();
        fs::write(tuning.join("ns-web_eth1.json"), "{}").unwrap();
        let text = json!({"name": "net", "plugins": [
            {"type": "p", "ipam": {"type": "host-local", "dataDir": dir.join("ipam")}},
            {"type": "tuning", "dataDir": tuning},
            {"type": "q", "ipam": {"type": "host-local", "dataDir": dir.join("absent")}}
        ]});
        let list = NetworkConfigList::parse(&text.to_string(), Path::new("x")).unwrap();
        let sweep = Sweep {
            list: &list,
            container_id: "ns-web",
            ifname: "eth0",
        };
        assert_eq!(sweep.find().await.found.len(), 4);
        let swept = sweep.run().await;
        assert!(swept.failures.is_empty(), "{:?}", swept.failures);
        assert_eq!(swept.found.len(), 4);
        assert!(sweep.run().await.found.is_empty());
        let mut left: Vec<_> = fs::read_dir(&ipam)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "10.0.0.4",
                "10.0.0.5",
                "10.0.0.6",
                "last_reserved_ip.0",
                "lock"
            ]
        );
        assert!(tuning.join("ns-web_eth1.json").exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
