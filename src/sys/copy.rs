//! Copying all of one descriptor to another, in a thread that may wait.
//!
//! Invariant: bytes arrive in order, and none is taken that the other side did not get, unless it
//! failed; between two pipes nothing is copied through memory. A file's position may be shared with
//! others, who write to it meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd;

/// The most that is asked of the kernel in one go, in bytes.
const STEP: usize = 1024 * 1024;

/// The size of the buffer where one side is no pipe, in bytes.
const BUFFER: usize = 128 * 1024;

/// Copies until `from` ends.
///
/// # Errors
/// Either side's; reading a pipe does not fail, so where `from` is one it is the other's.
pub fn copy_all(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    if !(is_pipe(from) && is_pipe(to)) {
        return copy_through_memory(from, to);
    }
    loop {
        match splice(from, None, to, None, STEP, SpliceFFlags::SPLICE_F_MOVE) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_for_both(from, to)?,
            Err(Errno::ENOSYS) => return copy_through_memory(from, to),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether it may be spliced. All else may not, though the kernel would:
///
/// - While a splice waits for a terminal or a socket it keeps the pipe on the other side locked.
///   Whoever writes to that, reads or closes it then waits too, and cannot even be killed.
/// - A file's position is shared by all who have inherited it (`>log 2>&1`). A splice notes it, waits
///   for the pipe, and sets it to where the splice has ended: whatever others wrote in between is
///   written over by whoever comes next. A plain write takes and moves it at once.
fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    let kind = |mode| SFlag::from_bits_truncate(mode) & SFlag::S_IFMT;
    fstat(fd).is_ok_and(|stat| kind(stat.st_mode) == SFlag::S_IFIFO)
}

fn copy_through_memory(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match read(from, &mut buffer)? {
            0 => return Ok(()),
            count => write_all(to, &buffer[..count])?,
        }
    }
}

/// Reads what there is, waiting until there is something; 0 at the end.
///
/// # Errors
/// The descriptor cannot be read.
pub fn read(from: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match unistd::read(from, buffer) {
            Ok(count) => return Ok(count),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait(from, PollFlags::POLLIN)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Writes everything, waiting until there is room.
///
/// # Errors
/// The descriptor cannot be written.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match unistd::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait(to, PollFlags::POLLOUT)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// One of the two was made non-blocking by somebody who shares it with us; the kernel does not say
/// which.
fn wait_for_both(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    wait(from, PollFlags::POLLIN)?;
    wait(to, PollFlags::POLLOUT)
}

fn wait(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(fd, flags)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    /// What `yes` would not show: a loss or a swap.
    fn pattern() -> Vec<u8> {
        (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    fn feed(mut to: impl Write + Send + 'static, bytes: Vec<u8>) {
        std::thread::spawn(move || to.write_all(&bytes));
    }

    /// Copies the pattern from `from`'s reader to `to`'s writer and compares what comes out.
    fn check(from: OwnedFd, to: OwnedFd, mut end: impl Read) {
        let copy = std::thread::spawn(move || copy_all(from, to));
        let mut got = Vec::new();
        end.read_to_end(&mut got).unwrap();
        copy.join().unwrap().unwrap();
        assert!(got == pattern());
    }

    #[test]
    fn pipes_sockets_and_files_are_copied_whole() {
        let (from, writer) = io::pipe().unwrap();
        let (reader, to) = io::pipe().unwrap();
        feed(writer, pattern());
        check(from.into(), to.into(), reader);
        let (from, writer) = UnixStream::pair().unwrap();
        let (reader, to) = UnixStream::pair().unwrap();
        feed(writer, pattern());
        check(from.into(), to.into(), reader);
    }

    /// A pipe that waits for a socket or a terminal is as free as any other.
    #[test]
    fn waiting_for_a_socket_locks_no_pipe() {
        let (from, mut talker) = UnixStream::pair().unwrap();
        let (mut reader, to) = io::pipe().unwrap();
        let other = to.try_clone().unwrap();
        let copy = std::thread::spawn(move || copy_all(from, to));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let (done, closed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(other);
            done.send(()).unwrap();
        });
        let patience = std::time::Duration::from_secs(10);
        closed.recv_timeout(patience).expect("it can be closed");
        talker.write_all(b"now").unwrap();
        let mut got = [0; 3];
        reader.read_exact(&mut got).unwrap();
        drop(talker);
        copy.join().unwrap().unwrap();
        assert_eq!(&got, b"now");
    }

    #[test]
    fn a_file_opened_for_appending_gets_everything() {
        let path = std::env::temp_dir().join(format!("netrun-copy-{}", std::process::id()));
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        let (from, writer) = io::pipe().unwrap();
        feed(writer, pattern());
        copy_all(from, file).unwrap();
        let got = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(got == pattern());
    }

    #[test]
    fn two_streams_in_one_file_do_not_write_over_each_other() {
        let path = std::env::temp_dir().join(format!("netrun-copy-both-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let (quiet, silence) = io::pipe().unwrap();
        let (from, mut writer) = io::pipe().unwrap();
        let shares = |file: &File| file.try_clone().unwrap();
        let copies = [(quiet, shares(&file)), (from, shares(&file))];
        let copies = copies.map(|(from, to)| std::thread::spawn(move || copy_all(from, to)));
        std::thread::sleep(std::time::Duration::from_millis(100));
        writer.write_all(b"one\n").unwrap();
        drop(writer);
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(silence);
        for copy in copies {
            copy.join().unwrap().unwrap();
        }
        file.write_all(b"two\n").unwrap();
        let got = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(got, "one\ntwo\n");
    }

    #[test]
    fn descriptors_that_do_not_block_are_waited_for() {
        let (from, writer) = io::pipe().unwrap();
        let (reader, to) = io::pipe().unwrap();
        for fd in [from.as_fd(), to.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        }
        feed(writer, pattern());
        check(from.into(), to.into(), reader);
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (from, writer) = io::pipe().unwrap();
        let (reader, to) = io::pipe().unwrap();
        drop(reader);
        feed(writer, pattern());
        let error = copy_all(from, to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (from, writer) = io::pipe().unwrap();
        feed(writer, pattern());
        let error = copy_all(from, full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
