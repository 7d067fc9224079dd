//! Watching a directory for changes, without looking again and again.
//!
//! Invariant: a change after [`Watch::new`] is told, also one that came before [`Watch::changed`].

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::ready::Ready;

/// How many bytes of events are taken at a time.
const EVENTS: usize = 4096;

/// A watched directory.
#[derive(Debug)]
pub struct Watch(Ready);

impl Watch {
    /// Watches what is written to, comes into or leaves a directory.
    ///
    /// # Errors
    /// There is no such directory, or the user's inotify instances are used up (`EMFILE`).
    pub fn new(directory: &Path) -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let changes = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(directory, changes)?;
        Ok(Watch(Ready::reader(OwnedFd::from(inotify))?))
    }

    /// Waits for a change; changes that came close together are told at once.
    ///
    /// # Errors
    /// The event loop fails.
    pub async fn changed(&self) -> io::Result<()> {
        let mut events = [0; EVENTS];
        let read = self.0.read(|fd| Ok(nix::unistd::read(fd, &mut events)?));
        read.await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_told_and_nothing_else() {
        let directory = std::env::temp_dir().join(format!("netrun-watch-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let watch = Watch::new(&directory).unwrap();
        let short = Duration::from_millis(20);
        assert!(timeout(short, watch.changed()).await.is_err());
        std::fs::write(directory.join("log"), "x").unwrap();
        let patience = Duration::from_secs(5);
        timeout(patience, watch.changed()).await.unwrap().unwrap();
        assert!(timeout(short, watch.changed()).await.is_err());
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(Watch::new(&directory).is_err());
    }
}
