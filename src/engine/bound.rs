//! A container that is bound to a process of the host ends with it, however that one ends.
//!
//! Invariant: a pid that has become another process's is never waited for.

use std::rc::Rc;

use super::serve;
use super::supervisor::Supervisor;
use crate::model::record::BoundTo;
use crate::sys::pidfd::PidFd;
use crate::sys::process;

/// Stops the container when the process ends that it is bound to, if it is bound to one.
pub async fn watch(supervisor: Rc<Supervisor>) {
    let Some(bound_to) = supervisor.record.borrow().bound_to else {
        return;
    };
    if let Some(process) = open(bound_to) {
        // An event loop that fails ends the container: nobody would see the end.
        let _ = process.ended().await;
    }
    supervisor.stopped.set(true);
    serve::stop(&supervisor, None, None).await;
}

/// None if it has ended.
fn open(bound_to: BoundTo) -> Option<PidFd> {
    let process = PidFd::open(bound_to.pid).ok()?;
    // Looked at while it is held: the pid cannot change hands in between.
    (process::start_time(bound_to.pid) == Some(bound_to.start_time)).then_some(process)
}
