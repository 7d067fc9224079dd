//! The execs that a dead supervisor left to the one that takes over.
//!
//! Invariant: whoever was to read the output of an exec is gone with the supervisor, so it is either
//! ended or drained anew: none blocks on a full FIFO for ever.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::fifos::Fifos;
use super::launch::Job;
use super::paths::Paths;
use super::stdio::Outputs;
use crate::model::record::Record;
use crate::sys::process::shims;

/// SIGKILL.
const KILL: u32 = 9;

/// The file that tells an exec which goes on without its client.
const DETACHED: &str = "detached";

/// The name of an exec's FIFO directory, before its id.
pub const PREFIX: &str = "exec-";

/// A detached exec, drained again.
#[derive(Debug)]
pub struct Inherited {
    /// Its id in containerd.
    pub exec_id: String,
    /// Its FIFOs.
    pub fifos: Fifos,
    /// Its outputs, which nobody gets.
    pub outputs: Outputs,
}

/// Says beside an exec's FIFOs that it goes on without its client.
pub fn mark_detached(directory: &Path) {
    // Without the mark it ends with this supervisor; no reason not to run it.
    let _ = fs::write(directory.join(DETACHED), "");
}

/// Drains what was started to be left alone, and ends the others: their clients are gone.
pub async fn execs(job: Job<'_>, id: &str) -> Vec<Inherited> {
    let mut inherited = Vec::new();
    for (exec_id, directory) in directories(&job.paths.run) {
        // A terminal has one stream only; standard input is the shim's to keep.
        let terminal = !directory.join("stderr").exists();
        let detached = directory.join(DETACHED).exists();
        let fifos = Fifos::new(directory, terminal, false);
        match Outputs::open(&fifos, None) {
            Ok(outputs) if detached => inherited.push(Inherited {
                exec_id,
                fifos,
                outputs,
            }),
            outputs => {
                end(job, id, &exec_id).await;
                drop(outputs);
                fifos.remove();
            }
        }
    }
    inherited
}

/// Opens the outputs of all that a dead supervisor may have begun, until they are dropped. Nothing is
/// read. A shim that had no time to open its ends waits for a reader for 30 s, and answers nobody
/// meanwhile (containerd 1.6, `pkg/process/io.go`: `copyPipes` under the lock of the exec's pid, which
/// `checkProcesses` waits for under the lock of all containers).
pub fn let_shims_open(paths: &Paths) -> Vec<File> {
    let execs = directories(&paths.run).into_iter();
    let all = execs.map(|(_, directory)| directory);
    let outputs = all
        .chain([paths.fifos("")])
        .flat_map(|directory| ["stdout", "stderr"].map(|name| directory.join(name)));
    let nonblock = OFlag::O_NONBLOCK.bits();
    let open = |path| {
        let mut options = File::options();
        options.read(true).custom_flags(nonblock).open(path).ok()
    };
    outputs.filter_map(open).collect()
}

/// FIFOs whose directory is gone live on in the shim: they get their names again, as links to it.
pub fn find_fifos(record: &Record, paths: &Paths) {
    let directory = paths.fifos("");
    if directory.exists() || fs::create_dir(&directory).is_err() {
        return;
    }
    for shim in shims(record.namespace.as_str(), record.id.as_str()) {
        let open = fs::read_dir(format!("/proc/{}/fd", shim.pid));
        for descriptor in open.into_iter().flatten().flatten() {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let path = target
                .to_str()
                .and_then(|text| text.strip_suffix(" (deleted)"));
            if let Some(path) = path.map(Path::new)
                && path.parent() == Some(&directory)
            {
                // The shim holds each more than once; the first will do.
                let _ = symlink(descriptor.path(), path);
            }
        }
    }
}

fn directories(run: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let exec = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let exec_id = name.to_str()?.strip_prefix(PREFIX)?;
        Some((exec_id.to_owned(), entry.path()))
    };
    entries.filter_map(exec).collect()
}

async fn end(job: Job<'_>, id: &str, exec_id: &str) {
    let Ok(client) = job.host.client().await else {
        return;
    };
    if client.kill_process(id, exec_id, KILL, false).await.is_ok() {
        drop(client.wait_process(id, exec_id).await);
    }
    drop(client.delete_exec(id, exec_id).await);
}
