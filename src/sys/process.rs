//! Processes found in `/proc`: the shims that containerd has forgotten.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// A shim that serves one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Shim {
    /// Its pid.
    pub pid: u32,
    /// Its working directory: the container's bundle.
    pub bundle: Option<PathBuf>,
    /// The socket of the containerd that it reports to.
    pub address: Option<PathBuf>,
}

/// Finds the shims that were started with `-namespace NAMESPACE -id ID`.
pub fn shims(namespace: &str, id: &str) -> Vec<Shim> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let arguments = arguments(pid);
        is_shim(&arguments, namespace, id).then(|| Shim {
            pid,
            bundle: fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            address: value_of(&arguments, "address").map(PathBuf::from),
        })
    })
    .collect()
}

fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

fn is_shim(arguments: &[String], namespace: &str, id: &str) -> bool {
    let Some(program) = arguments.first() else {
        return false;
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    name.starts_with("containerd-shim")
        && value_of(arguments, "namespace") == Some(namespace)
        && value_of(arguments, "id") == Some(id)
}

/// The word after a flag.
fn value_of<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let at = arguments
        .iter()
        .position(|word| word.trim_start_matches('-') == flag)?;
    arguments.get(at + 1).map(String::as_str)
}

/// The version of runc, the first one on the search path; nothing without one.
pub fn runc_version() -> Option<String> {
    let output = Command::new("runc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let first = text.lines().next()?;
    Some(first.strip_prefix("runc version ")?.to_owned())
}

/// Finds the processes that were started with `variable` set to `value`.
pub fn with_environment(variable: &str, value: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let wanted = format!("{variable}={value}");
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|entry| entry == wanted.as_bytes())
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has).collect()
}

/// The start time of a process in clock ticks since boot: with the pid it names a process for good.
/// One that is dead and waits to be reaped is none any more.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold anything, but ends at the last parenthesis.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// How long ago a process was started; nothing if there is none.
pub fn age(pid: u32) -> Option<Duration> {
    let started = start_time(pid)?;
    let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let started = Duration::from_millis(started * 1000 / u64::try_from(ticks).ok()?.max(1));
    Some(Duration::from_secs_f64(uptime).saturating_sub(started))
}

/// Whether a process is in a cgroup that has, or lies below one that has, this name.
pub fn in_cgroup(pid: u32, name: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    lies_in(&text, name)
}

/// Lines `hierarchy:controllers:path`; in some hierarchies of cgroup v1 it may be elsewhere.
fn lies_in(text: &str, name: &str) -> bool {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths
        .flat_map(|path| path.split('/'))
        .any(|part| part == name)
}

/// The id of the running kernel's boot.
///
/// # Errors
/// `/proc` is not there.
pub fn boot_id() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_known_by_one_whole_part_of_its_path() {
        let v1 = "12:pids:/netrun-web\n1:name=systemd:/init\n0::/\n";
        assert!(lies_in(v1, "netrun-web"));
        assert!(lies_in("0::/../../netrun-web/init.scope\n", "netrun-web"));
        for other in [
            "",
            "0::/\n",
            "0::/netrun-web2\n",
            "0::/system.slice/netrun\n",
        ] {
            assert!(!lies_in(other, "netrun-web"), "{other}");
        }
        assert!(!in_cgroup(std::process::id(), "netrun-web"));
        assert!(!in_cgroup(u32::MAX, "netrun-web"));
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_shim_is_known_by_program_namespace_and_id() {
        let line = "/usr/bin/containerd-shim-runc-v2 -namespace ci -id web -address /run/x.sock";
        assert!(is_shim(&words(line), "ci", "web"));
        assert_eq!(value_of(&words(line), "address"), Some("/run/x.sock"));
        assert_eq!(value_of(&words(line), "bundle"), None);
        assert!(!is_shim(&words(line), "default", "web"));
        assert!(!is_shim(&words(line), "ci", "we"));
        assert!(!is_shim(&words("grep -namespace ci -id web"), "ci", "web"));
        assert!(!is_shim(
            &words("containerd-shim-runc-v2 -namespace ci -id"),
            "ci",
            "web"
        ));
    }

    #[test]
    fn a_process_is_found_by_its_environment() {
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").env("NETRUN_TEST", "a b").spawn().unwrap();
        assert_eq!(with_environment("NETRUN_TEST", "a b"), [child.id()]);
        assert!(with_environment("NETRUN_TEST", "a").is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_waits_to_be_reaped_is_none() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        while start_time(pid).is_some() {
            std::thread::yield_now();
        }
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        child.wait().unwrap();
    }

    #[test]
    fn a_process_is_as_old_as_it_is() {
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let age = age(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let about = Duration::from_millis(250)..Duration::from_secs(10);
        assert!(about.contains(&age), "{age:?}");
        assert_eq!(super::age(child.id()), None);
    }

    #[test]
    fn our_own_start_time_can_be_read() {
        assert!(start_time(std::process::id()).unwrap() > 0);
    }
}
