//! Mounts as users ask for them: where from, where to, and how.
//!
//! Invariant: a [`MountRequest`]'s destination is absolute, clean and not `/`; a bind's source is a
//! path, but possibly a relative one: only the caller knows the working directory.

mod long;
mod short;

use std::fmt;
use std::path::{Component, Path, PathBuf};

pub use self::long::LongMount;
pub use self::short::{ShortMount, TmpfsMount};
use super::class::{Class, Explain};
use super::id::VolumeName;

/// Something that is to be seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRequest {
    /// What.
    pub source: Source,
    /// In the container: absolute, without `.`, `..` and double slashes, never `/`.
    pub destination: PathBuf,
    /// Whether the container may write to it.
    pub access: Access,
    /// Whether mounts made later on one side appear on the other; the default of its kind if none.
    pub propagation: Option<Propagation>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// A relative one starts with `.` and has yet to be made absolute.
        path: PathBuf,
        /// Make it, as a directory, if it is missing: `-v` does, `--mount` does not.
        create: bool,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// A volume.
    Volume {
        /// Its name; an anonymous one gets a name of its own.
        name: Option<VolumeName>,
        /// Fill an empty one with what the image has at the destination.
        copy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Options in mount(8)'s words, beside docker's own.
        options: Vec<String>,
    },
    /// The root file system of another image, read-only.
    Image {
        /// The image as named.
        reference: String,
    },
}

/// Whether a container may write to what is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// It may.
    #[default]
    ReadWrite,
    /// It may not, but what is mounted below keeps its own access.
    ReadOnly,
    /// It may not, nor to what is mounted below.
    RecursivelyReadOnly,
}

impl Access {
    /// The mount option's name, as runc has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "rw",
            Self::ReadOnly => "ro",
            Self::RecursivelyReadOnly => "rro",
        }
    }
}

/// Mount propagation between the host and the container, by the names of mount(8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// Nothing passes; submounts neither.
    #[default]
    RPrivate,
    /// Nothing passes for this mount alone.
    Private,
    /// Both ways, submounts too.
    RShared,
    /// Both ways for this mount alone.
    Shared,
    /// From the host to the container, submounts too.
    RSlave,
    /// From the host to the container for this mount alone.
    Slave,
}

impl Propagation {
    /// The mount option's name, as the OCI runtime spec has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RPrivate => "rprivate",
            Self::Private => "private",
            Self::RShared => "rshared",
            Self::Shared => "shared",
            Self::RSlave => "rslave",
            Self::Slave => "slave",
        }
    }

    /// The propagation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::RPrivate,
            Self::Private,
            Self::RShared,
            Self::Shared,
            Self::RSlave,
            Self::Slave,
        ]
        .into_iter()
        .find(|propagation| propagation.as_str() == name)
    }
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The forms in which a mount is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `-v`.
    Short,
    /// `--mount`.
    Long,
    /// `--tmpfs`.
    Tmpfs,
    /// `--volumes-from`.
    From,
}

impl Form {
    /// What there is, for people.
    fn options(self) -> &'static str {
        match self {
            Self::Short => {
                "options of -v are ro, rw, rro, nocopy, private, rprivate, shared, rshared, slave and rslave"
            }
            Self::Long => {
                "fields of --mount are type, source, target, readonly, bind-propagation, bind-recursive, \
                 volume-nocopy, tmpfs-size and tmpfs-mode"
            }
            Self::Tmpfs => {
                "options of --tmpfs are size=, mode=, uid=, gid=, ro, exec, suid, dev and the like"
            }
            Self::From => "write CONTAINER, CONTAINER:ro or CONTAINER:rw",
        }
    }
}

/// Why an argument is no mount.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMount {
    /// Not of the form `[SOURCE:]DESTINATION[:OPTIONS]`.
    #[error("volume \"{given}\" is not of the form [SOURCE:]DESTINATION[:OPTIONS]")]
    Form {
        /// The whole argument.
        given: String,
    },
    /// The source is neither absolute nor starts with `.`, and no volume's name either.
    #[error(
        "\"{source_path}\" is neither an absolute path, nor one that starts with \".\", nor a volume's name"
    )]
    Source {
        /// The source as given.
        source_path: String,
    },
    /// The destination is relative or the root itself.
    #[error("destination \"{destination}\" {fault}")]
    Destination {
        /// The destination as given.
        destination: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An option that does not exist.
    #[error("mount option \"{option}\" is not known")]
    Option {
        /// The option as given.
        option: String,
        /// What it was given to.
        of: Form,
    },
    /// Two options that exclude each other.
    #[error("mount option \"{option}\" contradicts \"{earlier}\"")]
    Contradiction {
        /// The later one.
        option: String,
        /// The earlier one.
        earlier: String,
    },
    /// An option of another kind of mount.
    #[error("\"{option}\" says nothing about a mount of type {kind}")]
    OtherKind {
        /// The option's name.
        option: String,
        /// The kind.
        kind: &'static str,
    },
    /// A value that the option cannot have.
    #[error("\"{value}\" is no value of \"{option}\"")]
    Value {
        /// The option's name.
        option: String,
        /// The value.
        value: String,
    },
    /// Something that a mount cannot do without.
    #[error("{what} of the mount is missing")]
    Missing {
        /// `the target`, `the source`.
        what: &'static str,
    },
    /// A kind of mount that there is not.
    #[error("there is no mount of type \"{kind}\"")]
    Kind {
        /// The kind as given.
        kind: String,
    },
    /// A docker option that netrun does not have.
    #[error("mount option \"{option}\" is not supported yet")]
    OptionUnsupported {
        /// The option as given.
        option: String,
    },
}

impl Explain for InvalidMount {
    fn class(&self) -> Class {
        match self {
            Self::OptionUnsupported { .. } => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Source { source_path } => Some(format!("try \"./{source_path}\"")),
            Self::Option { of, .. } => Some(of.options().to_owned()),
            Self::Form { .. } | Self::Destination { .. } => {
                Some("write, for instance, ./site:/site, data:/var/lib/data:ro or /cache".into())
            }
            Self::Contradiction { earlier, .. } => {
                Some(format!("leave one out: {earlier} is there"))
            }
            Self::OtherKind { option, .. } => Some(format!("leave {option} out")),
            Self::Kind { .. } => Some("types are bind, volume, tmpfs and image".into()),
            Self::Missing { .. } => {
                Some("write, for instance, type=bind,source=/srv/site,target=/site".into())
            }
            Self::Value { option, .. } => Some(match option.as_str() {
                "tmpfs-size" => "write a size, such as 64m".to_owned(),
                "tmpfs-mode" => "write it in octal, such as 1777".to_owned(),
                "bind-recursive" => "write enabled, disabled, writable or readonly".to_owned(),
                "bind-propagation" => {
                    "write rprivate, private, rshared, shared, rslave or slave".to_owned()
                }
                "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive" => {
                    format!("write {option}, or {option}=false")
                }
                _ => format!("write {option}=VALUE"),
            }),
            Self::OptionUnsupported { .. } => None,
        }
    }
}

/// A destination in the container.
fn parse_destination(text: &str) -> Result<PathBuf, InvalidMount> {
    let fault = |fault| InvalidMount::Destination {
        destination: text.to_owned(),
        fault,
    };
    if !text.starts_with('/') {
        return Err(fault("is not an absolute path"));
    }
    let clean = clean(Path::new(text));
    if clean == Path::new("/") {
        return Err(fault("would hide the whole container"));
    }
    Ok(clean)
}

/// An absolute path without `.`, `..` and double slashes, by its text alone: the container's
/// links are the runtime's business.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn refuse_second(earlier: Option<&str>, option: &str) -> Result<(), InvalidMount> {
    match earlier {
        Some(earlier) => Err(InvalidMount::Contradiction {
            option: option.to_owned(),
            earlier: earlier.to_owned(),
        }),
        None => Ok(()),
    }
}
