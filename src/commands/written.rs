//! The files that a command writes for scripts: whether they can be, and what to do where not.
//!
//! Invariant: nothing is made or changed by looking.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Looks whether a file can be written to, or made.
///
/// # Errors
/// It cannot.
pub fn check(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().filter(|parent| parent != &Path::new(""));
            directory.map_or(Ok(()), |directory| directory.read_dir().map(drop))
        }
        opened => opened.map(drop),
    }
}

/// What to do about a file that could not be written.
pub fn hint(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let directory = path.parent()?;
            Some(format!(
                "make its directory: mkdir -p {}",
                directory.display()
            ))
        }
        io::ErrorKind::IsADirectory => Some("name a file, not a directory".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_can_be_made_is_not_made() {
        let own = std::env::temp_dir().join(format!("netrun-written-{}", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        check(&own.join("new")).unwrap();
        assert!(!own.join("new").exists());
        let error = check(&own.join("none/new")).unwrap_err();
        let hint = hint(&own.join("none/new"), &error).unwrap();
        assert!(hint.ends_with("/none"), "{hint}");
        assert!(check(&own).is_err());
        std::fs::remove_dir_all(own).unwrap();
    }
}
