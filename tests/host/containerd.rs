//! The host's own containerd and registry: which version, how they start and stop.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::command::Running;
use super::{FakeHost, PATIENCE, eventually, fixtures};

/// CRI is off, and so are the snapshotters that nobody here uses. Both generations of names stand
/// here; containerd passes over those that it does not know.
const CONFIG: &str = r#"version = 2
root = "/mnt/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/mnt/opt"
"#;

const REGISTRY: &str = "version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: /mnt/storage}, cache: {}}
http: {addr: '127.0.0.1:5000'}
";

const HOSTS_TOML: &str = r#"server = "https://registry-1.docker.io"

[host."http://127.0.0.1:5000"]
  capabilities = ["pull", "resolve"]
"#;

/// The containerd that the suite runs on: `1.6` (the machine's own), `1.7` or `2.1`.
pub fn version() -> String {
    std::env::var("NETRUN_TEST_CONTAINERD").unwrap_or_else(|_| "1.6".to_owned())
}

/// Where a containerd of this version keeps its programs.
fn programs(version: &str) -> PathBuf {
    if version == "1.6" {
        return PathBuf::from("/usr/bin");
    }
    let at = fixtures::unpacked(&format!("containerd-{version}")).join("usr/bin");
    assert!(
        at.join("containerd").exists(),
        "containerd {version} is not in {}: `scripts/test` unpacks it there",
        at.display()
    );
    at
}

impl FakeHost {
    /// Starts containerd, of the version that the suite runs on, and waits until it answers.
    pub fn start_containerd(&self) {
        let log = self.dir().join("containerd.log");
        fs::write(self.dir().join("containerd.toml"), CONFIG).unwrap();
        let running = self
            .cmd("sh")
            .args(&[
                "-c",
                "exec containerd --config /mnt/containerd.toml >>/mnt/containerd.log 2>&1",
            ])
            .spawn();
        *self.containerd.borrow_mut() = Some(running);
        eventually(PATIENCE, "containerd answers", || {
            let mut running = self.containerd.borrow_mut();
            let ended = running.as_mut().is_some_and(Running::ended);
            assert!(!ended, "{}", fs::read_to_string(&log).unwrap_or_default());
            UnixStream::connect(self.path("/run/containerd/containerd.sock")).ok()
        });
    }

    /// Ends containerd with SIGTERM, as systemd does; its shims live on.
    pub fn stop_containerd(&self) {
        let running = self.containerd.take().expect("containerd runs");
        running.signal(Signal::SIGTERM);
        let _ = running.wait();
        let _ = fs::remove_file(self.path("/run/containerd/containerd.sock"));
    }

    /// How many descriptors containerd holds open.
    pub fn containerd_descriptors(&self) -> usize {
        let running = self.containerd.borrow();
        let pid = running.as_ref().expect("containerd runs").pid();
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    /// containerd's resident memory in KiB.
    pub fn containerd_memory(&self) -> u64 {
        let running = self.containerd.borrow();
        let pid = running.as_ref().expect("containerd runs").pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// Starts a registry on 127.0.0.1:5000 that serves the test images, and makes it Docker Hub's
    /// mirror.
    pub fn start_registry(&self) {
        fixtures::install_storage(self);
        fs::write(self.dir().join("registry.yml"), REGISTRY).unwrap();
        self.write("/etc/containerd/certs.d/docker.io/hosts.toml", HOSTS_TOML);
        self.resume_registry();
    }

    /// Starts the registry again, with the configuration that stands in `/mnt/registry.yml` now.
    pub fn resume_registry(&self) {
        self.resume_registry_at("127.0.0.1:5000");
    }

    /// As [`FakeHost::resume_registry`], where the configuration has it listen elsewhere.
    pub fn resume_registry_at(&self, address: &str) {
        let running = self
            .cmd("sh")
            .args(&[
                "-c",
                "exec docker-registry serve /mnt/registry.yml >>/mnt/registry.log 2>&1",
            ])
            .spawn();
        *self.registry.borrow_mut() = Some(running);
        let (host, port) = address.split_once(':').unwrap();
        eventually(Duration::from_secs(30), "the registry answers", || {
            let probe = format!("exec bash -c 'exec 3<>/dev/tcp/{host}/{port}'");
            (self.sh(&probe).code == 0).then_some(())
        });
    }

    /// What the registry was asked so far.
    pub fn read_registry_log(&self) -> String {
        fs::read_to_string(self.dir().join("registry.log")).unwrap_or_default()
    }

    /// Ends the registry.
    pub fn stop_registry(&self) {
        *self.registry.borrow_mut() = None;
    }

    /// Where the registry keeps a blob, seen from outside.
    pub fn registry_blob(&self, digest: &str) -> PathBuf {
        let hash = digest.trim_start_matches("sha256:");
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        self.dir()
            .join(blobs)
            .join(&hash[..2])
            .join(hash)
            .join("data")
    }

    pub(super) fn search_path(&self) -> String {
        let programs = programs(&version());
        format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin:/mnt/bin",
            programs.display()
        )
    }
}
