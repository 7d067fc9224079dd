//! How a container's health is: where it stands, for everybody to read.
//!
//! Invariant: the file is replaced as a whole, so a reader sees one state or the next.

use super::error::Error;
use super::paths::Paths;
use crate::model::health::Health;

/// The health as the supervisor wrote it last; nothing is known before the first check.
pub fn read(paths: &Paths) -> Health {
    let text = std::fs::read(paths.health()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes the health.
///
/// # Errors
/// [`Error::File`].
pub fn write(paths: &Paths, health: &Health) -> Result<(), Error> {
    let path = paths.health();
    let draft = path.with_extension("new");
    let bytes = serde_json::to_vec(health).map_err(|source| Error::Record {
        id: path.display().to_string(),
        source,
    })?;
    std::fs::write(&draft, bytes)
        .and_then(|()| std::fs::rename(&draft, &path))
        .map_err(Error::file("write", path))
}
