//! One plugin: finding its program, calling it, understanding how it ended.
//!
//! Invariant: every failure names the plugin.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::Value;
use tokio::time::sleep;

use super::exec::{self, Broken, Finished, Invocation};
pub use super::plugin_error::{CniError, PluginError};
use super::validate;

/// Where distributions and installers put plugins.
const SYSTEM_DIRS: [&str; 5] = [
    "/usr/local/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/libexec/cni",
    "/usr/lib/cni",
    "/opt/cni/bin",
];

/// The same below somebody's home: looked into only if the directory is ours, since what is in it
/// is executed with our rights.
const PRIVATE_DIRS: [&str; 4] = [
    ".local/libexec/cni",
    ".local/lib/cni",
    "opt/cni/bin",
    "/home/linuxbrew/.linuxbrew/opt/cni-plugins/libexec",
];

/// How often a plugin that answers "try again later" is asked again.
const RETRIES: u32 = 5;

/// The first pause before asking again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Where plugins are looked for: `CNI_PATH` if it is set, else every usual directory that exists.
pub fn default_plugin_dirs() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from);
    plugin_dirs(
        env::var_os("CNI_PATH").as_deref(),
        &home.unwrap_or_default(),
    )
}

fn plugin_dirs(cni_path: Option<&OsStr>, home: &Path) -> Vec<PathBuf> {
    if let Some(path) = cni_path.filter(|path| !path.is_empty()) {
        let dirs = env::split_paths(path);
        return dirs.filter(|dir| !dir.as_os_str().is_empty()).collect();
    }
    let private = PRIVATE_DIRS.iter().map(|dir| home.join(dir));
    let private = private.filter(|dir| dir.is_absolute() && is_ours(dir));
    let system = SYSTEM_DIRS.iter().map(PathBuf::from);
    private.chain(system.filter(|dir| dir.is_dir())).collect()
}

fn is_ours(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

/// Finds a plugin's program: the first regular file of its type's name, links followed.
pub fn find(plugin: &str, dirs: &[PathBuf]) -> Result<PathBuf, PluginError> {
    validate::plugin_type(plugin)?;
    if dirs.is_empty() {
        return Err(PluginError::NoDirectories {
            plugin: plugin.to_owned(),
        });
    }
    let mut paths = dirs.iter().map(|dir| dir.join(plugin));
    let found = paths.find(|path| path.is_file());
    found.ok_or_else(|| PluginError::NotFound {
        plugin: plugin.to_owned(),
        dirs: dirs.to_vec(),
    })
}

/// One call of one plugin.
pub(super) struct Call<'a> {
    pub plugin: &'a str,
    pub path: &'a Path,
    /// The verb: the value of `CNI_COMMAND` among the variables.
    pub command: &'static str,
    pub env: &'a [(&'static str, OsString)],
    pub stdin: &'a [u8],
    pub deadline: Duration,
}

/// What a successful plugin printed.
pub(super) struct Answer {
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Calls a plugin, again and again a little later where it asks for that.
pub(super) async fn call(call: &Call<'_>) -> Result<Answer, PluginError> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..RETRIES {
        match call_once(call).await {
            Err(error) if error.code() == Some(CniError::TRY_AGAIN) => {
                sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    call_once(call).await
}

async fn call_once(call: &Call<'_>) -> Result<Answer, PluginError> {
    let invocation = Invocation {
        path: call.path,
        env: call.env,
        stdin: call.stdin,
        deadline: call.deadline,
    };
    let plugin = call.plugin.to_owned();
    let command = call.command;
    match exec::run(&invocation).await {
        Ok(finished) if finished.status.success() => Ok(Answer {
            stdout: finished.stdout,
            stderr: finished.stderr,
        }),
        Ok(finished) => Err(failure(plugin, command, finished)),
        Err(Broken::Io(source)) => Err(PluginError::Execute {
            plugin,
            path: call.path.to_owned(),
            source,
        }),
        Err(Broken::TooMuch) => Err(PluginError::TooMuchOutput { plugin, command }),
        Err(Broken::Timeout) => Err(PluginError::Timeout {
            plugin,
            command,
            deadline: call.deadline,
        }),
    }
}

/// Reads how a plugin failed.
fn failure(plugin: String, command: &'static str, finished: Finished) -> PluginError {
    let Finished {
        status,
        stdout,
        stderr,
    } = finished;
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return PluginError::Silent {
            plugin,
            command,
            status,
            stderr,
        };
    }
    // A list would do for serde, not for the specification.
    let object = serde_json::from_slice(&stdout).map(Value::Object);
    match object.and_then(serde_json::from_value::<CniError>) {
        Ok(source) => PluginError::Refused {
            plugin,
            command,
            source,
        },
        Err(source) => PluginError::Garbled {
            plugin,
            command,
            status,
            output: String::from_utf8_lossy(&stdout).chars().take(200).collect(),
            source,
        },
    }
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
