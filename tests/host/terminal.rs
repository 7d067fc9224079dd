//! A command on a terminal of its own: what it shows, what is typed, its size, its modes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{self, Termios};
use nix::unistd::Pid;

use super::command::{Cmd, Output, command_pid, exit_code, reap};
use super::{PATIENCE, eventually};

/// A command that runs on a terminal. It is killed when dropped.
pub struct Terminal {
    line: String,
    child: Child,
    master: File,
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub(super) fn open(cmd: Cmd<'_>) -> Terminal {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        // setsid runs inside, so that the session's leader is the command itself.
        let mut command = cmd.command(&["setsid", "--ctty"]);
        command
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end());
        let child = command.spawn().unwrap();
        let master = File::from(pty.master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (sink, mut reader) = (Arc::clone(&shown), master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Terminal {
            line: cmd.line(),
            child,
            master,
            slave: pty.slave,
            shown,
        }
    }

    /// Types this text.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Everything shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until the terminal has shown this text.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.shown().contains(text) {
            let shown = self.shown();
            assert!(
                Instant::now() < deadline,
                "{text:?} never came from `{}`: {shown}",
                self.line
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Changes the terminal's size; the kernel sends SIGWINCH.
    pub fn resize(&self, columns: u16, rows: u16) {
        let fd = format!("/proc/self/fd/{}", self.slave.as_raw_fd());
        let resized = Command::new("stty")
            .arg("--file")
            .arg(std::fs::read_link(fd).unwrap())
            .args(["cols", &columns.to_string(), "rows", &rows.to_string()])
            .status();
        assert!(resized.unwrap().success(), "stty");
    }

    /// The terminal's modes as they are now.
    pub fn modes(&self) -> Termios {
        termios::tcgetattr(&self.slave).unwrap()
    }

    /// The pid of the command itself, seen from outside.
    pub fn pid(&self) -> i32 {
        command_pid(self.child.id())
    }

    /// Sends the command a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for the command's end; `stdout` is what the terminal showed.
    #[track_caller]
    pub fn wait(&mut self) -> Output {
        let started = Instant::now();
        let status = eventually(PATIENCE, &format!("`{}` ends", self.line), || {
            self.child.try_wait().unwrap()
        });
        // What is still in the terminal is read by the thread in a moment.
        std::thread::sleep(Duration::from_millis(50));
        Output {
            line: self.line.clone(),
            stdout: self.shown(),
            stderr: String::new(),
            code: exit_code(status),
            took: started.elapsed(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            reap(&mut self.child);
        }
    }
}
