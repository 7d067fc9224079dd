//! What a pull or an unpacking tells of its progress: typed events, rendered elsewhere.
//!
//! Invariant: every blob that is announced ends in `Exists` or `Fetched`, unless the pull fails.

use std::time::Duration;

use super::registry::error::FetchError;

/// Who is told of the progress.
pub type Progress<'a> = &'a dyn Fn(PullEvent<'_>);

/// Something happened.
#[derive(Debug)]
pub enum PullEvent<'a> {
    /// The name was looked up.
    Resolved {
        /// What it stands for.
        digest: &'a str,
        /// The host that said so.
        host: &'a str,
    },
    /// A host failed and the next one is tried.
    HostSkipped {
        /// The host.
        host: &'a str,
        /// Its trouble.
        error: &'a FetchError,
    },
    /// The only host left asks us to wait, or needs to be left alone for a while.
    HostBusy {
        /// The host.
        host: &'a str,
        /// The HTTP status that it answers with.
        status: u16,
        /// How long it is left alone.
        pause: Duration,
    },
    /// A blob got into another state.
    Blob {
        /// Its digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
        /// The state that it is in now.
        state: BlobState,
    },
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// It will be fetched when its turn comes.
    Waiting,
    /// containerd has it.
    Exists,
    /// So many bytes of it are there.
    Fetching(u64),
    /// It is there, verified.
    Fetched,
    /// So many bytes of it are on their way to a registry.
    Pushing(u64),
    /// The registry has it now.
    Pushed,
    /// The layer is being unpacked.
    Unpacking,
    /// The layer's snapshot is there.
    Unpacked,
}
