//! The options about how much of the host a container may use.
//!
//! Invariant: what this host cannot give is refused here, with what it can; the limits that docker
//! leaves out where the host has no controller are left out with a warning.

use std::fs;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::Capability;

use super::Unfit;
use super::words::{CpuSet, Swap};
use crate::commands::values::{oom_score, parse, share_or_usual};
use crate::engine::spec::Extras;
use crate::model::bytes::Bytes;
use crate::model::isolation::Sysctl;
use crate::model::mount::clean;
use crate::model::ulimit::Ulimit;
use crate::sys::facts::HostFacts;

/// Where the kernel tells which CPUs there are.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Memory, CPUs, limits of processes.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None, next_help_heading = "Resources")]
pub struct ResourceArgs {
    /// The most memory and swap together; -1 for all swap [default: twice the memory]
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

    /// Its share of the processors beside others; 1024 is the usual one
    #[arg(short = 'c', long, value_name = "NUMBER", value_parser = share_or_usual)]
    pub cpu_shares: Option<u64>,

    /// The processors that it may run on, such as 0-3,8
    #[arg(long, value_name = "LIST", value_parser = parse::<CpuSet>)]
    pub cpuset_cpus: Option<CpuSet>,

    /// The size of its /dev/shm [default: 64m]
    #[arg(long, value_name = "BYTES", value_parser = parse::<Bytes>)]
    pub shm_size: Option<Bytes>,

    /// A limit of each process, such as nofile=1024:2048
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", value_parser = parse::<Ulimit>)]
    pub ulimits: Vec<Ulimit>,

    /// How likely the kernel kills it first when memory runs out, from -1000 to 1000
    #[arg(
        long,
        value_name = "NUMBER",
        allow_negative_numbers = true,
        value_parser = oom_score
    )]
    pub oom_score_adj: Option<i32>,

    /// The cgroup below which its own is made
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<PathBuf>,

    /// A kernel setting of its own, such as net.core.somaxconn=1024
    #[arg(long = "sysctl", value_name = "NAME=VALUE", value_parser = parse::<Sysctl>)]
    pub sysctls: Vec<Sysctl>,
}

impl ResourceArgs {
    pub(super) fn fill(&self, facts: &HostFacts, extras: &mut Extras) -> Result<(), Unfit> {
        let may_raise = facts.bounding.contains(&Capability::SysResource);
        if !may_raise {
            check_ulimits(&self.ulimits)?;
            check_oom_score(self.oom_score_adj)?;
        }
        if let Some(wanted) = &self.cpuset_cpus {
            check_cpus(wanted)?;
        }
        extras.ulimits.clone_from(&self.ulimits);
        extras.oom_score_adj = self.oom_score_adj;
        extras.cgroup_parent = self.cgroup_parent.as_deref().map(clean);
        extras.sysctls.extend(self.sysctls.iter().cloned());
        Ok(())
    }
}

/// Without the right to raise limits a container can have no more than we have ourselves.
fn check_ulimits(ulimits: &[Ulimit]) -> Result<(), Unfit> {
    for ulimit in ulimits {
        let Some((_, most)) = resource(&ulimit.name).and_then(|r| getrlimit(r).ok()) else {
            continue;
        };
        if ulimit.hard > most {
            return Err(Unfit::Ulimit {
                name: ulimit.short_name().to_owned(),
                most,
            });
        }
    }
    Ok(())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

/// Without the right a score can only be raised.
fn check_oom_score(wanted: Option<i32>) -> Result<(), Unfit> {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own = own.trim().parse().unwrap_or(0);
    match wanted {
        Some(wanted) if wanted < own => Err(Unfit::OomScore(own)),
        _ => Ok(()),
    }
}

/// This host has the CPUs.
///
/// # Errors
/// [`Unfit::Cpus`]: it has not.
pub fn check_cpus(wanted: &CpuSet) -> Result<(), Unfit> {
    let there = fs::read_to_string(ONLINE).unwrap_or_default();
    let there = there.trim();
    // The kernel's list is sorted; what it has no list of, the runtime will see.
    let highest = there.rsplit([',', '-']).next().and_then(|n| n.parse().ok());
    match highest {
        Some(highest) if wanted.highest > highest => Err(Unfit::Cpus {
            wanted: wanted.text.clone(),
            there: there.to_owned(),
        }),
        _ => Ok(()),
    }
}
