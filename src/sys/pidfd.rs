//! Pidfds: a process that cannot be mistaken for another.
//!
//! Invariant: signals go through the descriptor, never through a number that may be another's by
//! now.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ready::Ready;

/// A process, held by descriptor.
#[derive(Debug)]
pub struct PidFd(Ready);

/// linux/pidfd.h: the ioctl's argument, in its first version (64 bytes).
#[repr(C)]
#[derive(Default)]
pub struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

/// linux/pidfd.h: the exit code is asked for, or was given.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

nix::ioctl_readwrite! {
    /// linux/pidfd.h: PIDFD_GET_INFO.
    pidfd_get_info, 0xFF, 11, PidfdInfo
}

impl PidFd {
    /// Opens the process with this pid.
    ///
    /// # Errors
    /// The kernel's refusal; ESRCH if there is none.
    pub fn open(pid: u32) -> io::Result<PidFd> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, valid, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(PidFd(Ready::reader(fd)?))
    }

    /// Waits until the process has ended (it may not be reaped yet).
    ///
    /// # Errors
    /// The event loop's failure.
    pub async fn ended(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Whether the process has ended by now (it may not be reaped yet).
    pub fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// ESRCH if the process has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let fd = self.0.as_fd().as_raw_fd();
        let info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: the descriptor is valid; a null info means what kill(2) would send.
        let outcome = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, 0) };
        if outcome < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The exit status of a process that was reaped, where the kernel can tell (6.15 and later):
    /// the process's own, or 128 and the signal's number.
    pub fn exit_status(&self) -> Option<u32> {
        let mut info = PidfdInfo {
            mask: PIDFD_INFO_EXIT,
            ..PidfdInfo::default()
        };
        // SAFETY: the argument is a struct of the size that the request number carries.
        let outcome = unsafe { pidfd_get_info(self.0.as_fd().as_raw_fd(), &mut info) };
        if outcome.is_err() || info.mask & PIDFD_INFO_EXIT == 0 {
            return None;
        }
        let code = info.exit_code;
        let status = match libc::WIFSIGNALED(code) {
            true => 128 + libc::WTERMSIG(code),
            false => libc::WEXITSTATUS(code),
        };
        u32::try_from(status).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_process_can_be_signalled_and_its_end_seen() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pidfd = PidFd::open(child.id()).unwrap();
        assert_eq!(pidfd.exit_status(), None);
        assert!(!pidfd.has_ended());
        pidfd.signal(libc::SIGTERM).unwrap();
        pidfd.ended().await.unwrap();
        assert!(pidfd.has_ended());
        child.wait().unwrap();
        assert_eq!(
            pidfd.signal(libc::SIGTERM).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
        // Older kernels cannot tell; those that can must tell this.
        assert!(matches!(pidfd.exit_status(), None | Some(143)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn no_process_no_descriptor() {
        assert!(PidFd::open(u32::MAX).is_err());
    }
}
