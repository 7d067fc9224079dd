//! A cgroup of our own: what limits, freezes or kills the caller's cgroup must not meet us.
//!
//! Invariant: whoever enters leaves again, and the last one to leave removes the cgroup.

use std::fs;
use std::path::{Path, PathBuf};

/// The hierarchies of cgroup v1 in which processes are limited, frozen or killed as a group.
const HIERARCHIES: [&str; 4] = ["memory", "pids", "freezer", "name=systemd"];

/// The membership; dropping it leaves.
#[derive(Debug)]
pub struct Cgroup {
    joined: Vec<PathBuf>,
}

impl Cgroup {
    /// Moves this process into the cgroup `name`, directly below the root of each hierarchy that
    /// matters. A host that forbids it leaves us where we are.
    pub fn enter(name: &str) -> Cgroup {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let roots = mounts.lines().filter_map(root_of);
        let cgroups = roots.map(|root| root.join(name));
        Cgroup {
            joined: cgroups.filter(|cgroup| join(cgroup)).collect(),
        }
    }
}

/// Removes the cgroup `name` where nobody is in it: whoever was killed in it could not.
pub fn remove_empty(name: &str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for root in mounts.lines().filter_map(root_of) {
        // The kernel refuses while there is a process in it.
        let _ = fs::remove_dir(root.join(name));
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for cgroup in &self.joined {
            let root = cgroup.parent().unwrap_or(Path::new("/"));
            // Others may still be in it; the last one removes it.
            if fs::write(root.join("cgroup.procs"), "0").is_ok() {
                let _ = fs::remove_dir(cgroup);
            }
        }
    }
}

fn join(cgroup: &Path) -> bool {
    // It may be there already, or vanish between the two steps when the last one leaves.
    (0..3).any(|_| {
        let _ = fs::create_dir(cgroup);
        fs::write(cgroup.join("cgroup.procs"), "0").is_ok()
    })
}

/// The root of a hierarchy that matters, from a line of `/proc/mounts`.
fn root_of(line: &str) -> Option<PathBuf> {
    let mut words = line.split(' ');
    let (_, target, kind, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let matters = match kind {
        "cgroup2" => true,
        "cgroup" => options
            .split(',')
            .any(|option| HIERARCHIES.contains(&option)),
        _ => false,
    };
    matters.then(|| PathBuf::from(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hierarchies_that_matter_are_entered() {
        let root = |line| root_of(line);
        let unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0";
        assert_eq!(root(unified), Some("/sys/fs/cgroup/unified".into()));
        let memory = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0";
        assert_eq!(root(memory), Some("/sys/fs/cgroup/memory".into()));
        assert_eq!(
            root("cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0"),
            None
        );
        assert_eq!(root("tmpfs /sys/fs/cgroup tmpfs rw,memory 0 0"), None);
        assert_eq!(root(""), None);
    }
}
