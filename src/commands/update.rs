//! `netrun update`: other limits and another restart policy for containers.
//!
//! Invariant: the record's spec is written first, so that the next start has what the running process
//! got; what the runtime refuses is put back as it was, or no start would succeed any more. What is not
//! named stays as it is.

use oci_spec::runtime::{LinuxResources, Spec};

use super::context::Context;
use super::each::{Each, each};
use super::options::resources::check_cpus;
use super::options::words::{CpuSet, Swap};
use super::values::{parse, share};
use crate::containerd::TaskState;
use crate::engine::announce::{Subject, announce};
use crate::engine::error::Error;
use crate::engine::policy;
use crate::engine::spec::{Limits, limit};
use crate::model::bytes::Bytes;
use crate::model::class::{Class, Explain, Failure};
use crate::model::cpus::Cpus;
use crate::model::id::ContainerId;
use crate::model::restart::RestartPolicy;
use crate::sys::facts::{HostFacts, Wanted};

/// Change limits and restart policies of containers, whether they run or not
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun update --memory 1g --cpus 2 web")]
pub struct Args {
    /// The most memory that it may use, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = parse::<Bytes>)]
    pub memory: Option<Bytes>,

    /// The most memory and swap together; -1 for all swap
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        value_parser = parse::<Swap>
    )]
    pub memory_swap: Option<Swap>,

    /// The memory that it is brought back to when the host is short of it
    #[arg(long, value_name = "BYTES", value_parser = parse::<Bytes>)]
    pub memory_reservation: Option<Bytes>,

    /// How many processors it may use, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::<Cpus>)]
    pub cpus: Option<Cpus>,

    /// Its share of the processors beside others; 1024 is the usual one
    #[arg(short = 'c', long, value_name = "NUMBER", value_parser = share)]
    pub cpu_shares: Option<u64>,

    /// The processors that it may run on, such as 0-3,8
    #[arg(long, value_name = "LIST", value_parser = parse::<CpuSet>)]
    pub cpuset_cpus: Option<CpuSet>,

    /// The most processes and threads that it may have
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,

    /// When to start them again: no, always, unless-stopped or on-failure[:TIMES]
    #[arg(long, value_name = "POLICY", value_parser = parse::<RestartPolicy>)]
    pub restart: Option<RestartPolicy>,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// Nothing to change.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing to change")]
struct Nothing;

impl Explain for Nothing {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("name a limit, such as --memory 1g, or --restart".to_owned())
    }
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            memory: self.memory.and_then(Bytes::positive),
            memory_swap: self.memory_swap.map(|swap| swap.0),
            memory_reservation: self.memory_reservation.and_then(Bytes::positive),
            cpus: self.cpus.and_then(Cpus::positive),
            cpu_shares: self.cpu_shares,
            cpuset: self.cpuset_cpus.as_ref().map(|set| set.text.clone()),
            pids: self.pids_limit,
        }
    }
}

/// Changes the limits of the containers.
///
/// # Errors
/// Nothing is to be changed, or this host cannot keep a limit.
pub async fn update(context: &Context<'_>, args: &Args) -> Result<Each<ContainerId>, Failure> {
    let limits = args.limits();
    if !limits.any() && args.restart.is_none() {
        return Err(Nothing.into());
    }
    if let Some(wanted) = &args.cpuset_cpus {
        check_cpus(wanted)?;
    }
    let facts = HostFacts::read(Wanted {
        limits: true,
        ..Wanted::default()
    })?;
    for warning in limits.warnings(&facts) {
        context.audience.warn(&warning);
    }
    Ok(each(&args.containers, async |id| {
        if limits.any() {
            change(context, &id, &limits, &facts).await?;
        }
        if let Some(restart) = args.restart {
            policy::set(&context.host, &id, restart).await?;
        }
        announce(
            &context.host,
            Subject::Container(id.as_str()),
            "update",
            &[],
        )
        .await;
        Ok(id)
    })
    .await)
}

async fn change(
    context: &Context<'_>,
    id: &ContainerId,
    limits: &Limits,
    facts: &HostFacts,
) -> Result<(), Failure> {
    let (container, _) = context.host.container(id).await?;
    let unreadable = |source| Error::Record {
        id: id.to_string(),
        source,
    };
    let mut spec: Spec = serde_json::from_slice(&container.spec).map_err(unreadable)?;
    let mut linux = spec.linux().clone().unwrap_or_default();
    let mut resources = linux.resources().clone().unwrap_or_default();
    merge(&mut resources, limits, facts)?;
    linux.set_resources(Some(resources.clone()));
    spec.set_linux(Some(linux));
    let client = context.host.client().await?;
    let text = serde_json::to_vec(&spec).map_err(unreadable)?;
    let written = client.update_spec(id.as_str(), text).await;
    written.map_err(Error::from)?;
    // The rules about devices are not to be set again.
    resources.set_devices(None);
    let live = match client.task(id.as_str()).await {
        Ok(task) => matches!(task.state, TaskState::Running | TaskState::Paused),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(Error::from(error).into()),
    };
    if live {
        let json = serde_json::to_vec(&resources).map_err(unreadable)?;
        if let Err(error) = client.update_task(id.as_str(), json).await {
            // The refusal is what is to be told; should this fail as well, containerd is away.
            let _ = client.update_spec(id.as_str(), container.spec).await;
            return Err(Error::from(error).into());
        }
    }
    Ok(())
}

/// Sets what is named, and what hangs together with it.
fn merge(
    resources: &mut LinuxResources,
    limits: &Limits,
    facts: &HostFacts,
) -> Result<(), Failure> {
    let mut whole = limits.clone();
    if let Some(memory) = resources.memory() {
        // Swap and reservation are judged by the limit that will be in force.
        let bytes = |given: Option<i64>| given.and_then(|bytes| u64::try_from(bytes).ok());
        if whole.memory_swap.is_some() || whole.memory_reservation.is_some() {
            whole.memory = whole.memory.or(bytes(memory.limit()));
        }
        if whole.memory.is_some() {
            // Twice the memory is what nobody asked for; all else was, and stays.
            let asked = |swap: &i64| Some(*swap) != memory.limit().map(|limit| limit * 2);
            let swap = memory.swap().filter(asked);
            whole.memory_swap = whole.memory_swap.or(swap);
            let reservation = bytes(memory.reservation());
            whole.memory_reservation = whole.memory_reservation.or(reservation);
        }
    }
    let mut new = LinuxResources::default();
    limit(&whole, facts, &mut new)?;
    if let Some(memory) = new.memory() {
        resources.set_memory(Some(*memory));
    }
    if let Some(cpu) = new.cpu() {
        let mut merged = resources.cpu().clone().unwrap_or_default();
        let quota = cpu.quota().or(merged.quota());
        let period = cpu.period().or(merged.period());
        let shares = cpu.shares().or(merged.shares());
        let cpus = cpu.cpus().clone().or_else(|| merged.cpus().clone());
        merged
            .set_quota(quota)
            .set_period(period)
            .set_shares(shares)
            .set_cpus(cpus);
        resources.set_cpu(Some(merged));
    }
    if new.pids().is_some() || limits.pids.is_some() {
        resources.set_pids(*new.pids());
    }
    Ok(())
}
