//! Descriptors in the event loop: pipes, FIFOs, pidfds, terminals, inotify.
//!
//! Invariant: what is registered is owned, so its number means the same file until it is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An owned, non-blocking descriptor whose readiness the event loop watches.
#[derive(Debug)]
pub struct Ready(AsyncFd<OwnedFd>);

impl Ready {
    /// Takes over a descriptor to read from.
    ///
    /// # Errors
    /// The event loop refuses it (a regular file is always ready and cannot be watched).
    pub fn reader(fd: OwnedFd) -> io::Result<Ready> {
        Ready::register(fd, Interest::READABLE)
    }

    /// Takes over a descriptor to write to.
    ///
    /// # Errors
    /// As [`Ready::reader`].
    pub fn writer(fd: OwnedFd) -> io::Result<Ready> {
        Ready::register(fd, Interest::WRITABLE)
    }

    fn register(fd: OwnedFd, interest: Interest) -> io::Result<Ready> {
        set_nonblocking(&fd)?;
        // SAFETY: an OwnedFd yields the same open descriptor for as long as it lives.
        Ok(Ready(unsafe {
            AsyncFd::register_with_interest(fd, interest)
        }?))
    }

    /// Does `work` as soon as it does not answer that it would block.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn read<T>(
        &self,
        work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.until_done(Interest::READABLE, work).await
    }

    /// As [`Ready::read`], for writing.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn write<T>(
        &self,
        work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.until_done(Interest::WRITABLE, work).await
    }

    async fn until_done<T>(
        &self,
        interest: Interest,
        mut work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let mut guard = self.0.ready(interest).await?;
            match guard.try_io(|fd| work(fd.get_ref().as_fd())) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(outcome) => return outcome,
                Err(_would_block) => {}
            }
        }
    }

    /// Waits until there is something to read, or the other end is gone.
    ///
    /// # Errors
    /// The event loop's failure.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}

impl AsFd for Ready {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}
