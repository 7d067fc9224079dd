//! The terminal that netrun was called from: its size, and its raw mode.
//!
//! Invariant: a terminal that was made raw is as it was before when the guard is dropped, and when
//! the program panics; nothing else here changes it.

use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// How the terminal was before it was made raw; a panic needs it, wherever it happens.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal on standard input in raw mode: keys come one by one, and none is a signal.
#[derive(Debug)]
pub struct RawMode(());

impl RawMode {
    /// Makes the terminal on standard input raw until this value is dropped.
    ///
    /// # Errors
    /// Standard input is no terminal, or it is gone.
    pub fn enter() -> io::Result<RawMode> {
        static HOOK: Once = Once::new();
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        // Remembered first, so that there is no moment at which nobody could restore it.
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |what| {
                restore();
                previous(what);
            }));
        });
        match tcsetattr(io::stdin(), SetArg::TCSANOW, &raw) {
            Ok(()) => Ok(RawMode(())),
            Err(errno) => {
                restore();
                Err(errno.into())
            }
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs no mode. What was typed ahead is kept for whoever reads next,
        // and one whose output is held (ctrl-s) is not waited for.
        tcsetattr(io::stdin(), SetArg::TCSANOW, &before).ok();
    }
}

/// Columns and rows of the terminal that netrun was called from; nothing without one.
pub fn own_size() -> Option<(u16, u16)> {
    size(io::stdout()).or_else(|| size(io::stdin()))
}

/// Columns and rows of a terminal; nothing if it is none.
pub fn size(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = terminal_size::terminal_size_of(terminal);
    size.map(|(width, height)| (width.0, height.0))
}

#[cfg(test)]
mod tests {
    use std::io::IsTerminal;

    use nix::fcntl::{OFlag, open};
    use nix::pty::openpty;
    use nix::sys::stat::Mode;
    use nix::sys::termios::LocalFlags;
    use nix::unistd::dup2_stdin;

    use super::*;

    /// The one test that changes standard input; it puts it back.
    #[test]
    fn a_raw_terminal_is_restored_when_the_guard_is_dropped() {
        let pty = openpty(None, None).unwrap();
        let null = open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap();
        dup2_stdin(&pty.slave).unwrap();
        let cooked = || {
            let flags = tcgetattr(io::stdin()).unwrap().local_flags;
            flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
        };
        assert!(io::stdin().is_terminal() && cooked());
        let raw = RawMode::enter().unwrap();
        assert!(!cooked());
        drop(raw);
        assert!(cooked());
        let raw = RawMode::enter().unwrap();
        let panicked = std::thread::spawn(|| panic!("on purpose")).join();
        assert!(panicked.is_err() && cooked());
        drop(raw);
        assert!(cooked());
        dup2_stdin(&null).unwrap();
        assert!(!io::stdin().is_terminal() && RawMode::enter().is_err());
    }
}
