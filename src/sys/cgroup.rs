//! A cgroup of our own: what limits, freezes or kills the caller's cgroup must not meet us. And those
//! of containers, where nobody else removes them.
//!
//! Invariant: whoever enters leaves again, and the last one to leave removes the cgroup; the kernel
//! removes none in which there is a process.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The hierarchies of cgroup v1 in which processes are limited, frozen or killed as a group.
const HIERARCHIES: [&str; 4] = ["memory", "pids", "freezer", "name=systemd"];

/// The membership; dropping it leaves.
#[derive(Debug)]
pub struct Cgroup {
    joined: Vec<PathBuf>,
    /// Where we came from in the hierarchy of version 2, below its root.
    origin: PathBuf,
}

impl Cgroup {
    /// Moves this process into the cgroup `name`, directly below the root of each hierarchy that
    /// matters. A host that forbids it leaves us where we are.
    pub fn enter(name: &str) -> Cgroup {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let roots = mounts.lines().filter_map(root_of);
        let cgroups = roots.map(|root| root.join(name));
        Cgroup {
            origin: unified(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default()),
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

/// Removes the cgroup `name` in every hierarchy, with those below it; absence is success.
///
/// # Errors
/// The kernel's refusal: EBUSY while there is a process in it.
pub fn remove(name: &str) -> io::Result<()> {
    let mut outcome = Ok(());
    for cgroup in everywhere(name) {
        outcome = outcome.and(remove_tree(&cgroup));
    }
    outcome
}

/// The processes in the cgroup `name`, and in those below it, in any hierarchy.
pub fn processes(name: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for cgroup in everywhere(name) {
        gather(&cgroup, &mut found);
    }
    found
}

/// The names of the cgroups directly below the root of any hierarchy.
pub fn names() -> BTreeSet<String> {
    let below = |root: PathBuf| children(&root);
    let names = roots().into_iter().flat_map(below);
    names
        .filter_map(|child| child.file_name()?.to_str().map(str::to_owned))
        .collect()
}

fn everywhere(name: &str) -> impl Iterator<Item = PathBuf> {
    roots().into_iter().map(move |root| root.join(name))
}

/// The roots of all hierarchies, of either version.
fn roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let root = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (target, kind) = (words.next()?, words.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(target))
    };
    mounts.lines().filter_map(root).collect()
}

/// The cgroups directly below one; everything else in it is a file.
fn children(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for child in children(cgroup) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn gather(cgroup: &Path, found: &mut BTreeSet<u32>) {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    // A process of another pid namespace is told as 0.
    let pids = text.lines().filter_map(|pid| pid.parse::<u32>().ok());
    found.extend(pids.filter(|pid| *pid > 0));
    for child in children(cgroup) {
        gather(&child, found);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for cgroup in &self.joined {
            let root = cgroup.parent().unwrap_or(Path::new("/"));
            // A root that is somebody else's cgroup (a container's) takes no processes.
            let mut ways = [root.to_owned(), root.join(&self.origin)].into_iter();
            // Others may still be in it; the last one removes it.
            if ways.any(|way| fs::write(way.join("cgroup.procs"), "0").is_ok()) {
                let _ = fs::remove_dir(cgroup);
            }
        }
    }
}

/// The cgroup of version 2 in `/proc/PID/cgroup`, below the root.
fn unified(text: &str) -> PathBuf {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    PathBuf::from(path.unwrap_or_default())
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
    fn a_tree_of_cgroups_is_found_and_removed() {
        let name = format!("netrun-test-{}", std::process::id());
        let made: Vec<PathBuf> = everywhere(&name)
            .filter(|cgroup| fs::create_dir_all(cgroup.join("below/it")).is_ok())
            .collect();
        assert_eq!(names().contains(&name), !made.is_empty());
        assert!(processes(&name).is_empty());
        remove(&name).unwrap();
        assert!(!names().contains(&name));
        remove(&name).unwrap();
    }

    #[test]
    fn the_cgroup_of_version_2_is_told_by_the_kernel() {
        let hybrid = "11:memory:/user\n1:name=systemd:/user\n0::/system.slice/job\n";
        assert_eq!(unified(hybrid), Path::new("system.slice/job"));
        assert_eq!(unified("0::/\n"), Path::new(""));
        assert_eq!(unified("1:memory:/x\n"), Path::new(""));
    }

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
