//! Files that are there whole or not at all: written beside their place, and put there at the end.
//!
//! Invariant: until then what was there before stays as it was; what is no ordinary file (a device, a
//! pipe) is written to as it is, and never removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file that is being written. Dropped before [`Draft::keep`], it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    /// Where it is written and where it belongs; nothing where there is no ordinary file.
    paths: Option<(PathBuf, PathBuf)>,
}

impl Draft {
    /// Begins a file; gives where to write.
    ///
    /// # Errors
    /// The kernel's.
    pub fn begin(path: &Path) -> io::Result<(File, Draft)> {
        // Where a link leads, not the link, is what is written.
        let place = match fs::canonicalize(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
            Err(error) => return Err(error),
        };
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(&place)?;
            return Ok((file, Draft { paths: None }));
        }
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let draft = place.with_file_name(hidden);
        let file = File::create(&draft)?;
        let paths = Some((draft, place));
        Ok((file, Draft { paths }))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// The kernel's.
    pub fn keep(mut self) -> io::Result<()> {
        match &self.paths {
            Some((draft, place)) => fs::rename(draft, place)?,
            None => return Ok(()),
        }
        self.paths = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((draft, _)) = &self.paths {
            // Why it was not kept is what is told.
            let _ = fs::remove_file(draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let dir = std::env::temp_dir().join(format!("netrun-draft-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (path, link) = (dir.join("file"), dir.join("link"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        let (mut file, draft) = Draft::begin(&link).unwrap();
        file.write_all(b"new").unwrap();
        drop(draft);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        let (mut file, draft) = Draft::begin(&link).unwrap();
        file.write_all(b"new").unwrap();
        draft.keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "no draft is left");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_no_file_is_written_and_stays() {
        let (mut file, draft) = Draft::begin(Path::new("/dev/null")).unwrap();
        file.write_all(b"x").unwrap();
        drop(draft);
        assert!(Path::new("/dev/null").exists());
        assert!(Draft::begin(Path::new("/nowhere/at/all")).is_err());
        assert!(Draft::begin(Path::new("/tmp")).is_err());
    }
}
