//! Becoming another program in a network namespace, as `ip netns exec` does it.
//!
//! Invariant: only a thread that is thrown away, or becomes the program, enters anything.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Where files for one namespace lie, below its name: each stands for the one in `/etc`.
const ETC: &str = "/etc/netns";

/// What kept the program from being started.
#[derive(Debug)]
pub enum Stopped {
    /// The namespace, or its view of `/sys`, could not be entered.
    Enter(io::Error),
    /// The program could not be executed.
    Execute(io::Error),
}

/// Becomes a program, found on the search path, in the namespace at `path`. `/sys` is then the
/// namespace's, and the files in `/etc/netns/NAME` hide those of the same name in `/etc`; one that
/// cannot is told to `unbound`, with the file that it should have hidden. Returns what went wrong.
pub fn exec(
    path: &Path,
    name: &str,
    command: &[String],
    unbound: fn(&Path, &io::Error),
) -> Stopped {
    let netns = match File::open(path) {
        Ok(netns) => netns,
        Err(error) => return Stopped::Enter(error),
    };
    let Some((program, arguments)) = command.split_first() else {
        return Stopped::Execute(io::ErrorKind::InvalidInput.into());
    };
    std::thread::scope(|scope| {
        let work = || match enter(&netns, name, unbound) {
            // The kernel ends all other threads then, and this one goes on as the process.
            Ok(()) => Stopped::Execute(Command::new(program).args(arguments).exec()),
            Err(error) => Stopped::Enter(error),
        };
        let thread = std::thread::Builder::new().name("netns".into());
        match thread.spawn_scoped(scope, work).map(|thread| thread.join()) {
            Ok(Ok(stopped)) => stopped,
            Ok(Err(_)) => {
                Stopped::Enter(io::Error::other("the thread in the namespace ended early"))
            }
            Err(error) => Stopped::Enter(error),
        }
    })
}

fn enter(netns: &File, name: &str, unbound: fn(&Path, &io::Error)) -> io::Result<()> {
    setns(netns, CloneFlags::CLONE_NEWNET)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    // What is mounted here must not come to the host.
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
    let mut flags = MsFlags::empty();
    // What cannot be unmounted is covered; the kernel wants a read-only one covered by its like.
    if umount2("/sys", MntFlags::MNT_DETACH).is_err()
        && statvfs("/sys").is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY))
    {
        flags = MsFlags::MS_RDONLY;
    }
    mount(Some(name), "/sys", Some("sysfs"), flags, none)?;
    for (file, hidden) in own_files(name) {
        let bound = mount(Some(&file), &hidden, none, MsFlags::MS_BIND, none);
        if let Err(errno) = bound {
            unbound(&hidden, &errno.into());
        }
    }
    Ok(())
}

/// The namespace's own files, each with the one that it hides.
fn own_files(name: &str) -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(Path::new(ETC).join(name));
    let entries = entries.into_iter().flatten().flatten();
    let pair = |entry: fs::DirEntry| (entry.path(), Path::new("/etc").join(entry.file_name()));
    entries.map(pair).collect()
}
