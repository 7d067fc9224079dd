//! What is mounted in a new container: what was asked for, what other containers have, and the
//! image's volumes.
//!
//! Invariant: what was asked for goes before what another container has, and that before the image's;
//! no place gets two of them, unless the user named it twice (which the spec refuses).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::sys::utsname::uname;
use oci_spec::image::ImageConfiguration;

use super::Unfit;
use crate::commands::container::ContainerArgs;
use crate::commands::context::Context;
use crate::commands::image_choice;
use crate::engine::volumes;
use crate::image::Image;
use crate::model::class::Failure;
use crate::model::id::{ContainerId, Namespace, VolumeName};
use crate::model::mount::{Access, Form, InvalidMount, MountRequest, Propagation, Source, clean};
use crate::model::record::{MountKind, MountPoint, VolumeUse};

/// The release that brought mount_setattr(2).
const RECURSIVE_READ_ONLY: (u32, u32) = (5, 12);

pub(super) async fn mounts(
    context: &Context<'_>,
    args: &ContainerArgs,
    (image, snapshotter): (&ImageConfiguration, &str),
) -> Result<Vec<MountPoint>, Failure> {
    let namespace = &context.settings.namespace;
    let container = args;
    let args = &container.storage;
    let short = args.volumes.iter().map(|mount| &mount.0);
    let long = args.mounts.iter().map(|mount| &mount.0);
    let tmpfs = args.tmpfs.iter().map(|mount| &mount.0);
    let mut mounts = Vec::new();
    for request in short.chain(long).chain(tmpfs) {
        mounts.push(match &request.source {
            Source::Image { reference } => {
                let image = image_choice::find(context, container, reference, snapshotter);
                image_point(request, &image.await?)
            }
            Source::Bind {
                path,
                create,
                recursive,
            } => bind_point(request, (path, *create, *recursive))?,
            Source::Volume { name, copy } => {
                volume_point(namespace, request, (name.as_ref(), *copy))?
            }
            Source::Tmpfs { options } => tmpfs_point(request, options),
        });
    }
    let mut taken: BTreeSet<PathBuf> = mounts.iter().map(|m| m.destination.clone()).collect();
    for from in &args.volumes_from {
        for borrowed in borrowed(context, from).await? {
            if taken.insert(borrowed.destination.clone()) {
                mounts.push(borrowed);
            }
        }
    }
    for destination in image_volumes(image) {
        if taken.insert(destination.clone()) {
            let usual = MountRequest {
                source: Source::Volume {
                    name: None,
                    copy: true,
                },
                destination,
                access: Access::ReadWrite,
                propagation: None,
            };
            mounts.push(volume_point(namespace, &usual, (None, true))?);
        }
    }
    Ok(mounts)
}

/// The image's VOLUMEs.
fn image_volumes(image: &ImageConfiguration) -> Vec<PathBuf> {
    let config = image.config().as_ref();
    let volumes = config.and_then(|config| config.volumes().as_ref());
    let paths = volumes
        .into_iter()
        .flatten()
        .map(|path| clean(Path::new(path)));
    paths.filter(|path| path != Path::new("/")).collect()
}

fn mount_point(kind: MountKind, source: PathBuf, request: &MountRequest) -> MountPoint {
    MountPoint {
        kind,
        source,
        destination: request.destination.clone(),
        options: Vec::new(),
        volume: None,
        image: None,
    }
}

fn bind_point(
    request: &MountRequest,
    (path, create, recursive): (&Path, bool, bool),
) -> Result<MountPoint, Unfit> {
    let source = bind_source(path, create)?;
    let propagation = request.propagation.unwrap_or_default();
    Ok(MountPoint {
        options: options(recursive, request.access, propagation)?,
        ..mount_point(MountKind::Bind, source, request)
    })
}

fn volume_point(
    namespace: &Namespace,
    request: &MountRequest,
    (name, copy): (Option<&VolumeName>, bool),
) -> Result<MountPoint, Unfit> {
    let used = VolumeUse {
        anonymous: name.is_none(),
        name: match name {
            Some(name) => name.clone(),
            None => anonymous_name()?,
        },
        copy,
    };
    let source = volumes::data(namespace, &used.name);
    let propagation = request.propagation.unwrap_or_default();
    Ok(MountPoint {
        options: options(true, request.access, propagation)?,
        volume: Some(used),
        ..mount_point(MountKind::Volume, source, request)
    })
}

fn tmpfs_point(request: &MountRequest, options: &[String]) -> MountPoint {
    MountPoint {
        options: tmpfs_options(options, request.access),
        ..mount_point(MountKind::Tmpfs, PathBuf::new(), request)
    }
}

/// An image's files are never written to.
fn image_point(request: &MountRequest, image: &Image) -> MountPoint {
    MountPoint {
        options: ["ro", "rprivate"].map(str::to_owned).into(),
        image: Some(image.chain_id.clone()),
        ..mount_point(MountKind::Image, image.name.clone().into(), request)
    }
}

fn options(
    recursive: bool,
    access: Access,
    propagation: Propagation,
) -> Result<Vec<String>, Unfit> {
    let bind = if recursive { "rbind" } else { "bind" };
    let mut options = vec![bind, "ro", propagation.as_str()];
    match access {
        Access::ReadWrite => options[1] = "rw",
        Access::ReadOnly => {}
        Access::RecursivelyReadOnly if kernel_is_older(RECURSIVE_READ_ONLY) => {
            return Err(Unfit::NoRecursiveReadOnly);
        }
        Access::RecursivelyReadOnly => options.push("rro"),
    }
    Ok(options.into_iter().map(str::to_owned).collect())
}

fn kernel_is_older(than: (u32, u32)) -> bool {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    (next(), next()) < than
}

/// An absolute source; a missing one is made, as a directory, where that is wanted. As docker has it,
/// `..` counts by the text: nothing is made on the way to it.
fn bind_source(path: &Path, create: bool) -> Result<PathBuf, Unfit> {
    let source = clean(&std::path::absolute(path).map_err(Unfit::NoDirectory)?);
    if source.exists() {
        return Ok(source);
    }
    if !create {
        return Err(Unfit::NoSource(source));
    }
    match std::fs::create_dir_all(&source) {
        Ok(()) => Ok(source),
        Err(error) => Err(Unfit::MakeSource {
            path: source,
            source: error,
        }),
    }
}

/// A name that nobody else has: 64 hexadecimal digits, as docker makes them.
///
/// # Errors
/// The kernel's random numbers cannot be read.
pub fn anonymous_name() -> Result<VolumeName, Unfit> {
    let mut bytes = [0; 32];
    let mut random = File::open("/dev/urandom").map_err(Unfit::Random)?;
    random.read_exact(&mut bytes).map_err(Unfit::Random)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digits.parse().expect("digits are a name"))
}

/// What docker's memory has, unless the user says the opposite.
fn tmpfs_options(asked: &[String], access: Access) -> Vec<String> {
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).into();
    if access != Access::ReadWrite {
        options.push("ro".to_owned());
    }
    for option in asked {
        let opposite = match option.strip_prefix("no") {
            Some(rest) => rest.to_owned(),
            None => format!("no{option}"),
        };
        let name = option.split_once('=').map(|(name, _)| format!("{name}="));
        options.retain(|earlier| {
            let same = name.as_ref().is_some_and(|name| earlier.starts_with(name));
            *earlier != opposite && earlier != option && !same
        });
        options.push(option.clone());
    }
    options
}

/// What a container of `--volumes-from` has mounted of volumes and of the host.
async fn borrowed(context: &Context<'_>, given: &str) -> Result<Vec<MountPoint>, Failure> {
    let (name, access) = match given.split_once(':') {
        Some((name, access)) => (name, Some(access)),
        None => (given, None),
    };
    let id: ContainerId = name.parse().map_err(|source| Unfit::VolumesFrom {
        given: given.to_owned(),
        source,
    })?;
    let read_only = match access {
        None | Some("rw" | "z" | "Z") => false,
        Some("ro") => true,
        Some(other) => {
            let option = other.to_owned();
            let of = Form::From;
            return Err(Unfit::from(InvalidMount::Option { option, of }).into());
        }
    };
    let record = context.host.record(&id).await?;
    let mounts = record.mounts.into_iter();
    let shared = mounts.filter(|m| matches!(m.kind, MountKind::Bind | MountKind::Volume));
    Ok(shared
        .map(|mount| made_read_only(mount, read_only))
        .collect())
}

fn made_read_only(mut mount: MountPoint, wanted: bool) -> MountPoint {
    if wanted {
        for option in mount.options.iter_mut().filter(|option| *option == "rw") {
            *option = "ro".to_owned();
        }
    }
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_dockers_unless_the_opposite_is_asked_for() {
        let options = |asked: &[&str], access| {
            let asked: Vec<String> = asked.iter().map(|s| (*s).to_owned()).collect();
            tmpfs_options(&asked, access).join(",")
        };
        let usual = "noexec,nosuid,nodev";
        assert_eq!(options(&[], Access::ReadWrite), usual);
        assert_eq!(options(&["exec"], Access::ReadWrite), "nosuid,nodev,exec");
        let sized = options(&["size=1m", "size=2m"], Access::ReadWrite);
        assert_eq!(sized, "noexec,nosuid,nodev,size=2m");
        let read_only = options(&["ro"], Access::ReadOnly);
        assert_eq!(read_only, "noexec,nosuid,nodev,ro");
    }

    #[test]
    fn anonymous_names_are_never_the_same() {
        let (one, other) = (anonymous_name().unwrap(), anonymous_name().unwrap());
        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn a_missing_source_is_made_only_for_the_short_form() {
        let place = std::env::temp_dir().join(format!("netrun-source-{}", std::process::id()));
        assert!(matches!(
            bind_source(&place, false),
            Err(Unfit::NoSource(_))
        ));
        assert_eq!(bind_source(&place, true).unwrap(), place);
        assert!(place.is_dir());
        std::fs::remove_dir(&place).unwrap();
        let below_a_file = Path::new("/proc/version/x");
        assert!(matches!(
            bind_source(below_a_file, true),
            Err(Unfit::MakeSource { .. })
        ));
    }
}
