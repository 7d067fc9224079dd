//! A command that is broken off while it may be pulling.
//!
//! Invariant: what was fetched by then is held by nobody any more when the command ends.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use crate::image::lease;
use crate::model::class::{Class, Explain, Failure};

/// The signals that end a command in the middle.
const ENDING: [SignalKind; 3] = [
    SignalKind::interrupt(),
    SignalKind::terminate(),
    SignalKind::hangup(),
];

/// A signal came in the middle.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by signal {0}")]
pub struct Interrupted(i32);

impl Explain for Interrupted {
    fn class(&self) -> Class {
        Class::Interrupted(self.0)
    }
}

/// The event loop cannot watch signals.
#[derive(Debug, thiserror::Error)]
#[error("cannot catch signals")]
pub struct NoSignals(#[source] io::Error);

impl Explain for NoSignals {
    fn class(&self) -> Class {
        Class::Failed
    }
}

/// Does `work`. If a signal comes in the middle, `work` is dropped, and what a pull had fetched is
/// let go at once.
///
/// # Errors
/// What the work fails with, or that it was interrupted.
pub async fn interruptible<T>(
    context: &Context<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut listeners = Vec::new();
    for kind in ENDING {
        listeners.push((kind, signal(kind).map_err(NoSignals)?));
    }
    let signalled = poll_fn(|polling| {
        for (kind, listener) in &mut listeners {
            if listener.poll_recv(polling).is_ready() {
                return Poll::Ready(kind.as_raw_value());
            }
        }
        Poll::Pending
    });
    let number = tokio::select! {
        done = work => return done,
        number = signalled => number,
    };
    // Where containerd cannot be reached any more, the lease expires by itself.
    if let Ok(client) = context.host.client().await {
        let _ = lease::abandon(&client).await;
    }
    Err(Interrupted(number).into())
}
