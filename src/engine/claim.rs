//! The claim on a container's run directory: whoever holds the lock in it is its supervisor.
//!
//! Invariant: the directory appears together with the held lock, so one without a held lock always
//! means that a supervisor died.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tokio::time::sleep;

use super::address::mark;
use super::error::Error;
use super::paths::{ALIVE, Paths};
use super::teardown::remove_tree;
use crate::sys::lock::Lock;
use crate::sys::process::start_time;

/// The claim; dropping it gives the container up, as dying does.
#[derive(Debug)]
pub struct Claim {
    _alive: Lock,
}

/// What a run directory in the making is named, before the pid of who makes it: a leading dot is in
/// no container's name.
const DRAFT: &str = ".";

/// How often, and how long, an adopter tries for a lock that others may be looking at.
const ADOPT_TRIES: u32 = 20;
const ADOPT_PAUSE: Duration = Duration::from_millis(5);

impl Claim {
    /// Claims a container of the containerd at `address` that nobody runs. None if there is a run directory already, held or not.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn fresh(paths: &Paths, address: &Path) -> Result<Option<Claim>, Error> {
        let failed = |source| Error::file("make", &paths.run)(source);
        let parent = paths.run.parent().unwrap_or(Path::new("/"));
        let mut directory = fs::DirBuilder::new();
        directory
            .mode(0o700)
            .recursive(true)
            .create(parent)
            .map_err(failed)?;
        let draft = parent.join(format!("{DRAFT}{}", std::process::id()));
        remove_tree(&draft)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&draft)
            .map_err(failed)?;
        let marked = mark(&draft, address);
        let outcome = marked.and_then(|()| Claim::move_into_place(&draft, &paths.run));
        if !matches!(outcome, Ok(Some(_))) {
            remove_tree(&draft)?;
        }
        outcome.map_err(failed)
    }

    fn move_into_place(draft: &Path, run: &Path) -> io::Result<Option<Claim>> {
        let Some(alive) = Lock::try_exclusive(&draft.join(ALIVE))? else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        match renameat2(
            AT_FDCWD,
            draft,
            AT_FDCWD,
            run,
            RenameFlags::RENAME_NOREPLACE,
        ) {
            Ok(()) => Ok(Some(Claim { _alive: alive })),
            Err(nix::errno::Errno::EEXIST) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes over from a supervisor that died. None if there is nothing to take over, or if
    /// somebody else holds it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn adopt(paths: &Paths) -> Result<Option<Claim>, Error> {
        for _ in 0..ADOPT_TRIES {
            if !paths.run.is_dir() {
                return Ok(None);
            }
            let failed = Error::file("lock", paths.alive());
            if let Some(alive) = Lock::try_exclusive(&paths.alive()).map_err(failed)? {
                return Ok(Some(Claim { _alive: alive }));
            }
            // Others take the lock shared for a moment, to see whether somebody holds it.
            sleep(ADOPT_PAUSE).await;
        }
        Ok(None)
    }
}

/// Removes the run directories that somebody began to make in `parent` and did not live to finish.
pub fn sweep_drafts(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(DRAFT));
        let dead = |pid: u32| start_time(pid).is_none();
        if pid.and_then(|pid| pid.parse().ok()).is_some_and(dead) {
            // What cannot be removed is in nobody's way.
            let _ = remove_tree(&entry.path());
        }
    }
}

/// What a run directory says about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// No run directory: nothing of it runs.
    None,
    /// A supervisor lives.
    Alive,
    /// A supervisor died.
    Dead,
}

/// Looks whether a supervisor lives, without asking containerd.
pub fn supervision(paths: &Paths) -> Supervision {
    match Lock::is_held(&paths.alive()) {
        Ok(true) => Supervision::Alive,
        Ok(false) => Supervision::Dead,
        Err(_) if paths.run.is_dir() => Supervision::Dead,
        Err(_) => Supervision::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drafts_of_the_dead_are_swept() {
        let top = std::env::temp_dir().join(format!("netrun-drafts-{}", std::process::id()));
        let own = format!(".{}", std::process::id());
        for name in [&own, ".4194305", ".hidden", "web"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        sweep_drafts(&top);
        let exists = |name: &str| top.join(name).exists();
        assert!(exists(&own) && exists(".hidden") && exists("web"));
        assert!(!exists(".4194305"));
        fs::remove_dir_all(top).unwrap();
    }
}
