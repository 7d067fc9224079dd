//! Reading small files of a container's root directory without ever leaving it.
//!
//! Invariant: whatever links the image has planted, no file outside the root directory is opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::model::class::{Class, Explain};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a file of a root directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The root directory itself cannot be opened.
    #[error("cannot open the container's root directory {root}", root = .root.display())]
    Root {
        /// The root directory on the host.
        root: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The kernel is too old to look up paths safely.
    #[error("this kernel has no openat2, which came with linux 5.6")]
    NoOpenat2,
    /// The file cannot be opened or read.
    #[error("cannot read {path} in the container's root directory", path = .path.display())]
    Read {
        /// The path in the container.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// A directory, device, FIFO or socket.
    #[error("{path} in the container's root directory is not a regular file", path = .path.display())]
    NotAFile {
        /// The path in the container.
        path: PathBuf,
    },
    /// Larger than [`MAX_BYTES`].
    #[error("{path} in the container's root directory is larger than {MAX_BYTES} bytes", path = .path.display())]
    TooLarge {
        /// The path in the container.
        path: PathBuf,
    },
}

impl Explain for RootfsError {
    fn class(&self) -> Class {
        match self {
            Self::NoOpenat2 => Class::Unsupported,
            Self::NotAFile { .. } | Self::TooLarge { .. } => Class::InvalidInput,
            Self::Root { .. } | Self::Read { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoOpenat2 => Some("give the user as numbers: -u UID:GID".to_owned()),
            _ => None,
        }
    }
}

/// The bytes of `path` (absolute in the container) below `root`; nothing if there is no such file.
///
/// Links are followed as the container would follow them: an absolute one starts at `root`, and
/// `..` stops there (openat2 with `RESOLVE_IN_ROOT`).
///
/// # Errors
/// See [`RootfsError`].
pub fn read_file(root: &Path, path: &Path) -> Result<Option<Vec<u8>>, RootfsError> {
    let root_error = |source| RootfsError::Root {
        root: root.to_owned(),
        source,
    };
    let read_error = |source| RootfsError::Read {
        path: path.to_owned(),
        source,
    };
    let directory = File::open(root).map_err(root_error)?;
    // Without O_NONBLOCK the open of a FIFO that an image has in this place would hang.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&directory, path, how) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(Errno::ENOSYS) => return Err(RootfsError::NoOpenat2),
        Err(errno) => return Err(read_error(errno.into())),
    };
    let is_file = file.metadata().map_err(read_error)?.is_file();
    if !is_file {
        return Err(RootfsError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(RootfsError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A directory with a `root` in it and a secret beside; gone with the value.
    struct Image(PathBuf);

    impl Image {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("netrun-rootfs-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("root/etc")).unwrap();
            fs::write(path.join("secret"), "host").unwrap();
            Self(path)
        }

        fn etc(&self, name: &str) -> PathBuf {
            self.0.join("root/etc").join(name)
        }

        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootfsError> {
            read_file(&self.0.join("root"), Path::new(path))
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let image = Image::new("links");
        fs::write(image.etc("passwd"), "image").unwrap();
        symlink("/etc/passwd", image.etc("absolute")).unwrap();
        symlink("../../../../etc/passwd", image.etc("up")).unwrap();
        symlink("../../secret", image.etc("out")).unwrap();
        symlink(image.0.join("secret"), image.etc("host")).unwrap();
        symlink("loop", image.etc("loop")).unwrap();
        for inside in ["/etc/passwd", "/etc/absolute", "/etc/up", "/../etc/passwd"] {
            assert_eq!(image.read(inside).unwrap().unwrap(), b"image", "{inside}");
        }
        for outside in ["/etc/out", "/etc/host", "/etc/none", "/etc/passwd/x"] {
            assert_eq!(image.read(outside).unwrap(), None, "{outside}");
        }
        assert!(matches!(
            image.read("/etc/loop"),
            Err(RootfsError::Read { .. })
        ));
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let image = Image::new("sizes");
        let limit = usize::try_from(MAX_BYTES).unwrap();
        fs::write(image.etc("full"), vec![b'x'; limit]).unwrap();
        fs::write(image.etc("over"), vec![b'x'; limit + 1]).unwrap();
        nix::unistd::mkfifo(&image.etc("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(image.read("/etc/full").unwrap().unwrap().len(), limit);
        assert!(matches!(
            image.read("/etc/over"),
            Err(RootfsError::TooLarge { .. })
        ));
        for odd in ["/etc/fifo", "/etc"] {
            assert!(matches!(image.read(odd), Err(RootfsError::NotAFile { .. })));
        }
        assert!(matches!(
            read_file(&image.0.join("gone"), Path::new("/etc/passwd")),
            Err(RootfsError::Root { .. })
        ));
    }
}
