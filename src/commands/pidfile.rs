//! `--pidfile` and `--replace`: what `run` does around a start.
//!
//! Invariant: a file holds the id of a process that runs; one that has ended already has none.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::container::ContainerArgs;
use super::context::Context;
use super::written;
use crate::engine::control;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the process id to {}", .path.display())]
pub struct PidFileError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for PidFileError {
    fn class(&self) -> Class {
        Class::Failed
    }

    fn hint(&self) -> Option<String> {
        written::hint(&self.path, &self.source)
    }
}

/// Looks whether the file can be written, before anything is made.
///
/// # Errors
/// It cannot.
pub fn check(args: &ContainerArgs) -> Result<(), PidFileError> {
    let Some(path) = &args.process.pidfile else {
        return Ok(());
    };
    written::check(path).map_err(|source| PidFileError {
        path: path.clone(),
        source,
    })
}

/// Writes the process's id where that is wanted.
///
/// # Errors
/// The file cannot be written, or containerd cannot be reached.
pub async fn write(
    context: &Context<'_>,
    args: &ContainerArgs,
    id: &ContainerId,
) -> Result<(), Failure> {
    let Some(path) = &args.process.pidfile else {
        return Ok(());
    };
    let client = context.host.client().await?;
    let Ok(task) = client.task(id.as_str()).await else {
        // It has ended, and nobody must take another process for it.
        return Ok(());
    };
    let written = fs::write(path, task.pid.to_string());
    Ok(written.map_err(|source| PidFileError {
        path: path.clone(),
        source,
    })?)
}

/// Removes the container that has the name now, where that is wanted.
///
/// # Errors
/// It cannot be removed.
pub async fn make_way(
    context: &Context<'_>,
    args: &ContainerArgs,
    id: &ContainerId,
) -> Result<(), Failure> {
    if !args.process.replace {
        return Ok(());
    }
    match control::remove(&context.host, id, true, None).await {
        Err(error) if error.class() != Class::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
