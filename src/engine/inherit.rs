//! The execs that a dead supervisor left to the one that takes over.
//!
//! Invariant: whoever was to read the output of an exec is gone with the supervisor, so it is either
//! ended or drained anew: none blocks on a full FIFO for ever.

use std::fs;
use std::path::{Path, PathBuf};

use super::fifos::Fifos;
use super::launch::Job;
use super::stdio::Outputs;

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
