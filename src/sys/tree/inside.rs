//! A directory as the root of all lookups.
//!
//! Invariant: links are followed as a process whose root this is would follow them, never out of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, FIFO or socket.
    Other,
}

impl Kind {
    pub(super) fn of(stat: &FileStat) -> Kind {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFLNK => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// A directory that nothing leads out of.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens the directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Root(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// A directory below as a root of its own.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn below(&self, path: &Path) -> io::Result<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Ok(Root(self.lookup(path, flags)?))
    }

    /// What `path` stands for; nothing if there is no such thing.
    ///
    /// # Errors
    /// What the kernel says; [`io::ErrorKind::Unsupported`] on kernels before 5.6.
    pub fn kind(&self, path: &Path, follow: bool) -> io::Result<Option<Kind>> {
        let nofollow = if follow {
            OFlag::empty()
        } else {
            OFlag::O_NOFOLLOW
        };
        match self.lookup(path, OFlag::O_PATH | nofollow) {
            Ok(found) => Ok(Some(Kind::of(&fstat(&found)?))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where a path leads whose last name is a link to something that there is not yet: what is made
    /// under that name is made there. All other paths are as they were.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn through_links(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            if self.kind(&path, true)?.is_some() || self.kind(&path, false)? != Some(Kind::Link) {
                break;
            }
            let link = self.lookup(&path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
            let target = readlinkat(&link, "")?;
            // One that begins at the root replaces all of it.
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Ok(path)
    }

    /// Opens a file for reading; one that would wait for a writer does not.
    pub(super) fn file(&self, path: &Path, follow: bool) -> io::Result<File> {
        let nofollow = if follow {
            OFlag::empty()
        } else {
            OFlag::O_NOFOLLOW
        };
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | nofollow;
        Ok(File::from(self.lookup(path, flags)?))
    }

    /// Opens a directory; links to it are followed.
    pub(super) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.lookup(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)
    }

    /// Opens a directory; makes it, and those above it, where there is nothing yet.
    pub(super) fn made_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.lookup(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT) => {}
            outcome => return Ok(outcome?),
        }
        let (parent, name) = split(path);
        let parent = self.made_directory(&parent)?;
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&parent, name, flags, Mode::empty())?)
    }

    fn lookup(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(resolve);
        openat2(&self.0, path, how)
    }
}

/// The directory that a path's last name is in, and that name; the root itself is its own `.`.
pub(super) fn split(path: &Path) -> (PathBuf, &OsStr) {
    let last = path.components().next_back();
    match (path.parent(), last) {
        (Some(parent), Some(Component::Normal(name))) => (parent.to_owned(), name),
        _ => (path.to_owned(), OsStr::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out() {
        let own = std::env::temp_dir().join(format!("netrun-inside-{}", std::process::id()));
        fs::create_dir_all(own.join("root/etc")).unwrap();
        fs::create_dir_all(own.join("secret")).unwrap();
        symlink("../../secret", own.join("root/up")).unwrap();
        symlink(own.join("secret"), own.join("root/absolute")).unwrap();
        symlink("/etc", own.join("root/own")).unwrap();
        let root = Root::open(&own.join("root")).unwrap();
        let kind = |path: &str| root.kind(Path::new(path), true).unwrap();
        assert_eq!(kind("/own"), Some(Kind::Directory));
        assert_eq!(kind("/../etc"), Some(Kind::Directory));
        for out in ["/up", "/absolute", "/../secret"] {
            assert_eq!(kind(out), None, "{out}");
            assert!(root.directory(Path::new(out)).is_err(), "{out}");
        }
        assert_eq!(
            root.kind(Path::new("/up"), false).unwrap(),
            Some(Kind::Link)
        );
        // What is made through a link is made inside.
        root.made_directory(Path::new("/own/a/b")).unwrap();
        assert!(own.join("root/etc/a/b").is_dir());
        assert!(root.made_directory(Path::new("/up/a")).is_err());
        assert!(fs::read_dir(own.join("secret")).unwrap().next().is_none());
        fs::remove_dir_all(own).unwrap();
    }
}
