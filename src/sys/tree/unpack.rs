//! A tar stream as a tree.
//!
//! Invariant: an entry is made in the directory that its name leads to inside the root, by its last
//! name alone, and never through a link that stands there; a file that cannot be written whole does
//! not stay, and what it was to replace does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{
    Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, makedev, mkdirat, mknodat, umask,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat,
};
use tar::{Archive, Entry, EntryType};

use super::inside::{Kind, Root, split};

/// Unpacks a tar stream into the directory `base` below `root`, which is made if it is missing. All
/// that is made belongs to `owner`, if there is one; else to whom the stream says.
///
/// # Errors
/// The stream is none, or names a path outside; what the kernel says. What was made before stays.
pub fn unpack(
    root: &Root,
    base: &Path,
    from: impl Read,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let mut unpacker = Unpacker {
        root,
        base,
        owner,
        directories: Vec::new(),
    };
    let mut archive = Archive::new(from);
    for (number, entry) in archive.entries()?.enumerate() {
        // The reader's own words would not say so.
        let entry = entry.map_err(|error| match (number, error.kind()) {
            (0, io::ErrorKind::Other | io::ErrorKind::InvalidData) => {
                invalid("the stream is no tar")
            }
            _ => error,
        })?;
        unpacker.entry(entry)?;
    }
    // Whoever packs writes to its end, which may lie behind the stream's own.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    unpacker.finish()
}

/// Who a thing belongs to, who may use it, and how old it is.
struct Attributes {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    time: TimeSpec,
}

struct Unpacker<'a> {
    root: &'a Root,
    base: &'a Path,
    owner: Option<(u32, u32)>,
    /// Directories get their times last: what is made in them changes these.
    directories: Vec<(OwnedFd, TimeSpec)>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let place = self.base.join(relative(&entry.path()?)?);
        let attributes = self.attributes(&entry)?;
        if kind == EntryType::Directory {
            return self.directory(&place, &attributes);
        }
        let (parent, name) = split(&place);
        let parent = self.root.made_directory(&parent)?;
        if kind.is_file() || kind == EntryType::Continuous || kind == EntryType::GNUSparse {
            let size = entry.size();
            return file(&parent, name, (&mut entry, size), &attributes);
        }
        remove(&parent, name)?;
        match kind {
            EntryType::Symlink => symlinkat(&*link_target(&entry)?, &parent, name)?,
            EntryType::Link => return self.link(&parent, name, &link_target(&entry)?),
            EntryType::Char => self.node(&parent, name, SFlag::S_IFCHR, &entry)?,
            EntryType::Block => self.node(&parent, name, SFlag::S_IFBLK, &entry)?,
            EntryType::Fifo => self.node(&parent, name, SFlag::S_IFIFO, &entry)?,
            _ => return Err(invalid("the stream has an entry of an unknown kind")),
        }
        attributes.set_by_name(&parent, name)
    }

    fn attributes<R: Read>(&self, entry: &Entry<'_, R>) -> io::Result<Attributes> {
        let header = entry.header();
        let id =
            |id: u64| u32::try_from(id).map_err(|_| invalid("the stream has an owner beyond all"));
        let (uid, gid) = match self.owner {
            Some(owner) => owner,
            None => (id(header.uid()?)?, id(header.gid()?)?),
        };
        Ok(Attributes {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            mode: Mode::from_bits_truncate(header.mode()? & 0o7777),
            time: TimeSpec::from_duration(Duration::from_secs(header.mtime()?)),
        })
    }

    fn directory(&mut self, place: &Path, attributes: &Attributes) -> io::Result<()> {
        // A link to a directory is as good as one; anything else gives way.
        if self.root.kind(place, true)? != Some(Kind::Directory) {
            let (parent, name) = split(place);
            let parent = self.root.made_directory(&parent)?;
            remove(&parent, name)?;
            mkdirat(&parent, name, Mode::S_IRWXU)?;
        }
        let directory = self.root.directory(place)?;
        fchown(&directory, Some(attributes.uid), Some(attributes.gid))?;
        fchmod(&directory, attributes.mode)?;
        self.directories.push((directory, attributes.time));
        Ok(())
    }

    /// A further name of a file that was unpacked before.
    fn link(&self, parent: &OwnedFd, name: &OsStr, target: &Path) -> io::Result<()> {
        let target = self.base.join(relative(target)?);
        let (directory, first) = split(&target);
        let directory = self.root.directory(&directory)?;
        Ok(linkat(
            &directory,
            first,
            parent,
            name,
            LinkatFlags::empty(),
        )?)
    }

    fn node<R: Read>(
        &self,
        parent: &OwnedFd,
        name: &OsStr,
        kind: SFlag,
        entry: &Entry<'_, R>,
    ) -> io::Result<()> {
        let header = entry.header();
        let number = |number: io::Result<Option<u32>>| number.map(|n| n.unwrap_or(0).into());
        let device = match kind {
            SFlag::S_IFIFO => 0,
            _ => makedev(
                number(header.device_major())?,
                number(header.device_minor())?,
            ),
        };
        let mode = Mode::from_bits_truncate(header.mode()? & 0o7777);
        // A mode cannot be changed by name without following a link that somebody puts there.
        let before = umask(Mode::empty());
        let made = mknodat(parent, name, kind, mode, device);
        umask(before);
        Ok(made?)
    }

    fn finish(self) -> io::Result<()> {
        for (directory, time) in self.directories.iter().rev() {
            futimens(directory, time, time)?;
        }
        Ok(())
    }
}

impl Attributes {
    fn set(&self, file: impl AsFd) -> io::Result<()> {
        // The owner first: a change of it takes the set-user-ID bit away.
        fchown(&file, Some(self.uid), Some(self.gid))?;
        fchmod(&file, self.mode)?;
        Ok(futimens(&file, &self.time, &self.time)?)
    }

    fn set_by_name(&self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let (uid, gid) = (Some(self.uid), Some(self.gid));
        fchownat(parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let flags = UtimensatFlags::NoFollowSymlink;
        Ok(utimensat(parent, name, &self.time, &self.time, flags)?)
    }
}

fn file(
    parent: &OwnedFd,
    name: &OsStr,
    content: (&mut impl Read, u64),
    attributes: &Attributes,
) -> io::Result<()> {
    if fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT) {
        return fill(parent, name, content, attributes);
    }
    // What is there stays until all of the new content is.
    let draft = format!(".netrun-{}", std::process::id());
    let draft = OsStr::new(&draft);
    remove(parent, draft)?;
    fill(parent, draft, content, attributes)?;
    let put = put(parent, draft, name, attributes);
    if put.is_err() {
        // The failure is what is told.
        let _ = remove(parent, draft);
    }
    put
}

/// A new file with this content; one that cannot be written whole does not stay.
fn fill(
    parent: &OwnedFd,
    name: &OsStr,
    (content, size): (&mut impl Read, u64),
    attributes: &Attributes,
) -> io::Result<()> {
    let mut file = open(
        parent,
        name,
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY,
    )?;
    let written = match io::copy(content, &mut file) {
        Ok(count) if count < size => Err(io::ErrorKind::UnexpectedEof.into()),
        written => written,
    };
    if written.is_err() {
        let _ = remove(parent, name);
    }
    written?;
    attributes.set(&file)
}

/// Puts a finished file in the place of what has the name.
fn put(parent: &OwnedFd, draft: &OsStr, name: &OsStr, to: &Attributes) -> io::Result<()> {
    match renameat(parent, draft, parent, name) {
        Err(Errno::EISDIR) => {
            remove(parent, name)?;
            Ok(renameat(parent, draft, parent, name)?)
        }
        // Something is mounted on it, as on a container's hosts file: it gets the new content.
        Err(Errno::EBUSY) => {
            let mut new = open(parent, draft, OFlag::O_RDONLY)?;
            let mut file = open(parent, name, OFlag::O_TRUNC | OFlag::O_WRONLY)?;
            io::copy(&mut new, &mut file)?;
            to.set(&file)?;
            Ok(remove(parent, draft)?)
        }
        renamed => Ok(renamed?),
    }
}

fn open(parent: &OwnedFd, name: &OsStr, flags: OFlag) -> nix::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
}

/// Removes whatever has the name; a directory only if it is empty.
fn remove(parent: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    let stat = match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(()),
        stat => stat?,
    };
    let flag = match Kind::of(&stat) {
        Kind::Directory => UnlinkatFlags::RemoveDir,
        _ => UnlinkatFlags::NoRemoveDir,
    };
    unlinkat(parent, name, flag)
}

/// A name in the stream without what would lead out of the directory.
fn relative(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(invalid("the stream names a path with \"..\"")),
        }
    }
    Ok(clean)
}

fn link_target<R: Read>(entry: &Entry<'_, R>) -> io::Result<PathBuf> {
    let target = entry.link_name()?;
    let target = target.ok_or_else(|| invalid("the stream has a link that leads nowhere"))?;
    Ok(target.into_owned())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// A stream of one entry, whose name nobody checked.
    fn stream(name: &str, typ: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(typ);
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap()
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let own = std::env::temp_dir().join(format!("netrun-{name}-{}", std::process::id()));
            fs::create_dir_all(own.join("root/etc")).unwrap();
            fs::create_dir_all(own.join("out")).unwrap();
            Self(own)
        }

        fn unpack(&self, bytes: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
            let root = Root::open(&self.0.join("root")).unwrap();
            unpack(&root, Path::new("/etc"), bytes, owner)
        }

        fn outside_is_empty(&self) -> bool {
            fs::read_dir(self.0.join("out")).unwrap().next().is_none()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn owners_are_the_streams_or_the_callers() {
        let place = Place::new("unpack-owner");
        let file = stream("a", EntryType::Regular, "", b"x");
        place.unpack(&file, None).unwrap();
        let owner = || {
            let meta = fs::metadata(place.0.join("root/etc/a")).unwrap();
            (meta.uid(), meta.gid(), meta.mtime())
        };
        assert_eq!(owner(), (7, 8, 1));
        place.unpack(&file, Some((0, 0))).unwrap();
        assert_eq!(owner(), (0, 0, 1));
    }

    #[test]
    fn hostile_names_and_links_stay_inside() {
        let place = Place::new("unpack-hostile");
        let out = place.0.join("out");
        let up = stream("../../out/x", EntryType::Regular, "", b"x");
        assert_eq!(
            place.unpack(&up, None).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        // An absolute name is one below the directory.
        let absolute = stream("/tmp/x", EntryType::Regular, "", b"x");
        place.unpack(&absolute, None).unwrap();
        assert!(place.0.join("root/etc/tmp/x").is_file());
        // A link that was there, or came in the stream before, leads nowhere outside.
        symlink(&out, place.0.join("root/etc/way")).unwrap();
        let through = stream("way/x", EntryType::Regular, "", b"x");
        assert!(place.unpack(&through, None).is_err());
        let mut both = stream("l", EntryType::Symlink, "../../../out", b"");
        both.truncate(512);
        both.extend(stream("l/x", EntryType::Regular, "", b"x"));
        assert!(place.unpack(&both, None).is_err());
        // A file takes the place of a link, not of what it leads to.
        fs::write(out.join("kept"), "kept").unwrap();
        symlink(out.join("kept"), place.0.join("root/etc/over")).unwrap();
        let over = stream("over", EntryType::Regular, "", b"new");
        place.unpack(&over, None).unwrap();
        assert_eq!(fs::read(out.join("kept")).unwrap(), b"kept");
        assert_eq!(fs::read(place.0.join("root/etc/over")).unwrap(), b"new");
        fs::remove_file(out.join("kept")).unwrap();
        // A further name is given to what is inside only.
        let hard = stream("hard", EntryType::Link, "../../out/kept", b"");
        assert!(place.unpack(&hard, None).is_err());
        assert!(place.outside_is_empty());
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let place = Place::new("unpack-garbage");
        assert!(place.unpack(&[b'x'; 1024], None).is_err());
        let cut = stream("a", EntryType::Regular, "", &[b'x'; 4096]);
        assert!(place.unpack(&cut[..1024], None).is_err());
        assert!(!place.0.join("root/etc/a").exists());
    }
}
