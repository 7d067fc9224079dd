//! The container's hosts, hostname and resolv.conf on the host's side.
//!
//! Invariant: they exist before the task is created, for they are bind-mounted, and are filled in
//! place: a file is never replaced while a container may see it.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use super::error::Error;
use super::paths::Paths;
use crate::model::record::{NetworkMode, Record};
use crate::network::{CniResult, names};

/// Makes the state directory with the three files in it.
///
/// # Errors
/// [`Error::File`].
pub fn make(paths: &Paths, record: &Record) -> Result<(), Error> {
    let mut directory = fs::DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(&paths.state);
    made.map_err(Error::file("make", &paths.state))?;
    write(&paths.hostname(), &names::hostname(&record.names.hostname))?;
    // Their contents follow when the networks have given their addresses.
    write(&paths.hosts(), "")?;
    write(&paths.resolv_conf(), "")
}

/// Writes what the networks gave into hosts and resolv.conf.
///
/// # Errors
/// [`Error::File`].
pub fn fill(paths: &Paths, record: &Record, results: &[CniResult]) -> Result<(), Error> {
    write(&paths.hosts(), &hosts(record, results))?;
    write(&paths.resolv_conf(), &resolv_conf(record, results))
}
