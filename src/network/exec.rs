//! Running one plugin: environment, standard input, both outputs, deadline.
//!
//! Invariant: when [`run`] ends, by itself or because its future is dropped, no process of the
//! plugin's process group is alive, unless the plugin succeeded and closed its outputs first.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

/// The most that a plugin may print on its standard output, in bytes.
pub(super) const MAX_STDOUT: usize = 1024 * 1024;

/// How much of its standard error is kept, in bytes; the rest is read and dropped.
const MAX_STDERR: usize = 64 * 1024;

/// How often a program that is being written ("text file busy") is tried, a second apart.
const BUSY_TRIES: u32 = 6;

/// How long a killed plugin is waited for.
const REAP: Duration = Duration::from_secs(2);

/// What plugins need on their PATH: they execute iptables and nft.
const ADMIN_DIRS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// One execution.
pub(super) struct Invocation<'a> {
    /// The program.
    pub path: &'a Path,
    /// The `CNI_*` variables.
    pub env: &'a [(&'static str, OsString)],
    /// Its standard input.
    pub stdin: &'a [u8],
    /// How long it may take.
    pub deadline: Duration,
}

/// What a plugin said and how it ended.
pub(super) struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Why a plugin did not end by itself.
pub(super) enum Broken {
    Io(io::Error),
    TooMuch,
    Timeout,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs a plugin to its end, whatever its exit status.
pub(super) async fn run(invocation: &Invocation<'_>) -> Result<Finished, Broken> {
    let mut child = spawn(invocation).await?;
    // Declared after the child, hence dropped, and killing, before the child can be reaped: until
    // then nobody else can have its number.
    let mut group = Group::of(&child);
    let finished = timeout(invocation.deadline, finish(&mut child, invocation.stdin)).await;
    let broken = match finished {
        Ok(Ok(finished)) => {
            group.0 = None;
            return Ok(finished);
        }
        Ok(Err(broken)) => broken,
        Err(_) => Broken::Timeout,
    };
    drop(group);
    // So that it cannot disturb the DEL that follows; not for ever, a process may hang in the
    // kernel.
    let _ = timeout(REAP, child.wait()).await;
    Err(broken)
}

/// The process group of a plugin, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn spawn(invocation: &Invocation<'_>) -> io::Result<Child> {
    let mut command = Command::new(invocation.path);
    command
        .env_remove("CNI_NETNS_OVERRIDE")
        .env("PATH", with_admin_dirs(env::var_os("PATH").as_deref()))
        .envs(invocation.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut tries = 1;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                if tries == BUSY_TRIES {
                    return Err(error);
                }
                tries += 1;
                sleep(Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}

/// Feeds and reads the child until both outputs are closed, and only then reaps it: an unreaped
/// leader keeps the number of its process group from being used again.
async fn finish(child: &mut Child, input: &[u8]) -> Result<Finished, Broken> {
    let feeding = feed(child.stdin.take(), input);
    let stdout = read_all(child.stdout.take());
    let stderr = read_some(child.stderr.take());
    let ((), stdout, stderr) = tokio::try_join!(feeding, stdout, stderr)?;
    let status = child.wait().await?;
    Ok(Finished {
        status,
        stdout,
        stderr,
    })
}

async fn feed(stdin: Option<ChildStdin>, input: &[u8]) -> Result<(), Broken> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    match stdin.write_all(input).await {
        // It need not read what it does not care for.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(MAX_STDOUT as u64 + 1);
        limited.read_to_end(&mut bytes).await?;
    }
    match bytes.len() > MAX_STDOUT {
        true => Err(Broken::TooMuch),
        false => Ok(bytes),
    }
}

async fn read_some(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Broken> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream)
            .take(MAX_STDERR as u64)
            .read_to_end(&mut kept)
            .await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// A PATH with the directories of administration in it.
pub(super) fn with_admin_dirs(path: Option<&OsStr>) -> OsString {
    let mut whole = match path {
        Some(path) if !path.is_empty() => path.to_owned(),
        _ => OsString::from("/usr/bin:/bin"),
    };
    for dir in ADMIN_DIRS {
        if !env::split_paths(&whole).any(|known| known == Path::new(dir)) {
            whole.push(":");
            whole.push(dir);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_gets_what_it_lacks() {
        let with = |path: &str| with_admin_dirs(Some(OsStr::new(path)));
        assert_eq!(with("/bin:/sbin"), "/bin:/sbin:/usr/sbin");
        assert_eq!(with("/usr/sbin:/sbin"), "/usr/sbin:/sbin");
        assert_eq!(with_admin_dirs(None), "/usr/bin:/bin:/usr/sbin:/sbin");
        assert_eq!(with(""), "/usr/bin:/bin:/usr/sbin:/sbin");
    }
}
