//! From a resolved request to the OCI runtime spec that docker would make of it.
//!
//! Invariant: pure; what the host can give comes in as [`HostFacts`], and nothing is asked for
//! that it cannot give: such a request is an error here, not in the runtime.

pub mod capabilities;
mod devices;
mod extras;
mod limits;
mod linux;
mod mounts;
mod namespaces;
mod process;

use std::path::PathBuf;

use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{Root, Spec};

pub use self::extras::{Extras, SHM_SIZE, Seccomp, Shm};
pub use self::limits::{Limits, limit};
pub use self::mounts::{EtcFiles, INIT};
pub use self::namespaces::Netns;
pub use self::namespaces::cgroup;
pub use self::process::{
    ExecRequest, automatic_env, exec_process, resolved_command, resolved_entrypoint, set_user,
};
use super::user::User;
use crate::model::class::{Class, Explain};
use crate::model::id::{ContainerId, Namespace};
use crate::model::isolation::Sharing;
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
    /// `--memory`, `--cpus`, `--pids-limit` and their like.
    pub limits: &'a Limits,
    /// The less usual wishes.
    pub extras: &'a Extras,
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
    /// Two mounts for one place.
    #[error("two mounts have the destination {destination}", destination = .destination.display())]
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
    /// More CPUs than this host has for us.
    #[error("--cpus {given} is more than this host has, which is {there}")]
    TooManyCpus {
        /// The value.
        given: f64,
        /// How many there are.
        there: u32,
    },
    /// Two limits of which one must not be above the other.
    #[error("{flag} is above {other}")]
    LimitsDisagree {
        /// The option that is too large.
        flag: &'static str,
        /// The one that it must not exceed.
        other: &'static str,
    },
    /// A limit that means nothing without another.
    #[error("{flag} means nothing without {other}")]
    LimitAlone {
        /// The option.
        flag: &'static str,
        /// The one that is missing.
        other: &'static str,
    },
    /// A setting of a namespace that is not the container's own.
    #[error("the setting {name} is not the container's own: it shares the namespace")]
    SharedSysctl {
        /// The setting.
        name: String,
    },
    /// A filter for a kernel that has none.
    #[error("this kernel cannot filter system calls")]
    NoSeccomp,
    /// A filter that nobody can read.
    #[error("the seccomp profile cannot be read")]
    SeccompProfile(#[source] serde_json::Error),
    /// A name of one's own in the host's UTS namespace.
    #[error("{flag} cannot be given where the host's names are shared (--uts host)")]
    HostsNames {
        /// The option.
        flag: &'static str,
    },
}

impl Explain for SpecError {
    fn class(&self) -> Class {
        match self {
            Self::CapabilityUnavailable { .. } | Self::NoController { .. } | Self::NoSeccomp => {
                Class::Unsupported
            }
            Self::NothingToRun
            | Self::RelativeWorkdir { .. }
            | Self::NamelessEnv { .. }
            | Self::UnknownCapability { .. }
            | Self::DuplicateMount { .. }
            | Self::LimitTooSmall { .. }
            | Self::TooManyCpus { .. }
            | Self::LimitsDisagree { .. }
            | Self::LimitAlone { .. }
            | Self::SharedSysctl { .. }
            | Self::SeccompProfile(_)
            | Self::HostsNames { .. } => Class::InvalidInput,
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
    let hosts_names = request.extras.uts == Some(Sharing::Host);
    if hosts_names && request.hostname.is_some() {
        return Err(SpecError::HostsNames { flag: "--hostname" });
    }
    let annotations = &request.extras.annotations;
    let annotations = (!annotations.is_empty()).then(|| annotations.clone().into_iter().collect());
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
        .set_hostname((!hosts_names).then(|| hostname.to_owned()))
        .set_annotations(annotations);
    Ok(spec)
}

/// The name in the container's own UTS namespace, which docker makes with the host's network too.
fn hostname<'a>(request: &SpecRequest<'a>) -> &'a str {
    match (request.hostname, request.netns) {
        (Some(hostname), _) => hostname,
        _ if request.extras.uts == Some(Sharing::Host) => &request.host.hostname,
        (None, Netns::Path(_)) => request.id.as_str(),
        (None, Netns::Host) => &request.host.hostname,
    }
}

#[cfg(test)]
mod tests;
