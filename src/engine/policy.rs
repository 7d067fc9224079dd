//! Another restart policy for a container that is there (`update --restart`).
//!
//! Invariant: whoever has the container writes its record: the supervisor of one that runs, the
//! successor that waits to start it again, the caller for one that nobody runs.

use super::connect::{change_stopped, keep};
use super::error::Error;
use super::host::Host;
use super::protocol::Request;
use super::reach;
use super::supervisor::Supervisor;
use crate::model::id::ContainerId;
use crate::model::record::Record;
use crate::model::restart::RestartPolicy;

/// Gives a container another policy: from its next end on if it runs. One that waits to be started
/// again and that the new policy would not start stays as it is.
///
/// # Errors
/// It is removed when it ends; there is no such container.
pub async fn set(host: &Host, id: &ContainerId, policy: RestartPolicy) -> Result<(), Error> {
    let request = Request::Policy { policy };
    if reach::ask(host, id, &request).await?.is_some() {
        return Ok(());
    }
    change_stopped(host, id, |record| change(record, policy)).await
}

/// [`set`], by the supervisor of a running container.
///
/// # Errors
/// As [`set`].
pub async fn apply(supervisor: &Supervisor, policy: RestartPolicy) -> Result<(), Error> {
    let _changing = supervisor.publishing.lock().await;
    let mut record = supervisor.record.borrow().clone();
    change(&mut record, policy)?;
    keep(supervisor, &record).await
}

fn change(record: &mut Record, policy: RestartPolicy) -> Result<(), Error> {
    if record.auto_remove && !policy.is_no() {
        return Err(Error::WrongState {
            id: record.id.clone(),
            state: "is removed when it ends (--rm)",
            hint: "",
        });
    }
    record.restart = policy;
    Ok(())
}
