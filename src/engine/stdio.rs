//! The output of a process: read from its FIFOs, kept in the log, copied to whoever is attached.
//!
//! Invariant: what is read leaves in the order in which it came, to the log first and last; a client
//! that is gone never holds anybody up, one that is slow holds the process, as a pipe would.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, tee};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::task::JoinHandle;

use super::error::Error;
use super::log::Stream;
use super::log_driver::LogWriter;
use crate::containerd::Stdio;
use crate::sys::ready::Ready;

/// The size asked for FIFOs and pipes: fewer, larger steps for those who write much.
pub const PIPE_SIZE: i32 = 256 * 1024;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

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

    fn output(&self, stream: Stream) -> PathBuf {
        self.directory.join(match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }

    fn streams(&self) -> &'static [Stream] {
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

/// The outputs of a running process, and who gets them.
#[derive(Debug)]
pub struct Outputs {
    shared: Rc<Shared>,
    pumps: RefCell<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    log: RefCell<Option<LogWriter>>,
    clients: RefCell<Vec<Rc<Client>>>,
}

/// One end of a pipe whose other end a client reads.
#[derive(Debug)]
struct Client {
    stream: Stream,
    pipe: Ready,
    gone: Cell<bool>,
}

impl Outputs {
    /// Opens the FIFOs and begins to read them. Must be called before the shim may write.
    ///
    /// # Errors
    /// A FIFO cannot be opened.
    pub fn open(fifos: &Fifos, log: Option<LogWriter>) -> Result<Outputs, Error> {
        let shared = Rc::new(Shared {
            log: RefCell::new(log),
            clients: RefCell::default(),
        });
        let mut pumps = Vec::new();
        for stream in fifos.streams() {
            let path = fifos.output(*stream);
            let fifo = open_fifo(&path).map_err(Error::file("open", path))?;
            pumps.push(tokio::task::spawn_local(pump(
                *stream,
                fifo,
                shared.clone(),
            )));
        }
        Ok(Outputs {
            shared,
            pumps: RefCell::new(pumps),
        })
    }

    /// Copies what comes from now on to a client's pipes: stdout, then stderr.
    ///
    /// # Errors
    /// The event loop refuses a descriptor.
    pub fn attach(&self, pipes: Vec<OwnedFd>) -> io::Result<()> {
        for (pipe, stream) in pipes.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
            // A smaller pipe than we would like is no reason to fail.
            let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
            let pipe = Ready::writer(pipe)?;
            let client = Client {
                stream,
                pipe,
                gone: Cell::new(false),
            };
            self.shared.clients.borrow_mut().push(Rc::new(client));
        }
        Ok(())
    }

    /// Waits until all FIFOs have been read to their end; clients see the end then.
    pub async fn drained(&self) {
        let pumps = std::mem::take(&mut *self.pumps.borrow_mut());
        for pump in pumps {
            // A pump that was aborted has nothing more to say.
            let _ = pump.await;
        }
        self.shared.clients.borrow_mut().clear();
    }

    /// Stops reading, for good.
    pub fn abandon(&self) {
        self.pumps.borrow().iter().for_each(JoinHandle::abort);
        self.shared.clients.borrow_mut().clear();
    }
}

/// The shim opens its ends later; a reader without writers must not wait for them.
fn open_fifo(path: &Path) -> io::Result<Ready> {
    let nonblock = OFlag::O_NONBLOCK.bits();
    let fifo = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    let _ = fcntl(&fifo, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
    Ready::reader(fifo.into())
}

async fn pump(stream: Stream, fifo: Ready, shared: Rc<Shared>) {
    let mut buffer = Vec::new();
    // A FIFO that cannot be read any more ends as an empty one does.
    while let Ok(count) = shared.pass_on(stream, &fifo, &mut buffer).await {
        if count == 0 {
            break;
        }
    }
    shared
        .clients
        .borrow_mut()
        .retain(|client| client.stream != stream);
}

impl Shared {
    /// Takes one step: what there is goes to the first client without being copied, then through
    /// memory to the log and the other clients. Returns 0 at the end of the FIFO.
    async fn pass_on(
        &self,
        stream: Stream,
        fifo: &Ready,
        buffer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        wait_for(fifo, PollFlags::POLLIN).await?;
        let clients: Vec<_> = self
            .clients
            .borrow()
            .iter()
            .filter(|client| client.stream == stream)
            .cloned()
            .collect();
        let (first, others) = match clients.split_first() {
            Some((first, others)) => (Some(first), others),
            None => (None, [].as_slice()),
        };
        let duplicated = match first {
            Some(client) => self.duplicate(fifo, client).await,
            None => None,
        };
        let mut left = duplicated.unwrap_or(CHUNK);
        let mut total = 0;
        while left > 0 {
            let count = read_some(fifo, buffer, left.min(CHUNK)).await?;
            if count == 0 {
                break;
            }
            self.keep(stream, &buffer[..count]);
            for client in others {
                self.send(client, &buffer[..count]).await;
            }
            total += count;
            left = if duplicated.is_some() {
                left - count
            } else {
                0
            };
        }
        Ok(total)
    }

    /// Duplicates what is in the FIFO into the client's pipe and says how much; nothing if the
    /// client is gone or the FIFO has ended.
    async fn duplicate(&self, fifo: &Ready, client: &Rc<Client>) -> Option<usize> {
        let most = usize::try_from(PIPE_SIZE).unwrap_or(CHUNK);
        loop {
            match tee(fifo, &client.pipe, most, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // Either side may be the one that is not ready.
                    if wait_for(&client.pipe, PollFlags::POLLOUT).await.is_err()
                        || wait_for(fifo, PollFlags::POLLIN).await.is_err()
                    {
                        return None;
                    }
                }
                Err(_) => {
                    self.drop_client(client);
                    return None;
                }
            }
        }
    }

    async fn send(&self, client: &Rc<Client>, mut bytes: &[u8]) {
        while !bytes.is_empty() && !client.gone.get() {
            let write = |fd: BorrowedFd<'_>| Ok(nix::unistd::write(fd, bytes)?);
            match client.pipe.write(write).await {
                Ok(count) => bytes = &bytes[count..],
                Err(_) => self.drop_client(client),
            }
        }
    }

    fn drop_client(&self, client: &Rc<Client>) {
        client.gone.set(true);
        self.clients
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, client));
    }

    /// A log that cannot be written ends there: the process must not suffer for a full disk.
    fn keep(&self, stream: Stream, bytes: &[u8]) {
        let mut log = self.log.borrow_mut();
        if log
            .as_mut()
            .is_some_and(|writer| writer.write(stream, bytes).is_err())
        {
            *log = None;
        }
    }
}

async fn read_some(fifo: &Ready, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    buffer.resize(CHUNK, 0);
    fifo.read(|fd| Ok(nix::unistd::read(fd, &mut buffer[..most])?))
        .await
}

/// Waits until the descriptor itself says that it is ready, ended or broken.
async fn wait_for(ready: &Ready, flags: PollFlags) -> io::Result<()> {
    let check = |fd: BorrowedFd<'_>| -> io::Result<()> {
        let mut polled = [PollFd::new(fd, flags)];
        match poll(&mut polled, PollTimeout::ZERO)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    };
    match check(ready.as_fd()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        outcome => return outcome,
    }
    match flags.contains(PollFlags::POLLOUT) {
        true => ready.write(check).await,
        false => ready.read(check).await,
    }
}
