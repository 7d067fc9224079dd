//! The host's devices, as a privileged container gets them.
//!
//! Invariant: only character and block devices; what every container has of its own is left out.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::facts::{FactsError, read_error};

/// Directories of `/dev` that hold no devices of the host's: a container has its own, or they are
/// other containers' (docker leaves out the same).
const OWN_DIRECTORIES: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/// All character and block devices below `directory`, sorted by path, links not followed.
///
/// # Errors
/// A directory that cannot be read. What vanishes meanwhile is passed over: devices come and go.
pub(super) fn host_devices(directory: &Path) -> Result<Vec<LinuxDevice>, FactsError> {
    let mut devices = Vec::new();
    collect(directory, &mut devices)?;
    devices.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(devices)
}

/// A device of the host as a container sees it at `inside`; all of them, if it is a directory.
///
/// # Errors
/// There is no such device.
pub fn asked_devices(host: &Path, inside: &Path) -> io::Result<Vec<LinuxDevice>> {
    // A link stands for what it leads to, as /dev/disk/by-id/... does.
    let real = host.canonicalize()?;
    let metadata = fs::metadata(&real)?;
    if !metadata.is_dir() {
        let not_a_device = || io::Error::new(io::ErrorKind::InvalidInput, "this is no device");
        let node = device(inside, &metadata).ok_or_else(not_a_device)?;
        return Ok(vec![node]);
    }
    let mut nodes = Vec::new();
    collect(&real, &mut nodes).map_err(|error| match error {
        FactsError::Read { source, .. } => source,
        FactsError::NoCgroups => io::ErrorKind::Unsupported.into(),
    })?;
    for node in &mut nodes {
        let below = node.path().strip_prefix(&real).map(Path::to_owned);
        node.set_path(inside.join(below.unwrap_or_default()));
    }
    Ok(nodes)
}

fn collect(directory: &Path, devices: &mut Vec<LinuxDevice>) -> Result<(), FactsError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(read_error(directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(read_error(directory))?;
        let path = entry.path();
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(read_error(&path))?,
        };
        let name = entry.file_name();
        if metadata.is_dir() {
            if !OWN_DIRECTORIES.iter().any(|own| name == *own) {
                collect(&path, devices)?;
            }
        } else if name != "console" {
            devices.extend(device(&path, &metadata));
        }
    }
    Ok(())
}

fn device(path: &Path, metadata: &fs::Metadata) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let typ = if kind.is_char_device() {
        LinuxDeviceType::C
    } else if kind.is_block_device() {
        LinuxDeviceType::B
    } else {
        return None;
    };
    let number = metadata.rdev();
    let mut device = LinuxDevice::default();
    device
        .set_path(path.to_owned())
        .set_typ(typ)
        .set_major(nix::sys::stat::major(number).cast_signed())
        .set_minor(nix::sys::stat::minor(number).cast_signed())
        .set_file_mode(Some(metadata.mode() & 0o7777))
        .set_uid(Some(metadata.uid()))
        .set_gid(Some(metadata.gid()));
    Some(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_devices_are_found() {
        let devices = host_devices(Path::new("/dev")).unwrap();
        let null = devices
            .iter()
            .find(|device| device.path() == Path::new("/dev/null"))
            .unwrap();
        assert_eq!(null.typ(), LinuxDeviceType::C);
        assert_eq!((null.major(), null.minor()), (1, 3));
        assert_eq!(null.file_mode(), Some(0o666));
        for own in ["/dev/pts", "/dev/shm", "/dev/console", "/dev/fd"] {
            assert!(
                !devices.iter().any(|device| device.path().starts_with(own)),
                "{own}"
            );
        }
        assert!(devices.is_sorted_by(|a, b| a.path() < b.path()));
    }

    #[test]
    fn a_device_is_seen_under_another_name() {
        let nodes = asked_devices(Path::new("/dev/null"), Path::new("/dev/nothing")).unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].path(), Path::new("/dev/nothing"));
        assert_eq!((nodes[0].major(), nodes[0].minor()), (1, 3));
        let all = asked_devices(Path::new("/dev"), Path::new("/all")).unwrap();
        assert!(all.iter().any(|node| node.path() == Path::new("/all/null")));
        for bad in ["/dev/no-such-device", "/proc/version"] {
            assert!(
                asked_devices(Path::new(bad), Path::new(bad)).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_no_device_is_no_device() {
        assert!(host_devices(Path::new("/proc/self/ns")).unwrap().is_empty());
        assert!(host_devices(Path::new("/nowhere")).unwrap().is_empty());
    }
}
