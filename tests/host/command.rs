//! Commands on a fake host: started with a clean environment in its namespaces and cgroups, watched
//! by a clock, and never left running.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{FakeHost, PATIENCE, Terminal, eventually, fixtures};

/// Joins the cgroups that it is told, then the namespaces of a process.
const ENTER: &str = r#"
pid=$1; shift
while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; done
shift
exec nsenter --target "$pid" --mount --net --uts --ipc --pid --cgroup --wd=/ -- "$@"
"#;

/// A command to be started on a host.
#[must_use]
pub struct Cmd<'h> {
    host: &'h FakeHost,
    words: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    patience: Duration,
}

impl<'h> Cmd<'h> {
    pub(super) fn new(host: &'h FakeHost, program: &str) -> Cmd<'h> {
        Cmd {
            host,
            words: vec![program.to_owned()],
            env: Vec::new(),
            stdin: None,
            patience: PATIENCE,
        }
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.words.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Sets one environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it reads on stdin; without this, `/dev/null`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How long it may take.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end, which includes the end of its output: what holds the pipes open keeps
    /// it waiting.
    #[must_use]
    pub fn run(mut self) -> Output {
        let patience = self.patience;
        let input = self.stdin.take();
        let mut running = match input {
            None => self.spawn(),
            Some(_) => self.spawn_with(Stdio::piped()),
        };
        if let Some(bytes) = input {
            let mut pipe = running.stdin.take().unwrap();
            std::thread::spawn(move || pipe.write_all(&bytes));
        }
        running.wait_for(patience)
    }

    /// Starts it with stdin from `/dev/null`.
    pub fn spawn(self) -> Running {
        self.spawn_with(Stdio::null())
    }

    /// Starts it with a pipe as stdin, which [`Running::send`] writes to.
    pub fn spawn_interactive(self) -> Running {
        self.spawn_with(Stdio::piped())
    }

    /// Starts it on a terminal of its own, 80 columns and 24 rows.
    pub fn terminal(self) -> Terminal {
        Terminal::open(self)
    }

    /// Starts it with stdin from this.
    pub fn spawn_with(self, stdin: Stdio) -> Running {
        let line = self.words.join(" ");
        let mut child = self
            .command(&[])
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            line,
            stdin: child.stdin.take(),
            stdout: Collected::from(child.stdout.take().unwrap()),
            stderr: Collected::from(child.stderr.take().unwrap()),
            child,
            status: None,
        }
    }

    /// The command as the real machine starts it; `prefix` comes before its words.
    pub(super) fn command(&self, prefix: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER, "enter", &self.host.init.to_string()]);
        command.args(&self.host.cgroups).arg("--");
        command.args(prefix).args(&self.words);
        command.env_clear().env("PATH", self.host.search_path());
        command.env("HOME", "/tmp");
        if let Some(set) = self.host.plugins.get() {
            command.env("CNI_PATH", fixtures::plugins(set));
        }
        command.envs(self.env.iter().cloned());
        command
    }

    pub(super) fn line(&self) -> String {
        self.words.join(" ")
    }
}

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub line: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit status; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Asserts that it succeeded.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.code(0)
    }

    /// Asserts its exit status.
    #[track_caller]
    pub fn code(self, expected: i32) -> Output {
        assert_eq!(self.code, expected, "exit status of {self}");
        self
    }

    /// Asserts that it failed with this status, that stderr says `error:` first, and that it says
    /// each of these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Output {
        let output = self.code(code);
        let stderr = output.stderr.to_lowercase();
        assert!(stderr.contains("error:"), "no `error:` in {output}");
        for word in words {
            assert!(
                stderr.contains(&word.to_lowercase()),
                "no {word:?} in {output}"
            );
        }
        output
    }

    /// Standard output without the white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}` (status {}, {:?})", self.line, self.code, self.took)?;
        writeln!(f, "--- stdout\n{}", abridged(&self.stdout))?;
        write!(f, "--- stderr\n{}", abridged(&self.stderr))
    }
}

fn abridged(text: &str) -> &str {
    let mut end = text.len().min(8192);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A command that runs. It is killed when dropped.
pub struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    status: Option<ExitStatus>,
}

impl Running {
    /// The pid of the command itself, seen from outside.
    pub fn pid(&self) -> i32 {
        command_pid(self.child.id())
    }

    /// Sends the command a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Sends the command a signal, if it still runs.
    pub fn try_signal(&self, signal: Signal) {
        if let Some(pid) = child_of(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Writes to its stdin.
    pub fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("it was started interactively");
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until stdout holds this text; its end without it is a failure.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let over = self.output_ended() || Instant::now() > deadline;
            let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
            if stdout.contains(text) {
                return;
            }
            let line = &self.line;
            assert!(
                !over,
                "{text:?} never came from `{line}`:\n{stdout}\n--- stderr\n{stderr}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.poll().is_some()
    }

    /// Waits for its end and the end of its output.
    #[must_use]
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_for(PATIENCE)
    }

    /// Waits for its end and the end of its output; more than `patience` is a failure.
    #[must_use]
    #[track_caller]
    pub fn wait_for(mut self, patience: Duration) -> Output {
        drop(self.stdin.take());
        let started = Instant::now();
        let deadline = started + patience;
        while self.poll().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = started.elapsed();
        let status = self.status;
        while !self.output_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let held = status.is_some() && !self.output_ended();
        let output = Output {
            line: self.line.clone(),
            stdout: self.stdout.so_far(),
            stderr: self.stderr.so_far(),
            code: status.map_or(-1, exit_code),
            took,
        };
        assert!(
            status.is_some(),
            "did not end within {patience:?}: {output}"
        );
        assert!(
            !held,
            "ended, but something holds its output open: {output}"
        );
        output
    }

    fn output_ended(&self) -> bool {
        self.stdout.ended() && self.stderr.ended()
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.poll().is_none() {
            reap(&mut self.child);
        }
    }
}

/// The pid of a command, given the process that entered the host's namespaces for it.
pub(super) fn command_pid(entering: u32) -> i32 {
    let patience = Duration::from_secs(5);
    eventually(patience, "the command has a process", || child_of(entering))
}

fn child_of(entering: u32) -> Option<i32> {
    let path = format!("/proc/{entering}/task/{entering}/children");
    let children = fs::read_to_string(path).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Kills a command: first the process inside, then the one that waits for it.
pub(super) fn reap(child: &mut Child) {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    let children = fs::read_to_string(path).unwrap_or_default();
    for pid in children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
    {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The status as a shell would give it.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What a thread reads from a pipe until its end.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Collected {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Collected { bytes, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn ended(&self) -> bool {
        self.reader.is_finished()
    }
}
