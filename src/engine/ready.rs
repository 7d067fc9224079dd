//! Waiting until a container is ready: from outside, so that its image needs nothing for it.
//!
//! Invariant: a wait ends when the container does; it leaves nothing in the container but the
//! connections that it made and closed.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::control;
use super::error::Error;
use super::host::Host;
use super::logs::{Logs, Wanted};
use super::probe::{ATTEMPT, connect, get};
use super::view::{self, Status, View};
use crate::model::class::{Class, Explain};
use crate::model::health::HealthStatus;
use crate::model::id::ContainerId;
use crate::model::ready::Readiness;
use crate::model::record::Exit;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// How many of the log's last lines are told when a wait was in vain.
const TOLD: u64 = 20;

/// The wait was in vain.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It ended before.
    #[error("container {id} ended with status {} before it was ready ({readiness}){}", .exit.status, told(.log))]
    Ended {
        /// Its name.
        id: ContainerId,
        /// What was waited for.
        readiness: String,
        /// How it ended.
        exit: Exit,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// It ended before, and was removed so soon that nobody saw how.
    #[error("container {id} ended before it was ready ({readiness}), and is gone{}", told(.log))]
    Gone {
        /// Its name.
        id: ContainerId,
        /// What was waited for.
        readiness: String,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// Its health check says that it is not.
    #[error("container {id} is unhealthy{}", told(.log))]
    Unhealthy {
        /// Its name.
        id: ContainerId,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// It took too long.
    #[error("container {id} is not ready ({readiness}) after {} seconds{}", .after.as_secs_f64(), told(.log))]
    Late {
        /// Its name.
        id: ContainerId,
        /// What was waited for.
        readiness: String,
        /// How long it was waited.
        after: Duration,
        /// The last lines that it wrote.
        log: Vec<String>,
        /// It was removed then, its log with it.
        removed: bool,
    },
    /// It cannot be seen whether it is.
    #[error("cannot see whether container {id} is ready")]
    Unseen {
        /// Its name.
        id: ContainerId,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
}

impl Explain for NotReady {
    fn class(&self) -> Class {
        match self {
            NotReady::Late { .. } => Class::Late,
            NotReady::Ended { .. } | NotReady::Gone { .. } | NotReady::Unhealthy { .. } => {
                Class::WrongState
            }
            NotReady::Unseen { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NotReady::Late { removed: true, .. } => {
                Some("--wait-timeout gives it more time".to_owned())
            }
            NotReady::Late { id, .. } => Some(format!(
                "netrun logs {id} shows all that it wrote; --wait-timeout gives it more time"
            )),
            NotReady::Unseen { source, .. } => source.hint(),
            NotReady::Ended { .. } | NotReady::Gone { .. } | NotReady::Unhealthy { .. } => None,
        }
    }
}

fn told(log: &[String]) -> String {
    let lines: String = log.iter().map(|line| format!("\n    {line}")).collect();
    match log.is_empty() {
        true => String::new(),
        false => format!("; the last lines of its log:{lines}"),
    }
}

/// Waits until a container that runs is ready.
///
/// # Errors
/// [`NotReady`], with the end of the container's log.
pub async fn until_ready(
    host: &Host,
    id: &ContainerId,
    readiness: &Readiness,
    patience: Duration,
) -> Result<(), NotReady> {
    let unseen = |source: Error| NotReady::Unseen {
        id: id.clone(),
        source: Box::new(source),
    };
    // What is removed when it ends takes its log with it.
    let log = open_log(host, id).await;
    let seen = timeout(patience, ready_or_over(host, id, readiness)).await;
    if let Ok(Ok(Seen::Ready)) = seen {
        return Ok(());
    }
    let (id, readiness, log) = (id.clone(), readiness.to_string(), last_lines(log).await);
    Err(match seen {
        Ok(Ok(Seen::Over(exit))) => NotReady::Ended {
            id,
            readiness,
            exit,
            log,
        },
        Ok(Ok(_)) => NotReady::Unhealthy { id, log },
        Ok(Err(error)) if error.class() == Class::NotFound => NotReady::Gone { id, readiness, log },
        Ok(Err(error)) => unseen(error),
        Err(_) => NotReady::Late {
            id,
            readiness,
            after: patience,
            log,
            removed: false,
        },
    })
}

/// What a wait came to.
enum Seen {
    Ready,
    Unhealthy,
    Over(Exit),
}

/// Waits until a container is ready or will not be; one that is started again by its policy may be yet.
async fn ready_or_over(
    host: &Host,
    id: &ContainerId,
    readiness: &Readiness,
) -> Result<Seen, Error> {
    loop {
        let exit = tokio::select! {
            biased;
            ready = seen_ready(host, id, readiness) => return ready.map(|ready| match ready {
                true => Seen::Ready,
                false => Seen::Unhealthy,
            }),
            exit = control::wait(host, id) => exit?,
        };
        if let Some(exit) = until_again(host, id, exit).await? {
            return Ok(Seen::Over(exit));
        }
    }
}

/// Waits until what has ended runs again; its last end if it does not.
async fn until_again(host: &Host, id: &ContainerId, exit: Exit) -> Result<Option<Exit>, Error> {
    loop {
        let view = match view::one(host, id).await {
            Err(error) if error.class() == Class::NotFound => return Ok(Some(exit)),
            view => view?,
        };
        if view.state.status.is_live() {
            return Ok(None);
        }
        if view.is_over() {
            return Ok(Some(view.state.exit.unwrap_or(exit)));
        }
        sleep(PAUSE).await;
    }
}

/// Waits until a container runs; one that does not may be started by somebody.
///
/// # Errors
/// [`NotReady::Unseen`].
pub async fn until_running(host: &Host, id: &ContainerId) -> Result<(), NotReady> {
    let live = |view: &View| view.state.status.is_live();
    seen(host, id, live).await
}

/// Waits until a container's health check says that it is healthy.
///
/// # Errors
/// [`NotReady`]; one without a health check is never healthy, nor one that has ended.
pub async fn until_healthy(host: &Host, id: &ContainerId) -> Result<(), NotReady> {
    let unseen = |source: Error| NotReady::Unseen {
        id: id.clone(),
        source: Box::new(source),
    };
    if view::one(host, id)
        .await
        .map_err(unseen)?
        .health()
        .is_none()
    {
        return Err(unseen(Error::no_health_check(id)));
    }
    let log = open_log(host, id).await;
    let healthy = |view: &View| {
        let health = view.health();
        health.is_some_and(|health| health.status == HealthStatus::Healthy)
    };
    seen(host, id, |view| healthy(view) || view.is_over()).await?;
    let state = view::one(host, id).await.map_err(unseen)?.state;
    match (state.status, state.exit) {
        (Status::Exited, Some(exit)) => Err(NotReady::Ended {
            id: id.clone(),
            readiness: Readiness::Healthy.to_string(),
            exit,
            log: last_lines(log).await,
        }),
        _ => Ok(()),
    }
}

/// Waits until a container is gone.
///
/// # Errors
/// [`NotReady::Unseen`].
pub async fn until_gone(host: &Host, id: &ContainerId) -> Result<(), NotReady> {
    loop {
        match host.record(id).await {
            Ok(_) => sleep(PAUSE).await,
            Err(Error::NoSuchContainer { .. }) => return Ok(()),
            Err(source) => {
                return Err(NotReady::Unseen {
                    id: id.clone(),
                    source: Box::new(source),
                });
            }
        }
    }
}

async fn seen(
    host: &Host,
    id: &ContainerId,
    wanted: impl Fn(&View) -> bool,
) -> Result<(), NotReady> {
    loop {
        match view::one(host, id).await {
            Ok(view) if wanted(&view) => return Ok(()),
            Ok(_) => sleep(PAUSE).await,
            Err(source) => {
                return Err(NotReady::Unseen {
                    id: id.clone(),
                    source: Box::new(source),
                });
            }
        }
    }
}

/// Waits until it is ready; false if it will not be. The end of one that is gone is told by whoever
/// waits for that.
async fn seen_ready(host: &Host, id: &ContainerId, readiness: &Readiness) -> Result<bool, Error> {
    match look(host, id, readiness).await {
        Err(error) if error.class() == Class::NotFound => std::future::pending().await,
        seen => seen,
    }
}

async fn look(host: &Host, id: &ContainerId, readiness: &Readiness) -> Result<bool, Error> {
    match readiness {
        Readiness::Log(regex) => {
            let wanted = Wanted {
                follow: true,
                ..Wanted::default()
            };
            let mut logs = Logs::open(host, id, wanted).await?;
            while let Some(lines) = logs.next().await? {
                if lines
                    .iter()
                    .any(|line| regex.is_match(line_of(&line.bytes)))
                {
                    return Ok(true);
                }
            }
            // Its end is told by whoever waits for it.
            std::future::pending().await
        }
        Readiness::Usual | Readiness::Healthy => loop {
            match view::one(host, id).await?.health() {
                None => return Ok(true),
                Some(health) => match health.status {
                    HealthStatus::Healthy => return Ok(true),
                    HealthStatus::Unhealthy => return Ok(false),
                    HealthStatus::Starting => sleep(PAUSE).await,
                },
            }
        },
        Readiness::Tcp(port) => {
            let view = view::one(host, id).await?;
            while connect(&view, *port).await.is_err() {
                sleep(PAUSE).await;
            }
            Ok(true)
        }
        Readiness::Http { port, path } => {
            let view = view::one(host, id).await?;
            while !matches!(
                timeout(ATTEMPT, get(&view, *port, path)).await,
                Ok(Ok(true))
            ) {
                sleep(PAUSE).await;
            }
            Ok(true)
        }
    }
}

/// A line without its end: what `$` is written for.
fn line_of(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A log that cannot be read is not what this is about.
async fn open_log<'a>(host: &'a Host, id: &ContainerId) -> Option<Logs<'a>> {
    let wanted = Wanted {
        tail: Some(TOLD),
        ..Wanted::default()
    };
    Logs::open(host, id, wanted).await.ok()
}

async fn last_lines(logs: Option<Logs<'_>>) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(mut logs) = logs {
        while let Ok(Some(lines)) = logs.next().await {
            let text = |bytes: &[u8]| String::from_utf8_lossy(line_of(bytes)).into_owned();
            told.extend(lines.iter().map(|line| text(&line.bytes)));
        }
    }
    told
}
