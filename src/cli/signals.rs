//! The signals that netrun passes on to a container's process.
//!
//! Invariant: what the kernel or the shell means for netrun itself is not passed on.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::libc::{SIGHUP as HUP, SIGINT as INT, SIGQUIT as QUIT, SIGTERM as TERM};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// What is about netrun itself: its children, its pipes and sockets, its own faults (a handler would
/// return to the faulty instruction), and the shell's job control of a background process. SIGKILL
/// and SIGSTOP cannot be caught, 32 and 33 are the C library's.
const NOT_PASSED_ON: [i32; 14] = [
    nix::libc::SIGCHLD,
    nix::libc::SIGPIPE,
    nix::libc::SIGURG,
    nix::libc::SIGILL,
    nix::libc::SIGFPE,
    nix::libc::SIGSEGV,
    nix::libc::SIGBUS,
    nix::libc::SIGTRAP,
    nix::libc::SIGTTIN,
    nix::libc::SIGTTOU,
    nix::libc::SIGKILL,
    nix::libc::SIGSTOP,
    32,
    33,
];

/// The signals that come in from now on, instead of doing what they do by default.
#[derive(Debug)]
pub struct Signals(Vec<(i32, Listener)>);

impl Signals {
    /// Begins to catch them; SIGWINCH too, which is not passed on but means a new size.
    ///
    /// # Errors
    /// The event loop cannot watch signals.
    pub fn catch() -> io::Result<Signals> {
        let caught = (1..=64).filter(|number| !NOT_PASSED_ON.contains(number));
        let listeners = caught.map(|number| Ok((number, signal(SignalKind::from_raw(number))?)));
        listeners.collect::<io::Result<_>>().map(Signals)
    }

    /// Waits for one that means that we shall not go on; the others wait for [`Signals::next`].
    pub async fn interrupt(&mut self) -> u8 {
        let called_off = |number: i32| [HUP, INT, QUIT, TERM].contains(&number);
        let number = self.first(called_off).await;
        u8::try_from(number).unwrap_or(u8::MAX)
    }

    /// Waits for the next one. Losing this future loses no signal.
    pub async fn next(&mut self) -> i32 {
        self.first(|_| true).await
    }

    async fn first(&mut self, wanted: impl Fn(i32) -> bool) -> i32 {
        poll_fn(|context| {
            for (number, listener) in &mut self.0 {
                if wanted(*number) && listener.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Tests that raise signals do so one at a time: all listeners of a process hear all of them.
#[cfg(test)]
pub static RAISING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_users_and_programs_send_is_caught() {
        let _alone = RAISING.lock().await;
        let mut signals = Signals::catch().unwrap();
        for number in [
            nix::sys::signal::Signal::SIGUSR1,
            nix::sys::signal::Signal::SIGHUP,
            nix::sys::signal::Signal::SIGTERM,
            nix::sys::signal::Signal::SIGWINCH,
        ] {
            raise(number).unwrap();
            assert_eq!(signals.next().await, number as i32);
        }
    }
}
