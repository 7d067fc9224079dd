//! What a container shares with the host or with another container, and its security options.
//!
//! Invariant: values are docker's; what docker refuses is refused.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::class::{Class, Explain};
use super::id::ContainerId;

/// A value that no such option has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIsolation {
    /// A namespace option's value.
    #[error("\"{given}\" is none of {known}")]
    Namespace {
        /// The value.
        given: String,
        /// What there is.
        known: &'static str,
    },
    /// A security option that nobody knows.
    #[error("there is no security option \"{0}\"")]
    Security(String),
    /// A setting that is not `NAME=VALUE`.
    #[error("\"{0}\" is not NAME=VALUE")]
    Sysctl(String),
    /// A setting that a container cannot have for itself.
    #[error("the setting {0} is not a container's own: it would change the whole host")]
    Global(String),
}

impl Explain for InvalidIsolation {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Namespace { known, .. } => {
                let usual = known.split(',').next().unwrap_or_default();
                Some(format!("write one of them, such as {usual}, or leave the option out"))
            }
            Self::Security(_) => Some(
                "there are seccomp=, no-new-privileges, systempaths=unconfined, apparmor= and label="
                    .to_owned(),
            ),
            Self::Sysctl(_) => Some("write, for instance, net.core.somaxconn=1024".to_owned()),
            Self::Global(name) => Some(format!("set it on the host: sysctl -w {name}=...")),
        }
    }
}

/// Whose namespace a container has (`--pid`, `--ipc`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shared {
    /// Its own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's.
    Container(ContainerId),
}

fn shared(text: &str, known: &'static str) -> Result<Shared, InvalidIsolation> {
    let invalid = || InvalidIsolation::Namespace {
        given: text.to_owned(),
        known,
    };
    match text.strip_prefix("container:") {
        Some(name) => name.parse().map(Shared::Container).map_err(|_| invalid()),
        None if text == "host" => Ok(Shared::Host),
        None => Err(invalid()),
    }
}

/// `--pid`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PidMode(pub Shared);

impl FromStr for PidMode {
    type Err = InvalidIsolation;

    fn from_str(text: &str) -> Result<Self, InvalidIsolation> {
        match text {
            "private" => Ok(Self(Shared::Own)),
            other => shared(other, "private, host, container:NAME").map(Self),
        }
    }
}

/// `--ipc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IpcMode {
    /// Its own, for nobody else.
    #[default]
    Private,
    /// Its own, and others may share it.
    Shareable,
    /// Its own without a `/dev/shm`.
    None,
    /// The host's, or another container's.
    Of(Shared),
}

impl FromStr for IpcMode {
    type Err = InvalidIsolation;

    fn from_str(text: &str) -> Result<Self, InvalidIsolation> {
        match text {
            "private" => Ok(Self::Private),
            "shareable" => Ok(Self::Shareable),
            "none" => Ok(Self::None),
            other => {
                let known = "private, shareable, none, host, container:NAME";
                shared(other, known).map(Self::Of)
            }
        }
    }
}

/// `--uts` and `--cgroupns`: the host's namespace, or one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Its own.
    Private,
    /// The host's.
    Host,
}

impl FromStr for Sharing {
    type Err = InvalidIsolation;

    fn from_str(text: &str) -> Result<Self, InvalidIsolation> {
        match text {
            "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            other => Err(InvalidIsolation::Namespace {
                given: other.to_owned(),
                known: "private, host",
            }),
        }
    }
}

/// `--security-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOption {
    /// No filter of system calls.
    SeccompOff,
    /// netrun's own filter.
    SeccompDefault,
    /// The filter in a file, docker's format or the OCI's.
    SeccompFile(PathBuf),
    /// Whether a process can ever get more rights than it began with.
    NoNewPrivileges(bool),
    /// Nothing of /proc and /sys is masked or read-only.
    SystemPathsUnconfined,
    /// The profile of AppArmor; none if unconfined.
    AppArmor(Option<String>),
    /// An SELinux label's part, as given.
    Label(String),
}

impl FromStr for SecurityOption {
    type Err = InvalidIsolation;

    fn from_str(text: &str) -> Result<Self, InvalidIsolation> {
        let invalid = || InvalidIsolation::Security(text.to_owned());
        // docker took ":" before it took "=".
        let (name, value) = match text.split_once(['=', ':']) {
            Some((name, value)) => (name, value),
            None => (text, ""),
        };
        match (name, value) {
            ("no-new-privileges", "" | "true") => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", "false") => Ok(Self::NoNewPrivileges(false)),
            (_, "") => Err(invalid()),
            ("seccomp", "unconfined") => Ok(Self::SeccompOff),
            ("seccomp", "builtin") => Ok(Self::SeccompDefault),
            ("seccomp", file) => Ok(Self::SeccompFile(file.into())),
            ("systempaths", "unconfined") => Ok(Self::SystemPathsUnconfined),
            ("apparmor", "unconfined") => Ok(Self::AppArmor(None)),
            ("apparmor", profile) => Ok(Self::AppArmor(Some(profile.to_owned()))),
            ("label", label) => Ok(Self::Label(label.to_owned())),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for SecurityOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeccompOff => f.write_str("seccomp=unconfined"),
            Self::SeccompDefault => f.write_str("seccomp=builtin"),
            Self::SeccompFile(file) => write!(f, "seccomp={}", file.display()),
            Self::NoNewPrivileges(true) => f.write_str("no-new-privileges"),
            Self::NoNewPrivileges(false) => f.write_str("no-new-privileges=false"),
            Self::SystemPathsUnconfined => f.write_str("systempaths=unconfined"),
            Self::AppArmor(profile) => {
                write!(f, "apparmor={}", profile.as_deref().unwrap_or("unconfined"))
            }
            Self::Label(label) => write!(f, "label={label}"),
        }
    }
}

/// A kernel setting of the container's own namespaces (`--sysctl`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Its name, with dots.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The settings that belong to the IPC namespace: docker's list.
const IPC: [&str; 10] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.msg_next_id",
    "kernel.shm_next_id",
];

impl Sysctl {
    /// It belongs to the network namespace.
    pub fn is_of_network(&self) -> bool {
        self.name.starts_with("net.")
    }

    /// It belongs to the IPC namespace.
    pub fn is_of_ipc(&self) -> bool {
        IPC.contains(&self.name.as_str()) || self.name.starts_with("fs.mqueue.")
    }

    /// The interface that it is about, which must exist before it can be set.
    pub fn interface(&self) -> Option<&str> {
        let rest = self.name.strip_prefix("net.")?;
        let mut words = rest.split('.').skip(1);
        let table = words.next()?;
        let interface = words.next()?;
        let of_one = ["conf", "neigh"].contains(&table) && !["all", "default"].contains(&interface);
        of_one.then_some(interface)
    }
}

impl FromStr for Sysctl {
    type Err = InvalidIsolation;

    fn from_str(text: &str) -> Result<Self, InvalidIsolation> {
        let invalid = || InvalidIsolation::Sysctl(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(invalid)?;
        let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // sysctl(8) takes slashes for dots, and so does docker.
        let name = name.trim().replace('/', ".");
        if name.is_empty() || !name.chars().all(word) || name.split('.').any(str::is_empty) {
            return Err(invalid());
        }
        let sysctl = Self {
            name,
            value: value.trim().to_owned(),
        };
        let of_uts = sysctl.name == "kernel.domainname";
        match sysctl.is_of_network() || sysctl.is_of_ipc() || of_uts {
            true => Ok(sysctl),
            false => Err(InvalidIsolation::Global(sysctl.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_own_the_hosts_or_anothers() {
        let db = || Shared::Container("db".parse().unwrap());
        let pid = |text: &str| text.parse::<PidMode>().map(|mode| mode.0);
        assert_eq!(pid("host"), Ok(Shared::Host));
        assert_eq!(pid("private"), Ok(Shared::Own));
        assert_eq!(pid("container:db"), Ok(db()));
        let ipc = |text: &str| text.parse::<IpcMode>();
        assert_eq!(ipc("shareable"), Ok(IpcMode::Shareable));
        assert_eq!(ipc("container:db"), Ok(IpcMode::Of(db())));
        for bad in ["", "other", "container:", "container:a/b", "Host"] {
            assert!(pid(bad).is_err() && ipc(bad).is_err(), "{bad}");
            assert!(bad.parse::<Sharing>().is_err(), "{bad}");
        }
    }

    #[test]
    fn security_options_are_dockers() {
        use SecurityOption::*;
        for (text, means) in [
            ("seccomp=unconfined", SeccompOff),
            ("seccomp:unconfined", SeccompOff),
            ("seccomp=/a.json", SeccompFile("/a.json".into())),
            ("no-new-privileges", NoNewPrivileges(true)),
            ("no-new-privileges=true", NoNewPrivileges(true)),
            ("no-new-privileges:false", NoNewPrivileges(false)),
            ("systempaths=unconfined", SystemPathsUnconfined),
            ("apparmor=unconfined", AppArmor(None)),
            ("apparmor=mine", AppArmor(Some("mine".into()))),
            ("label=type:x_t", Label("type:x_t".into())),
        ] {
            assert_eq!(means.to_string().parse().as_ref(), Ok(&means));
            assert_eq!(text.parse(), Ok(means), "{text}");
        }
        for bad in [
            "",
            "seccomp",
            "seccomp=",
            "no-new-privileges=maybe",
            "colour=red",
            "systempaths=x",
        ] {
            assert!(bad.parse::<SecurityOption>().is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_the_containers_own_or_refused() {
        let name = |text: &str| text.parse::<Sysctl>().map(|sysctl| sysctl.name);
        assert_eq!(
            name("net.core.somaxconn=1"),
            Ok("net.core.somaxconn".into())
        );
        assert_eq!(
            name("net/core/somaxconn=1"),
            Ok("net.core.somaxconn".into())
        );
        assert_eq!(name("kernel.shmmax=1"), Ok("kernel.shmmax".into()));
        for bad in ["", "net.core.somaxconn", "=1", "net..x=1", "net.a b=1"] {
            assert_eq!(name(bad), Err(InvalidIsolation::Sysctl(bad.to_owned())));
        }
        for global in ["kernel.panic", "vm.swappiness", "fs.file-max"] {
            let refused = InvalidIsolation::Global(global.to_owned());
            assert_eq!(name(&format!("{global}=1")), Err(refused));
        }
        let interface = |name: &str| {
            let sysctl: Sysctl = format!("{name}=1").parse().unwrap();
            sysctl.interface().map(str::to_owned)
        };
        assert_eq!(
            interface("net.ipv4.conf.eth0.forwarding"),
            Some("eth0".into())
        );
        assert_eq!(
            interface("net.ipv6.neigh.eth1.mcast_solicit"),
            Some("eth1".into())
        );
        assert_eq!(interface("net.ipv4.conf.all.forwarding"), None);
        assert_eq!(interface("net.ipv4.ip_forward"), None);
    }
}
