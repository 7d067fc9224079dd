//! Trees of files as tar streams, out of one directory and into another.
//!
//! Invariant: no path and no link leads out of the directory that is read or written: names are
//! looked up by openat2 with `RESOLVE_IN_ROOT`, and what lies below one by one, no link followed.

mod inside;
mod pack;
mod unpack;

use std::io;
use std::path::Path;

pub use inside::{Kind, Root};
pub use pack::{Packed, pack};
pub use unpack::unpack;

/// Copies what is in the directory `path` below `root` into the directory `to`, with owners, modes
/// and times; a path that is no directory there is nothing to copy.
///
/// # Errors
/// What the kernel says; what has been copied stays.
pub fn copy(root: &Path, path: &Path, to: &Path) -> io::Result<()> {
    let from = Root::open(root)?;
    if from.kind(path, true)? != Some(Kind::Directory) {
        return Ok(());
    }
    let to = Root::open(to)?;
    let (reader, writer) = io::pipe()?;
    let what = Packed {
        path,
        name: Path::new("."),
        follow: true,
    };
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| pack(&from, what, writer));
        let unpacked = unpack(&to, Path::new("/"), reader, None);
        let ended_early = |_| Err(io::Error::other("the thread that packs ended early"));
        let packed = packing.join().unwrap_or_else(ended_early);
        both(unpacked, packed)
    })
}

/// How a copy ended: who stops reading breaks the other's pipe, and who stops writing leaves the other
/// half of an entry; the reason is the one to tell.
///
/// # Errors
/// Either side's.
pub fn both(unpacked: io::Result<()>, packed: io::Result<()>) -> io::Result<()> {
    match (unpacked, packed) {
        (Err(error), Err(broken)) if broken.kind() == io::ErrorKind::BrokenPipe => Err(error),
        (_, Err(error)) => Err(error),
        (unpacked, Ok(())) => unpacked,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_copy_fails_for_the_reason_and_not_for_what_came_of_it() {
        use io::ErrorKind::{BrokenPipe, StorageFull, UnexpectedEof};
        let failed = |kind: io::ErrorKind| Err(kind.into());
        let kind = |unpacked, packed| both(unpacked, packed).unwrap_err().kind();
        assert_eq!(kind(failed(StorageFull), failed(BrokenPipe)), StorageFull);
        assert_eq!(
            kind(failed(UnexpectedEof), failed(StorageFull)),
            StorageFull
        );
        assert_eq!(kind(failed(StorageFull), Ok(())), StorageFull);
        both(Ok(()), Ok(())).unwrap();
    }

    #[test]
    fn a_directory_is_copied_with_all_that_it_is() {
        let own = std::env::temp_dir().join(format!("netrun-tree-{}", std::process::id()));
        let (from, to) = (own.join("root/data"), own.join("to"));
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::create_dir_all(&to).unwrap();
        let long = "n".repeat(200);
        fs::write(from.join(&long), "long").unwrap();
        fs::write(from.join("deep/er/x"), "x").unwrap();
        fs::hard_link(from.join("deep/er/x"), from.join("same")).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        fs::set_permissions(from.join("deep"), fs::Permissions::from_mode(0o1751)).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o750)).unwrap();
        nix::unistd::mkfifo(&from.join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        copy(&own.join("root"), Path::new("/data"), &to).unwrap();
        assert_eq!(fs::read(to.join(&long)).unwrap(), b"long");
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("/etc/passwd")
        );
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode();
        assert_eq!(mode(&to.join("deep")) & 0o7777, 0o1751);
        assert_eq!(mode(&to) & 0o7777, 0o750);
        assert_eq!(mode(&to.join("fifo")), mode(&from.join("fifo")));
        let inode = |path: &str| fs::metadata(to.join(path)).unwrap().ino();
        assert_eq!(inode("deep/er/x"), inode("same"));
        let time = |at: &Path| fs::metadata(at).unwrap().mtime();
        assert_eq!(time(&to.join("deep")), time(&from.join("deep")));
        copy(&own.join("root"), Path::new("/nothing"), &to).unwrap();
        fs::remove_dir_all(own).unwrap();
    }
}
