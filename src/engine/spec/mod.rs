//! From a resolved request to the OCI runtime spec that docker would make of it.
//!
//! Invariant: pure; what the host can give comes in as [`HostFacts`], and nothing is asked for
//! that it cannot give: such a request is an error here, not in the runtime.

pub mod capabilities;
mod linux;
mod mounts;
mod process;

use std::path::PathBuf;

use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{Root, Spec};

pub use self::linux::{Limits, Netns};
pub use self::mounts::EtcFiles;
pub use self::process::{ExecRequest, exec_process, resolved_command, set_user};
use super::user::User;
use crate::model::class::{Class, Explain};
use crate::model::id::{ContainerId, Namespace};
use crate::model::mount::Bind;
use crate::sys::facts::HostFacts;

/// The version of the runtime spec that is written: what containerd 1.6 and runc 1.1 speak.
const OCI_VERSION: &str = "1.0.2";

/// What a container is to be, all defaults of the command line resolved, those of the image not.
#[derive(Debug, Clone, Copy)]
pub struct SpecRequest<'a> {
    /// The container's name.
    pub id: &'a ContainerId,
    /// Its containerd namespace.
    pub namespace: &'a Namespace,
    /// The image's configuration: its entrypoint, command, environment and directory.
    pub image: &'a ImageConfiguration,
    /// `--entrypoint`; an empty one, or one of an empty word, means none at all.
    pub entrypoint: Option<&'a [String]>,
    /// The command after the image.
    pub command: &'a [String],
    /// `-e`, in order: `K=V`, or `K` alone to remove the image's.
    pub env: &'a [String],
    /// `-w`.
    pub workdir: Option<&'a str>,
    /// Whom the process runs as.
    pub user: &'a User,
    /// `--hostname`; without it the container's name, or the host's name in the host's network.
    pub hostname: Option<&'a str>,
    /// `-t`.
    pub terminal: bool,
    /// `--privileged`.
    pub privileged: bool,
    /// `--cap-add`.
    pub cap_add: &'a [String],
    /// `--cap-drop`.
    pub cap_drop: &'a [String],
    /// `--read-only`.
    pub read_only: bool,
    /// `-v`, with absolute sources.
    pub binds: &'a [Bind],
    /// `--memory`, `--cpus`, `--pids-limit`.
    pub limits: Limits,
    /// Whose network it has.
    pub netns: &'a Netns,
    /// The files of the container's names.
    pub etc_files: &'a EtcFiles,
    /// The host.
    pub host: &'a HostFacts,
}

/// Why a request cannot become a spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Neither the user nor the image says what to run.
    #[error("nothing to run: no command is given, and the image has no default one")]
    NothingToRun,
    /// A relative `-w`.
    #[error("working directory \"{directory}\" is not an absolute path")]
    RelativeWorkdir {
        /// The directory as given.
        directory: String,
    },
    /// A `-e` without a name.
    #[error("environment variable \"{given}\" has no name")]
    NamelessEnv {
        /// The argument.
        given: String,
    },
    /// A capability that no kernel has.
    #[error("there is no capability \"{given}\"")]
    UnknownCapability {
        /// The name as given.
        given: String,
        /// The nearest one there is.
        nearest: Option<String>,
    },
    /// A capability outside this host's bounding set.
    #[error("this host cannot give the capability CAP_{name}")]
    CapabilityUnavailable {
        /// Its name without the prefix.
        name: String,
    },
    /// Two `-v` for one place.
    #[error("two volumes have the destination {destination}", destination = .destination.display())]
    DuplicateMount {
        /// The place in the container.
        destination: PathBuf,
    },
    /// A limit whose cgroup controller this host lacks.
    #[error("this host cannot enforce {flag}: it has no cgroup controller \"{controller}\"")]
    NoController {
        /// The option.
        flag: &'static str,
        /// The controller.
        controller: &'static str,
    },
    /// A limit that no container could live in.
    #[error("{flag} {given} is too small, the least is {least}")]
    LimitTooSmall {
        /// The option.
        flag: &'static str,
        /// The value as understood.
        given: String,
        /// The least that is possible.
        least: &'static str,
    },
}

impl Explain for SpecError {
    fn class(&self) -> Class {
        match self {
            Self::CapabilityUnavailable { .. } | Self::NoController { .. } => Class::Unsupported,
            Self::NothingToRun
            | Self::RelativeWorkdir { .. }
            | Self::NamelessEnv { .. }
            | Self::UnknownCapability { .. }
            | Self::DuplicateMount { .. }
            | Self::LimitTooSmall { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NothingToRun => Some("give a command after the image".to_owned()),
            Self::UnknownCapability { nearest, .. } => {
                let nearest = nearest.as_ref()?;
                Some(format!("did you mean {nearest}?"))
            }
            _ => None,
        }
    }
}

/// The spec for a container: what docker gives runc, for runc under containerd.
///
/// # Errors
/// See [`SpecError`]; every one is the user's to mend.
pub fn spec(request: &SpecRequest<'_>) -> Result<Spec, SpecError> {
    let hostname = hostname(request);
    let capabilities = capabilities::resolve(request)?;
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs"))
        .set_readonly(Some(request.read_only));
    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.to_owned())
        .set_root(Some(root))
        .set_process(Some(process::process(request, hostname, &capabilities)?))
        .set_mounts(Some(mounts::mounts(request)?))
        .set_linux(Some(linux::linux(request, &capabilities)?))
        .set_hostname(Some(hostname.to_owned()))
        .set_annotations(None);
    Ok(spec)
}

/// The name in the container's own UTS namespace, which docker makes with the host's network too.
fn hostname<'a>(request: &SpecRequest<'a>) -> &'a str {
    match (request.hostname, request.netns) {
        (Some(hostname), _) => hostname,
        (None, Netns::Path(_)) => request.id.as_str(),
        (None, Netns::Host) => &request.host.hostname,
    }
}

#[cfg(test)]
mod tests;
