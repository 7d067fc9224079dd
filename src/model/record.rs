//! The record: everything needed to undo a container, kept in its containerd record.
//!
//! Invariant: it is written before any host resource is made, and teardown needs nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asked::Asked;
use super::health::HealthCheck;
use super::id::{ContainerId, Namespace, VolumeName};
use super::port::PublishedPort;
use super::restart::RestartPolicy;
use super::scope::BoundScope;

pub use super::exit::Exit;

/// The key of the containerd extension that holds the record, and its type URL.
pub const EXTENSION: &str = "netrun.record";

/// The version that this binary writes. A reader accepts every version up to its own.
pub const VERSION: u32 = 1;

/// The largest record, in bytes of JSON.
pub const MAX_BYTES: usize = 256 * 1024;

/// Everything needed to start a container again and to undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format of this record, see [`VERSION`].
    pub version: u32,
    /// The containerd namespace.
    pub namespace: Namespace,
    /// The container's name and containerd id.
    pub id: ContainerId,
    /// When the record was made.
    pub created: Timestamp,
    /// The kernel's boot id at the last start, empty before the first: what lives in `/run` is gone
    /// under another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// True until the first start of a `run`, or a `create`, is done, and again while it is removed:
    /// what is found half-made then is removed, not kept as a stopped container.
    #[serde(default)]
    pub provisional: bool,
    /// The image as the user named it, normalised (`docker.io/library/alpine:3.14`).
    pub image: String,
    /// The digest of its configuration, docker's image id; empty in records of earlier releases.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// The snapshotter that holds the root file system; the snapshot's key is the id.
    pub snapshotter: String,
    /// The chain id of the image's layers: the snapshot's parent.
    pub parent: String,
    /// The network namespace and what is attached in it.
    pub network: Network,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How its process is run, stopped and logged.
    pub process: Process,
    /// What its `hosts` and `resolv.conf` say beside what the network says.
    pub names: Names,
    /// What is mounted in it beside the default mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountPoint>,
    /// The namespaces of other containers that it shares, looked up at each start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<Join>,
    /// Its `/dev/shm` is a mount on the host, for others to share, of so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<i64>,
    /// Its spec names an interface: the process is made when the networks are attached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_interfaces: bool,
    /// The ports that it says it listens on (`--expose`, the image's EXPOSE): `80/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// Where its output goes.
    #[serde(default, skip_serializing_if = "Log::is_default")]
    pub log: Log,
    /// What was asked for and is nowhere else.
    #[serde(default, skip_serializing_if = "Asked::is_nothing")]
    pub asked: Asked,
    /// Remove everything when it ends (`--rm`).
    #[serde(default)]
    pub auto_remove: bool,
    /// It is being removed by somebody who did not ask for its volumes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_volumes: bool,
    /// What happens when its process ends by itself.
    #[serde(default, skip_serializing_if = "RestartPolicy::is_no")]
    pub restart: RestartPolicy,
    /// How often it was started again by its policy since somebody started it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Somebody stopped it: it is not started again by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// How its health is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// The process with whose end it ends (`--bind-pid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<BoundTo>,
    /// The scope with whose process it ends, if it belongs to such a one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<BoundScope>,
    /// When the last start reached `Tasks.Start`; absent before, and from the next start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// How the last run ended; absent before and during a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_usual(priority: &i32) -> bool {
    *priority == 0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A process of the host, told apart from later ones of the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundTo {
    /// Its pid.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot (proc(5), `stat` field 22).
    pub start_time: u64,
}

/// Where the container's network lives and what is attached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Whose network namespace it is.
    pub mode: NetworkMode,
    /// The attachments in the order given: `eth0`, `eth1`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The ports to be published. The attachment that publishes them has them as capability argument
    /// `portMappings`, an empty list until the host's ports are chosen; none does where its network was
    /// disconnected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
}

/// Whose network namespace a container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A fresh named one at this path, with the attachments in it (none for `--net none`).
    Own(PathBuf),
    /// The host's.
    Host,
    /// One that somebody else made and takes away.
    Joined(Joined),
}

/// A network namespace of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its path.
    pub path: PathBuf,
    /// The container of ours that it belongs to, whose `hosts` and `resolv.conf` are shared too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerId>,
}

impl NetworkMode {
    /// The path of the container's network namespace; none for the host's.
    pub fn netns(&self) -> Option<&Path> {
        match self {
            Self::Own(path) => Some(path),
            Self::Joined(joined) => Some(&joined.path),
            Self::Host => None,
        }
    }
}

/// One network interface made by one CNI plugin chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The interface's name in the container.
    pub ifname: String,
    /// The exact bytes of the network's configuration list, as text: CNI demands the same for DEL.
    pub config: String,
    /// The file that the configuration came from, for messages.
    pub source: PathBuf,
    /// `CNI_ARGS`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
    /// The capability arguments (`runtimeConfig` by capability name).
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub capability_args: serde_json::Map<String, Value>,
    /// Further names of the container on this network, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The attachment with the highest has the default routes; of equals, the first.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub gateway_priority: i32,
    /// The directories that plugins are looked for in.
    pub plugin_dirs: Vec<PathBuf>,
    /// The final result of ADD; written after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// How a container's process is run, stopped and logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The command with its arguments, for people.
    pub command: Vec<String>,
    /// The user as given; a name is looked up in the image at the start.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Further groups as given (`--group-add`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// It has a terminal (`-t`).
    pub terminal: bool,
    /// Its standard input is kept open (`-i`).
    pub stdin: bool,
    /// It stays open when what a client gives it ends: nobody was to give it any (`run -d -i`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin_stays: bool,
    /// The signal that asks it to stop, by name (`SIGTERM`).
    pub stop_signal: String,
    /// How many seconds it has between that signal and SIGKILL; perhaps [`FOR_EVER`].
    pub stop_timeout: u32,
    /// How long it may run (`--timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Duration>,
    /// The OCI runtime (`io.containerd.runc.v2`).
    pub runtime: String,
}

/// The stop time-out of a process that is never killed for taking its time.
pub const FOR_EVER: u32 = u32::MAX;

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What kind of thing it is.
    pub kind: MountKind,
    /// Where it lies on the host; empty for memory. For an image, its name.
    #[serde(default, skip_serializing_if = "is_empty_path")]
    pub source: PathBuf,
    /// Where it is seen in the container.
    pub destination: PathBuf,
    /// The options, in mount(8)'s words.
    pub options: Vec<String>,
    /// The volume that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeUse>,
    /// The chain id of the image that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A file or directory of the host.
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// The files of an image.
    Image,
}

impl MountKind {
    /// Docker's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
        }
    }
}

/// How a container uses a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// The volume's name.
    pub name: VolumeName,
    /// It was made for this container, and may go with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// While it is empty it gets what the image has there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
}

impl MountPoint {
    /// The container may not write to it.
    pub fn is_read_only(&self) -> bool {
        let words = self.options.iter();
        words.into_iter().any(|word| word == "ro" || word == "rro")
    }
}

fn is_empty_path(path: &std::path::Path) -> bool {
    path.as_os_str().is_empty()
}

/// A namespace of another container that a container shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which: `pid` or `ipc`.
    pub namespace: String,
    /// Whose.
    pub container: ContainerId,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Who writes it.
    pub driver: LogDriver,
    /// A file is rotated when it has grown past this many bytes; the driver's own limit if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// So many files are kept; the driver's own number if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u32>,
}

impl Log {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The forms of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// netrun's own: frames as they were read.
    #[default]
    Local,
    /// Docker's lines of JSON, for those who ship logs.
    JsonFile,
    /// None.
    None,
}

impl LogDriver {
    /// Docker's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::JsonFile => "json-file",
            Self::None => "none",
        }
    }
}

/// What the container's `hosts`, `hostname` and `resolv.conf` say beside the network's own words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Names {
    /// The hostname.
    pub hostname: String,
    /// `--domainname`, which the hosts file has behind the hostname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// `--add-host`: name and address; the address may be `host-gateway`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_hosts: Vec<(String, String)>,
    /// `--dns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// `--dns-search`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
}
