//! Unix sockets that carry one JSON object a line, and descriptors beside them.
//!
//! Invariant: a received descriptor is owned from the moment it is known, and closed on exec.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::take;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, recvmsg, sendmsg, shutdown,
};
use nix::sys::stat::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// How many descriptors may come with one message.
const MAX_DESCRIPTORS: usize = 4;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// One end of a connection.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    line_limit: usize,
    received: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    reset: bool,
}

impl Channel {
    /// Speaks over a connected socket; a line longer than `line_limit` bytes ends it.
    ///
    /// # Errors
    /// The event loop refuses the socket.
    pub fn new(stream: StdStream, line_limit: usize) -> io::Result<Channel> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        Ok(Channel {
            stream,
            line_limit,
            received: Vec::new(),
            descriptors: Vec::new(),
            reset: false,
        })
    }

    /// Connects to the socket `name` in `directory`.
    ///
    /// # Errors
    /// There is none, or nobody listens.
    pub fn connect(directory: &Path, name: &str, line_limit: usize) -> io::Result<Channel> {
        let (_held, path) = short_path(directory, name)?;
        Channel::new(StdStream::connect(path)?, line_limit)
    }

    /// The pid of the process that connected.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn peer_pid(&self) -> io::Result<Option<u32>> {
        let pid = self.stream.peer_cred()?.pid();
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()))
    }

    /// Sends a message, with descriptors.
    ///
    /// # Errors
    /// The other end is gone; `FileTooLarge`: it would not take so long a line.
    pub async fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
        line.push(b'\n');
        if line.len() > self.line_limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let mut sent = 0;
        while sent < line.len() {
            let rights = [ControlMessage::ScmRights(&numbers)];
            // The descriptors travel with the first byte.
            let control = if sent == 0 && !numbers.is_empty() {
                &rights[..]
            } else {
                &[]
            };
            let work = || {
                let (fd, rest) = (self.stream.as_raw_fd(), [IoSlice::new(&line[sent..])]);
                Ok(sendmsg::<()>(
                    fd,
                    &rest,
                    control,
                    MsgFlags::MSG_NOSIGNAL,
                    None,
                )?)
            };
            self.stream.writable().await?;
            match self.stream.try_io(Interest::WRITABLE, work) {
                Ok(count) => sent += count,
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more is sent; what comes from the other end is still received.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn finish(&self) -> io::Result<()> {
        Ok(shutdown(self.stream.as_raw_fd(), Shutdown::Write)?)
    }

    /// Receives a message with its descriptors; none when the other end has closed.
    ///
    /// Losing this future loses nothing: the next call goes on.
    ///
    /// # Errors
    /// The other end broke off in the middle, or sent what is no message.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let message = serde_json::from_slice(&line).map_err(io::Error::other)?;
                return Ok(Some((message, take(&mut self.descriptors))));
            }
            if self.received.len() > self.line_limit {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a message is too long",
                ));
            }
            match self.fill().await {
                Ok(0) if self.received.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    self.reset = true;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the other side ended without having read all that we sent (unix(7): ECONNRESET).
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    async fn fill(&mut self) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            // Made only now: most of a connection's life is waiting.
            let mut chunk = vec![0; CHUNK];
            let fd = self.stream.as_raw_fd();
            match self
                .stream
                .try_io(Interest::READABLE, || receive_from(fd, &mut chunk))
            {
                Ok((count, descriptors)) => {
                    self.received.extend_from_slice(&chunk[..count]);
                    self.descriptors.extend(descriptors);
                    return Ok(count);
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn receive_from(socket: i32, chunk: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([i32; MAX_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(chunk)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut slices, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = item {
            // SAFETY: the kernel has just made these descriptors for us; nobody else knows them.
            descriptors.extend(
                numbers
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok((message.bytes, descriptors))
}

/// Listens on the socket `name` in `directory`.
///
/// # Errors
/// There is one already, or the directory cannot be written.
pub fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let (_held, path) = short_path(directory, name)?;
    let listener = StdListener::bind(path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Takes a connection from a listener.
///
/// # Errors
/// The event loop's failure.
pub async fn accept(listener: &UnixListener, line_limit: usize) -> io::Result<Channel> {
    let (stream, _) = listener.accept().await?;
    Channel::new(stream.into_std()?, line_limit)
}

/// A socket's path may have 107 bytes; through a descriptor of its directory it is short enough
/// however long names are.
fn short_path(directory: &Path, name: &str) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let held = open(directory, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", held.as_raw_fd()));
    Ok((held, path))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (Channel, Channel) {
        let (a, b) = StdStream::pair().unwrap();
        (
            Channel::new(a, 1 << 20).unwrap(),
            Channel::new(b, 1 << 20).unwrap(),
        )
    }

    #[tokio::test(flavor = "current_thread")]
    async fn messages_and_descriptors_arrive_together() {
        let (here, mut there) = pair();
        let (mut read, write) = io::pipe().unwrap();
        here.send(&"first", &[write.as_fd()]).await.unwrap();
        here.send(&"second", &[]).await.unwrap();
        drop(write);
        let (text, descriptors) = there.receive::<String>().await.unwrap().unwrap();
        assert_eq!(text, "first");
        let [fd] = <[OwnedFd; 1]>::try_from(descriptors).unwrap();
        std::fs::File::from(fd).write_all(b"through").unwrap();
        let mut got = String::new();
        read.read_to_string(&mut got).unwrap();
        assert_eq!(got, "through");
        assert_eq!(
            there.receive::<String>().await.unwrap().unwrap().0,
            "second"
        );
        drop(here);
        assert!(there.receive::<String>().await.unwrap().is_none());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_message_larger_than_any_buffer_arrives_whole() {
        let (here, mut there) = pair();
        let text = "x".repeat(900_000);
        let (sent, got) = futures_util::join!(here.send(&text, &[]), there.receive::<String>());
        sent.unwrap();
        assert_eq!(got.unwrap().unwrap().0, text);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_endless_line_is_refused_at_both_ends() {
        let (mut here, mut there) = pair();
        let text = "x".repeat(2 << 20);
        let refused = here.send(&text, &[]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        // A peer with another idea of what is too long.
        here.line_limit = 4 << 20;
        let receive = async {
            let outcome = there.receive::<String>().await;
            drop(there);
            outcome
        };
        let (_, got) = futures_util::join!(here.send(&text, &[]), receive);
        assert!(got.is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_never_read_is_told_from_what_has_no_answer() {
        let top = std::env::temp_dir().join(format!("netrun-unread-{}", std::process::id()));
        std::fs::create_dir_all(&top).unwrap();
        let listener = listen(&top, "socket").unwrap();
        let (mut read, mut taken, mut waiting) = {
            let client = || Channel::connect(&top, "socket", 1000).unwrap();
            (client(), client(), client())
        };
        for client in [&read, &taken, &waiting] {
            client.send(&1, &[]).await.unwrap();
        }
        let mut server = accept(&listener, 1000).await.unwrap();
        server.receive::<i32>().await.unwrap();
        drop((server, accept(&listener, 1000).await.unwrap()));
        drop(listener);
        std::fs::remove_dir_all(top).unwrap();
        for (client, unread) in [(&mut read, false), (&mut taken, true), (&mut waiting, true)] {
            assert!(client.receive::<i32>().await.unwrap().is_none());
            assert_eq!(client.was_reset(), unread);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_socket_may_lie_deeper_than_its_path_may_be_long() {
        let top = std::env::temp_dir().join(format!("netrun-channel-{}", std::process::id()));
        let deep = top.join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = listen(&deep, "socket").unwrap();
        let client = Channel::connect(&deep, "socket", 1000).unwrap();
        client.send(&1, &[]).await.unwrap();
        let mut server = accept(&listener, 1000).await.unwrap();
        assert_eq!(server.receive::<i32>().await.unwrap().unwrap().0, 1);
        assert_eq!(server.peer_pid().unwrap(), Some(std::process::id()));
        std::fs::remove_dir_all(top).unwrap();
    }
}
