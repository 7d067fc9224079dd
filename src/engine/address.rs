//! Which containerd a directory of ours belongs to: two of them on one host share `/run/netrun`.
//!
//! Invariant: a directory is marked before a container's things are in it, and nobody touches what
//! is marked with another address than his own. One without a mark is anybody's.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::paths::Paths;

/// The file that names containerd's socket.
const MARK: &str = "containerd";

/// Marks a directory as belonging to the containerd at `address`.
///
/// # Errors
/// The directory cannot be written.
pub fn mark(directory: &Path, address: &Path) -> io::Result<()> {
    let address = canonical(address).into_os_string();
    fs::write(directory.join(MARK), address.as_encoded_bytes())
}

/// The containerd that the container belongs to, if it is another than the one at `address`.
pub fn elsewhere(paths: &Paths, address: &Path) -> Option<PathBuf> {
    let own = canonical(address);
    let owner = |directory: &PathBuf| {
        let bytes = fs::read(directory.join(MARK)).ok()?;
        let owner = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        (owner != own).then_some(owner)
    };
    [&paths.run, &paths.state].into_iter().find_map(owner)
}

/// Whether there is another containerd at `other` than the one at `address`.
pub fn is_another(other: &Path, address: &Path) -> bool {
    other.exists() && canonical(other) != canonical(address)
}

/// One socket has one name, whether containerd listens or not.
fn canonical(address: &Path) -> PathBuf {
    let parent = address
        .parent()
        .and_then(|parent| fs::canonicalize(parent).ok());
    match (fs::canonicalize(address), parent, address.file_name()) {
        (Ok(whole), _, _) => whole,
        (_, Some(parent), Some(name)) => parent.join(name),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_the_containerd_that_marked_it() {
        let top = std::env::temp_dir().join(format!("netrun-address-{}", std::process::id()));
        let mut paths = Paths::new(&"default".parse().unwrap(), &"web".parse().unwrap());
        (paths.run, paths.state) = (top.join("run"), top.join("state"));
        fs::create_dir_all(&paths.run).unwrap();
        fs::create_dir_all(&paths.state).unwrap();
        std::os::unix::fs::symlink(&top, top.join("link")).unwrap();
        let (here, there) = (top.join("a.sock"), top.join("b.sock"));
        assert_eq!(elsewhere(&paths, &here), None, "nobody's");
        mark(&paths.state, &there).unwrap();
        assert_eq!(elsewhere(&paths, &here), Some(there.clone()));
        assert_eq!(elsewhere(&paths, &there), None);
        assert_eq!(elsewhere(&paths, &top.join("link/b.sock")), None);
        mark(&paths.state, &here).unwrap();
        mark(&paths.run, &there).unwrap();
        assert_eq!(elsewhere(&paths, &here), Some(there.clone()));
        assert!(!is_another(&there, &here), "nobody is there");
        fs::write(&there, "").unwrap();
        assert!(is_another(&there, &here));
        assert!(!is_another(&top.join("link/b.sock"), &there));
        fs::remove_dir_all(top).unwrap();
    }
}
