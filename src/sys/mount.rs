//! Root file systems mounted: to look into one that nothing has mounted yet, or where somebody wants
//! it; memory that containers share.
//!
//! Invariant: what is only looked into is mounted in a mount namespace that dies with its thread, so
//! that mount cannot stay.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A directory that is always there and that the thread does not need.
const MOUNT_POINT: &str = "/proc";

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
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            mount_privately(instruction)?;
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
pub fn attach((kind, source, options): Instruction<'_>, target: &Path) -> io::Result<()> {
    let (flags, data) = split(options);
    let data = (!data.is_empty()).then_some(data.as_str());
    mount(Some(source), target, Some(kind), flags, data)?;
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

/// Whether something is mounted at a directory.
pub fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|meta| meta.dev());
    let parent = path.parent().unwrap_or(path);
    match (device(path), device(parent)) {
        (Ok(own), Ok(above)) => own != above,
        _ => false,
    }
}

fn mount_privately((kind, source, options): Instruction<'_>) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let (flags, data) = split(options);
    let data = (!data.is_empty()).then_some(data.as_str());
    Ok(mount(Some(source), MOUNT_POINT, Some(kind), flags, data)?)
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
