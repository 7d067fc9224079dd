//! The process of a supervisor: it takes leave of whoever started it.
//!
//! Invariant: after [`main`] has begun, no descriptor, session or directory of the caller is held.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::unistd::{close, dup, dup2_stdin, setsid};
use tokio::task::LocalSet;

use super::host::Host;
use super::protocol::MAX_LINE;
use super::supervise::supervise;
use crate::sys::channel::Channel;

/// The first word of a supervisor's command line.
pub const VERB: &str = "supervise";

/// Runs a supervisor whose control socket is standard input.
///
/// # Errors
/// Standard input is no socket, or the event loop cannot be made.
pub fn main(host: Host) -> io::Result<()> {
    // Refused only to a group leader, which is in a session of its own making then.
    let _ = setsid();
    // We were started as /proc/self/exe: `ps` and `top` would call us "exe".
    let _ = nix::sys::prctl::set_name(c"netrun");
    close_inherited();
    let control: OwnedFd = dup(io::stdin())?;
    dup2_stdin(File::open("/dev/null")?)?;
    nix::fcntl::fcntl(
        &control,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let control = Channel::new(UnixStream::from(control), MAX_LINE)?;
        supervise(control, host).await;
        Ok(())
    })
}

/// Closes what the caller's caller left open: a CI step must not wait for us.
fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The directory's own descriptor is closed already.
        let _ = close(number);
    }
}
