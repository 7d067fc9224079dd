//! Named network namespaces: files under `/run/netns` as iproute2 makes and finds them.
//!
//! Invariant: a thread that enters a new namespace never returns to anybody: it ends there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, fstatfs};

use super::lock::Lock;
use super::netlink;

/// Where iproute2 keeps named network namespaces.
pub const DIRECTORY: &str = "/run/netns";

/// The file system of namespace files (linux/magic.h).
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// The path of a name.
pub fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Makes a fresh network namespace under `path`, with `lo` up.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is a file of that name; else the kernel's refusal.
pub async fn create(path: &Path) -> io::Result<()> {
    prepare_directory(path).await?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?;
    drop(file);
    let outcome = on_a_thread({
        let path = path.to_owned();
        move || enter_and_pin(&path)
    })
    .await;
    if outcome.is_err() {
        // Nobody else can hold a file that we made a moment ago; what is wrong is told already.
        let _ = remove(path);
    }
    outcome
}

/// Unmounts and unlinks the namespace. What is not there is done.
///
/// # Errors
/// The kernel's refusal.
pub fn remove(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: a plain file, left by somebody who died between making and mounting it.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether `path` is a namespace (not just a file).
pub fn exists(path: &Path) -> bool {
    let kind = File::open(path).ok().and_then(|file| fstatfs(file).ok());
    kind.is_some_and(|stat| stat.filesystem_type() == NSFS_MAGIC)
}

/// Whether `path` is a network namespace, and not one of another kind.
pub fn is_network(path: &Path) -> bool {
    // What is none has no number either, and the kernel says so.
    File::open(path).is_ok_and(|file| netlink::namespace_id(file.as_fd()).is_ok())
}

/// Whether `path` is the namespace that this process is in.
pub fn is_own(path: &Path) -> bool {
    let number = |path: &Path| std::fs::metadata(path).map(|one| (one.dev(), one.ino()));
    let own = number(Path::new("/proc/self/ns/net"));
    number(path).is_ok_and(|other| own.is_ok_and(|own| own == other))
}

/// The names under [`DIRECTORY`], sorted; without the directory there are none.
///
/// # Errors
/// The directory cannot be read.
pub fn names() -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What is not UTF-8 no command line of ours can name.
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Which namespace a path leads to: the same numbers for all its names.
///
/// # Errors
/// There is no such file.
pub fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// How many processes are in each network namespace.
pub fn processes() -> HashMap<(u64, u64), usize> {
    let mut counts = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_pid = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    };
    for process in entries.filter(is_pid) {
        // One that has ended meanwhile is in none.
        if let Ok(netns) = identity(&process.path().join("ns/net")) {
            *counts.entry(netns).or_default() += 1;
        }
    }
    counts
}

/// The directory must be a shared mount point before the first name is made in it, else names made
/// earlier by others are shadowed when iproute2 makes it one.
async fn prepare_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new(DIRECTORY));
    std::fs::create_dir_all(directory)?;
    let _lock = Lock::directory(directory).await?;
    let share = || {
        mount(
            None::<&str>,
            directory,
            None::<&str>,
            shared(),
            None::<&str>,
        )
    };
    match share() {
        Ok(()) => Ok(()),
        // Not a mount point yet.
        Err(Errno::EINVAL) => {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(directory), directory, None::<&str>, bind, None::<&str>)?;
            Ok(share()?)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn shared() -> MsFlags {
    MsFlags::MS_SHARED | MsFlags::MS_REC
}

fn enter_and_pin(path: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    netlink::loopback_up()?;
    let here = Some("/proc/thread-self/ns/net");
    mount(here, path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Does `work` in the namespace at `path`, or where we are. It runs on a thread of its own and may
/// wait.
///
/// # Errors
/// The namespace cannot be entered; what `work` meets.
pub async fn within<T: Send + 'static>(
    path: Option<&Path>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let namespace = path.map(File::open).transpose()?;
    on_a_thread(move || {
        if let Some(namespace) = namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
        }
        work()
    })
    .await
}

/// Runs `work` on a thread that ends with it.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("netns".into())
        .spawn(move || {
            // A receiver that is gone has no use for the outcome.
            let _ = sender.send(work());
        })?;
    receiver
        .await
        .map_err(|_| io::Error::other("the thread in the namespace ended early"))?
}
