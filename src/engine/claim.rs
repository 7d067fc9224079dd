//! The claim on a container's run directory: whoever holds the lock in it is its supervisor.
//!
//! Invariant: the directory appears together with the held lock and the listening socket, and goes
//! as a whole: one without a held lock always means that a supervisor died, and a supervisor that
//! lives can always be asked, though it may answer only when it has time.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tokio::net::UnixListener;
use tokio::time::sleep;

use super::address::mark;
use super::error::Error;
use super::paths::{ALIVE, Paths, RUN, SOCKET};
use super::teardown::remove_tree;
use crate::model::id::Namespace;
use crate::sys::channel::listen;
use crate::sys::lock::Lock;

/// The claim; dropping it gives the container up, as dying does.
#[derive(Debug)]
pub struct Claim {
    listener: Option<UnixListener>,
    _alive: Lock,
}

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
        directory.mode(0o700).recursive(true);
        directory.create(parent).map_err(failed)?;
        let draft = aside(&paths.run);
        remove_tree(&draft)?;
        let mut directory = fs::DirBuilder::new();
        directory.mode(0o700).create(&draft).map_err(failed)?;
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
        let listener = Some(listen(draft, SOCKET)?);
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(AT_FDCWD, draft, AT_FDCWD, run, flags) {
            Ok(()) => Ok(Some(Claim {
                listener,
                _alive: alive,
            })),
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
            match Lock::try_exclusive_inside(&paths.alive()) {
                Ok(Some(alive)) => return Claim::in_place(paths, alive).map(Some),
                // Others take the lock shared for a moment, to see whether somebody holds it.
                Ok(None) => sleep(ADOPT_PAUSE).await,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::file("lock", paths.alive())(error)),
            }
        }
        Ok(None)
    }

    /// Listens where somebody died who did.
    fn in_place(paths: &Paths, alive: Lock) -> Result<Claim, Error> {
        let socket = paths.run.join(SOCKET);
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", socket)(error));
            }
            _ => {}
        }
        let listener = listen(&paths.run, SOCKET).map_err(Error::file("listen on", socket))?;
        Ok(Claim {
            listener: Some(listener),
            _alive: alive,
        })
    }

    /// Gives the socket back, to be taken once more.
    pub fn give_listener(&mut self, listener: UnixListener) {
        self.listener = Some(listener);
    }

    /// The socket on which others ask: whoever has come already is waiting in it. To be taken once.
    pub fn take_listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

/// The name that a run directory has while we make it or remove it. A leading dot is in no
/// container's name.
fn aside(run: &Path) -> PathBuf {
    let id = run.file_name().unwrap_or_default().to_string_lossy();
    run.with_file_name(format!(".{}-{id}", std::process::id()))
}

/// Removes a run directory. Nobody ever sees a part of it under the container's name.
///
/// # Errors
/// [`Error::File`]; what is left is swept by [`sweep`].
pub fn remove(paths: &Paths) -> Result<(), Error> {
    let doomed = aside(&paths.run);
    remove_tree(&doomed)?;
    match fs::rename(&paths.run, &doomed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("remove", &paths.run)(error)),
        Ok(()) => remove_tree(&doomed),
    }
}

/// Removes the run directories that processes which are gone half made or half removed; names them.
///
/// # Errors
/// [`Error::File`].
pub fn sweep(namespace: &Namespace) -> Result<Vec<PathBuf>, Error> {
    sweep_in(&Path::new(RUN).join(namespace.as_str()))
}

fn sweep_in(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut swept = Vec::new();
    for entry in entries.flatten() {
        let maker = entry.file_name().to_str().and_then(maker);
        let path = entry.path();
        // One in another pid namespace is known by the lock that it holds.
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
            && !Lock::is_held(&path.join(ALIVE)).unwrap_or(false)
        {
            remove_tree(&path)?;
            swept.push(path);
        }
    }
    Ok(swept)
}

/// The pid in a name of [`aside`].
fn maker(name: &str) -> Option<u32> {
    let rest = name.strip_prefix('.')?;
    let (pid, _) = rest.split_once('-').unwrap_or((rest, ""));
    pid.parse().ok()
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
    use crate::sys::channel::Channel;

    fn scratch(name: &str) -> Paths {
        let top = std::env::temp_dir().join(format!("netrun-claim-{}-{name}", std::process::id()));
        let mut paths = Paths::new(&"default".parse().unwrap(), &"c".parse().unwrap());
        paths.run = top.join("c");
        paths
    }

    fn names(paths: &Paths) -> Vec<String> {
        let entries = fs::read_dir(paths.run.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn can_be_asked(paths: &Paths) -> bool {
        Channel::connect(&paths.run, SOCKET, 100).is_ok()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_holds_a_claim_can_be_asked() {
        let paths = scratch("asked");
        assert_eq!(supervision(&paths), Supervision::None);
        let claim = Claim::fresh(&paths, Path::new("/c.sock")).unwrap().unwrap();
        assert_eq!(supervision(&paths), Supervision::Alive);
        assert!(can_be_asked(&paths));
        assert!(
            Claim::fresh(&paths, Path::new("/c.sock"))
                .unwrap()
                .is_none()
        );
        assert_eq!(names(&paths), ["c"]);
        drop(claim);
        assert_eq!(supervision(&paths), Supervision::Dead);
        assert!(!can_be_asked(&paths));
        let adopted = Claim::adopt(&paths).await.unwrap();
        assert!(adopted.is_some() && can_be_asked(&paths));
        assert!(Claim::adopt(&paths).await.unwrap().is_none());
        remove(&paths).unwrap();
        assert_eq!(supervision(&paths), Supervision::None);
        assert!(names(&paths).is_empty());
        assert!(Claim::adopt(&paths).await.unwrap().is_none());
        remove(&paths).unwrap();
        fs::remove_dir(paths.run.parent().unwrap()).unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_left_half_removed_is_in_nobodys_way() {
        let paths = scratch("half");
        fs::create_dir_all(aside(&paths.run).join("io")).unwrap();
        let claim = Claim::fresh(&paths, Path::new("/c.sock")).unwrap().unwrap();
        fs::create_dir_all(aside(&paths.run).join("io")).unwrap();
        remove(&paths).unwrap();
        assert!(names(&paths).is_empty());
        drop(claim);
        fs::remove_dir(paths.run.parent().unwrap()).unwrap();
    }

    #[test]
    fn only_what_dead_processes_left_is_swept() {
        let top = scratch("sweep").run.parent().unwrap().to_owned();
        let ours = format!(".{}-c", std::process::id());
        for name in [
            ".99999999-c",
            ".99999998",
            "c",
            ".x",
            ".99999997-held",
            &ours,
        ] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        let _held = Lock::try_exclusive(&top.join(".99999997-held").join(ALIVE)).unwrap();
        let mut swept = sweep_in(&top).unwrap();
        swept.sort();
        assert_eq!(swept, [top.join(".99999998"), top.join(".99999999-c")]);
        for stays in ["c", ".x", ".99999997-held", &ours] {
            assert!(top.join(stays).is_dir(), "{stays}");
        }
        fs::remove_dir_all(top).unwrap();
    }
}
