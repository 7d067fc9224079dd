//! `--cidfile`: the file that gets the container's name.
//!
//! Invariant: it is ours from before the container is made, so that no start is in vain; a run that
//! fails leaves none.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::written;
use crate::model::class::{Class, Explain};
use crate::model::id::ContainerId;

/// The file cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the name to {}", .path.display())]
pub struct CidFileError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for CidFileError {
    fn class(&self) -> Class {
        match self.source.kind() {
            io::ErrorKind::AlreadyExists => Class::AlreadyExists,
            _ => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self.class() {
            Class::AlreadyExists => Some(format!(
                "remove it if its container is gone: rm {}",
                self.path.display()
            )),
            _ => written::hint(&self.path, &self.source),
        }
    }
}

/// A file that is there and empty; dropped without having been written, it is removed.
#[derive(Debug)]
pub struct CidFile {
    path: PathBuf,
    written: bool,
}

impl CidFile {
    /// Makes the file.
    ///
    /// # Errors
    /// It exists, or cannot be made.
    pub fn claim(path: &Path) -> Result<CidFile, CidFileError> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        made.map_err(|source| CidFileError {
            path: path.to_owned(),
            source,
        })?;
        Ok(CidFile {
            path: path.to_owned(),
            written: false,
        })
    }

    /// Writes the name.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub fn write(mut self, id: &ContainerId) -> Result<(), CidFileError> {
        let written = fs::write(&self.path, id.as_str());
        self.written = written.is_ok();
        written.map_err(|source| CidFileError {
            path: self.path.clone(),
            source,
        })
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.written {
            // Nobody can have any use for an empty one.
            let _ = fs::remove_file(&self.path);
        }
    }
}
