//! Copying all of one descriptor to another, in a thread that may wait.
//!
//! Invariant: bytes arrive in order, and none is taken that the other side did not get, unless it
//! failed; what is a pipe on either side is not copied through memory, unless the other is a file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd;

/// The most that is asked of the kernel in one go, in bytes.
const STEP: usize = 1024 * 1024;

/// The size of the buffer where neither side is a pipe that can be spliced, in bytes.
const BUFFER: usize = 128 * 1024;

/// Copies until `from` ends.
///
/// # Errors
/// Either side's; reading a pipe does not fail, so where `from` is one it is the other's.
pub fn copy_all(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    if has_position(to)? {
        return copy_through_memory(from, to);
    }
    loop {
        match splice(from, None, to, None, STEP, SpliceFFlags::SPLICE_F_MOVE) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_for_both(from, to)?,
            // A terminal, a file opened for appending: not everything can be spliced.
            Err(Errno::EINVAL | Errno::ENOSYS) => return copy_through_memory(from, to),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether it is a file that is written at a position, which others that have it open may share. Each
/// splice sets that back to what it was when it began to wait, if nothing came: of `> file 2>&1` what the
/// other stream had written meanwhile would be overwritten.
fn has_position(to: BorrowedFd<'_>) -> io::Result<bool> {
    let kind = SFlag::from_bits_truncate(fstat(to)?.st_mode) & SFlag::S_IFMT;
    Ok(kind == SFlag::S_IFREG || kind == SFlag::S_IFBLK)
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
    fn a_file_that_two_streams_share_gets_what_both_say() {
        let path = std::env::temp_dir().join(format!("netrun-copy-shared-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let (from, mut writer) = io::pipe().unwrap();
        let (silent, end) = io::pipe().unwrap();
        let copies: Vec<_> = [from, silent]
            .into_iter()
            .map(|from| {
                let file = file.try_clone().unwrap();
                std::thread::spawn(move || copy_all(from, file))
            })
            .collect();
        // The silent one waits by now.
        std::thread::sleep(std::time::Duration::from_millis(100));
        writer.write_all(b"said\n").unwrap();
        drop(writer);
        while std::fs::read(&path).unwrap() != b"said\n" {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        drop(end);
        for copy in copies {
            copy.join().unwrap().unwrap();
        }
        file.write_all(b"afterwards\n").unwrap();
        let got = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(got, "said\nafterwards\n");
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
