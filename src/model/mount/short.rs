//! The short forms: `-v [SOURCE:]DESTINATION[:OPTIONS]` and `--tmpfs DESTINATION[:OPTIONS]`, docker's
//! grammar.
//!
//! Invariant: a source that is a path is a bind, one that is a name is a volume, none at all is an
//! anonymous volume.

use std::path::PathBuf;
use std::str::FromStr;

use super::{
    Access, Form, InvalidMount, MountRequest, Propagation, Source, parse_destination, refuse_second,
};

/// What `-v` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortMount(pub MountRequest);

/// What `--tmpfs` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpfsMount(pub MountRequest);

impl FromStr for ShortMount {
    type Err = InvalidMount;

    fn from_str(given: &str) -> Result<Self, InvalidMount> {
        let form = || InvalidMount::Form {
            given: given.to_owned(),
        };
        let parts: Vec<&str> = given.split(':').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(form());
        }
        let (source, destination, options) = match parts[..] {
            [destination] => ("", destination, ""),
            [source, destination] => (source, destination, ""),
            [source, destination, options] => (source, destination, options),
            _ => return Err(form()),
        };
        let options = Options::parse(options)?;
        Ok(Self(MountRequest {
            source: parse_source(source, &options)?,
            destination: parse_destination(destination)?,
            access: options.access(),
            propagation: options.propagation,
        }))
    }
}

fn parse_source(text: &str, options: &Options<'_>) -> Result<Source, InvalidMount> {
    if text.starts_with('/') || text.starts_with('.') {
        if let Some(option) = options.of_volumes {
            return Err(other_kind(option, "bind"));
        }
        return Ok(Source::Bind {
            path: PathBuf::from(text),
            create: true,
            recursive: options.recursion != Some("bind"),
        });
    }
    if let Some(option) = options.recursion {
        return Err(other_kind(option, "volume"));
    }
    if let Some(propagation) = options.propagation {
        return Err(other_kind(propagation.as_str(), "volume"));
    }
    let name = match text {
        "" => None,
        name => Some(name.parse().map_err(|_| InvalidMount::Source {
            source_path: name.to_owned(),
        })?),
    };
    Ok(Source::Volume {
        name,
        copy: options.of_volumes.is_none(),
    })
}

fn other_kind(option: &str, kind: &'static str) -> InvalidMount {
    InvalidMount::OtherKind {
        option: option.to_owned(),
        kind,
    }
}

/// The words behind the second colon.
#[derive(Default)]
struct Options<'a> {
    access: Option<&'a str>,
    propagation: Option<Propagation>,
    /// `bind` or `rbind`.
    recursion: Option<&'a str>,
    /// `nocopy`.
    of_volumes: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(text: &'a str) -> Result<Self, InvalidMount> {
        let mut options = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            options.take(option)?;
        }
        Ok(options)
    }

    fn take(&mut self, option: &'a str) -> Result<(), InvalidMount> {
        if let Some(named) = Propagation::from_name(option) {
            refuse_second(self.propagation.map(Propagation::as_str), option)?;
            self.propagation = Some(named);
            return Ok(());
        }
        let place = match option {
            "ro" | "rw" | "rro" => &mut self.access,
            "bind" | "rbind" => &mut self.recursion,
            "nocopy" => &mut self.of_volumes,
            // SELinux relabelling, and what Docker Desktop once had: docker on Linux without
            // SELinux ignores them too, and scripts carry them about.
            "z" | "Z" | "consistent" | "cached" | "delegated" => return Ok(()),
            "U" | "copy" => {
                return Err(InvalidMount::OptionUnsupported {
                    option: option.to_owned(),
                });
            }
            _ => {
                return Err(InvalidMount::Option {
                    option: option.to_owned(),
                    of: Form::Short,
                });
            }
        };
        refuse_second(*place, option)?;
        *place = Some(option);
        Ok(())
    }

    fn access(&self) -> Access {
        match self.access {
            Some("ro") => Access::ReadOnly,
            Some("rro") => Access::RecursivelyReadOnly,
            _ => Access::ReadWrite,
        }
    }
}

/// The words that `--tmpfs` takes, and whether they need a value.
const TMPFS_OPTIONS: [(&str, bool); 24] = [
    ("ro", false),
    ("rw", false),
    ("exec", false),
    ("noexec", false),
    ("suid", false),
    ("nosuid", false),
    ("dev", false),
    ("nodev", false),
    ("sync", false),
    ("async", false),
    ("dirsync", false),
    ("atime", false),
    ("noatime", false),
    ("diratime", false),
    ("nodiratime", false),
    ("relatime", false),
    ("strictatime", false),
    ("size", true),
    ("mode", true),
    ("uid", true),
    ("gid", true),
    ("nr_inodes", true),
    ("nr_blocks", true),
    ("mpol", true),
];

impl FromStr for TmpfsMount {
    type Err = InvalidMount;

    fn from_str(given: &str) -> Result<Self, InvalidMount> {
        let (destination, options) = given.split_once(':').unwrap_or((given, ""));
        let options: Vec<&str> = options.split(',').filter(|word| !word.is_empty()).collect();
        for option in &options {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (*option, None),
            };
            let known = TMPFS_OPTIONS.iter().find(|(known, _)| *known == name);
            let complete = known.is_some_and(|(_, valued)| *valued == value.is_some());
            if !complete {
                return Err(InvalidMount::Option {
                    option: (*option).to_owned(),
                    of: Form::Tmpfs,
                });
            }
            check_number(name, value.unwrap_or_default())?;
        }
        Ok(Self(MountRequest {
            destination: parse_destination(destination)?,
            access: match options.contains(&"ro") {
                true => Access::ReadOnly,
                false => Access::ReadWrite,
            },
            source: Source::Tmpfs {
                options: options.into_iter().map(str::to_owned).collect(),
            },
            propagation: None,
        }))
    }
}

/// What the kernel would refuse is refused here, where it can be named.
fn check_number(name: &str, value: &str) -> Result<(), InvalidMount> {
    let digits = value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', '%']);
    let good = match name {
        "size" | "nr_inodes" | "nr_blocks" => digits.parse::<u64>().is_ok(),
        "uid" | "gid" => value.parse::<u32>().is_ok(),
        "mode" => u32::from_str_radix(value, 8).is_ok(),
        _ => true,
    };
    match good {
        true => Ok(()),
        false => Err(InvalidMount::Value {
            option: name.to_owned(),
            value: value.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::class::{Class, Explain};

    fn mount(text: &str) -> MountRequest {
        text.parse::<ShortMount>().unwrap().0
    }

    fn refused(text: &str) -> InvalidMount {
        text.parse::<ShortMount>().unwrap_err()
    }

    #[test]
    fn dockers_forms_of_a_bind_mount() {
        let plain = mount("/srv/data:/data");
        assert_eq!(
            plain,
            MountRequest {
                source: Source::Bind {
                    path: "/srv/data".into(),
                    create: true,
                    recursive: true,
                },
                destination: "/data".into(),
                access: Access::ReadWrite,
                propagation: None,
            }
        );
        assert_eq!(mount("/srv/data:/data:rw"), plain);
        assert_eq!(mount("/srv/data:/data:z"), plain);
        assert_eq!(mount("/srv/data:/data:rbind"), plain);
        assert_eq!(mount("/a:/b:ro").access, Access::ReadOnly);
        assert_eq!(mount("/a:/b:rro").access, Access::RecursivelyReadOnly);
        assert_eq!(mount("/a:/b:Z,ro").access, Access::ReadOnly);
        let shared = mount("/a:/b:ro,rshared");
        assert_eq!(shared.propagation, Some(Propagation::RShared));
        assert!(matches!(
            mount("/a:/b:bind").source,
            Source::Bind {
                recursive: false,
                ..
            }
        ));
        for relative in [".", "./x", "../x", ".cache"] {
            let Source::Bind { path, .. } = mount(&format!("{relative}:/b")).source else {
                panic!("{relative}");
            };
            assert_eq!(path, Path::new(relative));
        }
    }

    #[test]
    fn names_and_nothing_are_volumes() {
        for (text, name, copy) in [
            ("data:/b", Some("data"), true),
            ("my_data-1.0:/b:ro", Some("my_data-1.0"), true),
            ("/b", None, true),
            ("data:/b:nocopy", Some("data"), false),
        ] {
            let Source::Volume { name: got, copy: c } = mount(text).source else {
                panic!("{text}");
            };
            assert_eq!((got.as_ref().map(AsRef::as_ref), c), (name, copy), "{text}");
        }
        for bad in ["/a:/b:nocopy", "data:/b:rslave", "data:/b:bind"] {
            assert!(
                matches!(refused(bad), InvalidMount::OtherKind { .. }),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_destination_is_cleaned_and_never_the_root() {
        assert_eq!(mount("/a:/b//c/./d/").destination, Path::new("/b/c/d"));
        assert_eq!(mount("/a:/b/../../c").destination, Path::new("/c"));
        for bad in ["/a:/", "/a:/x/..", "/a://", "/a:b", "/a:b:ro", "/", "b"] {
            assert!(
                matches!(refused(bad), InvalidMount::Destination { .. }),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in ["", ":", ":/b", "/a:", "/a:/b:", "/a:/b:ro:x"] {
            assert!(matches!(refused(bad), InvalidMount::Form { .. }), "{bad}");
        }
        for bad in ["/a:/b:r", "/a:/b:ro,what", "/a:/b:RO"] {
            assert!(matches!(refused(bad), InvalidMount::Option { .. }), "{bad}");
        }
        for bad in ["/a:/b:ro,rw", "/a:/b:ro,ro", "/a:/b:shared,rslave"] {
            assert!(
                matches!(refused(bad), InvalidMount::Contradiction { .. }),
                "{bad}"
            );
        }
        let error = refused("sub/dir:/b");
        assert!(matches!(error, InvalidMount::Source { .. }));
        assert_eq!(error.hint().unwrap(), "try \"./sub/dir\"");
        assert_eq!(error.class(), Class::InvalidInput);
        assert_eq!(refused("/a:/b:U").class(), Class::Unsupported);
    }

    #[test]
    fn memory_has_dockers_options() {
        let tmpfs = |text: &str| text.parse::<TmpfsMount>().map(|mount| mount.0);
        let plain = tmpfs("/run").unwrap();
        assert_eq!(plain.source, Source::Tmpfs { options: vec![] });
        let full = tmpfs("/run:ro,exec,size=64m,mode=1770").unwrap();
        assert_eq!(full.access, Access::ReadOnly);
        let Source::Tmpfs { options } = full.source else {
            panic!("{full:?}");
        };
        assert_eq!(options, ["ro", "exec", "size=64m", "mode=1770"]);
        for bad in [
            "run",
            "/",
            "/a:b",
            "/a:size",
            "/a:size=x",
            "/a:mode=9",
            "/a:ro=1",
            "/a:uid=-1",
        ] {
            assert!(tmpfs(bad).is_err(), "{bad}");
        }
    }
}
