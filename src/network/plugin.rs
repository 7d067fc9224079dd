//! One plugin: finding its program, calling it, understanding how it ended.
//!
//! Invariant: every failure names the plugin; what the plugin said is data of the error, and its
//! code, not its text, decides what kind of failure it is.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::unistd::geteuid;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use super::exec::{self, Broken, Finished, Invocation, MAX_STDOUT};
use super::result::ResultError;
use super::validate::{self, InvalidParameter};
use crate::model::class::{Class, Explain};

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

/// The error object that a plugin prints, with the specification's well-known codes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{} (code {code})", worded(msg, details))]
pub struct CniError {
    /// 1 to 99 are the specification's, 100 and above the plugin's own, 999 its default.
    #[serde(default)]
    pub code: u32,
    /// A short message.
    #[serde(default)]
    pub msg: String,
    /// A longer one.
    #[serde(default)]
    pub details: String,
}

impl CniError {
    /// The plugin does not know the configuration's version.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// The plugin does not know the container: nothing is left to clean up.
    pub const CONTAINER_UNKNOWN: u32 = 3;
    /// A transient condition: the same call may succeed a little later.
    pub const TRY_AGAIN: u32 = 11;
    /// STATUS: the plugin cannot serve ADD.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: it cannot, and existing containers may lack connectivity.
    pub const LIMITED: u32 = 51;

    /// What mends it, where the specification's code says enough.
    fn hint(&self, plugin: &str) -> Option<String> {
        Some(match self.code {
            Self::INCOMPATIBLE_VERSION => {
                format!(
                    "install a newer \"{plugin}\", or lower \"cniVersion\" in the network's file"
                )
            }
            2 | 6 | 7 => format!("correct what the network's file says of \"{plugin}\""),
            Self::TRY_AGAIN => "try again a little later".to_owned(),
            Self::NOT_AVAILABLE | Self::LIMITED => {
                format!("see what \"{plugin}\" needs to work: a daemon, or room for more addresses")
            }
            _ if self.code == 0 || self.msg.is_empty() => fault_of(plugin),
            _ => return None,
        })
    }
}

/// Why a plugin could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Its program is in none of the directories.
    #[error("no CNI plugin \"{plugin}\" in {}", joined(dirs))]
    NotFound {
        /// The plugin's type.
        plugin: String,
        /// Where it was looked for, in order.
        dirs: Vec<PathBuf>,
    },
    /// There is nowhere to look.
    #[error("no directory of CNI plugins to look for \"{plugin}\" in")]
    NoDirectories {
        /// The plugin's type.
        plugin: String,
    },
    /// Its type is no file name.
    #[error(transparent)]
    Type(#[from] InvalidParameter),
    /// Its program cannot be executed or spoken to.
    #[error("cannot execute CNI plugin \"{plugin}\" ({})", path.display())]
    Execute {
        /// The plugin's type.
        plugin: String,
        /// Its program.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It did not end in time, and was killed with all its children.
    #[error("CNI plugin \"{plugin}\" did not end its {command} within {} s", deadline.as_secs())]
    Timeout {
        /// The plugin's type.
        plugin: String,
        /// The verb.
        command: &'static str,
        /// How long it had.
        deadline: Duration,
    },
    /// It printed more than a result can be, and was killed.
    #[error("CNI plugin \"{plugin}\" printed more than {MAX_STDOUT} bytes on its {command}")]
    TooMuchOutput {
        /// The plugin's type.
        plugin: String,
        /// The verb.
        command: &'static str,
    },
    /// It failed and printed no error object.
    #[error(
        "CNI plugin \"{plugin}\" failed on {command} ({status}), {}",
        said(stderr)
    )]
    Silent {
        /// The plugin's type.
        plugin: String,
        /// The verb.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said on its standard error.
        stderr: String,
    },
    /// It failed and printed something that is no error object.
    #[error("CNI plugin \"{plugin}\" failed on {command} ({status}) and printed {output:?}")]
    Garbled {
        /// The plugin's type.
        plugin: String,
        /// The verb.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it printed.
        output: String,
        /// Why that is no error object.
        source: serde_json::Error,
    },
    /// It refused, by the specification.
    #[error("CNI plugin \"{plugin}\" failed on {command}")]
    Refused {
        /// The plugin's type.
        plugin: String,
        /// The verb.
        command: &'static str,
        /// Its error object.
        source: CniError,
    },
    /// It succeeded and its result means nothing.
    #[error("CNI plugin \"{plugin}\" gave no usable result")]
    Result {
        /// The plugin's type.
        plugin: String,
        /// Why not.
        source: ResultError,
    },
}

impl PluginError {
    /// The code of the plugin's own error object, if it gave one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { source, .. } => Some(source.code),
            _ => None,
        }
    }

    /// Whether the plugin ran and said no, so that asking once more may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. } | Self::Garbled { .. } | Self::Refused { .. }
        )
    }
}

impl Explain for PluginError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } | Self::NoDirectories { .. } => Class::Unavailable,
            Self::Type(_) => Class::InvalidInput,
            Self::Timeout { .. } => Class::Timeout,
            Self::Refused { source, .. } => match source.code {
                CniError::TRY_AGAIN | CniError::NOT_AVAILABLE | CniError::LIMITED => {
                    Class::Unavailable
                }
                _ => Class::Failed,
            },
            _ => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } | Self::NoDirectories { .. } => Some(
                "install it (Debian: apt install containernetworking-plugins) or set CNI_PATH to \
                 where it is"
                    .to_owned(),
            ),
            Self::Execute { path, .. } => Some(format!(
                "check that {} is a program that root may execute",
                path.display()
            )),
            Self::Refused { source, plugin, .. } => source.hint(plugin),
            Self::Timeout { plugin, .. } => Some(format!(
                "see what \"{plugin}\" waits for: a daemon of its own, a lock, a server that the \
                 network's file names"
            )),
            Self::TooMuchOutput { plugin, .. }
            | Self::Silent { plugin, .. }
            | Self::Garbled { plugin, .. }
            | Self::Result { plugin, .. } => Some(fault_of(plugin)),
            Self::Type(_) => Some("correct \"type\" in the network's file".to_owned()),
        }
    }
}

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

fn fault_of(plugin: &str) -> String {
    format!(
        "that is a fault of \"{plugin}\": install another release of it, or take it out of the \
         network's file"
    )
}

fn worded(msg: &str, details: &str) -> String {
    let words = [msg, details].into_iter().filter(|words| !words.is_empty());
    match words.collect::<Vec<_>>().join("; ") {
        nothing if nothing.is_empty() => "it does not say why".to_owned(),
        words => words,
    }
}

fn joined(dirs: &[PathBuf]) -> String {
    let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    dirs.join(", ")
}

fn said(stderr: &str) -> String {
    match stderr.trim() {
        "" => "without a word".to_owned(),
        text => format!("saying {text:?}"),
    }
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
