//! From what was typed to what is meant, for `run` and `create`: the image, the networks, the plan.
//!
//! Invariant: everything that can be wrong with a request is found here, before anything is made.

use std::collections::{BTreeMap, BTreeSet};

use super::container::ContainerArgs;
use super::context::Context;
use super::options::{self, Unfit, files};
use super::values::EnvVar;
use super::{attachments, image_choice, scope};
use crate::engine::paths::Paths;
use crate::engine::plan::{self, Plan, Request};
use crate::engine::spec::{Limits, resolved_entrypoint};
use crate::image::Image;
use crate::model::asked::{Asked, AskedDevice, capability};
use crate::model::bytes::Bytes;
use crate::model::class::{Class, Explain, Failure};
use crate::model::cpus::Cpus;
use crate::model::device::Device;
use crate::model::generated_name;
use crate::model::id::ContainerId;
use crate::model::port::PublishedPort;
use crate::model::record::Names;
use crate::model::scope::LABEL;
use crate::sys::facts::{HostFacts, Wanted};

/// How long a process has after its stop signal, in seconds: docker's default.
const STOP_TIMEOUT: u32 = 10;

/// A request that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum Meaningless {
    /// Not root.
    #[error("netrun must be run as root")]
    NotRoot,
}

impl Explain for Meaningless {
    fn class(&self) -> Class {
        match self {
            Meaningless::NotRoot => Class::Denied,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Meaningless::NotRoot => Some("sudo netrun ...".to_owned()),
        }
    }
}

/// The container's name, as given or made up.
pub fn name(context: &Context<'_>, args: &ContainerArgs) -> ContainerId {
    match &args.name {
        Some(name) => name.clone(),
        None => generated_name::generate(|name| is_taken(context, name)),
    }
}

/// Resolves the arguments and plans the container.
///
/// # Errors
/// Everything that is wrong with the request, the image or the networks.
pub async fn plan(
    context: &Context<'_>,
    args: &ContainerArgs,
    id: &ContainerId,
) -> Result<Plan, Failure> {
    check(args)?;
    let settings = &context.settings;
    let snapshotter = args
        .snapshotter
        .clone()
        .unwrap_or_else(|| settings.snapshotter.clone());
    let network = attachments::networks(context, args).await?;
    let image = image_choice::find(context, args, &args.image, &snapshotter).await?;
    warn_of_options_after_image(context, args, &image);
    let ports = attachments::ports(args, &image)?;
    let limits = limits(args);
    let facts = facts(context, args, &limits)?;
    let resolved =
        options::resolve(context, (id, args), (&image.config, &snapshotter), &facts).await?;
    let request = Request {
        namespace: &settings.namespace,
        id,
        image: &image,
        snapshotter,
        runtime: runtime(args.runtime.as_deref().unwrap_or(&settings.runtime)),
        entrypoint: args.entrypoint.clone().map(|word| vec![word]),
        command: args.command.clone(),
        env: env(args)?,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        terminal: args.tty,
        stdin: args.interactive,
        auto_remove: args.rm,
        labels: labels(args, &image)?,
        restart: args.life.restart,
        health: args.life.health(&image.docker),
        bound_to: args.life.bound_to()?,
        scope: scope::bound(context, args.life.scope.as_ref())?,
        privileged: args.privileged,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        read_only: args.read_only,
        groups: args.rights.groups.clone(),
        limits,
        extras: resolved.extras,
        joins: resolved.joins,
        shared_memory: resolved.shared_memory,
        exposed: exposed(args, &image, &ports),
        log: args.process.log(),
        asked: asked(args, &image),
        stop_signal: args.stop_signal,
        stop_timeout: args.stop_timeout.unwrap_or(STOP_TIMEOUT),
        // As with timeout(1), zero is no limit.
        time_limit: args.life.timeout.filter(|limit| !limit.is_zero()),
        hostname: args.hostname.as_ref().map(|name| name.as_str().to_owned()),
        names: names(args),
        network,
        ports,
    };
    Ok(plan::plan(&request, &facts)?)
}

/// What the host is and has; limits that it cannot give are told.
fn facts(
    context: &Context<'_>,
    args: &ContainerArgs,
    limits: &Limits,
) -> Result<HostFacts, Failure> {
    let facts = HostFacts::read(Wanted {
        devices: args.privileged,
        limits: limits.any(),
        // Nothing of a privileged container's is filtered.
        architectures: !args.privileged,
    })?;
    for warning in limits.warnings(&facts) {
        context.audience.warn(&warning);
    }
    Ok(facts)
}

/// The files' variables, then those of the command line, which win.
fn env(args: &ContainerArgs) -> Result<Vec<String>, Unfit> {
    let mut env = files::env(&args.process.env_files)?;
    env.extend(args.env.iter().filter_map(EnvVar::resolved));
    Ok(env)
}

/// The image's labels, then those of files, then those that were typed. What netrun itself says by a label
/// (`netrun.scope`) no image can.
fn labels(args: &ContainerArgs, image: &Image) -> Result<BTreeMap<String, String>, Unfit> {
    let config = image.config.config().as_ref();
    let of_image = config.and_then(|config| config.labels().clone());
    let of_image = of_image.into_iter().flatten();
    let of_image = of_image.filter(|(key, _)| !key.starts_with("netrun."));
    let mut labels: BTreeMap<String, String> = of_image.collect();
    labels.extend(args.process.labels()?);
    let typed = args.labels.iter();
    labels.extend(typed.map(|label| (label.key.clone(), label.value.clone())));
    let scope = args.life.scope.iter();
    labels.extend(scope.map(|scope| (LABEL.to_owned(), scope.to_string())));
    Ok(labels)
}

/// The runtime as containerd names it; docker's own name of the usual one is known, too.
fn runtime(name: &str) -> String {
    let name = match name {
        "runc" => "io.containerd.runc.v2",
        name => name,
    };
    name.to_owned()
}

/// What is written down for `inspect` alone.
fn asked(args: &ContainerArgs, image: &Image) -> Asked {
    let given = args.entrypoint.as_ref().map(std::slice::from_ref);
    let rights = &args.rights;
    let device = |device: &Device| AskedDevice {
        host: device.host.clone(),
        container: device.container.clone(),
        access: device.access.clone(),
    };
    Asked {
        cap_add: args.cap_add.iter().map(|word| capability(word)).collect(),
        cap_drop: args.cap_drop.iter().map(|word| capability(word)).collect(),
        security: rights.security.iter().map(ToString::to_string).collect(),
        devices: rights.devices.iter().map(device).collect(),
        device_rules: rights
            .device_rules
            .iter()
            .map(ToString::to_string)
            .collect(),
        volumes_from: args.storage.volumes_from.clone(),
        cgroup_parent: args.resources.cgroup_parent.clone(),
        cidfile: args.cidfile.clone(),
        entrypoint: resolved_entrypoint(&image.config, given).len(),
        privileged: args.privileged,
        publish_all: args.publish_all,
    }
}

/// The ports of the image and of the command line, the published ones among them as with docker, each
/// once.
fn exposed(args: &ContainerArgs, image: &Image, published: &[PublishedPort]) -> Vec<String> {
    let config = image.config.config().as_ref();
    let of_image = config.and_then(|config| config.exposed_ports().clone());
    let of_image = of_image
        .into_iter()
        .flatten()
        .map(|port| match port.contains('/') {
            true => port,
            false => format!("{port}/tcp"),
        });
    let typed = args.process.expose.iter().flat_map(|ports| ports.0.clone());
    let published = published
        .iter()
        .map(|port| format!("{}/{}", port.container_port, port.protocol));
    let all: BTreeSet<String> = of_image.chain(typed).chain(published).collect();
    all.into_iter().collect()
}

/// Refuses what needs no look at anything else.
fn check(args: &ContainerArgs) -> Result<(), Failure> {
    check_root()?;
    Ok(args.life.check(args.rm)?)
}

fn check_root() -> Result<(), Meaningless> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(Meaningless::NotRoot),
    }
}

fn limits(args: &ContainerArgs) -> Limits {
    Limits {
        // As in docker, zero is as good as not given.
        memory: args.memory.and_then(Bytes::positive),
        cpus: args.cpus.and_then(Cpus::positive),
        pids: args.pids_limit,
        memory_swap: args.resources.memory_swap.map(|swap| swap.0),
        memory_reservation: args.resources.memory_reservation.and_then(Bytes::positive),
        cpu_shares: args.resources.cpu_shares.filter(|shares| *shares > 0),
        cpuset: args
            .resources
            .cpuset_cpus
            .as_ref()
            .map(|set| set.text.clone()),
    }
}

fn names(args: &ContainerArgs) -> Names {
    Names {
        hostname: String::new(),
        domain: args
            .process
            .domainname
            .as_ref()
            .map(|name| name.as_str().to_owned()),
        add_hosts: args
            .add_hosts
            .iter()
            .map(|e| (e.name.clone(), e.address.clone()))
            .collect(),
        dns: args.dns.iter().map(ToString::to_string).collect(),
        dns_search: args.dns_search.clone(),
        dns_options: args.dns_options.clone(),
    }
}

fn is_taken(context: &Context<'_>, name: &ContainerId) -> bool {
    let paths = Paths::new(&context.settings.namespace, name);
    paths.state.exists() || paths.run.exists()
}

fn warn_of_options_after_image(context: &Context<'_>, args: &ContainerArgs, image: &Image) {
    let config = image.config.config().as_ref();
    let has_entrypoint = config
        .and_then(|config| config.entrypoint().as_ref())
        .is_some();
    let options = &args.options_after_image;
    if has_entrypoint && !options.is_empty() {
        context.audience.warn(&format!(
            "{} after the image was taken for netrun's own; write -- before what is meant for the \
             image's ENTRYPOINT",
            options.join(" ")
        ));
    }
}
