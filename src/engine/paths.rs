//! Where the things of a container lie on the host.
//!
//! Invariant: every path is derived from namespace and id, so whoever knows those can find all.

use std::path::{Path, PathBuf};

use crate::model::id::{ContainerId, Namespace};
use crate::sys::netns;

/// What lives as long as a run: sockets, FIFOs, the supervisor's lock.
pub const RUN: &str = "/run/netrun";

/// What lives as long as a container: hosts, resolv.conf, hostname, the log.
pub const STATE: &str = "/var/lib/netrun";

/// The locks between processes.
pub const LOCKS: &str = "/run/netrun/locks";

/// The volumes of all namespaces: no containerd namespace has this name (see `commands::settings`).
pub const VOLUMES: &str = "/var/lib/netrun/volumes";

/// The scopes of all namespaces that were made by name: no containerd namespace begins with a dot.
pub const SCOPES: &str = "/var/lib/netrun/.scopes";

/// The host's own shared memory.
pub const HOST_SHM: &str = "/dev/shm";

/// The paths of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/run/netrun/NS/ID`: there while a supervisor lives, or died.
    pub run: PathBuf,
    /// `/var/lib/netrun/NS/ID`.
    pub state: PathBuf,
    /// The lock of a transition.
    pub lock: PathBuf,
    /// The network namespace that netrun would give it.
    pub netns: PathBuf,
}

impl Paths {
    /// The paths of the container `id` in `namespace`.
    pub fn new(namespace: &Namespace, id: &ContainerId) -> Paths {
        let (namespace_name, name) = (namespace.as_str(), id.as_str());
        Paths {
            run: Path::new(RUN).join(namespace_name).join(name),
            state: Path::new(STATE).join(namespace_name).join(name),
            // No id holds "--", so two pairs never share a lock.
            lock: Path::new(LOCKS).join(format!("ctr-{namespace_name}--{name}")),
            netns: netns::path(&id.netns_name(namespace)),
        }
    }

    /// The file whose lock says that the supervisor lives.
    pub fn alive(&self) -> PathBuf {
        self.run.join(ALIVE)
    }

    /// The FIFOs' directory of the first process (`""`) or of an exec.
    pub fn fifos(&self, exec_id: &str) -> PathBuf {
        match exec_id {
            "" => self.run.join("io"),
            exec => self.run.join(format!("{}{exec}", super::inherit::PREFIX)),
        }
    }

    /// What the container sees as `/etc/hosts`.
    pub fn hosts(&self) -> PathBuf {
        self.state.join("hosts")
    }

    /// What the container sees as `/etc/hostname`.
    pub fn hostname(&self) -> PathBuf {
        self.state.join("hostname")
    }

    /// What the container sees as `/etc/resolv.conf`.
    pub fn resolv_conf(&self) -> PathBuf {
        self.state.join("resolv.conf")
    }

    /// The shared memory that other containers may join, a mount while it runs.
    pub fn shm(&self) -> PathBuf {
        self.run.join("shm")
    }

    /// There while it is frozen for a client, see [`super::hold`].
    pub fn held(&self) -> PathBuf {
        self.run.join("held")
    }

    /// How its health is, and the last answers of its check.
    pub fn health(&self) -> PathBuf {
        self.state.join("health")
    }

    /// The log's current file; the older one has `.1` behind it.
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The log in docker's form, under docker's name.
    pub fn json_log(&self) -> PathBuf {
        let name = self.state.file_name().unwrap_or_default().to_string_lossy();
        self.state.join(format!("{name}-json.log"))
    }
}

/// The name of the supervisor's lock file in the run directory.
pub const ALIVE: &str = "alive";

/// The name of the supervisor's socket in the run directory.
pub const SOCKET: &str = "socket";
