//! What this host can give a container: cgroups, capabilities, kernel, devices.
//!
//! Invariant: nothing is read that was not asked for; a run without limits and privileges costs
//! one small file and a few system calls.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;
use oci_spec::runtime::{Arch, Capability, LinuxDevice};

use super::devices::host_devices;
use super::kernel_config;
use crate::model::class::{Class, Explain};

const STATUS: &str = "/proc/self/status";
const CGROUPS: &str = "/sys/fs/cgroup";

/// What this host can give a container.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// How cgroups are mounted.
    pub cgroups: CgroupMode,
    /// The kernel's version: major and minor.
    pub kernel: (u32, u32),
    /// The machine's architecture in Rust's words (`x86_64`, `aarch64`).
    pub arch: &'static str,
    /// The host's name.
    pub hostname: String,
    /// The capabilities that a process here can have at most, in the kernel's order.
    pub bounding: Vec<Capability>,
    /// The kernel can filter system calls.
    pub seccomp: bool,
    /// The architectures whose system calls the kernel could take but was built without; empty
    /// unless [`Wanted::architectures`].
    pub lacking: Vec<Arch>,
    /// The CPUs whose thermal counters under `/sys` tell containers what others do.
    pub thermal_cpus: Vec<u32>,
    /// The host's devices; empty unless [`Wanted::devices`].
    pub devices: Vec<LinuxDevice>,
    /// What can be limited; nothing unless [`Wanted::limits`].
    pub limits: Option<Controllers>,
}

/// The facts that cost something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// All devices under `/dev`, for a privileged container.
    pub devices: bool,
    /// The cgroup controllers, for a container with limits.
    pub limits: bool,
    /// What the kernel was built without, for a container whose system calls are filtered.
    pub architectures: bool,
}

/// How cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupMode {
    /// One hierarchy for each controller.
    V1,
    /// As [`Self::V1`], with an empty unified hierarchy beside for systemd.
    Hybrid,
    /// The unified hierarchy alone.
    V2,
}

/// What the host's cgroups can limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controllers {
    /// The controllers by name (`memory`, `cpu`, `pids`, ...).
    pub names: BTreeSet<String>,
    /// Swap is counted too.
    pub swap: bool,
    /// How many CPUs we may run on.
    pub cpus: u32,
}

/// A fact that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A file or directory that every Linux host has.
    #[error("cannot read {path} of this host", path = .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// No cgroup hierarchy where all of them are.
    #[error("no cgroups are mounted at {CGROUPS}")]
    NoCgroups,
}

impl Explain for FactsError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::Failed,
            Self::NoCgroups => Class::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::NoCgroups => Some(format!("mount -t cgroup2 cgroup2 {CGROUPS}")),
        }
    }
}

impl HostFacts {
    /// Reads what a container on this host needs to know.
    ///
    /// # Errors
    /// A file that every Linux host has and that cannot be read.
    pub fn read(wanted: Wanted) -> Result<Self, FactsError> {
        let status = read(Path::new(STATUS))?;
        let cgroups = cgroup_mode()?;
        Ok(Self {
            cgroups,
            kernel: kernel_version(),
            arch: std::env::consts::ARCH,
            hostname: hostname(),
            bounding: bounding(&status),
            // The line is there if and only if the kernel was built with seccomp.
            seccomp: status_field(&status, "Seccomp").is_some(),
            lacking: match wanted.architectures {
                true => kernel_config::lacking(std::env::consts::ARCH),
                false => Vec::new(),
            },
            thermal_cpus: thermal_cpus(),
            devices: if wanted.devices {
                host_devices(Path::new("/dev"))?
            } else {
                Vec::new()
            },
            limits: if wanted.limits {
                Some(controllers(cgroups)?)
            } else {
                None
            },
        })
    }
}

pub(super) fn read_error(path: &Path) -> impl FnOnce(io::Error) -> FactsError {
    let path = path.to_owned();
    move |source| FactsError::Read { path, source }
}

fn read(path: &Path) -> Result<String, FactsError> {
    fs::read_to_string(path).map_err(read_error(path))
}

fn cgroup_mode() -> Result<CgroupMode, FactsError> {
    let unified = |path: &Path| {
        statfs(path).is_ok_and(|status| status.filesystem_type() == CGROUP2_SUPER_MAGIC)
    };
    let root = Path::new(CGROUPS);
    if unified(root) {
        Ok(CgroupMode::V2)
    } else if unified(&root.join("unified")) {
        Ok(CgroupMode::Hybrid)
    } else if root.join("devices").is_dir() {
        // runc needs the devices hierarchy of every cgroup v1 host.
        Ok(CgroupMode::V1)
    } else {
        Err(FactsError::NoCgroups)
    }
}

fn kernel_version() -> (u32, u32) {
    // uname(2) fails for a bad address only; a version of 0.0 has no feature that depends on it.
    nix::sys::utsname::uname()
        .ok()
        .and_then(|names| parse_version(names.release().to_str()?))
        .unwrap_or_default()
}

/// The kernel's release: `6.1.0-13-amd64`.
pub fn kernel_release() -> String {
    let names = nix::sys::utsname::uname();
    let release = names.map(|names| names.release().to_string_lossy().into_owned());
    release.unwrap_or_default()
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Major and minor of a kernel release such as `6.1.0-13-amd64`.
fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value.trim())
}

fn bounding(status: &str) -> Vec<Capability> {
    let mask = status_field(status, "CapBnd")
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_default();
    BY_NUMBER
        .into_iter()
        .enumerate()
        .filter(|(number, _)| mask & (1 << number) != 0)
        .map(|(_, capability)| capability)
        .collect()
}

/// The capabilities by their numbers in the kernel (linux/capability.h).
pub const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// CPUs that have thermal counters: all if the first has them, since that is a matter of the model.
/// One that is offline has no directory, and the runtime passes over a masked path that is not there.
fn thermal_cpus() -> Vec<u32> {
    let cpus = Path::new("/sys/devices/system/cpu");
    if !cpus.join("cpu0/thermal_throttle").exists() {
        return Vec::new();
    }
    fs::read_to_string(cpus.join("possible")).map_or_else(|_| vec![0], |list| parse_cpu_list(&list))
}

/// A list such as `0-3,8` (cpuset(7)); a part that is no number or range is passed over.
fn parse_cpu_list(list: &str) -> Vec<u32> {
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

fn controllers(mode: CgroupMode) -> Result<Controllers, FactsError> {
    let root = Path::new(CGROUPS);
    match mode {
        CgroupMode::V2 => {
            let names = read(&root.join("cgroup.controllers"))?;
            Ok(Controllers {
                names: names.split_whitespace().map(str::to_owned).collect(),
                swap: own_cgroup(root)?.join("memory.swap.max").exists(),
                cpus: cpus(),
            })
        }
        CgroupMode::V1 | CgroupMode::Hybrid => Ok(Controllers {
            names: attached_v1(&read(Path::new("/proc/cgroups"))?)
                .filter(|name| root.join(name).is_dir())
                .map(str::to_owned)
                .collect(),
            swap: root.join("memory/memory.memsw.limit_in_bytes").exists(),
            cpus: cpus(),
        }),
    }
}

/// How many CPUs we may run on, as docker counts them.
fn cpus() -> u32 {
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let all = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu) == Ok(true));
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// Our own directory in the unified hierarchy: the root has no limits of its own to look at.
fn own_cgroup(root: &Path) -> Result<PathBuf, FactsError> {
    let lines = read(Path::new("/proc/self/cgroup"))?;
    let path = lines.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(root.join(path.unwrap_or_default()))
}

/// The controllers of `/proc/cgroups` that are enabled and belong to a hierarchy of their own.
fn attached_v1(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let name = fields.next().filter(|name| !name.starts_with('#'))?;
        let attached = fields.next()? != "0" && fields.nth(1)? == "1";
        attached.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_come_from_the_bounding_set() {
        let bounding = |mask: &str| bounding(&format!("Name:\tx\nCapBnd:\t{mask}\nSeccomp:\t0\n"));
        // docker's default set, as every container prints it.
        let docker = bounding("00000000a80425fb");
        assert_eq!(docker.len(), 14);
        assert!(docker.contains(&Capability::AuditWrite));
        assert!(!docker.contains(&Capability::SysAdmin));
        // This kernel's whole set; bits that nobody has named yet are passed over.
        assert_eq!(bounding("000001ffffffffff").len(), 41);
        assert_eq!(bounding("ffffffffffffffff").len(), 41);
        assert_eq!(
            bounding("0000010000000000"),
            [Capability::CheckpointRestore]
        );
        assert_eq!(bounding("0000000000200000"), [Capability::SysAdmin]);
        assert!(bounding("0000000000000000").is_empty());
    }

    #[test]
    fn kernel_releases_of_distributions() {
        assert_eq!(parse_version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(parse_version("4.18.0-553.el8_10.x86_64"), Some((4, 18)));
        assert_eq!(parse_version("5.10-rc1"), Some((5, 10)));
        assert_eq!(parse_version("6.18+"), Some((6, 18)));
        assert_eq!(parse_version("weird"), None);
    }

    #[test]
    fn only_attached_controllers_count_on_v1() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n\
            cpu\t2\t60\t1\nmemory\t0\t60\t1\npids\t8\t60\t0\ndevices\t5\t60\t1\n";
        assert_eq!(attached_v1(table).collect::<Vec<_>>(), ["cpu", "devices"]);
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-3\n"), [0, 1, 2, 3]);
        assert_eq!(parse_cpu_list("0,2-3,x"), [0, 2, 3]);
        assert_eq!(parse_cpu_list("0"), [0]);
        assert!(parse_cpu_list("\n").is_empty());
    }

    #[test]
    fn this_host_has_facts() {
        let cheap = HostFacts::read(Wanted::default()).unwrap();
        assert!(cheap.devices.is_empty());
        assert_eq!(cheap.limits, None);
        assert!(cheap.kernel >= (3, 2), "{:?}", cheap.kernel);
        assert!(!cheap.hostname.is_empty());
        let all = HostFacts::read(Wanted {
            devices: true,
            limits: true,
            architectures: true,
        })
        .unwrap();
        let null = Path::new("/dev/null");
        assert!(all.devices.iter().any(|device| device.path() == null));
        assert!(all.limits.unwrap().names.contains("pids"));
    }
}
