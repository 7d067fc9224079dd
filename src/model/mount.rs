//! Bind mounts as users write them: `-v SRC:DST[:OPTIONS]`, docker's grammar.
//!
//! Invariant: a [`Bind`]'s destination is absolute, clean and not `/`; its source is a path, but
//! possibly a relative one: only the caller knows the working directory.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::class::{Class, Explain};

/// A host directory or file shown in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host. A relative one starts with `.` and has yet to be made absolute.
    pub source: PathBuf,
    /// In the container: absolute, without `.`, `..` and double slashes, never `/`.
    pub destination: PathBuf,
    /// The container may not write to it.
    pub read_only: bool,
    /// Whether mounts made later on one side appear on the other.
    pub propagation: Propagation,
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

/// Why a `-v` argument is no bind mount.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBind {
    /// Not of the form `SRC:DST[:OPTIONS]`.
    #[error("volume \"{given}\" is not of the form SOURCE:DESTINATION[:OPTIONS]")]
    Form {
        /// The whole argument.
        given: String,
    },
    /// No source: docker would make an anonymous volume.
    #[error("volume \"{given}\" names no source, and anonymous volumes are not supported yet")]
    Anonymous {
        /// The whole argument.
        given: String,
    },
    /// The source is a volume's name.
    #[error("named volumes are not supported yet: \"{name}\"")]
    Named {
        /// The volume's name.
        name: String,
    },
    /// The source is neither absolute nor starts with `.`, and no volume's name either.
    #[error(
        "volume source \"{source_path}\" is neither an absolute path nor one that starts with \".\""
    )]
    Source {
        /// The source as given.
        source_path: String,
    },
    /// The destination is relative or the root itself.
    #[error("volume destination \"{destination}\" {fault}")]
    Destination {
        /// The destination as given.
        destination: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An option that does not exist.
    #[error("volume option \"{option}\" is not known")]
    Option {
        /// The option as given.
        option: String,
    },
    /// Two options that exclude each other.
    #[error("volume option \"{option}\" contradicts \"{earlier}\"")]
    Contradiction {
        /// The later one.
        option: String,
        /// The earlier one.
        earlier: String,
    },
    /// A docker option that netrun does not have.
    #[error("volume option \"{option}\" is not supported yet")]
    OptionUnsupported {
        /// The option as given.
        option: String,
    },
}

impl Explain for InvalidBind {
    fn class(&self) -> Class {
        match self {
            Self::Anonymous { .. } | Self::Named { .. } | Self::OptionUnsupported { .. } => {
                Class::Unsupported
            }
            Self::Form { .. }
            | Self::Source { .. }
            | Self::Destination { .. }
            | Self::Option { .. }
            | Self::Contradiction { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Named { name } => Some(format!("for a directory here, write \"./{name}\"")),
            Self::Source { source_path } => Some(format!("try \"./{source_path}\"")),
            Self::Anonymous { given } => Some(format!("give a source: -v /host/path:{given}")),
            Self::Option { .. } => Some(
                "options are ro, rw, private, rprivate, shared, rshared, slave and rslave".into(),
            ),
            _ => None,
        }
    }
}

impl FromStr for Bind {
    type Err = InvalidBind;

    fn from_str(given: &str) -> Result<Self, InvalidBind> {
        let form = || InvalidBind::Form {
            given: given.to_owned(),
        };
        let parts: Vec<&str> = given.split(':').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(form());
        }
        let (source, destination, options) = match parts[..] {
            [destination] if destination.starts_with('/') => {
                return Err(InvalidBind::Anonymous {
                    given: given.to_owned(),
                });
            }
            [source, destination] => (source, destination, ""),
            [source, destination, options] => (source, destination, options),
            _ => return Err(form()),
        };
        let (read_only, propagation) = parse_options(options)?;
        Ok(Self {
            source: parse_source(source)?,
            destination: parse_destination(destination)?,
            read_only,
            propagation,
        })
    }
}

fn parse_source(text: &str) -> Result<PathBuf, InvalidBind> {
    if text.starts_with('/') || text.starts_with('.') {
        return Ok(PathBuf::from(text));
    }
    let volume_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if volume_name {
        return Err(InvalidBind::Named {
            name: text.to_owned(),
        });
    }
    Err(InvalidBind::Source {
        source_path: text.to_owned(),
    })
}

fn parse_destination(text: &str) -> Result<PathBuf, InvalidBind> {
    let fault = |fault| InvalidBind::Destination {
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
fn clean(path: &Path) -> PathBuf {
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

fn parse_options(text: &str) -> Result<(bool, Propagation), InvalidBind> {
    let mut access: Option<&str> = None;
    let mut propagation: Option<Propagation> = None;
    for option in text.split(',').filter(|option| !option.is_empty()) {
        if let Some(named) = Propagation::from_name(option) {
            refuse_second(propagation.map(Propagation::as_str), option)?;
            propagation = Some(named);
            continue;
        }
        match option {
            "ro" | "rw" => {
                refuse_second(access, option)?;
                access = Some(option);
            }
            // SELinux relabelling, and what Docker Desktop once had: docker on Linux without
            // SELinux ignores them too, and scripts carry them about.
            "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" | "bind" | "rbind" | "rro" | "U" => {
                return Err(InvalidBind::OptionUnsupported {
                    option: option.to_owned(),
                });
            }
            _ => {
                return Err(InvalidBind::Option {
                    option: option.to_owned(),
                });
            }
        }
    }
    Ok((access == Some("ro"), propagation.unwrap_or_default()))
}

fn refuse_second(earlier: Option<&str>, option: &str) -> Result<(), InvalidBind> {
    match earlier {
        Some(earlier) => Err(InvalidBind::Contradiction {
            option: option.to_owned(),
            earlier: earlier.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Bind {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> InvalidBind {
        text.parse::<Bind>().unwrap_err()
    }

    #[test]
    fn dockers_forms_of_a_bind_mount() {
        let plain = bind("/srv/data:/data");
        assert_eq!(
            plain,
            Bind {
                source: "/srv/data".into(),
                destination: "/data".into(),
                read_only: false,
                propagation: Propagation::RPrivate,
            }
        );
        assert_eq!(bind("/srv/data:/data:rw"), plain);
        assert_eq!(bind("/srv/data:/data:z"), plain);
        assert!(bind("/a:/b:ro").read_only);
        assert!(bind("/a:/b:Z,ro").read_only);
        let shared = bind("/a:/b:ro,rshared");
        assert_eq!(
            (shared.read_only, shared.propagation),
            (true, Propagation::RShared)
        );
        for relative in [".", "./x", "../x", ".cache"] {
            assert_eq!(bind(&format!("{relative}:/b")).source, Path::new(relative));
        }
    }

    #[test]
    fn the_destination_is_cleaned_and_never_the_root() {
        assert_eq!(bind("/a:/b//c/./d/").destination, Path::new("/b/c/d"));
        assert_eq!(bind("/a:/b/../../c").destination, Path::new("/c"));
        for bad in ["/a:/", "/a:/x/..", "/a://", "/a:b", "/a:b:ro"] {
            assert!(
                matches!(refused(bad), InvalidBind::Destination { .. }),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in ["", ":", ":/b", "/a:", "/a:/b:", "/a:/b:ro:x", "a"] {
            assert!(matches!(refused(bad), InvalidBind::Form { .. }), "{bad}");
        }
        for bad in ["/a:/b:r", "/a:/b:ro,what", "/a:/b:RO"] {
            assert!(matches!(refused(bad), InvalidBind::Option { .. }), "{bad}");
        }
        for bad in ["/a:/b:ro,rw", "/a:/b:ro,ro", "/a:/b:shared,rslave"] {
            assert!(
                matches!(refused(bad), InvalidBind::Contradiction { .. }),
                "{bad}"
            );
        }
        let error = refused("sub/dir:/b");
        assert!(matches!(error, InvalidBind::Source { .. }));
        assert_eq!(error.hint().unwrap(), "try \"./sub/dir\"");
        assert_eq!(error.class(), Class::InvalidInput);
    }

    #[test]
    fn volumes_are_not_supported_yet() {
        for bad in ["data:/b", "my_data-1.0:/b:ro", "/b", "/a:/b:nocopy"] {
            assert_eq!(refused(bad).class(), Class::Unsupported, "{bad}");
        }
    }
}
