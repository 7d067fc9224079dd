//! How a command reaches a container's supervisor: the one way for every verb.
//!
//! Invariant: whoever holds a container's claim listens from that moment on. So a supervisor on its
//! way up answers when it is up, one on its way down when it is down, and one that died is replaced;
//! "nobody" is only said of a container that nobody runs.

use std::time::Duration;

use tokio::time::sleep;

use super::claim::{Supervision, supervision};
use super::error::Error;
use super::host::Host;
use super::protocol::{Event, Request};
use super::recover;
use super::session::{PipeEnds, Session};
use crate::model::id::ContainerId;

/// How often, and how long apart, is looked again where a supervisor ended without an answer.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// Sends a request to the supervisor and waits for its first event. None if the container does not
/// run, or does not exist.
///
/// # Errors
/// The supervisor's refusal; what an adoption met; [`Error::SupervisorGone`] if supervisors die as
/// fast as they come, or one died with a command in hand that must not be run twice.
pub async fn reach(
    host: &Host,
    id: &ContainerId,
    request: &Request,
    pipes: PipeEnds,
) -> Result<Option<(Session, Event)>, Error> {
    let paths = host.paths(id)?;
    let mut request = request.clone();
    for _ in 0..TRIES {
        let session = Session::open(id, &paths, &request, pipes.clone()).await?;
        let mut heard = false;
        if let Some(mut session) = session {
            match session.event().await {
                Ok(Event::Failed(report)) => return Err(report.into()),
                Ok(event) => return Ok(Some((session, event))),
                // It ended before it heard us, or died: we look again.
                Err(Error::SupervisorGone { .. }) => heard = !session.was_unheard(),
                Err(error) => return Err(error),
            }
        }
        match supervision(&paths) {
            Supervision::None => return Ok(None),
            Supervision::Dead if heard && matches!(request, Request::Exec(_)) => break,
            Supervision::Dead => {
                if heard {
                    request = request.repeated();
                }
                recover::adopt(&host.address, &host.namespace, id).await?;
            }
            Supervision::Alive => sleep(PAUSE).await,
        }
    }
    Err(Error::SupervisorGone { id: id.clone() })
}

/// As [`reach`], for what ends with the first event.
///
/// # Errors
/// As [`reach`].
pub async fn ask(host: &Host, id: &ContainerId, request: &Request) -> Result<Option<Event>, Error> {
    let reached = reach(host, id, request, PipeEnds::default()).await?;
    let Some((mut session, event)) = reached else {
        return Ok(None);
    };
    if matches!(event, Event::Exited { .. }) {
        session.over().await;
    }
    Ok(Some(event))
}
