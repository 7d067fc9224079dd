//! Root file systems mounted: to look into one that nothing has mounted yet, or where somebody wants
//! it; memory that containers share.
//!
//! Invariant: what is only looked into is mounted in a mount namespace that dies with its thread, so
//! that mount cannot stay.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, fchdir};

/// A directory that is always there and that the thread does not need.
const MOUNT_POINT: &str = "/proc";

/// The most that the kernel reads of a file system's own options, bytes: a page without its end.
const MOST_DATA: usize = 4095;

/// One mount as a snapshotter tells it: type, source, options.
pub type Instruction<'a> = (&'a str, &'a str, &'a [String]);

/// Mounts a root file system where nobody else sees it, and calls `look` with its directory.
///
/// # Errors
/// The kernel's refusal to mount.
pub fn look_into<T: Send>(
    instruction: Instruction<'_>,
    look: impl FnOnce(&Path) -> T + Send,
) -> io::Result<T> {
    look_into_with(instruction, false, &[], look)
}

/// A file or directory of the host that is mounted in a root file system.
#[derive(Debug, Clone)]
pub struct Inside {
    /// On the host.
    pub source: PathBuf,
    /// In the root.
    pub target: PathBuf,
    /// Nothing is written to it.
    pub read_only: bool,
}

/// As [`look_into`], with files and directories of the host mounted in it, of which those have no
/// effect that the root has nothing at to mount on. Of a root that is `read_only` only they can be
/// written to.
///
/// # Errors
/// As [`look_into`].
pub fn look_into_with<T: Send>(
    instruction: Instruction<'_>,
    read_only: bool,
    inside: &[Inside],
    look: impl FnOnce(&Path) -> T + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            mount_privately(instruction)?;
            if read_only {
                forbid_writing(Path::new(MOUNT_POINT))?;
            }
            for one in inside {
                mount_inside(one)?;
            }
            Ok(look(Path::new(MOUNT_POINT)))
        });
        let ended_early = |_| Err(io::Error::other("the thread at the mount ended early"));
        thread.join().unwrap_or_else(ended_early)
    })
}

/// Mounts at a directory of the host.
///
/// # Errors
/// The kernel's refusal.
pub fn attach(instruction: Instruction<'_>, target: &Path) -> io::Result<()> {
    let (flags, _) = split(instruction.2);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS)?;
            mount_at(instruction, target)
        });
        let ended_early = |_| Err(io::Error::other("the thread that mounts ended early"));
        thread.join().unwrap_or_else(ended_early)
    })?;
    // A bind mount takes no other flag when it is made.
    if flags.contains(MsFlags::MS_BIND | MsFlags::MS_RDONLY) {
        let again = flags | MsFlags::MS_REMOUNT;
        mount(None::<&str>, target, None::<&str>, again, None::<&str>)?;
    }
    Ok(())
}

/// Unmounts what is mounted at a directory last.
///
/// # Errors
/// The kernel's refusal.
pub fn detach(target: &Path) -> io::Result<()> {
    Ok(umount2(target, MntFlags::UMOUNT_NOFOLLOW)?)
}

/// Whether something is mounted at a directory. The device does not tell: a bind mount may have that
/// of the directory above.
pub fn is_mount_point(path: &Path) -> bool {
    let Ok(table) = std::fs::read("/proc/self/mountinfo") else {
        return false;
    };
    let mut lines = table.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let at = line.split(|byte| *byte == b' ').nth(4);
        at.is_some_and(|at| unescaped(at) == path.as_os_str().as_bytes())
    })
}

/// A path of the kernel's table of mounts, where blanks, line feeds and backslashes are octal numbers.
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    while let [byte, rest @ ..] = text {
        let digits = rest
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number.filter(|_| *byte == b'\\') {
            Some(number) => {
                path.push(number);
                text = &rest[3..];
            }
            None => {
                path.push(*byte);
                text = rest;
            }
        }
    }
    path
}

fn mount_privately(instruction: Instruction<'_>) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    mount_at(instruction, Path::new(MOUNT_POINT))
}

/// Makes a mount read-only: this one alone, not the file system for others.
fn forbid_writing(at: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>)
}

/// Mounts something of the host in the root that is mounted already. No link leads out of the root.
fn mount_inside(inside: &Inside) -> io::Result<()> {
    let (source, target) = (&inside.source, &inside.target);
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Ok(());
    };
    let root = File::open(MOUNT_POINT)?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let directory = match openat2(&root, parent, how) {
        Ok(directory) => directory,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    fchdir(&directory)?;
    let is_directory = fs::metadata(source)?.is_dir();
    // A link would be followed by the kernel, and not within the root.
    let fits = fs::symlink_metadata(name).is_ok_and(|on| match is_directory {
        true => on.is_dir(),
        false => !on.is_dir() && !on.is_symlink(),
    });
    if fits {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(
            Some(source.as_path()),
            Path::new(name),
            None::<&str>,
            flags,
            None::<&str>,
        )?;
        if inside.read_only {
            // The working directory's entry: what is mounted on it now is what the name leads to.
            forbid_writing(Path::new(name))?;
        }
    }
    Ok(chdir("/")?)
}

/// Mounts at an absolute path. The thread has a working directory of its own, which may change.
fn mount_at((kind, source, options): Instruction<'_>, target: &Path) -> io::Result<()> {
    let (flags, mut data) = split(options);
    if data.len() > MOST_DATA
        && let Some((common, shorter)) = from_common(&data)
    {
        chdir(&common)?;
        data = shorter;
    }
    // What is longer would be cut off, and mean something else.
    if data.len() > MOST_DATA {
        return Err(Errno::E2BIG.into());
    }
    let data = (!data.is_empty()).then_some(data.as_str());
    Ok(mount(Some(source), target, Some(kind), flags, data)?)
}

/// An overlay's options with the paths of its directories told from one that they have in common, and
/// that one: as many layers as an image may have fit into a page only so.
fn from_common(data: &str) -> Option<(PathBuf, String)> {
    let directories = |option: &str| -> Option<(String, Vec<String>)> {
        let (key, value) = option.split_once('=')?;
        let paths = value.split(':').map(str::to_owned).collect();
        matches!(key, "lowerdir" | "upperdir" | "workdir").then(|| (key.to_owned(), paths))
    };
    let all = data.split(',').filter_map(directories);
    let paths: Vec<String> = all.flat_map(|(_, paths)| paths).collect();
    let mut common = Path::new(paths.first()?).parent()?.to_owned();
    while !paths
        .iter()
        .all(|path| Path::new(path).starts_with(&common))
    {
        common = common.parent()?.to_owned();
    }
    let relative = |path: &String| -> Option<String> {
        let rest = Path::new(path).strip_prefix(&common).ok()?;
        rest.to_str().map(str::to_owned)
    };
    let option = |option: &str| match directories(option) {
        Some((key, paths)) => {
            let paths: Option<Vec<String>> = paths.iter().map(relative).collect();
            Some(format!("{key}={}", paths?.join(":")))
        }
        None => Some(option.to_owned()),
    };
    let options: Option<Vec<String>> = data.split(',').map(option).collect();
    Some((common, options?.join(",")))
}

/// Mounts memory of so many bytes on a directory, for any user to write to, as on `/dev/shm`.
///
/// # Errors
/// The kernel's refusal.
pub fn mount_memory(at: &Path, bytes: i64) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let data = format!("mode=1777,size={bytes}");
    let (source, kind) = (Some("shm"), Some("tmpfs"));
    Ok(mount(source, at, kind, flags, Some(data.as_str()))?)
}

/// Takes a mount away, at once for new users; absence is success.
///
/// # Errors
/// The kernel's refusal.
pub fn unmount(at: &Path) -> io::Result<()> {
    match umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// mount(8)'s options as flags and the rest as the file system's own data.
fn split(options: &[String]) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in options {
        match option.as_str() {
            "ro" => flags |= MsFlags::MS_RDONLY,
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            "rw" | "defaults" => {}
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_table_of_mounts_are_read_back() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescaped(b"/plain\\9"), b"/plain\\9");
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/self")));
    }

    #[test]
    fn directories_are_told_from_the_one_they_have_in_common() {
        let at = "/var/lib/c/snapshots";
        let data = format!(
            "index=off,workdir={at}/3/work,upperdir={at}/3/fs,lowerdir={at}/2/fs:{at}/1/fs"
        );
        let shorter = "index=off,workdir=3/work,upperdir=3/fs,lowerdir=2/fs:1/fs";
        assert_eq!(from_common(&data), Some((at.into(), shorter.to_owned())));
        let apart = from_common("lowerdir=/a/b/c:/a/bb/c");
        assert_eq!(apart, Some(("/a".into(), "lowerdir=b/c:bb/c".to_owned())));
        assert_eq!(from_common("size=1m"), None);
    }

    #[test]
    fn options_are_flags_or_data() {
        let options: Vec<String> = ["ro", "lowerdir=/a:/b", "index=off"]
            .iter()
            .map(|s| s.to_string())
            .collect();
        assert_eq!(
            split(&options),
            (MsFlags::MS_RDONLY, "lowerdir=/a:/b,index=off".to_owned())
        );
    }
}
