//! From what is meant to what will be done: the record and the spec of a new container.
//!
//! Invariant: pure; nothing has happened yet, and nothing else decides what will.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::paths::Paths;
use super::spec::{
    self, EtcFiles, Extras, Limits, Netns, SpecError, SpecRequest, resolved_command,
};
use super::user::{User, UserError, UserRef};
use crate::image::Image;
use crate::model::asked::Asked;
use crate::model::class::{Class, Explain};
use crate::model::health::HealthCheck;
use crate::model::id::{ContainerId, Namespace};
use crate::model::isolation::Sysctl;
use crate::model::port::PublishedPort;
use crate::model::record::{
    self, Attachment, BoundTo, Join, Joined, Log, Names, Network, NetworkMode, Process, Record,
};
use crate::model::restart::RestartPolicy;
use crate::model::scope::BoundScope;
use crate::model::signal::Signal;
use crate::network::NetworkConfigList;
use crate::sys::facts::HostFacts;

/// What is meant: every default of the command line and the configuration file is resolved.
#[derive(Debug)]
pub struct Request<'a> {
    /// The containerd namespace.
    pub namespace: &'a Namespace,
    /// The name.
    pub id: &'a ContainerId,
    /// The image, which is there.
    pub image: &'a Image,
    /// The snapshotter that holds it.
    pub snapshotter: String,
    /// The OCI runtime.
    pub runtime: String,
    /// `--entrypoint`.
    pub entrypoint: Option<Vec<String>>,
    /// The command after the image.
    pub command: Vec<String>,
    /// `-e`.
    pub env: Vec<String>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `-u`; the image's user if none.
    pub user: Option<String>,
    /// `-t`.
    pub terminal: bool,
    /// `-i`.
    pub stdin: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// `--restart`.
    pub restart: RestartPolicy,
    /// `--health-cmd` and so on, or the image's.
    pub health: Option<HealthCheck>,
    /// `--bind-pid`.
    pub bound_to: Option<BoundTo>,
    /// `--scope`, if that is bound to a process.
    pub scope: Option<BoundScope>,
    /// `-l`.
    pub labels: BTreeMap<String, String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--group-add`.
    pub groups: Vec<String>,
    /// `--memory`, `--cpus`, `--pids-limit` and their like.
    pub limits: Limits,
    /// The less usual wishes.
    pub extras: Extras,
    /// The namespaces of other containers that it shares.
    pub joins: Vec<Join>,
    /// Its `/dev/shm` is for others, too, and has so many bytes.
    pub shared_memory: Option<i64>,
    /// The ports that it says it listens on.
    pub exposed: Vec<String>,
    /// Where its output goes.
    pub log: Log,
    /// What `inspect` tells word for word.
    pub asked: Asked,
    /// `--stop-signal`; the image's or SIGTERM if none.
    pub stop_signal: Option<Signal>,
    /// `--stop-timeout`, in seconds.
    pub stop_timeout: u32,
    /// `--timeout`.
    pub time_limit: Option<Duration>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `--add-host`, `--dns`, ...; the hostname in it is filled in here.
    pub names: Names,
    /// Where it is attached.
    pub network: NetworkRequest,
    /// `-p` and `-P`.
    pub ports: Vec<PublishedPort>,
}

/// Where a container is attached.
#[derive(Debug)]
pub enum NetworkRequest {
    /// The host's own network.
    Host,
    /// A network namespace of its own, with these networks in it.
    Own(Vec<Planned>),
    /// A network namespace of somebody else.
    Joined {
        /// Whose.
        joined: Joined,
        /// The hostname that goes with it.
        hostname: Option<String>,
    },
}

/// A network to be attached.
#[derive(Debug)]
pub struct Planned {
    /// Its configuration.
    pub list: NetworkConfigList,
    /// Where its plugins are looked for.
    pub plugin_dirs: Vec<PathBuf>,
    /// The interface's name, where it is not to be chosen here.
    pub ifname: Option<String>,
    /// `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// Arguments by capability.
    pub capability_args: Map<String, Value>,
    /// Further names on the network.
    pub aliases: Vec<String>,
    /// Which attachment has the default routes: the highest.
    pub gateway_priority: i32,
}

impl Planned {
    /// The attachment to be written down.
    pub fn attachment(&self, ifname: String) -> Attachment {
        Attachment {
            network: self.list.name().to_owned(),
            ifname,
            config: self.list.bytes().to_owned(),
            source: self.list.source().to_owned(),
            args: self.args.clone(),
            capability_args: self.capability_args.clone(),
            aliases: self.aliases.clone(),
            gateway_priority: self.gateway_priority,
            plugin_dirs: self.plugin_dirs.clone(),
            result: None,
        }
    }
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The record to be written.
    pub record: Record,
    /// The spec as JSON text; its user is provisional if it has to be looked up in the image.
    pub spec: String,
    /// The user must be looked up.
    pub look_up_user: bool,
}

/// Why there can be no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The spec cannot be made.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The user cannot be meant.
    #[error(transparent)]
    User(#[from] UserError),
    /// The image wants a stop signal that nobody knows.
    #[error("the image's stop signal {0:?} is none")]
    StopSignal(String),
    /// The spec cannot be written down.
    #[error("the spec cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

impl Explain for PlanError {
    fn class(&self) -> Class {
        match self {
            PlanError::Spec(error) => error.class(),
            PlanError::User(error) => error.class(),
            PlanError::StopSignal(_) => Class::InvalidInput,
            PlanError::Encode(_) => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PlanError::Spec(error) => error.hint(),
            PlanError::User(error) => error.hint(),
            PlanError::StopSignal(_) => Some("name one with --stop-signal".to_owned()),
            PlanError::Encode(_) => None,
        }
    }
}

/// Plans a container.
///
/// # Errors
/// See [`PlanError`]; nothing has happened then.
pub fn plan(request: &Request<'_>, host: &HostFacts) -> Result<Plan, PlanError> {
    let config = request.image.config.config().as_ref();
    let image_user = config
        .and_then(|config| config.user().clone())
        .unwrap_or_default();
    let given = request.user.clone().unwrap_or(image_user);
    let reference: UserRef = given.parse()?;
    let reference = reference.with_groups(&request.groups)?;
    let user = reference.exact();
    let provisional = user.clone().unwrap_or_else(|| reference.provisional());
    let paths = Paths::new(request.namespace, request.id);
    let spec = make_spec(request, host, &provisional, &paths)?;
    let mut names = request.names.clone();
    let hosts_name = || host.hostname.clone();
    names.hostname = spec.hostname().clone().unwrap_or_else(hosts_name);
    let record = Record {
        version: record::VERSION,
        namespace: request.namespace.clone(),
        id: request.id.clone(),
        created: Timestamp::now(),
        boot_id: String::new(),
        provisional: false,
        image: request.image.name.clone(),
        image_id: request.image.config_digest.clone(),
        snapshotter: request.snapshotter.clone(),
        parent: request.image.chain_id.clone(),
        network: network(request, &paths),
        labels: request.labels.clone(),
        process: process(request, given)?,
        names,
        mounts: request.extras.mounts.clone(),
        joins: request.joins.clone(),
        shared_memory: request.shared_memory,
        needs_interfaces: request.extras.sysctls.iter().any(names_interface),
        exposed: request.exposed.clone(),
        log: request.log.clone(),
        asked: request.asked.clone(),
        auto_remove: request.auto_remove,
        keep_volumes: false,
        restart: request.restart,
        restarts: 0,
        stopped: false,
        health: request.health.clone(),
        bound_to: request.bound_to,
        scope: request.scope.clone(),
        started: None,
        exit: None,
    };
    Ok(Plan {
        record,
        spec: serde_json::to_string(&spec)?,
        look_up_user: user.is_none(),
    })
}

/// How its process is run and stopped; `user` is who runs it, as given.
fn process(request: &Request<'_>, user: String) -> Result<Process, PlanError> {
    let config = request.image.config.config().as_ref();
    let image_signal = config.and_then(|config| config.stop_signal().clone());
    let stop_signal = match (request.stop_signal, image_signal) {
        (Some(signal), _) => signal,
        (None, Some(name)) => name.parse().map_err(|_| PlanError::StopSignal(name))?,
        (None, None) => Signal::TERM,
    };
    Ok(Process {
        command: resolved_command(
            &request.image.config,
            request.entrypoint.as_deref(),
            &request.command,
        )?,
        user,
        groups: request.groups.clone(),
        terminal: request.terminal,
        stdin: request.stdin,
        stdin_stays: false,
        stop_signal: stop_signal.to_string(),
        stop_timeout: request.stop_timeout,
        time_limit: request.time_limit,
        runtime: request.runtime.clone(),
    })
}

fn names_interface(sysctl: &Sysctl) -> bool {
    sysctl.interface().is_some_and(|name| name != "lo")
}

fn make_spec(
    request: &Request<'_>,
    host: &HostFacts,
    user: &User,
    paths: &Paths,
) -> Result<Spec, SpecError> {
    let netns = match &request.network {
        NetworkRequest::Host => Netns::Host,
        NetworkRequest::Own(_) => Netns::Path(paths.netns.clone()),
        NetworkRequest::Joined { joined, .. } => Netns::Path(joined.path.clone()),
    };
    let (of_network, hostname) = network_names(request, paths);
    let etc_files = EtcFiles {
        hosts: of_network.hosts(),
        hostname: paths.hostname(),
        resolv_conf: of_network.resolv_conf(),
    };
    spec::spec(&SpecRequest {
        id: request.id,
        namespace: request.namespace,
        image: &request.image.config,
        entrypoint: request.entrypoint.as_deref(),
        command: &request.command,
        env: &request.env,
        workdir: request.workdir.as_deref(),
        user,
        hostname,
        terminal: request.terminal,
        privileged: request.privileged,
        cap_add: &request.cap_add,
        cap_drop: &request.cap_drop,
        read_only: request.read_only,
        limits: &request.limits,
        extras: &request.extras,
        netns: &netns,
        etc_files: &etc_files,
        host,
    })
}

/// Whose files name the network, and the hostname: a network of another container comes with both.
fn network_names<'r>(request: &'r Request<'_>, own: &Paths) -> (Paths, Option<&'r str>) {
    let given = request.hostname.as_deref();
    match &request.network {
        NetworkRequest::Joined { joined, hostname } => {
            let owner = joined.container.as_ref();
            let paths = owner.map(|owner| Paths::new(request.namespace, owner));
            (paths.unwrap_or(own.clone()), given.or(hostname.as_deref()))
        }
        _ => (own.clone(), given),
    }
}

fn network(request: &Request<'_>, paths: &Paths) -> Network {
    let (mode, planned): (_, &[Planned]) = match &request.network {
        NetworkRequest::Host => (NetworkMode::Host, &[]),
        NetworkRequest::Joined { joined, .. } => (NetworkMode::Joined(joined.clone()), &[]),
        NetworkRequest::Own(planned) => (NetworkMode::Own(paths.netns.clone()), planned),
    };
    let mut attachments: Vec<Attachment> = Vec::new();
    for (index, one) in planned.iter().enumerate() {
        let named = planned.iter().filter_map(|one| one.ifname.as_deref());
        let taken = attachments.iter().map(|one| one.ifname.as_str());
        let taken: Vec<&str> = named.chain(taken).collect();
        let ifname = one.ifname.clone();
        let ifname = ifname.unwrap_or_else(|| free_ifname(index, &taken));
        attachments.push(one.attachment(ifname));
    }
    Network {
        mode,
        attachments,
        ports: request.ports.clone(),
    }
}

/// The first free one of `eth0`, `eth1`, ..., from a number on.
pub fn free_ifname(from: usize, taken: &[&str]) -> String {
    let mut names = (from..).map(|number| format!("eth{number}"));
    let free = names.find(|name| !taken.contains(&name.as_str()));
    free.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_numbered_around_those_that_are_named() {
        assert_eq!(free_ifname(0, &[]), "eth0");
        assert_eq!(free_ifname(0, &["eth0", "lan", "eth1"]), "eth2");
        assert_eq!(free_ifname(1, &["eth0"]), "eth1");
    }
}
