//! A command that is broken off while it may be pulling.
//!
//! Invariant: what was fetched by then is held by nobody any more when the command ends.

use super::context::Context;
use crate::image::lease;
use crate::model::class::{Class, Explain, Failure};

/// A signal came in the middle.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by signal {0}")]
pub struct Interrupted(u8);

impl Explain for Interrupted {
    fn class(&self) -> Class {
        Class::Interrupted(self.0)
    }
}

/// Does `work`, unless a signal comes first, whose number `interrupt` gives: then `work` is dropped.
///
/// # Errors
/// What the work fails with, or that it was interrupted.
pub async fn interruptible<T>(
    context: &Context<'_>,
    interrupt: impl Future<Output = u8>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let number = tokio::select! {
        biased;
        done = work => return done,
        number = interrupt => number,
    };
    abandon_pull(context).await;
    Err(Interrupted(number).into())
}

/// Lets go of what a pull that was dropped in the middle had fetched.
pub async fn abandon_pull(context: &Context<'_>) {
    // Where containerd cannot be reached any more, the lease expires by itself.
    if let Ok(client) = context.host.client().await {
        let _ = lease::abandon(&client).await;
    }
}
