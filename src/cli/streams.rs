//! The threads that copy between our standard streams and a container's.
//!
//! Invariant: what is read is written; each thread tells how its stream ended, and holds nothing of
//! the container's by then.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{self, JoinHandle};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::sync::mpsc::UnboundedSender;

use super::detach::DetachKeys;
use crate::engine::session::Pipes;
use crate::model::detach_keys::DetachSequence;
use crate::sys::copy;

/// What the threads that copy have to say.
#[derive(Debug)]
pub enum News {
    /// All of a stream has been written.
    Written,
    /// A stream cannot be written any more.
    Unwritable(&'static str, io::Error),
    /// Our standard input has ended.
    StdinEnded,
    /// The detach keys were typed.
    Detach,
}

/// A thread that writes a stream.
pub type Writing = JoinHandle<()>;

/// Starts the threads that write output, or throw away what is not wanted, each after the one that
/// wrote its stream `before`.
///
/// # Errors
/// No thread can be started.
pub fn write_outputs(
    pipes: Pipes,
    (stdout_wanted, stderr_wanted): (bool, bool),
    sender: &UnboundedSender<News>,
    before: Vec<Writing>,
) -> io::Result<Vec<Writing>> {
    let mut before = before.into_iter();
    let stdout = move || match stdout_wanted {
        true => copy::copy_all(pipes.stdout, io::stdout()),
        false => io::copy(&mut File::from(pipes.stdout), &mut io::sink()).map(drop),
    };
    let mut writing = vec![copier("stdout", stdout, sender.clone(), before.next())?];
    if let Some(pipe) = pipes.stderr {
        let stderr = move || match stderr_wanted {
            true => copy::copy_all(pipe, io::stderr()),
            false => io::copy(&mut File::from(pipe), &mut io::sink()).map(drop),
        };
        writing.push(copier("stderr", stderr, sender.clone(), before.next())?);
    }
    Ok(writing)
}

fn copier(
    stream: &'static str,
    copy: impl FnOnce() -> io::Result<()> + Send + 'static,
    sender: UnboundedSender<News>,
    before: Option<Writing>,
) -> io::Result<Writing> {
    let work = move || {
        // How that one ended it has said itself.
        before.map(Writing::join);
        let news = match copy() {
            Ok(()) => News::Written,
            Err(error) => News::Unwritable(stream, error),
        };
        // Nobody listens any more once the session is over.
        sender.send(news).ok();
    };
    thread::Builder::new().name(stream.to_owned()).spawn(work)
}

/// Starts the thread that copies our standard input to the FIFO at `path`; `keys` that it comes from
/// a terminal, and which ones leave the container running.
///
/// # Errors
/// The FIFO cannot be opened, or no thread can be started.
pub fn read_input(
    path: &Path,
    keys: Option<&DetachSequence>,
    sender: &UnboundedSender<News>,
) -> io::Result<()> {
    let fifo = match open_fifo(path) {
        Ok(fifo) => fifo,
        // The process has ended in the meantime; its status is on its way.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (sender, keys) = (sender.clone(), keys.cloned());
    let work = move || {
        let detached = match keys {
            Some(keys) => copy_keys(&fifo, keys),
            // A side that fails has ended.
            None => copy::copy_all(io::stdin(), &fifo).map(|()| false),
        };
        let news = match detached {
            Ok(true) => News::Detach,
            Ok(false) | Err(_) => News::StdinEnded,
        };
        // The FIFO is closed first: containerd must be the last to hold it.
        drop(fifo);
        sender.send(news).ok();
    };
    let spawned = thread::Builder::new().name("stdin".to_owned()).spawn(work);
    spawned.map(drop)
}

/// Opens a FIFO for writing without waiting for a reader; writing to it waits for room.
fn open_fifo(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_NONBLOCK.bits();
    let fifo = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    fcntl(&fifo, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(fifo.into())
}

/// Copies what is typed; true if it was the detach keys that ended it.
fn copy_keys(fifo: &OwnedFd, sequence: DetachSequence) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut keys = DetachKeys::new(sequence);
    let mut typed = [0; 4096];
    let mut passed_on = Vec::new();
    loop {
        let count = copy::read(stdin.as_fd(), &mut typed)?;
        if count == 0 {
            return Ok(false);
        }
        let detached = keys.take(&typed[..count], &mut passed_on);
        copy::write_all(fifo.as_fd(), &passed_on)?;
        passed_on.clear();
        if detached {
            return Ok(true);
        }
    }
}
