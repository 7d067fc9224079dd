//! The FIFOs of a process on disk.
//!
//! Invariant: they are named by where they lie and by what the process has: a terminal has one output,
//! and only who asked for standard input has it.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::error::Error;
use super::log::Stream;
use crate::containerd::Stdio;

/// The FIFOs of one process on disk.
#[derive(Debug, Clone)]
pub struct Fifos {
    directory: PathBuf,
    terminal: bool,
    stdin: bool,
}

impl Fifos {
    /// Names the FIFOs of a process; makes nothing.
    pub fn new(directory: PathBuf, terminal: bool, stdin: bool) -> Fifos {
        Fifos {
            directory,
            terminal,
            stdin,
        }
    }

    /// Makes them. Those that are there are left.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn make(&self) -> Result<(), Error> {
        let failed = || Error::file("make", self.directory.clone());
        match std::fs::create_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed()(error));
            }
            _ => {}
        }
        for path in self.paths() {
            match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Error::file("make", path)(errno.into())),
            }
        }
        Ok(())
    }

    /// Standard input's FIFO, if the process has one.
    pub fn stdin(&self) -> Option<PathBuf> {
        self.stdin.then(|| self.directory.join("stdin"))
    }

    /// The paths as containerd wants them.
    pub fn stdio(&self) -> Stdio {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Stdio {
            stdin: self.stdin().map(text).unwrap_or_default(),
            stdout: text(self.output(Stream::Stdout)),
            stderr: match self.terminal {
                true => String::new(),
                false => text(self.output(Stream::Stderr)),
            },
            terminal: self.terminal,
        }
    }

    /// Where a stream of output comes from.
    pub fn output(&self, stream: Stream) -> PathBuf {
        self.directory.join(match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }

    /// The streams of output that there are.
    pub fn streams(&self) -> &'static [Stream] {
        if self.terminal {
            &[Stream::Stdout]
        } else {
            &[Stream::Stdout, Stream::Stderr]
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let outputs = self.streams().iter().map(|stream| self.output(*stream));
        outputs.chain(self.stdin()).collect()
    }

    /// Removes them with their directory; what is not there is done.
    pub fn remove(&self) {
        // The run directory is removed as a whole later; this only makes it early.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
