//! The output of a process: read from its FIFOs, kept in the log, copied to whoever is attached.
//!
//! Invariant: what is read leaves in the order in which it came, to the log first and last; a client
//! that is gone never holds anybody up; one that is slow holds the process, as a pipe would, but not
//! the teardown: what it has not taken by then is kept for it.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, tee};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::error::Error;
use super::fifos::Fifos;
use super::log::Stream;
use super::log_driver::LogWriter;
use crate::sys::ready::Ready;

/// The size asked for FIFOs and pipes, the most that the kernel gives everybody: fewer, larger steps
/// for those who write much.
pub const PIPE_SIZE: i32 = 1024 * 1024;

/// A process that writes much in small pieces gets this long to gather some.
const GATHER: Duration = Duration::from_millis(1);

/// What comes in pieces of this size is not waited for.
const ENOUGH: usize = 128 * 1024;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// The outputs of a running process, and who gets them.
#[derive(Debug)]
pub struct Outputs {
    shared: Rc<Shared>,
    pumps: RefCell<Vec<JoinHandle<()>>>,
    deliveries: RefCell<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    log: RefCell<Option<LogWriter>>,
    clients: RefCell<Vec<Rc<Client>>>,
    begun: watch::Sender<bool>,
    ending: watch::Sender<Ending>,
    /// Nothing more is read.
    closed: Cell<bool>,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// The process lives.
    Not,
    /// It is gone: no client is waited for any more.
    Begun,
    /// What is in the FIFOs now is the last.
    Last,
}

/// One end of a pipe whose other end a client reads.
#[derive(Debug)]
struct Client {
    stream: Stream,
    pipe: Ready,
    gone: Cell<bool>,
    /// What it has not taken when the process ended; as much as the pipes on the way hold, at most.
    backlog: RefCell<Vec<u8>>,
}

impl Outputs {
    /// Opens the FIFOs and begins to read them. Must be called before the shim may write.
    ///
    /// # Errors
    /// A FIFO cannot be opened.
    pub fn open(fifos: &Fifos, log: Option<LogWriter>) -> Result<Outputs, Error> {
        let outputs = Outputs::open_held(fifos, log)?;
        outputs.begin();
        Ok(outputs)
    }

    /// Opens the FIFOs; they are read from [`Outputs::begin`] on, or from the process's end.
    ///
    /// # Errors
    /// As [`Outputs::open`].
    pub fn open_held(fifos: &Fifos, log: Option<LogWriter>) -> Result<Outputs, Error> {
        let shared = Rc::new(Shared {
            log: RefCell::new(log),
            clients: RefCell::default(),
            begun: watch::Sender::new(false),
            ending: watch::Sender::new(Ending::Not),
            closed: Cell::new(false),
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
            deliveries: RefCell::default(),
        })
    }

    /// Begins to read.
    pub fn begin(&self) {
        self.shared.begun.send_replace(true);
    }

    /// Copies what comes from now on to a client's pipes: stdout, then stderr.
    ///
    /// # Errors
    /// The event loop refuses a descriptor.
    pub fn attach(&self, pipes: Vec<OwnedFd>) -> io::Result<()> {
        for (pipe, stream) in pipes.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
            if self.shared.closed.get() {
                // Its reader sees the end at once.
                continue;
            }
            // A smaller pipe than we would like is no reason to fail.
            let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
            let pipe = Ready::writer(pipe)?;
            let client = Client {
                stream,
                pipe,
                gone: Cell::new(false),
                backlog: RefCell::default(),
            };
            self.shared.clients.borrow_mut().push(Rc::new(client));
        }
        Ok(())
    }

    /// Reads to the end of the FIFOs, once the process is gone: no client holds it up any more. What
    /// has not come after `patience` will not: somebody else holds a FIFO open.
    pub async fn drain(&self, patience: Duration) {
        self.shared.ending.send_replace(Ending::Begun);
        let mut pumps = join_all(self.pumps.take());
        // What came is not lost, even where we had no time to read it before our patience was over.
        if timeout(patience, &mut pumps).await.is_err() {
            self.shared.ending.send_replace(Ending::Last);
            pumps.await;
        }
        self.shared.closed.set(true);
        for client in self.shared.clients.take() {
            self.deliver(client);
        }
    }

    /// Gives a client what it has not taken yet, then the end.
    fn deliver(&self, client: Rc<Client>) {
        if client.backlog.borrow().is_empty() {
            return;
        }
        let delivery = tokio::task::spawn_local(async move {
            let backlog = client.backlog.take();
            // A client that is gone wants nothing.
            let _ = client.write_all(&backlog).await;
        });
        self.deliveries.borrow_mut().push(delivery);
    }

    /// Waits until every client has taken its output, or is gone.
    pub async fn delivered(&self) {
        let deliveries = self.deliveries.take();
        for delivery in deliveries {
            // Nobody aborts it.
            let _ = delivery.await;
        }
    }
}

impl Client {
    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[self.write(bytes).await?..];
        }
        Ok(())
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let write = |fd: BorrowedFd<'_>| Ok(nix::unistd::write(fd, bytes)?);
        self.pipe.write(write).await
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
    let (mut begun, mut ending) = (shared.begun.subscribe(), shared.ending.subscribe());
    shared.unless_ending(begun.wait_for(|begun| *begun)).await;
    // Whoever holds the FIFO open may go on writing.
    let mut last = usize::try_from(PIPE_SIZE).unwrap_or(CHUNK);
    while last > 0 {
        let began = Instant::now();
        let step = tokio::select! {
            biased;
            step = shared.pass_on(stream, &fifo, &mut buffer) => step,
            _ = ending.wait_for(|ending| *ending == Ending::Last) => break,
        };
        // A FIFO that cannot be read any more ends as an empty one does.
        let Ok(count @ 1..) = step else {
            break;
        };
        if *shared.ending.borrow() == Ending::Last {
            last = last.saturating_sub(count);
        }
        // Four calls of ours, and as many of the client's, for each line of a flood of lines would
        // take the time that the process needs to write them.
        if count < ENOUGH && began.elapsed() < GATHER {
            shared.unless_ending(sleep(GATHER)).await;
        }
    }
    // A client sees the end of one stream while the other goes on; what is kept for it comes later.
    let ended = |client: &Rc<Client>| client.stream == stream && client.backlog.borrow().is_empty();
    shared.clients.borrow_mut().retain(|client| !ended(client));
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
        let duplicated = match clients.first() {
            Some(client) => self.duplicate(fifo, client).await,
            None => None,
        };
        let others = &clients[usize::from(duplicated.is_some())..];
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
    /// client is gone, or not waited for, or the FIFO has ended.
    async fn duplicate(&self, fifo: &Ready, client: &Rc<Client>) -> Option<usize> {
        let most = usize::try_from(PIPE_SIZE).unwrap_or(CHUNK);
        while client.backlog.borrow().is_empty() {
            match tee(fifo, &client.pipe, most, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // Either side may be the one that is not ready.
                    let room = wait_for(&client.pipe, PollFlags::POLLOUT);
                    self.unless_ending(room).await?.ok()?;
                    wait_for(fifo, PollFlags::POLLIN).await.ok()?;
                }
                Err(_) => {
                    self.drop_client(client);
                    return None;
                }
            }
        }
        None
    }

    async fn send(&self, client: &Rc<Client>, mut bytes: &[u8]) {
        while !bytes.is_empty() && !client.gone.get() {
            let up_to_date = client.backlog.borrow().is_empty();
            let written = match up_to_date {
                true => self.unless_ending(client.write(bytes)).await,
                false => None,
            };
            match written {
                Some(Ok(count)) => bytes = &bytes[count..],
                Some(Err(_)) => self.drop_client(client),
                None => return client.backlog.borrow_mut().extend_from_slice(bytes),
            }
        }
    }

    /// Waits for a client as long as the process lives; none if it is not ready and the process is
    /// gone.
    async fn unless_ending<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let mut ending = self.ending.subscribe();
        tokio::select! {
            biased;
            done = wait => Some(done),
            _ = ending.wait_for(|ending| *ending != Ending::Not) => None,
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::task::LocalSet;

    use super::*;

    /// A process wrote `bytes` and is gone; a child of it holds the FIFO open. What a client gets when
    /// there is no time left.
    fn drained_at_once(bytes: &[u8]) -> Vec<u8> {
        let dir = std::env::temp_dir().join(format!("netrun-drain-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let fifos = Fifos::new(dir.clone(), false, false);
        fifos.make().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let mut got = Vec::new();
        LocalSet::new().block_on(&runtime.unwrap(), async {
            let outputs = Outputs::open(&fifos, None).unwrap();
            let (mut reader, writer) = io::pipe().unwrap();
            outputs.attach(vec![writer.into()]).unwrap();
            let stdout = fifos.output(Stream::Stdout);
            let mut held = OpenOptions::new().write(true).open(stdout).unwrap();
            held.write_all(bytes).unwrap();
            outputs.drain(Duration::ZERO).await;
            drop(outputs);
            reader.read_to_end(&mut got).unwrap();
        });
        std::fs::remove_dir_all(&dir).unwrap();
        got
    }

    #[test]
    fn what_came_in_time_is_not_lost_for_want_of_time() {
        let bytes: Vec<u8> = (0..60_000_u32).flat_map(u32::to_le_bytes).collect();
        assert!(drained_at_once(&bytes) == bytes);
        assert!(drained_at_once(b"").is_empty());
    }
}
