//! A further process in a running container: started, drained and ended by the supervisor.
//!
//! Invariant: an exec whose client dies is killed and drained, unless it was started to be left
//! alone; nobody else would ever read its output.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use oci_spec::runtime::Spec;
use tokio::time::sleep;

use super::error::Error;
use super::fifos::Fifos;
use super::inherit::{self, Inherited};
use super::protocol::{Event, Exec, Request};
use super::report::Report;
use super::serve::{close_stdin, tell};
use super::spec::{self, ExecRequest};
use super::stdio::Outputs;
use super::supervisor::Supervisor;
use super::user_lookup;
use crate::containerd::{self, Exited};
use crate::model::class::{Class, Explain};
use crate::model::record::Exit;
use crate::sys::channel::Channel;
use crate::sys::facts::{HostFacts, Wanted};

/// SIGKILL.
const KILL: i32 = 9;

/// How long the FIFOs of an ended exec may take to reach their end; a process it left running in the
/// background may hold them open.
const DRAIN: Duration = Duration::from_secs(1);

/// How long apart containerd is asked for the end of an exec while it cannot be reached.
const WAIT_PAUSE: Duration = Duration::from_millis(500);

/// Runs a process for a client, from its start to its end.
pub async fn serve(
    supervisor: &Rc<Supervisor>,
    mut channel: Channel,
    wanted: Exec,
    pipes: Vec<OwnedFd>,
) {
    let number = supervisor.execs.get();
    supervisor.execs.set(number + 1);
    // A supervisor that took over begins to count anew: its own pid keeps the names apart.
    let exec_id = format!("{}-{number}", std::process::id());
    let directory = supervisor.paths.fifos(&exec_id);
    let fifos = Fifos::new(directory, wanted.terminal, wanted.stdin);
    match add(supervisor, &exec_id, &fifos, &wanted, pipes).await {
        Err(error) => {
            fifos.remove();
            tell(&channel, &Event::Failed(Report::of(&error))).await;
        }
        Ok(outputs) => {
            let added = Inherited {
                exec_id,
                fifos,
                outputs,
            };
            tell(&channel, &started(supervisor, &added)).await;
            let event = follow(supervisor, &mut channel, &added, wanted.detach).await;
            added.fifos.remove();
            let _delivering = supervisor.delivering.read().await;
            tell(&channel, &event).await;
            added.outputs.delivered().await;
        }
    }
}

/// Goes on with the detached execs that another supervisor began.
pub fn inherit(supervisor: &Rc<Supervisor>, execs: Vec<Inherited>) {
    for inherited in execs {
        let ours = supervisor.clone();
        tokio::task::spawn_local(async move { look_after(&ours, inherited).await });
    }
}

async fn look_after(supervisor: &Supervisor, added: Inherited) {
    // Nobody is left to be told how it ended.
    let _ = ended(supervisor, &added.exec_id).await;
    clear(supervisor, &added).await;
    added.fifos.remove();
}

fn started(supervisor: &Supervisor, added: &Inherited) -> Event {
    Event::Started {
        steps: supervisor.steps.taken(),
        stdin: added.fifos.stdin(),
    }
}

async fn add(
    supervisor: &Supervisor,
    exec_id: &str,
    fifos: &Fifos,
    wanted: &Exec,
    pipes: Vec<OwnedFd>,
) -> Result<Outputs, Error> {
    let id = supervisor.id();
    fifos.make()?;
    if wanted.detach {
        inherit::mark_detached(&supervisor.paths.fifos(exec_id));
    }
    let outputs = Outputs::open(fifos, None)?;
    outputs
        .attach(pipes)
        .map_err(Error::file("attach to", supervisor.paths.fifos(exec_id)))?;
    let client = supervisor.host.client().await?;
    let process = process(supervisor, wanted).await?;
    let request = containerd::ExecRequest {
        exec_id: exec_id.to_owned(),
        process,
        stdio: fifos.stdio(),
    };
    client.exec_process(id.as_str(), request).await?;
    if let Err(error) = client.start_process(id.as_str(), exec_id).await {
        // What could not be started is still known to the shim.
        let _ = client.delete_exec(id.as_str(), exec_id).await;
        return Err(error.into());
    }
    Ok(outputs)
}

/// The OCI process: the container's own, with what is wanted instead.
async fn process(supervisor: &Supervisor, wanted: &Exec) -> Result<Vec<u8>, Error> {
    let id = supervisor.id();
    let unreadable = |source| Error::Record {
        id: id.to_string(),
        source,
    };
    let (container, _) = supervisor.host.container(&id).await?;
    let spec: Spec = serde_json::from_slice(&container.spec).map_err(unreadable)?;
    let own = spec.process().clone().unwrap_or_default();
    let root = match supervisor.running.pidfd {
        Some(_) => PathBuf::from(format!("/proc/{}/root", supervisor.running.pid)),
        // The pid is not one of ours: without names there are still numbers.
        None => PathBuf::from("/nonexistent"),
    };
    let failed = |source| Error::Exec {
        id: id.clone(),
        source,
    };
    let user = match &wanted.user {
        Some(user) => Some(user_lookup::in_root((user, &[]), &root).map_err(failed)?),
        None => None,
    };
    let bounding = match wanted.privileged {
        true => {
            let facts = HostFacts::read(Wanted::default());
            Some(facts.map_err(|error| failed(Report::of(&error)))?)
        }
        false => None,
    };
    let request = ExecRequest {
        privileged: bounding.as_ref().map(|facts| facts.bounding.as_slice()),
        command: &wanted.args,
        env: &wanted.env,
        workdir: wanted.workdir.as_deref(),
        user: user.as_ref(),
        terminal: wanted.terminal,
        window: wanted.window,
    };
    let process = spec::exec_process(&own, &request).map_err(|error| failed(Report::of(&error)))?;
    serde_json::to_vec(&process).map_err(unreadable)
}

/// Waits for the end, obeying the client; says how it ended.
async fn follow(
    supervisor: &Rc<Supervisor>,
    channel: &mut Channel,
    added: &Inherited,
    detach: bool,
) -> Event {
    let wait = ended(supervisor, &added.exec_id);
    tokio::pin!(wait);
    let mut attended = !detach;
    let waited = loop {
        let request = tokio::select! {
            waited = &mut wait => break waited,
            request = channel.receive::<Request>(), if attended => request,
        };
        match request {
            Ok(Some((Request::Detach, _))) => {
                attended = false;
                inherit::mark_detached(&supervisor.paths.fifos(&added.exec_id));
            }
            Ok(Some((request, _))) => obey(supervisor, &added.exec_id, request).await,
            Ok(None) | Err(_) => {
                attended = false;
                let kill = Request::Signal { number: KILL };
                obey(supervisor, &added.exec_id, kill).await;
            }
        }
    };
    clear(supervisor, added).await;
    match waited {
        Ok(Exited { status, at }) => Event::Exited {
            exit: Exit::new(status, at),
            steps: Vec::new(),
        },
        Err(error) => Event::Failed(Report::of(&error)),
    }
}

/// Waits for the end of an exec, over restarts of containerd.
async fn ended(supervisor: &Supervisor, exec_id: &str) -> Result<Exited, Error> {
    let id = supervisor.id();
    loop {
        let wait = async {
            let client = supervisor.host.client().await?;
            Ok::<_, Error>(client.wait_process(id.as_str(), exec_id).await?)
        };
        match wait.await {
            Err(error) if error.class() != Class::NotFound && !supervisor.ended() => {
                supervisor.host.release();
                sleep(WAIT_PAUSE).await;
            }
            waited => return waited,
        }
    }
}

/// Reads what an ended exec has left, and deletes it.
async fn clear(supervisor: &Supervisor, added: &Inherited) {
    added.outputs.drain(DRAIN).await;
    // With its container gone the exec is gone as well.
    if let Ok(client) = supervisor.host.client().await {
        let _ = client
            .delete_exec(supervisor.id().as_str(), &added.exec_id)
            .await;
    }
}

async fn obey(supervisor: &Rc<Supervisor>, exec_id: &str, request: Request) {
    let id = supervisor.id();
    if request == Request::CloseStdin {
        return close_stdin(supervisor, exec_id);
    }
    let Ok(client) = supervisor.host.client().await else {
        return;
    };
    // The process may end at any moment; what it cannot take any more is lost.
    match request {
        Request::Signal { number } => {
            let number = u32::try_from(number).unwrap_or(0);
            drop(
                client
                    .kill_process(id.as_str(), exec_id, number, false)
                    .await,
            );
        }
        Request::Resize { width, height } => {
            drop(client.resize(id.as_str(), exec_id, (width, height)).await);
        }
        _ => {}
    }
}
