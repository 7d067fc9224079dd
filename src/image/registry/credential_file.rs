//! The file that credentials are kept in, as a JSON document.
//!
//! Invariant: whatever we do not know in it stays, in its order; who changes it changes it alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

use super::credentials::CredentialsError;
use crate::sys::lock::Lock;

/// Keeps other netruns from changing the file, until it is dropped; makes its directory.
///
/// # Errors
/// The directory cannot be made.
pub async fn lock(path: &Path) -> Result<Lock, CredentialsError> {
    let locked = async {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(parent)?;
        Lock::directory(parent).await
    };
    locked.await.map_err(|source| {
        let path = path.to_owned();
        CredentialsError::Write { path, source }
    })
}

/// What stands in the file; nothing if there is none.
///
/// # Errors
/// It cannot be read, or is no JSON object.
pub fn read(path: &Path) -> Result<Option<Map<String, Value>>, CredentialsError> {
    let path = path.to_owned();
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match serde_json::from_str(&text) {
            Ok(document) => Ok(Some(document)),
            Err(error) => Err(CredentialsError::Parse {
                path,
                source: error.into(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::Read { path, source }),
    }
}

/// The whole file or none of it, for nobody else to read, and whoever had it has it still: docker of
/// another user would be locked out of a file that root's netrun had taken. It looks as docker's own.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, document: &Map<String, Value>) -> Result<(), CredentialsError> {
    // A link stays one: people keep this file elsewhere.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = real.with_extension(format!("{}.new", std::process::id()));
    let attempt = || {
        let mut open = fs::OpenOptions::new();
        let mut file = open.write(true).create_new(true).mode(0o600).open(&fresh)?;
        if let Ok(before) = fs::metadata(&real) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.write_all(&indented(document)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &real)
    };
    attempt().map_err(|source| {
        // What counts is why it could not be written.
        drop(fs::remove_file(&fresh));
        let path = path.to_owned();
        CredentialsError::Write { path, source }
    })
}

fn indented(document: &Map<String, Value>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let tabs = PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut Serializer::with_formatter(&mut bytes, tabs))?;
    Ok(bytes)
}
