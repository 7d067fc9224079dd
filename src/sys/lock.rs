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
        Ok(attempt(open(path)?, FlockArg::LockExclusiveNonblock)?
            .ok()
            .map(Lock))
    }

    /// Takes the lock shared if that needs no waiting.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn try_shared(path: &Path) -> io::Result<Option<Lock>> {
        Ok(attempt(open(path)?, FlockArg::LockSharedNonblock)?
            .ok()
            .map(Lock))
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
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(parent)?;
            open()
        }
        outcome => outcome,
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
