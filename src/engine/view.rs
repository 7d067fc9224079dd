//! Containers as they are seen from outside: their records and their tasks put together.
//!
//! Invariant: two calls to containerd show any number of containers. The tasks are asked for first,
//! and an end stands in the record before the task goes: so a record without an end whose task is
//! missing was started after we asked, or nobody saw how it ended.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::claim::{Supervision, supervision};
use super::error::Error;
use super::health;
use super::host::{Host, record_of};
use super::paths::Paths;
use super::teardown::UNKNOWN_STATUS;
use crate::containerd::{Container, Task, TaskState};
use crate::model::health::{Health, HealthStatus};
use crate::model::id::ContainerId;
use crate::model::port::ContainerPort;
use crate::model::record::{Exit, NetworkMode, Record};
use crate::model::time::rough;
use crate::network::CniResult;
use crate::network::result::Address;

/// What a container is doing, in docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has never run, or is just being started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Its process has ended, and it is about to be started again.
    Restarting,
    /// Its process has ended.
    Exited,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] = [
        Status::Created,
        Status::Running,
        Status::Paused,
        Status::Restarting,
        Status::Exited,
    ];

    /// Its name: `running`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// There is a process.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Running | Status::Paused)
    }
}

/// A container's state.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What it is doing.
    pub status: Status,
    /// Its process, in the pid namespace of containerd; 0 if there is none.
    pub pid: u32,
    /// When its last run began, as far as known.
    pub started: Option<Timestamp>,
    /// How its last run ended; nothing unless it has.
    pub exit: Option<Exit>,
}

impl State {
    /// The state of a container whose task was asked for at `asked`, before its record was.
    fn of(record: &Record, task: Option<&Task>, asked: Timestamp) -> State {
        let state = |status, pid, exit| State {
            status,
            pid,
            started: record.started,
            exit,
        };
        let ended = |status, reason: Option<&str>| {
            let exit = Exit {
                reason: reason.map(str::to_owned),
                ..Exit::new(status, asked)
            };
            state(Status::Exited, 0, Some(exit))
        };
        if let Some(exit) = &record.exit {
            return state(Status::Exited, 0, Some(exit.clone()));
        }
        match (task, record.started) {
            (Some(task), _) => match task.state {
                TaskState::Created => state(Status::Created, task.pid, None),
                TaskState::Running | TaskState::Unknown => state(Status::Running, task.pid, None),
                TaskState::Paused => state(Status::Paused, task.pid, None),
                TaskState::Stopped => ended(task.exit_status, None),
            },
            (None, None) => state(Status::Created, 0, None),
            (None, Some(started)) if started >= asked => state(Status::Running, 0, None),
            (None, Some(_)) => ended(UNKNOWN_STATUS, Some("nobody saw how the process ended")),
        }
    }

    /// The state in docker's words: `Up 5 minutes`, `Exited (0) 2 minutes ago`.
    pub fn phrase(&self, now: Timestamp) -> String {
        let up = || age(self.started.unwrap_or(now), now);
        match (self.status, &self.exit) {
            (Status::Created, _) => "Created".to_owned(),
            (Status::Running, _) => format!("Up {}", up()),
            (Status::Paused, _) => format!("Up {} (Paused)", up()),
            (Status::Restarting, Some(exit)) => {
                format!("Restarting ({}) {} ago", exit.status, age(exit.at, now))
            }
            (Status::Restarting, None) => "Restarting".to_owned(),
            (Status::Exited, Some(exit)) => {
                format!("Exited ({}) {} ago", exit.status, age(exit.at, now))
            }
            (Status::Exited, None) => "Exited".to_owned(),
        }
    }
}

/// How long ago something was, in one rough unit: `5 minutes`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    // A clock that was set back makes no negative ages.
    rough(Duration::try_from(now.duration_since(then)).unwrap_or_default())
}

/// A container of ours.
#[derive(Debug, Clone)]
pub struct View {
    /// Its record.
    pub record: Record,
    /// Its OCI runtime spec, JSON text.
    pub spec: Vec<u8>,
    /// Its state.
    pub state: State,
}

impl View {
    fn new(container: Container, record: Record, task: Option<&Task>, asked: Timestamp) -> View {
        let mut state = State::of(&record, task, asked);
        if state.status == Status::Created && record.restarts > 0 {
            // One that is on its way up again is not new.
            state.status = Status::Restarting;
        }
        if state.status == Status::Exited && comes_again(&record, &state) && waits(&record) {
            state.status = Status::Restarting;
        }
        View {
            state,
            spec: container.spec,
            record,
        }
    }

    /// How it is; nothing if nobody checks.
    pub fn health(&self) -> Option<Health> {
        self.record.health.as_ref()?;
        let paths = Paths::new(&self.record.namespace, &self.record.id);
        Some(health::read(&paths))
    }

    /// Its state in docker's words: `Up 5 minutes (healthy)`.
    pub fn phrase(&self, now: Timestamp) -> String {
        let phrase = self.state.phrase(now);
        match self.health().filter(|_| self.state.status.is_live()) {
            None => phrase,
            Some(health) if health.status == HealthStatus::Starting => {
                format!("{phrase} (health: starting)")
            }
            Some(health) => format!("{phrase} ({})", health.status),
        }
    }

    /// The names of its networks, in order: `host` for the host's, `none` for none at all.
    pub fn networks(&self) -> Vec<&str> {
        let network = &self.record.network;
        match (&network.mode, &network.attachments[..]) {
            (NetworkMode::Host, _) => vec!["host"],
            (NetworkMode::Joined(joined), _) => match joined.container {
                Some(_) => vec!["container"],
                None => vec!["ns"],
            },
            (NetworkMode::Own(_), []) => vec!["none"],
            (NetworkMode::Own(_), attachments) => {
                let names = attachments.iter();
                names.map(|attachment| &attachment.network[..]).collect()
            }
        }
    }

    /// The path of its network namespace, if it has its own.
    pub fn netns(&self) -> Option<&Path> {
        self.record.network.mode.netns()
    }

    /// What each network gave it, in order; nothing while it does not run.
    pub fn results(&self) -> Vec<Option<CniResult>> {
        let attachments = self.record.network.attachments.iter();
        let result = |value: &serde_json::Value| CniResult::from_value(value.clone(), "").ok();
        attachments
            .map(|attachment| attachment.result.as_ref().and_then(result))
            .map(|result| result.filter(|_| self.state.status.is_live()))
            .collect()
    }

    /// Its addresses on all networks; none while it does not run.
    pub fn addresses(&self) -> Vec<Address> {
        let results = self.results().into_iter().flatten();
        results
            .flat_map(|result| result.container_addresses())
            .collect()
    }

    /// Its published ports, each address of the host by itself; none while it does not run. The
    /// host's addresses of a family lead to containers that have one of it.
    pub fn ports(&self) -> Vec<(ContainerPort, SocketAddr)> {
        let own = self.addresses();
        let has = |v4: bool| own.iter().any(|a| a.address.addr().is_ipv4() == v4);
        // What a network did not tell is not known to be missing.
        let (four, six) = (has(true) || own.is_empty(), has(false));
        let published = self.record.network.published().iter();
        let live = published.filter(|port| self.state.status.is_live() && port.host_port != 0);
        let mut all: Vec<_> = live
            .flat_map(|port| {
                let number = port.container_port;
                let protocol = port.protocol;
                let own = ContainerPort { number, protocol };
                let addresses = port.addresses(port.host_port).into_iter();
                let leads = |at: &SocketAddr| if at.is_ipv4() { four } else { six };
                let reached = addresses.filter(|at| leads(at) || port.host_ip.is_some());
                reached
                    .map(move |address| (own, address))
                    .collect::<Vec<_>>()
            })
            .collect();
        all.sort();
        all
    }
}

impl View {
    /// It has ended, and is not started again by itself.
    pub fn is_over(&self) -> bool {
        self.state.status == Status::Exited && !comes_again(&self.record, &self.state)
    }
}

/// Whether its policy wants it started again.
fn comes_again(record: &Record, state: &State) -> bool {
    let again = |exit: &Exit| record.restart.restarts(exit.status, record.restarts);
    !record.stopped && state.exit.as_ref().is_some_and(again)
}

/// Whether somebody waits to start it again.
fn waits(record: &Record) -> bool {
    supervision(&Paths::new(&record.namespace, &record.id)) == Supervision::Alive
}

/// All containers of a namespace.
#[derive(Debug, Default)]
pub struct Seen {
    /// Ours, the newest first.
    pub own: Vec<View>,
    /// What others made, and whether it runs.
    pub foreign: Vec<(Container, bool)>,
    /// Ours, but with records that this netrun cannot read.
    pub unreadable: Vec<Error>,
}

/// Looks at all containers of the namespace.
///
/// # Errors
/// containerd cannot be reached.
pub async fn list(host: &Host) -> Result<Seen, Error> {
    let client = host.client().await?;
    let asked = Timestamp::now();
    let tasks = client.list_tasks().await?;
    let tasks: HashMap<&str, &Task> = tasks.iter().map(|task| (task.id.as_str(), task)).collect();
    let mut seen = Seen::default();
    for container in client.list_containers().await? {
        let task = tasks.get(container.id.as_str()).copied();
        match record_of(&container) {
            Ok(record) => seen.own.push(View::new(container, record, task, asked)),
            Err(Error::Foreign { .. }) => {
                let runs = task.is_some_and(|task| task.state == TaskState::Running);
                seen.foreign.push((container, runs));
            }
            Err(error) => seen.unreadable.push(error),
        }
    }
    seen.own
        .sort_by_key(|view| std::cmp::Reverse(view.record.created));
    Ok(seen)
}

/// Looks at one container.
///
/// # Errors
/// As [`Host::record`].
pub async fn one(host: &Host, id: &ContainerId) -> Result<View, Error> {
    let client = host.client().await?;
    let asked = Timestamp::now();
    let task = match client.task(id.as_str()).await {
        Ok(task) => Some(task),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let (container, record) = host.container(id).await?;
    Ok(View::new(container, record, task.as_ref(), asked))
}

/// A container for the tests of those who show containers.
#[cfg(test)]
pub mod sample {
    use super::*;

    /// The record of a container `id` that was made at `created` and never ran.
    pub fn record(id: &str, created: &str) -> Record {
        serde_json::from_value(serde_json::json!({
            "version": 1,
            "namespace": "default",
            "id": id,
            "created": created,
            "image": "docker.io/library/alpine:3.14",
            "snapshotter": "overlayfs",
            "parent": "sha256:aa",
            "network": {"mode": {"own": format!("/run/netns/netrun-{id}")}, "attachments": [{
                "network": "mynet", "ifname": "eth0", "config": "{}", "source": "/etc/cni/net.d/m.conf",
                "plugin_dirs": ["/opt/cni/bin"],
                "result": {"cniVersion": "1.0.0",
                    "interfaces": [{"name": "br0"},
                        {"name": "eth0", "mac": "aa:bb:cc:dd:ee:ff", "sandbox": "/run/netns/x"}],
                    "ips": [{"address": "10.10.0.2/16", "gateway": "10.10.0.1", "interface": 1},
                        {"address": "fd00::2/64", "gateway": "fd00::1", "interface": 1}]},
            }]},
            "labels": {"job": "42"},
            "mounts": [{"kind": "bind", "source": "/srv/site", "destination": "/site",
                "options": ["rbind", "ro", "rprivate"]}],
            "process": {"command": ["sh", "-c", "echo hello; sleep 1000"], "terminal": false, "stdin": false,
                "stop_signal": "SIGTERM", "stop_timeout": 10, "runtime": "io.containerd.runc.v2"},
            "names": {"hostname": id},
        }))
        .unwrap()
    }

    /// A container with that record and a small spec.
    pub fn view(record: Record, status: Status) -> View {
        let state = State {
            status,
            pid: if status.is_live() { 42 } else { 0 },
            started: record.started,
            exit: record.exit.clone(),
        };
        let spec = serde_json::json!({
            "process": {"args": ["sh"], "env": ["A=b"], "cwd": "/", "terminal": false},
            "root": {"path": "rootfs", "readonly": true},
            "linux": {"maskedPaths": ["/proc/kcore"], "resources": {
                "memory": {"limit": 1024}, "cpu": {"quota": 150_000, "period": 100_000}}},
        });
        View {
            record,
            spec: spec.to_string().into_bytes(),
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "2026-01-01T12:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn task(state: TaskState) -> Task {
        Task {
            id: "web".to_owned(),
            pid: 7,
            state,
            exit_status: 3,
        }
    }

    fn status(record: &Record, state: Option<TaskState>) -> (Status, Option<u32>) {
        let task = state.map(task);
        let state = State::of(record, task.as_ref(), at(ASKED));
        (state.status, state.exit.map(|exit| exit.status))
    }

    #[test]
    fn record_and_task_together_tell_the_state() {
        let mut record = sample::record("web", ASKED);
        assert_eq!(status(&record, None), (Status::Created, None));
        let created = Some(TaskState::Created);
        assert_eq!(status(&record, created), (Status::Created, None));
        record.started = Some(at("2026-01-01T11:00:00Z"));
        let running = Some(TaskState::Running);
        assert_eq!(status(&record, running), (Status::Running, None));
        let paused = Some(TaskState::Paused);
        assert_eq!(status(&record, paused), (Status::Paused, None));
        let stopped = Some(TaskState::Stopped);
        assert_eq!(status(&record, stopped), (Status::Exited, Some(3)));
        assert_eq!(status(&record, None), (Status::Exited, Some(255)));
        // Started after the tasks had been listed.
        record.started = Some(at("2026-01-01T12:00:01Z"));
        assert_eq!(status(&record, None), (Status::Running, None));
        // Ended after the tasks had been listed.
        record.exit = Some(Exit::new(0, at(ASKED)));
        assert_eq!(status(&record, running), (Status::Exited, Some(0)));
    }

    #[test]
    fn states_are_told_in_dockers_words() {
        let mut record = sample::record("web", ASKED);
        record.started = Some(at("2026-01-01T11:00:00Z"));
        let now = at("2026-01-01T12:05:00Z");
        let phrase = |record: &Record, state: Option<TaskState>| {
            let task = state.map(task);
            State::of(record, task.as_ref(), at(ASKED)).phrase(now)
        };
        let live = phrase(&record, Some(TaskState::Running));
        assert_eq!(live, "Up About an hour");
        let frozen = phrase(&record, Some(TaskState::Paused));
        assert_eq!(frozen, "Up About an hour (Paused)");
        assert_eq!(phrase(&record, None), "Exited (255) 5 minutes ago");
        record.started = None;
        assert_eq!(phrase(&record, None), "Created");
    }

    #[test]
    fn an_age_is_never_negative() {
        let age = age(at("2026-01-01T12:00:01Z"), at("2026-01-01T12:00:00Z"));
        assert_eq!(age, "Less than a second");
    }

    #[test]
    fn addresses_are_those_of_a_live_container() {
        let record = sample::record("web", ASKED);
        let view = sample::view(record.clone(), Status::Running);
        let addresses = view.addresses();
        let addresses: Vec<String> = addresses.iter().map(|a| a.address.to_string()).collect();
        assert_eq!(addresses, ["10.10.0.2/16", "fd00::2/64"]);
        assert!(sample::view(record, Status::Exited).addresses().is_empty());
    }

    #[test]
    fn networks_have_dockers_names_where_there_is_none() {
        let mut view = sample::view(sample::record("web", ASKED), Status::Running);
        assert_eq!(view.networks(), ["mynet"]);
        view.record.network.attachments.clear();
        assert_eq!(view.networks(), ["none"]);
        view.record.network.mode = NetworkMode::Host;
        assert_eq!(view.networks(), ["host"]);
    }
}
