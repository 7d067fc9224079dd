//! What DEL could not reach: leftovers of the reference plugins, found by what carries the
//! attachment's identity, and removed.
//!
//! Invariant: only what carries this container's id (or a hash made of it), holds an address that
//! is its, or is a device by name and hardware address that its result names, is ever touched.
//! Chains and tables that containers share, and bridges, stay.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::config::NetworkConfigList;
use super::hashes;
use super::result::CniResult;
use super::rules::{self, Chains, Rule, RulesError};
use crate::model::class::{Class, Explain};
use crate::sys::lock::Lock;
use crate::sys::netlink;

/// Where `host-local` keeps addresses unless `ipam.dataDir` says otherwise.
const HOST_LOCAL_DIR: &str = "/var/lib/cni/networks";
/// How long an address may be held by nobody.
const NAMELESS_AGE: Duration = Duration::from_secs(5 * 60);
/// Where `tuning` keeps what it changed unless `dataDir` says otherwise.
const TUNING_DIR: &str = "/run/cni/tuning";

/// Something of an attachment that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// An address that `host-local` holds for it: the address's file.
    Address(PathBuf),
    /// An address that `host-local` holds for nobody: somebody died before he wrote his name.
    Nameless(PathBuf),
    /// Chains of `ipMasq` or `portmap`, or rules of `firewall`, in one table of iptables.
    Chains(Chains),
    /// A rule of `ipMasq` or `portmap` in nftables.
    Rule(Rule),
    /// The ifb device of `bandwidth`, or the host's end of a veth.
    Device(String),
    /// The note of `tuning` of what it changed.
    TuningBackup(PathBuf),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(file) | Self::Nameless(file) => write!(f, "address {}", file.display()),
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
    /// A device of the host.
    #[error("cannot remove the device {name}")]
    Device {
        /// Which.
        name: String,
        /// Why not.
        source: io::Error,
    },
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
    /// The result of ADD, as far as it is known.
    pub result: Option<&'a Value>,
    /// Addresses that were this attachment's before DEL, from [`Sweep::reserved`].
    pub reserved: &'a [IpAddr],
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
        let mut addresses = Vec::new();
        for dir in self.address_dirs() {
            match self.addresses(&dir) {
                Ok(found) => {
                    addresses.extend(found.iter().filter_map(held_address));
                    swept.found.extend(found);
                }
                Err(source) => swept.failures.push(SweepError::File { path: dir, source }),
            }
        }
        addresses.extend(self.reserved);
        addresses.extend(self.told_addresses());
        if self.makes_rules() {
            self.find_rules(&addresses, &mut swept).await;
        }
        self.find_devices(&mut swept);
        let backups = self
            .tuning_backups()
            .into_iter()
            .filter(|file| file.exists());
        swept.found.extend(backups.map(Leftover::TuningBackup));
        swept
    }

    /// The addresses that `host-local` holds for the attachment: to be asked for before DEL where no
    /// result tells them.
    pub fn reserved(&self) -> Vec<IpAddr> {
        let dirs = self.address_dirs().into_iter();
        // A directory that cannot be read is told when it is swept.
        let left = dirs.flat_map(|dir| self.addresses(&dir).unwrap_or_default());
        left.filter_map(|left| held_address(&left)).collect()
    }

    /// The addresses that the result gives the container, but for those that are another's by now.
    fn told_addresses(&self) -> Vec<IpAddr> {
        let dirs = self.address_dirs();
        let anothers = |address: &IpAddr| {
            let mut files = dirs.iter().map(|dir| dir.join(address.to_string()));
            files.any(|file| file.exists() && !self.holds(&file))
        };
        let result = self.known_result();
        let told = result.iter().flat_map(CniResult::container_addresses);
        let told = told.map(|one| one.address.addr());
        told.filter(|address| !anothers(address)).collect()
    }

    /// The result, where it is known and can be understood.
    pub(super) fn known_result(&self) -> Option<CniResult> {
        CniResult::from_value(self.result?.clone(), self.list.cni_version()).ok()
    }

    /// The ifb device of `bandwidth`, known by its name, and veths whose other end is in a namespace
    /// that somebody keeps although its name is gone, known by name and hardware address.
    fn find_devices(&self, swept: &mut Swept) {
        let types = self.list.plugin_types();
        let device = hashes::bandwidth_device(self.list.name(), self.container_id);
        if types.contains(&"bandwidth") && if_nametoindex(device.as_str()).is_ok() {
            swept.found.push(Leftover::Device(device));
        }
        let result = self.known_result();
        let interfaces = result.iter().flat_map(CniResult::interfaces);
        for end in interfaces.filter(|one| one.sandbox.is_none()) {
            let Some(mac) = end.mac.map(|mac| mac.to_lowercase()) else {
                continue;
            };
            // A device that cannot be asked about is no veth of ours.
            if netlink::veth_address(&end.name).ok().flatten() == Some(mac) {
                swept.found.push(Leftover::Device(end.name));
            }
        }
    }

    async fn find_rules(&self, addresses: &[IpAddr], swept: &mut Swept) {
        let network = self.list.name();
        let [dnat, snat] = hashes::portmap_chains(network, self.container_id);
        let chains = [
            hashes::masquerade_chain(network, self.container_id),
            dnat,
            snat,
        ];
        match rules::find_chains(&chains, addresses).await {
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
            masquerades || matches!(plugin.plugin_type(), "portmap" | "firewall")
        })
    }

    async fn remove(&self, leftover: &Leftover) -> Result<(), SweepError> {
        match leftover {
            Leftover::Address(file) => release(file, |file| self.holds(file))
                .await
                .map_err(|source| file_error(file, source)),
            Leftover::Nameless(file) => release(file, is_nameless)
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

    /// The files of one network's directory that hold an address for this attachment, or nobody.
    fn addresses(&self, dir: &Path) -> io::Result<Vec<Leftover>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Beside addresses there are `lock` and `last_reserved_ip.N`.
            let name = entry.file_name();
            let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
            if !name.to_str().is_some_and(is_address) {
                continue;
            }
            if self.holds(&entry.path()) {
                files.push(Leftover::Address(entry.path()));
            } else if is_nameless(&entry.path()) {
                files.push(Leftover::Nameless(entry.path()));
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

    fn tuning_backups(&self) -> Vec<PathBuf> {
        let plugins = self.list.plugins().iter();
        let tuning = plugins.filter(|plugin| plugin.plugin_type() == "tuning");
        let name = format!("{}_{}.json", self.container_id, self.ifname);
        tuning
            .map(|plugin| dir_or(plugin.object().get("dataDir"), TUNING_DIR).join(&name))
            .collect()
    }
}

/// Gives an address back under the plugin's own lock, if what is said of its file is still so.
async fn release(file: &Path, is_left: impl Fn(&Path) -> bool) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    let _lock = Lock::exclusive(&dir.join("lock")).await?;
    match is_left(file) {
        true => gone(fs::remove_file(file)),
        false => Ok(()),
    }
}

/// Whether an address's file has been empty for minutes: `host-local` fills it at once.
fn is_nameless(file: &Path) -> bool {
    let age = |found: &fs::Metadata| found.modified().ok()?.elapsed().ok();
    fs::metadata(file)
        .is_ok_and(|found| found.len() == 0 && age(&found).is_some_and(|age| age > NAMELESS_AGE))
}

/// The address that a file of `host-local` holds for the attachment.
fn held_address(leftover: &Leftover) -> Option<IpAddr> {
    match leftover {
        Leftover::Address(file) => file.file_name()?.to_str()?.parse().ok(),
        _ => None,
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
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    /// What `host-local` and `tuning` keep for several attachments.
    struct Host {
        dir: PathBuf,
    }

    impl Host {
        fn new(name: &str) -> Self {
            let dir = format!("netrun-sweep-{}-{name}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            let (ipam, tuning) = (dir.join("ipam/net"), dir.join("tuning"));
            for (file, text) in [
                ("10.0.0.2", "ns-web\r\neth0"),
                ("10.0.0.3", "ns-web"),
                ("10.0.0.4", "ns-web\r\neth1"),
                ("10.0.0.5", "ns-web2\r\neth0"),
                ("10.0.0.6", ""),
                ("10.0.0.7", ""),
                ("fd00::2", "ns-web\neth0\n"),
                ("last_reserved_ip.0", "10.0.0.5"),
                ("lock", "ns-web"),
            ] {
                fs::create_dir_all(&ipam).unwrap();
                fs::write(ipam.join(file), text).unwrap();
            }
            // W1: one that has been empty for long.
            let old = fs::File::options()
                .write(true)
                .open(ipam.join("10.0.0.7"))
                .unwrap();
            old.set_modified(SystemTime::now() - Duration::from_secs(3600))
                .unwrap();
            fs::create_dir_all(&tuning).unwrap();
            fs::write(tuning.join("ns-web_eth0.json"), "{}").unwrap();
            fs::write(tuning.join("ns-web_eth1.json"), "{}").unwrap();
            Self { dir }
        }

        fn list(&self) -> NetworkConfigList {
            let (dir, tuning) = (&self.dir, self.dir.join("tuning"));
            let text = json!({"name": "net", "plugins": [
                {"type": "p", "ipam": {"type": "host-local", "dataDir": dir.join("ipam")}},
                {"type": "tuning", "dataDir": tuning},
                {"type": "q", "ipam": {"type": "host-local", "dataDir": dir.join("absent")}}
            ]});
            NetworkConfigList::parse(&text.to_string(), Path::new("x")).unwrap()
        }
    }

    impl Drop for Host {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_what_carries_the_containers_id_goes() {
        let host = Host::new("all");
        let (ipam, tuning) = (host.dir.join("ipam/net"), host.dir.join("tuning"));
        let list = host.list();
        let sweep = Sweep {
            list: &list,
            container_id: "ns-web",
            ifname: "eth0",
            result: None,
            reserved: &[],
        };
        assert_eq!(sweep.find().await.found.len(), 5);
        let swept = sweep.run().await;
        assert!(swept.failures.is_empty(), "{:?}", swept.failures);
        assert_eq!(swept.found.len(), 5);
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
    }

    /// W4: the rules of an address are nobody else's as long as the address is not.
    #[test]
    fn an_address_of_the_result_counts_unless_another_holds_it_by_now() {
        let host = Host::new("told");
        let list = host.list();
        let told = json!({"cniVersion": "1.0.0", "ips": [
            {"address": "10.0.0.2/24"}, {"address": "10.0.0.5/24"}, {"address": "10.0.0.9/24"}]});
        let sweep = Sweep {
            list: &list,
            container_id: "ns-web",
            ifname: "eth0",
            result: Some(&told),
            reserved: &[],
        };
        let addresses = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(sweep.told_addresses(), addresses(&["10.0.0.2", "10.0.0.9"]));
        let mut reserved = sweep.reserved();
        reserved.sort();
        assert_eq!(reserved, addresses(&["10.0.0.2", "10.0.0.3", "fd00::2"]));
    }
}
