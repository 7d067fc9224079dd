//! A container that is bound to a process of the host ends with it, however that one ends; so does
//! one whose scope is, and then the scope.
//!
//! Invariant: a pid that has become another process's is never waited for.

use std::future::pending;
use std::rc::Rc;

use super::scope_end;
use super::serve;
use super::supervisor::Supervisor;
use crate::model::record::BoundTo;
use crate::sys::pidfd::PidFd;
use crate::sys::process;

/// Stops the container when a process ends that it is bound to, if it is bound to any.
pub async fn watch(supervisor: Rc<Supervisor>) {
    let (own, scope) = {
        let record = supervisor.record.borrow();
        let scope = record.scope.as_ref().map(|scope| scope.bound_to);
        (record.bound_to, scope)
    };
    if own.is_none() && scope.is_none() {
        return;
    }
    tokio::select! {
        () = end_of(own) => {}
        () = end_of(scope) => {}
    }
    supervisor.shall_stay_ended().await;
    serve::stop(&supervisor, None, None).await;
}

/// Waits for a process's end; for ever if there is none to wait for.
async fn end_of(bound_to: Option<BoundTo>) {
    let Some(bound_to) = bound_to else {
        return pending().await;
    };
    if let Some(process) = open(bound_to) {
        // An event loop that fails ends the container: nobody would see the end.
        let _ = process.ended().await;
    }
}

/// Ends the scope of a container that is down, if the scope's process has ended: nobody else need be
/// there who could.
pub async fn end_scope(supervisor: &Supervisor) {
    let scope = supervisor.record.borrow().scope.clone();
    if let Some(scope) = scope.filter(|scope| !lives(scope.bound_to)) {
        let end = scope_end::end(&supervisor.host, &scope.networks, &scope.name, None);
        // On the heap, since few supervisors come here. What stays is told to whoever runs gc.
        let _ = Box::pin(end).await;
    }
}

/// Whether the process runs.
pub fn lives(bound_to: BoundTo) -> bool {
    open(bound_to).is_some_and(|process| !process.has_ended())
}

/// None if it has ended.
fn open(bound_to: BoundTo) -> Option<PidFd> {
    let process = PidFd::open(bound_to.pid).ok()?;
    // Looked at while it is held: the pid cannot change hands in between.
    (process::start_time(bound_to.pid) == Some(bound_to.start_time)).then_some(process)
}
