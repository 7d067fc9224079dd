//! `netrun cp`: files and directories between a container and the host, docker's rules.
//!
//! Invariant: no path and no link leads out of the container's root on its side, nor out of the
//! destination on the host's; what is copied in belongs to root unless the source's owners are asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::context::Context;
use super::values::parse;
use crate::engine::files::{Access, Place, find};
use crate::image::packed::unpacked;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::sys::tree::{Kind, Packed, Root, both, pack, unpack};

const EXAMPLES: &str = "\
Examples:
  netrun cp web:/etc/nginx ./conf
  netrun cp ./site/. web:/usr/share/nginx/html
  netrun cp web:/var/log - | tar -t
  tar -c . | netrun cp - web:/srv";

/// Copy files between a container, which may be stopped, and the host
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Keep the owners of the source
    #[arg(short, long)]
    pub archive: bool,

    /// Copy what a link at the source leads to, not the link
    #[arg(short = 'L', long)]
    pub follow_link: bool,

    /// Say nothing, which it does anyway
    #[arg(short, long)]
    pub quiet: bool,

    /// CONTAINER:PATH, a path of the host, or - for a tar stream
    #[arg(value_name = "SOURCE", value_parser = parse::<Side>)]
    pub source: Side,

    /// CONTAINER:PATH, a path of the host, or - for a tar stream
    #[arg(value_name = "DESTINATION", value_parser = parse::<Side>)]
    pub destination: Side,
}

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// A path in a container.
    Inside(ContainerId, PathBuf),
    /// A path of the host.
    Here(PathBuf),
    /// A tar stream.
    Stream,
}

/// What a copy cannot be, or why it failed.
#[derive(Debug, thiserror::Error)]
pub enum CpError {
    /// No side, or both, is a container's.
    #[error("one side must be CONTAINER:PATH, and the other must not")]
    Sides,
    /// The name before the colon is none.
    #[error("\"{0}\" names no container before the colon")]
    Name(String),
    /// There is no source.
    #[error("{} no {}", has(.container), .path.display())]
    NoSource {
        /// Whose it would be; the host's if nobody's.
        container: Option<ContainerId>,
        /// As typed.
        path: PathBuf,
    },
    /// The destination's directory does not exist.
    #[error("there is no directory {}", .0.display())]
    NoDirectory(PathBuf),
    /// A directory onto a file.
    #[error("{} is no directory", .0.display())]
    NotDirectory(PathBuf),
    /// A device, a pipe or a socket as destination: it would be lost.
    #[error("{} is neither a directory nor an ordinary file", .0.display())]
    Special(PathBuf),
    /// Either side failed.
    #[error("cannot copy {} to {}", .from.display(), .to.display())]
    Copy {
        /// The source.
        from: PathBuf,
        /// The destination.
        to: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl Explain for CpError {
    fn class(&self) -> Class {
        match self {
            Self::Sides | Self::Name(_) | Self::NotDirectory(_) | Self::Special(_) => {
                Class::InvalidInput
            }
            Self::NoSource { .. } | Self::NoDirectory(_) => Class::NotFound,
            Self::Copy { source, .. } => match source.kind() {
                io::ErrorKind::InvalidData => Class::InvalidInput,
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Failed,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Sides | Self::Name(_) => {
                Some("a path of the host with a colon is written ./like:this".to_owned())
            }
            Self::NoSource {
                container: Some(id),
                path,
            } => {
                let above = path.parent().filter(|above| above != &Path::new(""));
                let above = above.unwrap_or(Path::new("/"));
                Some(format!(
                    "netrun exec {id} ls {} shows what a running one has",
                    above.display()
                ))
            }
            Self::Copy { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("the container may not write there either (:ro, --read-only)".to_owned())
            }
            _ => None,
        }
    }
}

fn has(container: &Option<ContainerId>) -> String {
    match container {
        Some(id) => format!("container \"{id}\" has"),
        None => "there is".to_owned(),
    }
}

impl FromStr for Side {
    type Err = CpError;

    fn from_str(text: &str) -> Result<Self, CpError> {
        if text == "-" {
            return Ok(Self::Stream);
        }
        match text.split_once(':') {
            Some((name, path)) if !text.starts_with(['/', '.']) => {
                let id = name.parse();
                let id = id.map_err(|_| CpError::Name(text.to_owned()))?;
                Ok(Self::Inside(id, PathBuf::from(path)))
            }
            _ => Ok(Self::Here(PathBuf::from(text))),
        }
    }
}

/// Copies.
///
/// # Errors
/// See [`CpError`]; what was copied before a failure stays.
pub async fn cp(
    context: &Context<'_>,
    args: &Args,
    stdout: impl io::Write + Send,
) -> Result<(), Failure> {
    match (&args.source, &args.destination) {
        (Side::Inside(id, path), Side::Here(to)) => {
            let (place, found) = find(&context.host, id, path, Access::Read).await?;
            let source = Ends::new(&place, found, path).of(id);
            let here = Place::Directory(PathBuf::from("/"));
            let absolute = std::path::absolute(to).map_err(failed(path, to))?;
            let destination = Ends::new(&here, absolute, to);
            copy(&source, &destination, args)
        }
        (Side::Here(from), Side::Inside(id, path)) => {
            let (place, found) = find(&context.host, id, path, Access::Write).await?;
            let here = Place::Directory(PathBuf::from("/"));
            let absolute = std::path::absolute(from).map_err(failed(from, path))?;
            let source = Ends::new(&here, absolute, from);
            copy(&source, &Ends::new(&place, found, path).of(id), args)
        }
        (Side::Inside(id, path), Side::Stream) => {
            let (place, found) = find(&context.host, id, path, Access::Read).await?;
            give_stream(
                &Ends::new(&place, found, path).of(id),
                args.follow_link,
                stdout,
            )
        }
        (Side::Stream, Side::Inside(id, path)) => {
            let (place, found) = find(&context.host, id, path, Access::Write).await?;
            take_stream(&Ends::new(&place, found, path).of(id))
        }
        _ => Err(CpError::Sides.into()),
    }
}

/// A path on one side.
struct Ends<'a> {
    place: &'a Place,
    path: PathBuf,
    /// As typed: what stands behind the last slash matters.
    typed: &'a Path,
    /// The container that it is of.
    container: Option<&'a ContainerId>,
}

impl<'a> Ends<'a> {
    fn new(place: &'a Place, path: PathBuf, typed: &'a Path) -> Ends<'a> {
        Ends {
            place,
            path,
            typed,
            container: None,
        }
    }

    fn of(self, id: &'a ContainerId) -> Ends<'a> {
        let container = Some(id);
        Ends { container, ..self }
    }

    fn missing(&self) -> CpError {
        CpError::NoSource {
            container: self.container.cloned(),
            path: self.typed.to_owned(),
        }
    }

    /// Only what is in the directory is meant: `path/.`.
    fn is_content(&self) -> bool {
        let text = self.typed.as_os_str().to_string_lossy();
        text == "." || text.ends_with("/.")
    }

    fn must_be_directory(&self) -> bool {
        self.typed.as_os_str().to_string_lossy().ends_with('/') || self.is_content()
    }

    /// What the path is; nothing if there is no such thing.
    fn kind(&self, follow: bool) -> io::Result<Option<Kind>> {
        let root = |directory: &Path| Root::open(directory)?.kind(&self.path, follow);
        self.place.look(root)
    }
}

fn failed(from: &Path, to: &Path) -> impl FnOnce(io::Error) -> CpError {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |source| CpError::Copy { from, to, source }
}

fn copy(source: &Ends<'_>, destination: &Ends<'_>, args: &Args) -> Result<(), Failure> {
    let told = || failed(source.typed, destination.typed);
    let follow = args.follow_link || source.must_be_directory();
    let kind = source.kind(follow).map_err(told())?;
    let kind = kind.ok_or_else(|| source.missing())?;
    if source.must_be_directory() && kind != Kind::Directory {
        return Err(CpError::NotDirectory(source.typed.to_owned()).into());
    }
    let target = target(source, destination, kind).map_err(|error| match error {
        Target::Refused(error) => error,
        Target::Failed(error) => told()(error),
    })?;
    let packed = Packed {
        path: &source.path,
        name: &target.name,
        follow,
    };
    let owner = (!args.archive).then_some((0, 0));
    Ok(transfer(source.place, packed, destination.place, &target.base, owner).map_err(told())?)
}

/// Where something goes: its name in a directory.
struct Goal {
    base: PathBuf,
    name: PathBuf,
}

enum Target {
    Refused(CpError),
    Failed(io::Error),
}

/// Docker's rules: into a directory that exists, else under the name that was given.
fn target(source: &Ends<'_>, destination: &Ends<'_>, kind: Kind) -> Result<Goal, Target> {
    let whole = |path: &Path| Goal {
        base: path.to_owned(),
        name: PathBuf::from("."),
    };
    let named = |base: &Path, name: Option<&std::ffi::OsStr>| match name {
        Some(name) => Goal {
            base: base.to_owned(),
            name: PathBuf::from(name),
        },
        None => whole(base),
    };
    let through = |root: &Path| Root::open(root)?.through_links(&destination.path);
    let to = &destination.place.look(through).map_err(Target::Failed)?;
    let refused = |error| Err(Target::Refused(error));
    match destination.kind(true).map_err(Target::Failed)? {
        Some(Kind::Directory) if source.is_content() => Ok(whole(to)),
        Some(Kind::Directory) => Ok(named(to, source.path.file_name())),
        Some(_) if kind == Kind::Directory || destination.must_be_directory() => {
            refused(CpError::NotDirectory(destination.typed.to_owned()))
        }
        Some(Kind::Other) => refused(CpError::Special(destination.typed.to_owned())),
        None if kind != Kind::Directory && destination.must_be_directory() => {
            refused(CpError::NoDirectory(destination.typed.to_owned()))
        }
        _ => {
            let parent = to.parent().unwrap_or(Path::new("/"));
            let above = Ends {
                path: parent.to_owned(),
                ..Ends::new(destination.place, PathBuf::new(), destination.typed)
            };
            match above.kind(true).map_err(Target::Failed)? {
                Some(Kind::Directory) => Ok(named(parent, to.file_name())),
                _ => refused(CpError::NoDirectory(parent.to_owned())),
            }
        }
    }
}

/// Packs on one side while it unpacks on the other.
fn transfer(
    from: &Place,
    what: Packed<'_>,
    to: &Place,
    base: &Path,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| from.look(|root| pack(&Root::open(root)?, what, writer)));
        let unpacked = to.look(|root| {
            // Nothing that is copied may lead out of where it goes.
            let directory = Root::open(root)?.below(base)?;
            unpack(&directory, Path::new("/"), reader, owner)
        });
        let ended_early = |_| Err(io::Error::other("the thread that packs ended early"));
        let packed = packing.join().unwrap_or_else(ended_early);
        both(unpacked, packed)
    })
}

fn give_stream(
    source: &Ends<'_>,
    follow: bool,
    stdout: impl io::Write + Send,
) -> Result<(), Failure> {
    let told = || failed(source.typed, Path::new("-"));
    let follow = follow || source.must_be_directory();
    if source.kind(follow).map_err(told())?.is_none() {
        return Err(source.missing().into());
    }
    let name = match source.path.file_name() {
        Some(name) if !source.is_content() => Path::new(name),
        _ => Path::new("."),
    };
    let packed = Packed {
        path: &source.path,
        name,
        follow,
    };
    let packing = |root: &Path| pack(&Root::open(root)?, packed, stdout);
    match source.place.look(packing) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome.map_err(told())?),
    }
}

fn take_stream(destination: &Ends<'_>) -> Result<(), Failure> {
    let told = || failed(Path::new("-"), destination.typed);
    match destination.kind(true).map_err(told())? {
        Some(Kind::Directory) => {}
        Some(_) => return Err(CpError::NotDirectory(destination.typed.to_owned()).into()),
        None => return Err(CpError::NoDirectory(destination.typed.to_owned()).into()),
    }
    let taken = destination.place.look(|root| {
        let root = Root::open(root)?;
        let (stream, _) = unpacked(io::stdin().lock())?;
        unpack(&root, &destination.path, stream, None)
    });
    Ok(taken.map_err(told())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart_as_docker_does() {
        let side = |text: &str| text.parse::<Side>();
        let inside = Side::Inside("web".parse().unwrap(), "/x".into());
        assert_eq!(side("web:/x").unwrap(), inside);
        assert_eq!(side("-").unwrap(), Side::Stream);
        for here in ["./a:b", "/a:b", "a", "."] {
            assert_eq!(side(here).unwrap(), Side::Here(here.into()), "{here}");
        }
        assert!(matches!(side("a b:/x"), Err(CpError::Name(_))));
    }
}
