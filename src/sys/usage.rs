//! How much of the host a container uses, by its cgroup and its network namespace.
//!
//! Invariant: what a host does not count is zero, not an error; a process that has gone has no usage.

use std::fs;
use std::path::{Path, PathBuf};

const CGROUPS: &str = "/sys/fs/cgroup";

/// What a container has used up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on CPUs, in nanoseconds.
    pub cpu: u64,
    /// Memory that cannot be taken back at once, in bytes.
    pub memory: u64,
    /// The most memory that it may have, in bytes.
    pub memory_limit: u64,
    /// Bytes received and sent, `lo` excepted.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Processes and threads.
    pub pids: u64,
}

/// Reads the usage of the container whose first process this is. None if it has gone.
pub fn usage(pid: u32) -> Option<Usage> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let root = Path::new(CGROUPS);
    let unified = root.join("cgroup.controllers").exists();
    let mut usage = match unified {
        true => v2(&root.join(path_of(&cgroups, "")?)),
        false => v1(&|controller| {
            let path = path_of(&cgroups, controller).unwrap_or_default();
            root.join(controller).join(path)
        }),
    };
    let host = memory_of_the_host();
    usage.memory_limit = match usage.memory_limit {
        0 => host,
        limit => limit.min(host),
    };
    let devices = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    usage.network = network(&devices);
    Some(usage)
}

/// The path below its hierarchy's root, from lines `number:controllers:path`; no controller is v2's.
fn path_of<'a>(cgroups: &'a str, controller: &str) -> Option<&'a str> {
    cgroups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let mut controllers = parts.next()?.split(',');
        let path = parts.next()?;
        controllers
            .any(|known| known == controller)
            .then(|| path.trim_start_matches('/'))
    })
}

fn v1(directory: &dyn Fn(&str) -> PathBuf) -> Usage {
    let (memory, blkio) = (directory("memory"), directory("blkio"));
    let stat = text(&memory, "memory.stat");
    let inactive = field(&stat, "total_inactive_file");
    Usage {
        cpu: number(&directory("cpuacct"), "cpuacct.usage"),
        memory: number(&memory, "memory.usage_in_bytes").saturating_sub(inactive),
        memory_limit: number(&memory, "memory.limit_in_bytes"),
        network: (0, 0),
        block: block_v1(&text(&blkio, "blkio.throttle.io_service_bytes")),
        pids: number(&directory("pids"), "pids.current"),
    }
}

fn v2(directory: &Path) -> Usage {
    let stat = text(directory, "memory.stat");
    let inactive = field(&stat, "inactive_file");
    Usage {
        cpu: field(&text(directory, "cpu.stat"), "usage_usec").saturating_mul(1000),
        memory: number(directory, "memory.current").saturating_sub(inactive),
        // `max` is no number, and no limit.
        memory_limit: number(directory, "memory.max"),
        network: (0, 0),
        block: block_v2(&text(directory, "io.stat")),
        pids: number(directory, "pids.current"),
    }
}

fn text(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_default()
}

fn number(directory: &Path, file: &str) -> u64 {
    text(directory, file).trim().parse().unwrap_or(0)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(field, _)| *field == name);
    found
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Lines `8:0 Read 4096`.
fn block_v1(text: &str) -> (u64, u64) {
    let sum = |direction: &str| {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next()? == direction).then(|| words.next()?.parse::<u64>().ok())?
        });
        lines.sum()
    };
    (sum("Read"), sum("Write"))
}

/// Lines `8:0 rbytes=4096 wbytes=0 ...`.
fn block_v2(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let words = text.split_whitespace();
        let values = words.filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
        values.sum()
    };
    (sum("rbytes="), sum("wbytes="))
}

/// Lines `eth0: RECEIVED-BYTES ... (seven more) SENT-BYTES ...`.
fn network(text: &str) -> (u64, u64) {
    let mut total = (0, 0);
    for line in text.lines() {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let mut counters = counters.split_whitespace().map(|n| n.parse().unwrap_or(0));
        total.0 += counters.next().unwrap_or(0);
        total.1 += counters.nth(7).unwrap_or(0);
    }
    total
}

/// The memory that the machine has, in bytes.
pub fn memory_of_the_host() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

/// Whether the kernel has killed in a cgroup for lack of memory; its path is below the root.
pub fn ran_out_of_memory(cgroup: &Path) -> bool {
    let cgroup = cgroup.strip_prefix("/").unwrap_or(cgroup);
    let v1 = Path::new(CGROUPS).join("memory").join(cgroup);
    let v2 = Path::new(CGROUPS).join(cgroup);
    let kills = |text: String| field(&text, "oom_kill");
    kills(text(&v1, "memory.oom_control")) + kills(text(&v2, "memory.events")) > 0
}

/// Whether the container whose first process this is has been frozen.
pub fn is_frozen(pid: u32) -> bool {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let root = Path::new(CGROUPS);
    let v1 = path_of(&cgroups, "freezer").map(|path| root.join("freezer").join(path));
    let v2 = path_of(&cgroups, "").map(|path| root.join(path));
    // The root of a hierarchy has no such file, and is never frozen.
    let frozen_v1 = v1.is_some_and(|at| text(&at, "freezer.state").trim() == "FROZEN");
    frozen_v1 || v2.is_some_and(|at| field(&text(&at, "cgroup.events"), "frozen") == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_their_controller() {
        let lines = "12:cpu,cpuacct:/netrun-web\n4:memory:/a/b\n0::/unified\n";
        assert_eq!(path_of(lines, "cpuacct"), Some("netrun-web"));
        assert_eq!(path_of(lines, "memory"), Some("a/b"));
        assert_eq!(path_of(lines, ""), Some("unified"));
        assert_eq!(path_of(lines, "pids"), None);
    }

    #[test]
    fn counters_are_read_from_every_form() {
        assert_eq!(field("a 1\nusage_usec 70\n", "usage_usec"), 70);
        assert_eq!(field("max\n", "max"), 0);
        let v1 = "8:0 Read 4096\n8:0 Write 512\n8:16 Read 1\n8:0 Total 9\nTotal 9\n";
        assert_eq!(block_v1(v1), (4097, 512));
        assert_eq!(
            block_v2("8:0 rbytes=5 wbytes=7 rios=1\n8:16 rbytes=1 wbytes=0\n"),
            (6, 7)
        );
        let net = "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n\
                   eth0: 100 1 0 0 0 0 0 0 200 2 0\n eth1:1 0 0 0 0 0 0 0 2 0\n";
        assert_eq!(network(net), (101, 202));
    }

    #[test]
    fn we_ourselves_use_something() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.memory_limit > 0, "{own:?}");
        assert!(!is_frozen(std::process::id()));
        assert_eq!(usage(u32::MAX), None);
    }
}
