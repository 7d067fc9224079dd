//! How plugins fail: the specification's error object, and everything that may happen instead.
//!
//! Invariant: what the plugin said is data of the error; its code, not its text, decides what kind of
//! failure it is.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Deserialize;

use super::exec::MAX_STDOUT;
use super::result::ResultError;
use super::validate::InvalidParameter;
use crate::model::class::{Class, Explain};

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
