//! The fake host: a private machine with its own network, processes, `/run`, `/etc`, `/var/lib`,
//! cgroups and containerd, made by `scripts/fake-host`.
//!
//! Invariant: a [`FakeHost`] leaves nothing on the real machine, and fails its test if anything was
//! left on it that the test did not announce.

mod command;
mod containerd;
mod fixtures;
pub mod glob;
pub mod scripted;
mod terminal;
mod world;

use std::cell::{Cell, OnceCell, RefCell};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

pub use command::{Cmd, Output, Running};
pub use fixtures::{ALPINE, unpacked};
pub use terminal::Terminal;
pub use world::World;

/// How long anything that ends by itself may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long what ends by itself in the background may take to be gone, at the end of a test.
const SETTLE: Duration = Duration::from_secs(5);

/// A release of the reference plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginSet {
    /// 1.1.1, of Debian bookworm, which is installed.
    Installed,
    /// 1.9.1, of Debian sid, which `scripts/test` unpacks beside.
    Newer,
}

impl PluginSet {
    /// Both.
    pub const ALL: [PluginSet; 2] = [PluginSet::Installed, PluginSet::Newer];
}

/// A private machine.
pub struct FakeHost {
    name: String,
    dir: PathBuf,
    boot: Child,
    alive: Option<ChildStdin>,
    init: i32,
    cgroups: Vec<PathBuf>,
    containerd: RefCell<Option<Running>>,
    registry: RefCell<Option<Running>>,
    before: OnceCell<World>,
    announced: RefCell<Vec<String>>,
    plugins: Cell<Option<PluginSet>>,
    checked: Cell<bool>,
}

impl FakeHost {
    /// A host with containerd running and `alpine:3.14` and `featured:1` pulled.
    pub fn new() -> FakeHost {
        let host = FakeHost::boot();
        fixtures::install_template(&host);
        host.start_containerd();
        host.photograph();
        host
    }

    /// A host with containerd running and no image, and a registry that serves the test images
    /// under Docker Hub's name.
    pub fn with_registry() -> FakeHost {
        let host = FakeHost::boot();
        host.start_containerd();
        host.start_registry();
        host.photograph();
        host
    }

    /// A host with nothing running at all.
    pub fn bare() -> FakeHost {
        let host = FakeHost::boot();
        host.photograph();
        host
    }

    /// Has commands find their plugins in this set, by `CNI_PATH`.
    #[expect(
        clippy::print_stdout,
        reason = "shown if the test fails, and only then"
    )]
    pub fn use_plugins(&self, set: PluginSet) {
        println!("with the plugins {set:?}");
        self.plugins.set(Some(set));
    }

    /// The path of one plugin of a set.
    pub fn plugin(set: PluginSet, name: &str) -> String {
        fixtures::plugins(set).join(name).display().to_string()
    }

    /// A second machine, joined to this one by a cable: this one is `10.99.0.1/24` and `fd99::1/64` on
    /// `wire0`, the other `10.99.0.2/24` and `fd99::2/64`.
    pub fn peer(&self) -> FakeHost {
        let peer = FakeHost::boot();
        let link = format!(
            "ip link add wire0 netns {} type veth peer name wire0 netns {}",
            self.init, peer.init
        );
        let made = Command::new("sh").arg("-c").arg(link).status().unwrap();
        assert!(made.success(), "the cable between two hosts was not made");
        for (host, last) in [(self, 1), (&peer, 2)] {
            host.sh(&format!(
                "ip addr add 10.99.0.{last}/24 dev wire0
                 ip addr add fd99::{last}/64 dev wire0 nodad
                 ip link set wire0 up"
            ))
            .ok();
            host.announce("* wire0*");
        }
        peer.photograph();
        peer
    }

    fn boot() -> FakeHost {
        fixtures::require_tools();
        let (name, dir) = fixtures::new_host_dir();
        let mut boot = Command::new(fixtures::script("fake-host"))
            .args([dir.as_os_str(), name.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.join("boot.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(boot.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let log = fs::read_to_string(dir.join("boot.log")).unwrap();
        assert_eq!(line, "ready\n", "the fake host did not come up: {log}");
        let unshare = only_child(boot.id().cast_signed());
        FakeHost {
            init: only_child(unshare),
            cgroups: cgroups_of(unshare, &name),
            alive: boot.stdin.take(),
            name,
            dir,
            boot,
            containerd: RefCell::default(),
            registry: RefCell::default(),
            before: OnceCell::new(),
            announced: RefCell::default(),
            plugins: Cell::new(None),
            checked: Cell::new(false),
        }
    }

    /// Runs `netrun` with these arguments to its end.
    #[must_use]
    pub fn netrun(&self, args: &[&str]) -> Output {
        self.netrun_cmd(args).run()
    }

    /// `netrun` with these arguments, to be started in a special way.
    pub fn netrun_cmd(&self, args: &[&str]) -> Cmd<'_> {
        self.cmd("netrun").args(args)
    }

    /// Runs a shell line to its end.
    #[must_use]
    pub fn sh(&self, line: &str) -> Output {
        self.sh_cmd(line).run()
    }

    /// A shell line, to be started in a special way.
    pub fn sh_cmd(&self, line: &str) -> Cmd<'_> {
        self.cmd("sh").args(&["-c", line])
    }

    /// Runs `ctr` with these arguments to its end.
    #[must_use]
    pub fn ctr(&self, args: &[&str]) -> Output {
        self.cmd("ctr").args(args).run()
    }

    /// Any program.
    pub fn cmd(&self, program: &str) -> Cmd<'_> {
        Cmd::new(self, program)
    }

    /// Waits by `netrun wait` for a container's end; its status, which is printed and is the exit
    /// status of `wait` itself.
    #[track_caller]
    pub fn waited(&self, name: &str) -> i32 {
        let output = self.netrun(&["wait", name]);
        assert_eq!(output.text(), output.code.to_string(), "{output}");
        output.code
    }

    /// Writes a file; `path` is absolute, as seen on the host.
    pub fn write(&self, path: &str, content: &str) {
        let real = self.path(path);
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(real, content).unwrap();
    }

    /// Reads a file; `path` is absolute, as seen on the host.
    pub fn read(&self, path: &str) -> String {
        let real = self.path(path);
        fs::read_to_string(&real).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Where a path of the host is found from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Writes a CNI configuration to `/etc/cni/net.d/FILE`, and announces that its bridge stays: the
    /// reference plugin never removes a bridge.
    pub fn network(&self, file: &str, config: &str) {
        self.write(&format!("/etc/cni/net.d/{file}"), config);
        self.announce(&format!("file /etc/cni/net.d/{file}"));
        let json: serde_json::Value = serde_json::from_str(config).unwrap();
        let single = std::slice::from_ref(&json);
        let plugins = json["plugins"].as_array().map_or(single, Vec::as_slice);
        for bridge in plugins
            .iter()
            .filter_map(|plugin| plugin["bridge"].as_str())
        {
            self.announce(&format!("link {bridge}"));
            self.announce(&format!("address * dev {bridge}"));
            self.announce(&format!("route * dev {bridge} *"));
        }
    }

    /// The network of the examples, `configs/mynet.conf`: 10.10.0.0/16 on the bridge `cni0`,
    /// masqueraded.
    pub fn mynet(&self) {
        self.network("10-mynet.conf", fixtures::MYNET);
    }

    /// The same network, with a plugin that publishes ports.
    pub fn mynet_with_ports(&self) {
        let bridge: serde_json::Value = serde_json::from_str(fixtures::MYNET).unwrap();
        let portmap = serde_json::json!({"type": "portmap", "snat": true,
            "capabilities": {"portMappings": true}});
        let mut hairpin = bridge.clone();
        hairpin["hairpinMode"] = true.into();
        let list = serde_json::json!({"cniVersion": "1.0.0", "name": bridge["name"],
            "plugins": [hairpin, portmap]});
        self.network("10-mynet.conflist", &list.to_string());
    }

    /// Announces lines of the world diff that this test expects; `*` stands for anything.
    pub fn announce(&self, pattern: &str) {
        self.announced.borrow_mut().push(pattern.to_owned());
    }

    /// Announces that images, their content and their unpacked layers stay.
    pub fn announce_images(&self) {
        for pattern in ["image *", "content *", "snapshot * sha256:*"] {
            self.announce(pattern);
        }
    }

    /// The differences to the first photograph, as of now, by-design and announced ones excepted.
    pub fn changes(&self) -> Vec<String> {
        let before = self.before.get().expect("the host was photographed");
        before.changes(&World::of(self), &self.announced.borrow())
    }

    /// Asserts that nothing is left at this very moment.
    #[track_caller]
    pub fn assert_clean(&self) {
        let changes = self.changes();
        assert!(
            changes.is_empty(),
            "left on the host:\n{}",
            changes.join("\n")
        );
    }

    /// Waits until nothing is left, at most `patience`; the differences that stayed.
    pub fn settle(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let changes = self.changes();
            if changes.is_empty() || Instant::now() > deadline {
                return changes;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes the photograph that the end is compared with. Constructors do; a test that first
    /// prepares its host may do it again.
    pub fn photograph(&self) {
        let _ = self.before.set(World::of(self));
    }

    /// Ends the host, after comparing it with its photograph. Dropping it does the same.
    #[track_caller]
    pub fn finish(mut self) {
        self.close();
    }

    #[track_caller]
    fn close(&mut self) {
        let check = !self.checked.replace(true) && !std::thread::panicking();
        let changes = match check && self.before.get().is_some() {
            true => self.settle(SETTLE),
            false => Vec::new(),
        };
        let log = fs::read_to_string(self.dir.join("containerd.log")).unwrap_or_default();
        drop(self.alive.take());
        let _ = self.boot.wait();
        if std::env::var_os("NETRUN_TEST_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
        let panicked = log.contains("panic:");
        assert!(!(check && panicked), "containerd panicked:\n{log}");
        assert!(
            changes.is_empty(),
            "left on the host at the end of the test:\n{}",
            changes.join("\n")
        );
    }

    /// The pid of the host's process 1, seen from outside.
    pub fn init(&self) -> i32 {
        self.init
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    /// The host's name, which is its hostname.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits until `check` gives something, at most `patience`.
#[track_caller]
pub fn eventually<T>(patience: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The only child of a process that has just one.
fn only_child(pid: i32) -> i32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

/// The cgroup directories, seen from outside, that a host's processes belong in.
fn cgroups_of(pid: i32, name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        let own = Path::new(at).join(name);
        match kind {
            "cgroup" => Some(own),
            "cgroup2" => Some(own.join("init")),
            _ => None,
        }
    });
    let found: Vec<PathBuf> = mounted.filter(|cgroup| cgroup.is_dir()).collect();
    assert!(!found.is_empty(), "process {pid} has no cgroup of its own");
    found
}
