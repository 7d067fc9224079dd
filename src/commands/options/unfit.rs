//! What is wrong with an option's value on this host.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::class::{Class, Explain};
use crate::model::id::{ContainerId, InvalidName};
use crate::model::mount::InvalidMount;

/// An option that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A mount's source does not exist.
    #[error("cannot mount {}: there is no such file or directory", .0.display())]
    NoSource(PathBuf),
    /// A missing source cannot be made.
    #[error("cannot make {}, the source of a mount", .path.display())]
    MakeSource {
        /// The source.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The working directory of netrun itself is gone.
    #[error("relative paths cannot be resolved")]
    NoDirectory(#[source] io::Error),
    /// A file that an option names cannot be read.
    #[error("cannot read {}, which {flag} names", .path.display())]
    File {
        /// The option.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A line of such a file is no variable or label.
    #[error("line {line} of {} has no name, or white space in it", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line.
        line: usize,
    },
    /// A log that is not kept has no size.
    #[error("--log-opt says nothing about --log-driver none")]
    LogOptions,
    /// No init is installed.
    #[error("there is no tini here, which --init needs")]
    NoInit,
    /// The kernel's random numbers cannot be read.
    #[error("cannot make up a name for a volume")]
    Random(#[source] io::Error),
    /// The host has no such time zone.
    #[error("this host has no time zone \"{0}\"")]
    TimeZone(String),
    /// The host has no such device.
    #[error("cannot give the device {}", .path.display())]
    Device {
        /// On the host.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A limit above what this host lets anybody have.
    #[error("this host cannot raise {name} above {most}")]
    Ulimit {
        /// Docker's name of the limit.
        name: String,
        /// The most that can be had.
        most: u64,
    },
    /// A score that this host lets nobody have.
    #[error("this host cannot lower the score for the OOM killer below {0}")]
    OomScore(i32),
    /// CPUs that this host does not have.
    #[error("this host has no CPUs {wanted}, only {there}")]
    Cpus {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// A security module that this host does not run.
    #[error("this host has no {0}")]
    NoModule(&'static str),
    /// SELinux labels on a host with SELinux.
    #[error("labels of SELinux are not supported yet")]
    Labels,
    /// An access that this kernel cannot give.
    #[error("this kernel cannot make mounts recursively read-only, which came with linux 5.12")]
    NoRecursiveReadOnly,
    /// Another container keeps its memory to itself.
    #[error("container \"{0}\" does not share its memory")]
    NotShareable(ContainerId),
    /// `--volumes-from` names nobody.
    #[error("--volumes-from \"{given}\" names no container")]
    VolumesFrom {
        /// The argument.
        given: String,
        /// The rule that the name breaks.
        #[source]
        source: InvalidName,
    },
    /// An access of `--volumes-from` that there is not.
    #[error(transparent)]
    Mount(#[from] InvalidMount),
}

impl Explain for Unfit {
    fn class(&self) -> Class {
        match self {
            Self::NoSource(_) | Self::NoInit | Self::TimeZone(_) => Class::NotFound,
            Self::File { source, .. } | Self::Device { source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Class::NotFound
            }
            Self::MakeSource { .. }
            | Self::NoDirectory(_)
            | Self::Random(_)
            | Self::File { .. }
            | Self::Device { .. } => Class::Failed,
            Self::Ulimit { .. }
            | Self::OomScore(_)
            | Self::NoModule(_)
            | Self::Labels
            | Self::NoRecursiveReadOnly => Class::Unsupported,
            Self::NotShareable(_) => Class::WrongState,
            Self::Line { .. } | Self::LogOptions | Self::Cpus { .. } | Self::VolumesFrom { .. } => {
                Class::InvalidInput
            }
            Self::Mount(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoInit => Some("apt-get install -y tini".to_owned()),
            Self::NotShareable(id) => Some(format!("make {id} with --ipc shareable")),
            Self::TimeZone(_) => {
                Some("write local, or a name such as Europe/Berlin (package tzdata)".to_owned())
            }
            Self::Line { .. } => Some("write NAME=VALUE, or NAME alone; # begins a comment".into()),
            Self::VolumesFrom { source, .. } => source.hint(),
            Self::Mount(error) => error.hint(),
            Self::NoSource(path) => Some(format!(
                "make it (mkdir -p {}), or use -v, which does",
                path.display()
            )),
            Self::File { flag, path, source } if source.kind() == io::ErrorKind::NotFound => {
                let directory = path.parent().filter(|parent| parent != &Path::new(""));
                let directory = directory.unwrap_or(Path::new("."));
                Some(format!(
                    "ls {} shows what there is for {flag}",
                    directory.display()
                ))
            }
            Self::LogOptions => Some("leave --log-opt out, or take another driver".to_owned()),
            _ => None,
        }
    }
}
