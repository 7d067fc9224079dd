//! What is made once and shared by all hosts: the test images as a registry's storage, a containerd
//! root with them pulled, the programs from Debian's other suites.
//!
//! Invariant: everything lies below cargo's directory for tests, named after what it was made from.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{FakeHost, PluginSet, containerd};

/// The image that most tests run.
pub const ALPINE: &str = "alpine:3.14";

/// The network of the examples, as it is shipped.
pub const MYNET: &str = include_str!("../../configs/mynet.conf");

/// A script of ours.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name)
}

/// Where `scripts/test` unpacks a program that is not installed.
pub fn unpacked(name: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| home().join(".cache"));
    cache.join("netrun-test").join(name)
}

/// Where the plugins of a set lie.
pub fn plugins(set: PluginSet) -> PathBuf {
    let at = match set {
        PluginSet::Installed => PathBuf::from("/usr/lib/cni"),
        PluginSet::Newer => unpacked("cni-1.9").join("usr/lib/cni"),
    };
    assert!(
        at.join("bridge").exists(),
        "no plugins in {}: `scripts/test` puts them there",
        at.display()
    );
    at
}

/// Fails with the command that installs what is missing; a missing tool is never a reason to skip.
pub fn require_tools() {
    static CHECKED: OnceLock<()> = OnceLock::new();
    CHECKED.get_or_init(|| {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the end-to-end tests need root"
        );
        let needed = [
            ("containerd", "containerd"),
            ("runc", "runc"),
            ("docker-registry", "docker-registry"),
            ("ip", "iproute2"),
            ("nft", "nftables"),
            ("iptables", "iptables"),
            ("jq", "jq"),
            ("musl-gcc", "musl-tools"),
            ("cc", "gcc libc6-dev"),
            ("zstd", "zstd"),
            ("tini-static", "tini"),
            ("dnsmasq", "dnsmasq-base"),
            ("openssl", "openssl"),
            ("skopeo", "skopeo"),
            ("podman", "podman"),
            ("python3", "python3"),
        ];
        let found = |tool: &str| {
            let directories = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
            directories
                .iter()
                .any(|at| Path::new(at).join(tool).exists())
        };
        let mut missing: Vec<&str> = Vec::new();
        missing.extend(
            needed
                .iter()
                .filter(|(tool, _)| !found(tool))
                .map(|(_, package)| package),
        );
        if !found("busybox") {
            missing.push("busybox-static");
        }
        if !Path::new("/usr/lib/cni/bridge").exists() {
            missing.push("containernetworking-plugins");
        }
        assert!(
            missing.is_empty(),
            "apt-get install -y {}",
            missing.join(" ")
        );
    });
}

/// A fresh directory for a host and a name that no other host of this machine has. The binary under
/// test is in its `bin`.
pub fn new_host_dir() -> (String, PathBuf) {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(sweep);
    let own = std::process::id();
    let name = format!("nrt-{own}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let dir = shared().join(&name);
    fs::create_dir_all(dir.join("bin")).unwrap();
    let binary = std::env::var_os("NETRUN_TEST_BINARY").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_netrun")));
    // A link, since the fake host's own /tmp or /root may hide where cargo put it.
    fs::hard_link(&binary, dir.join("bin/netrun"))
        .or_else(|_| fs::copy(&binary, dir.join("bin/netrun")).map(drop))
        .unwrap();
    (name, dir)
}

/// Where shared things and hosts lie.
fn shared() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Takes away the directories and cgroups of test runs that were killed.
fn sweep() {
    let cgroups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
    let parents = cgroups.flatten().map(|entry| entry.path());
    let parents: Vec<PathBuf> = parents.chain([PathBuf::from("/sys/fs/cgroup")]).collect();
    for entry in fs::read_dir(shared()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("nrt-")
            .and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.filter(|pid| !Path::new("/proc").join(pid).exists()) else {
            continue;
        };
        assert!(owner.parse::<u32>().is_ok(), "{name}");
        for parent in &parents {
            remove_cgroups(&parent.join(&name));
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn remove_cgroups(at: &Path) {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroups(&entry.path());
        }
    }
    let _ = fs::remove_dir(at);
}

/// Gives the host the registry's storage with the test images.
pub fn install_storage(host: &FakeHost) {
    copy(storage(), &host.dir().join("storage"));
}

/// Gives the host a containerd root with the test images pulled. Files are its own; the symbolic links,
/// which nobody can write to, are the template's: making hundreds of them, a busybox's, was half of the
/// time of a host that starts alone.
pub fn install_template(host: &FakeHost) {
    let root = host.dir().join("containerd");
    cp(&["-al"], template(), &root);
    let mut files = Command::new("find");
    files.args([".", "-type", "f", "-exec", "cp", "-a", "--parents"]);
    files.args(["--remove-destination", "-t"]).arg(&root);
    run(files.args(["{}", "+"]).current_dir(template()));
}

fn storage() -> &'static Path {
    static STORAGE: OnceLock<PathBuf> = OnceLock::new();
    STORAGE.get_or_init(|| {
        let at = shared().join(format!("storage-{:016x}", fingerprint()));
        made_once(&at, |fresh| {
            let status = Command::new(script("make-image")).arg(fresh).status();
            assert!(status.unwrap().success(), "scripts/make-image failed");
        });
        at
    })
}

fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let name = format!("template-{}-{:016x}", containerd::version(), fingerprint());
        let at = shared().join(name);
        made_once(&at, |fresh| {
            let host = FakeHost::boot();
            host.start_containerd();
            host.start_registry();
            for image in ["library/alpine:3.14", "library/featured:1"] {
                let image = format!("docker.io/{image}");
                let pull = [
                    "image",
                    "pull",
                    "--hosts-dir",
                    "/etc/containerd/certs.d",
                    &image,
                ];
                host.ctr(&pull).ok();
            }
            host.stop_containerd();
            copy(&host.dir().join("containerd"), fresh);
        });
        at
    })
}

/// Makes a directory by `make`, unless it is there; a half-made one is never seen.
fn made_once(at: &Path, make: impl FnOnce(&Path)) {
    if at.exists() {
        return;
    }
    let fresh = at.with_extension(format!("{}", std::process::id()));
    make(&fresh);
    if fs::rename(&fresh, at).is_err() {
        // Another run was quicker.
        fs::remove_dir_all(&fresh).unwrap();
    }
}

/// Changes whenever the images would.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    fs::read(script("make-image")).unwrap().hash(&mut hasher);
    fs::read("/usr/bin/busybox")
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}

fn copy(from: &Path, to: &Path) {
    cp(&["-a"], from, to);
}

/// Copies a directory, as `cp` does with these options.
fn cp(options: &[&str], from: &Path, to: &Path) {
    run(Command::new("cp").args(options).args([from, to]));
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
