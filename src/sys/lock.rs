//! Locks between processes: `flock` on files, released by drop or by the kernel when a process dies.
//!
//! Invariant: no caller ever blocks the program's one thread: whoever must wait does so on a thread
//! of its own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock(Flock<File>);

impl Lock {
    /// Waits until nobody else holds the lock in any way.
    ///
    /// # Errors
    /// The file or its directory cannot be opened or made.
    pub async fn exclusive(path: &Path) -> io::Result<Lock> {
        loop {
            let file = open(path)?;
            let (now, later) = (FlockArg::LockExclusiveNonblock, FlockArg::LockExclusive);
            let lock = wait(file, now, later).await?;
            if lock.is_at(path) {
                return Ok(lock);
            }
        }
    }

    /// Waits until nobody holds the lock exclusively.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub async fn shared(path: &Path) -> io::Result<Lock> {
        loop {
            let file = open(path)?;
            let (now, later) = (FlockArg::LockSharedNonblock, FlockArg::LockShared);
            let lock = wait(file, now, later).await?;
            if lock.is_at(path) {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock exclusively if that needs no waiting.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Lock>> {
        attempt_at(path, open, FlockArg::LockExclusiveNonblock)
    }

    /// As [`Lock::try_exclusive`], in a directory that others may remove: it is not made again.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the directory is gone, or the file cannot be opened.
    pub fn try_exclusive_inside(path: &Path) -> io::Result<Option<Lock>> {
        attempt_at(path, open_inside, FlockArg::LockExclusiveNonblock)
    }

    /// Takes the lock shared if that needs no waiting.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn try_shared(path: &Path) -> io::Result<Option<Lock>> {
        attempt_at(path, open, FlockArg::LockSharedNonblock)
    }

    /// Removes the lock's file and lets the lock go. Whoever waits for it makes a new file: a lock
    /// counts only while its file is at its path.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn remove(self, path: &Path) -> io::Result<()> {
        match self.is_at(path) {
            true => std::fs::remove_file(path),
            false => Ok(()),
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let held = self.0.metadata().map(identity);
        let there = std::fs::metadata(path).map(identity);
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }

    /// Waits for the exclusive lock of a directory that exists, as iproute2 takes it.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub async fn directory(path: &Path) -> io::Result<Lock> {
        wait(
            File::open(path)?,
            FlockArg::LockExclusiveNonblock,
            FlockArg::LockExclusive,
        )
        .await
    }

    /// Waits until nobody holds the lock of this file exclusively; no file is no lock.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn settled(path: &Path) -> io::Result<()> {
        match File::open(path) {
            Ok(file) => {
                let (now, later) = (FlockArg::LockSharedNonblock, FlockArg::LockShared);
                wait(file, now, later).await.map(drop)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody else holds the lock of this existing file exclusively right now.
    ///
    /// # Errors
    /// The file cannot be opened, [`io::ErrorKind::NotFound`] if there is none.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        Ok(attempt(file, FlockArg::LockSharedNonblock)?.is_err())
    }
}

fn open(path: &Path) -> io::Result<File> {
    match open_inside(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(parent)?;
            open_inside(path)
        }
        outcome => outcome,
    }
}

/// Makes the file if it is not there, but no directory.
fn open_inside(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Takes a lock that counts: one whose file is still at its path. None if somebody else holds it.
fn attempt_at(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<File>,
    how: FlockArg,
) -> io::Result<Option<Lock>> {
    loop {
        let Ok(lock) = attempt(open(path)?, how)? else {
            return Ok(None);
        };
        let lock = Lock(lock);
        if lock.is_at(path) {
            return Ok(Some(lock));
        }
    }
}

/// The inner result is the file again if somebody else holds the lock.
fn attempt(file: File, how: FlockArg) -> io::Result<Result<Flock<File>, File>> {
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Ok(lock)),
        Err((file, Errno::EWOULDBLOCK)) => Ok(Err(file)),
        Err((_, errno)) => Err(errno.into()),
    }
}

async fn wait(file: File, now: FlockArg, later: FlockArg) -> io::Result<Lock> {
    let file = match attempt(file, now)? {
        Ok(lock) => return Ok(Lock(lock)),
        Err(file) => file,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("flock".into())
        .spawn(move || {
            let outcome = loop {
                match Flock::lock(file.try_clone()?, later) {
                    Err((_, Errno::EINTR)) => {}
                    outcome => break outcome,
                }
            };
            // A receiver that is gone drops the lock with the message.
            let _ = sender.send(
                outcome
                    .map(Lock)
                    .map_err(|(_, errno)| io::Error::from(errno)),
            );
            io::Result::Ok(())
        })?;
    receiver
        .await
        .map_err(|_| io::Error::other("the thread waiting for a lock ended early"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("netrun-lock-{}-{name}", std::process::id()))
    }

    #[test]
    fn an_exclusive_lock_keeps_others_out_until_it_is_dropped() {
        let path = scratch("exclusive");
        let held = Lock::try_exclusive(&path).unwrap().unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        assert!(Lock::try_shared(&path).unwrap().is_none());
        assert!(Lock::is_held(&path).unwrap());
        drop(held);
        assert!(!Lock::is_held(&path).unwrap());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn shared_locks_go_together() {
        let path = scratch("shared");
        let first = Lock::try_shared(&path).unwrap();
        assert!(first.is_some() && Lock::try_shared(&path).unwrap().is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_lock_whose_file_was_replaced_in_between_does_not_count() {
        let path = scratch("replaced");
        let opened = std::cell::Cell::new(0);
        // Another process removes its lock's file between our open and our flock.
        let open = |path: &Path| {
            let file = open_inside(path)?;
            if opened.replace(opened.get() + 1) == 0 {
                std::fs::remove_file(path)?;
            }
            Ok(file)
        };
        let lock = attempt_at(&path, open, FlockArg::LockExclusiveNonblock);
        assert!(lock.unwrap().unwrap().is_at(&path));
        assert_eq!(opened.get(), 2);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_directory_that_is_gone_is_not_made_again_by_its_lock() {
        let directory = scratch("gone");
        let error = Lock::try_exclusive_inside(&directory.join("alive")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!directory.exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_waits_for_a_lock_whose_file_is_removed_gets_the_new_file() {
        let path = scratch("removed");
        let held = Lock::exclusive(&path).await.unwrap();
        let waiter = tokio::spawn({
            let path = path.clone();
            async move { Lock::exclusive(&path).await.unwrap() }
        });
        tokio::task::yield_now().await;
        held.remove(&path).unwrap();
        let second = waiter.await.unwrap();
        assert!(Lock::is_held(&path).unwrap());
        second.remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waiting_ends_when_the_holder_lets_go() {
        let path = scratch("wait");
        let held = Lock::exclusive(&path).await.unwrap();
        let waiter = tokio::spawn({
            let path = path.clone();
            async move { Lock::exclusive(&path).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(held);
        waiter.await.unwrap().unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
