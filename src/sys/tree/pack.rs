//! A tree as a tar stream.
//!
//! Invariant: an entry has as many bytes as its header says, and all of them are the file's, or the
//! stream fails; a directory that the kernel makes up (`/proc`, `/sys`) is an empty one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor};
use nix::sys::statfs::{FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use tar::{Builder, EntryType, Header};

use super::inside::{Kind, Root, split};

/// How much of a file is read before its size is told, bytes; and how much more at most of one that has
/// more than the kernel says.
const AHEAD: u64 = 1 << 20;
const MOST_AHEAD: u64 = 64 << 20;

/// What is packed.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// A path below the root.
    pub path: &'a Path,
    /// Its name in the stream, relative; `.` packs what is in a directory.
    pub name: &'a Path,
    /// Pack what a link at that path leads to, not the link.
    pub follow: bool,
}

/// Writes a file or directory, with all that is in it, as a tar stream.
///
/// # Errors
/// There is no such path, or either side fails.
pub fn pack(root: &Root, what: Packed<'_>, to: impl Write) -> io::Result<()> {
    let mut packer = Packer {
        builder: Builder::new(to),
        links: HashMap::new(),
    };
    let kind = root.kind(what.path, what.follow)?;
    match kind.ok_or(io::ErrorKind::NotFound)? {
        Kind::Directory => packer.directory(root.directory(what.path)?, what.name)?,
        Kind::File => packer.file(root.file(what.path, what.follow)?, what.name)?,
        Kind::Link | Kind::Other => {
            let (parent, name) = split(what.path);
            packer.entry(&root.directory(&parent)?, name, what.name)?;
        }
    }
    packer.builder.into_inner()?.flush()
}

struct Packer<W: Write> {
    builder: Builder<W>,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    /// One name in a directory.
    fn entry(&mut self, directory: &OwnedFd, name: &OsStr, shown: &Path) -> io::Result<()> {
        let stat = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // It went while we were on the way.
            Err(Errno::ENOENT) => return Ok(()),
            stat => stat?,
        };
        let open = |flags| {
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(directory, name, flags, Mode::empty())
        };
        match Kind::of(&stat) {
            Kind::Directory => self.directory(open(OFlag::O_RDONLY | OFlag::O_DIRECTORY)?, shown),
            Kind::File => {
                let file = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
                self.file(File::from(file), shown)
            }
            Kind::Link => {
                let target = readlinkat(directory, name)?;
                let mut header = header(&stat, EntryType::Symlink);
                self.builder.append_link(&mut header, shown, target)
            }
            Kind::Other => self.node(&stat, shown),
        }
    }

    fn directory(&mut self, directory: OwnedFd, shown: &Path) -> io::Result<()> {
        let mut header = header(&fstat(&directory)?, EntryType::Directory);
        // With a slash behind it, as tar writes the names of directories.
        let named = shown.join("");
        self.builder.append_data(&mut header, named, io::empty())?;
        if is_made_up(&directory)? {
            return Ok(());
        }
        for name in names(&directory)? {
            self.entry(&directory, &name, &shown.join(&name))?;
        }
        Ok(())
    }

    fn file(&mut self, file: File, shown: &Path) -> io::Result<()> {
        let stat = fstat(&file)?;
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let mut header = header(&stat, EntryType::Link);
                return self.builder.append_link(&mut header, shown, first);
            }
            self.links.insert(key, shown.to_owned());
        }
        let told = u64::try_from(stat.st_size).unwrap_or(0);
        let (begin, size) = ahead(&file, told)?;
        let mut header = header(&stat, EntryType::Regular);
        header.set_size(size);
        let exactly = Exactly {
            file: io::Cursor::new(begin).chain(file),
            left: size,
        };
        self.builder.append_data(&mut header, shown, exactly)
    }

    /// A device or a FIFO; a socket means nothing without its process.
    fn node(&mut self, stat: &FileStat, shown: &Path) -> io::Result<()> {
        let typ = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFCHR => EntryType::Char,
            SFlag::S_IFBLK => EntryType::Block,
            SFlag::S_IFIFO => EntryType::Fifo,
            _ => return Ok(()),
        };
        let mut header = header(stat, typ);
        if typ != EntryType::Fifo {
            header.set_device_major(u32::try_from(major(stat.st_rdev)).unwrap_or(0))?;
            header.set_device_minor(u32::try_from(minor(stat.st_rdev)).unwrap_or(0))?;
        }
        self.builder.append_data(&mut header, shown, io::empty())
    }
}

fn header(stat: &FileStat, typ: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(typ);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// The names in a directory, in order.
fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(directory.as_fd().try_clone_to_owned()?)?.iter() {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether the kernel makes up what is in there: it has no end, and sizes that are none.
fn is_made_up(directory: &OwnedFd) -> io::Result<bool> {
    let kind: FsType = fstatfs(directory)?.filesystem_type();
    Ok([PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&kind))
}

/// The first bytes of a file, and how many it has: if its end is among them, it is known better than
/// the kernel tells it of what it makes up as it is read (`/proc`, `/sys`).
fn ahead(mut file: &File, told: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut begin = Vec::new();
    let mut read =
        |most: u64, begin: &mut Vec<u8>| Read::by_ref(&mut file).take(most).read_to_end(begin);
    let count = read(AHEAD, &mut begin)? as u64;
    if count < AHEAD {
        return Ok((begin, count));
    }
    if told > count {
        return Ok((begin, told));
    }
    let count = count + read(MOST_AHEAD, &mut begin)? as u64;
    match count < AHEAD + MOST_AHEAD {
        true => Ok((begin, count)),
        false => Err(io::Error::other("it has more in it than its size says")),
    }
}

/// So many bytes of a file, or an error: what is made up instead nobody could tell from the rest.
struct Exactly<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let part = buffer.len().min(most);
        let buffer = &mut buffer[..part];
        let count = match self.file.read(buffer)? {
            0 if part > 0 => {
                let shorter = "it became shorter while it was read";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, shorter));
            }
            count => count,
        };
        self.left -= count as u64;
        Ok(count)
    }
}
