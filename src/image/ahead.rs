//! Layers unpacked before those below them are, so that several are at once.
//!
//! containerd lets a snapshot be prepared only on one that is complete. But its Diff service, given an
//! overlay, never mounts it: it writes into the upper directory, and looks below only for what the
//! directories are like that the layer names files in and not itself. So a layer goes into a snapshot
//! without a parent first, and its directory takes the place of the real snapshot's once that can be
//! prepared.
//!
//! Invariant: what is moved is what containerd would have written there. A layer that left out a
//! directory is unpacked again, on what is below it; whatever else is not as expected is a reason to, too.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use containerd_client::types;

/// The only snapshotter whose directories we know.
const OVERLAYFS: &str = "overlayfs";

/// What in an overlay's options comes before the directory that is written.
const UPPER: &str = "upperdir=";

/// The most layers that are unpacked at once: more only make the disk seek.
const MOST: usize = 4;

/// How many layers are unpacked at once.
pub fn parallel(snapshotter: &str) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match snapshotter {
        OVERLAYFS => cores.min(MOST),
        _ => 1,
    }
}

/// A snapshot without a parent, whose directory we see.
#[derive(Debug)]
pub struct Scratch {
    /// Its key.
    pub key: String,
    directory: PathBuf,
}

impl Scratch {
    /// What has been prepared, if it is of the shape that we know.
    pub fn of(key: String, mounts: &[types::Mount]) -> Option<Scratch> {
        let [mount] = mounts else {
            return None;
        };
        let directory = PathBuf::from(&mount.source);
        // containerd may see another tree of files than we do.
        let ours = mount.r#type == "bind" && fs::read_dir(&directory).is_ok_and(is_empty);
        ours.then_some(Scratch { key, directory })
    }

    /// The overlay that containerd is told to write to.
    pub fn mounts(&self) -> Vec<types::Mount> {
        vec![types::Mount {
            r#type: "overlay".to_owned(),
            source: "overlay".to_owned(),
            options: vec![format!("{UPPER}{}", self.directory.display())],
            ..types::Mount::default()
        }]
    }

    /// Whether nothing has come of what containerd wrote: the layer is empty, or what containerd sees
    /// there is not what we see.
    pub fn is_empty(&self) -> bool {
        fs::read_dir(&self.directory).map_or(true, is_empty)
    }

    /// Gives its space back at once: containerd does not hurry to.
    pub fn discard(&self) {
        // What stays is taken with the snapshot.
        drop(fs::remove_dir_all(&self.directory));
    }

    /// Puts what was written in the place of the empty directory of another snapshot; says whether it
    /// could, and then nothing is left here.
    pub fn move_to(&self, mounts: &[types::Mount]) -> bool {
        let Some(upper) = upper(mounts) else {
            return false;
        };
        let moved = || -> io::Result<bool> {
            if !is_self_contained(&self.directory)? {
                return Ok(false);
            }
            // A layer says nothing about the root, which is as the one below.
            let about = fs::metadata(&upper)?;
            chown(&self.directory, Some(about.uid()), Some(about.gid()))?;
            let mode = fs::Permissions::from_mode(about.mode() & 0o7777);
            fs::set_permissions(&self.directory, mode)?;
            fs::rename(&self.directory, &upper)?;
            Ok(true)
        };
        moved().unwrap_or(false)
    }
}

fn is_empty(mut entries: fs::ReadDir) -> bool {
    entries.next().is_none()
}

/// The directory of a prepared snapshot that is written, if it is there for us and empty.
fn upper(mounts: &[types::Mount]) -> Option<PathBuf> {
    let [mount] = mounts else {
        return None;
    };
    let mut options = mount.options.iter();
    let upper = options.find_map(|option| option.strip_prefix(UPPER))?;
    let upper = PathBuf::from(upper);
    let fits = mount.r#type == "overlay" && fs::read_dir(&upper).is_ok_and(is_empty);
    fits.then_some(upper)
}

/// Whether the layer names every directory that it has files in. One that containerd had to make up was
/// last changed by what came into it; of one that was named the time was set afterwards, and no
/// archive knows that very moment.
fn is_self_contained(root: &Path) -> io::Result<bool> {
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let about = entry.metadata()?;
            let modified = (about.mtime(), about.mtime_nsec());
            if modified >= (about.ctime(), about.ctime_nsec()) {
                return Ok(false);
            }
            waiting.push(entry.path());
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("netrun-ahead-{}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("upper/bin")).unwrap();
        fs::create_dir_all(dir.join("real")).unwrap();
        fs::write(dir.join("upper/bin/sh"), "").unwrap();
        dir
    }

    fn mounts(kind: &str, source: &Path, options: &[String]) -> Vec<types::Mount> {
        vec![types::Mount {
            r#type: kind.to_owned(),
            source: source.display().to_string(),
            options: options.to_vec(),
            ..types::Mount::default()
        }]
    }

    /// As containerd does to a directory that the layer names.
    fn name(directory: &Path) {
        let then = SystemTime::now() - Duration::from_secs(9);
        fs::File::open(directory)
            .unwrap()
            .set_modified(then)
            .unwrap();
    }

    #[test]
    fn only_a_layer_that_names_its_directories_is_moved() {
        let dir = scratch("moved");
        let real = mounts(
            "overlay",
            Path::new("overlay"),
            &[format!("{UPPER}{}/real", dir.display())],
        );
        let scratch = Scratch {
            key: "key".to_owned(),
            directory: dir.join("upper"),
        };
        assert!(!scratch.is_empty());
        assert!(!scratch.move_to(&real), "bin was not named");
        name(&dir.join("upper/bin"));
        // One in which something was made afterwards is as good as not named.
        fs::write(dir.join("upper/bin/ls"), "").unwrap();
        assert!(!scratch.move_to(&real));
        name(&dir.join("upper/bin"));
        fs::set_permissions(dir.join("real"), fs::Permissions::from_mode(0o751)).unwrap();
        assert!(scratch.move_to(&real));
        assert!(dir.join("real/bin/ls").exists() && !dir.join("upper").exists());
        assert!(scratch.is_empty());
        let mode = fs::metadata(dir.join("real")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o751, "the root is as it was");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn snapshots_of_another_shape_are_left_alone() {
        let dir = scratch("shape");
        let key = || "key".to_owned();
        let empty = dir.join("real");
        assert!(Scratch::of(key(), &mounts("bind", &empty, &[])).is_some());
        for (kind, source) in [
            ("overlay", &empty),
            ("bind", &dir.join("nowhere")),
            ("bind", &dir.join("upper")),
        ] {
            assert!(Scratch::of(key(), &mounts(kind, source, &[])).is_none());
        }
        for options in [
            vec![],
            vec![format!("{UPPER}{}/upper", dir.display())],
            vec![format!("{UPPER}{}/nowhere", dir.display())],
        ] {
            assert_eq!(upper(&mounts("overlay", &empty, &options)), None);
        }
        assert_eq!(parallel("native"), 1);
        fs::remove_dir_all(&dir).unwrap();
    }
}
