//! What a container may use at most.
//!
//! Invariant: a limit is in the spec, or an error, or told in a warning where docker goes on without
//! it; none is dropped in silence.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::{SpecError, SpecRequest, devices};
use crate::sys::facts::HostFacts;

/// What a container may use at most; nothing means no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Memory in bytes; with swap, where the host counts it, twice as much unless told otherwise.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes; -1 means no limit of the swap.
    pub memory_swap: Option<i64>,
    /// Memory in bytes to which it is brought back when the host is short of it.
    pub memory_reservation: Option<u64>,
    /// CPUs, also parts of one.
    pub cpus: Option<f64>,
    /// Its share of the CPUs beside others, 1024 being the usual.
    pub cpu_shares: Option<u64>,
    /// The CPUs that it may run on: `0-3,8`.
    pub cpuset: Option<String>,
    /// Processes and threads; 0 and below mean no limit.
    pub pids: Option<i64>,
}

impl Limits {
    /// Whether there is any: then the host's controllers have to be known.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// What this host cannot keep and docker goes on without, in words for the user.
    pub fn warnings(&self, host: &HostFacts) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut lost = |flag: &str, given: bool, kept: bool| {
            if given && !kept {
                warnings.push(format!("this host cannot keep {flag}; it is left out"));
            }
        };
        let reserved = self.memory_reservation.is_some();
        let swap = self.memory_swap.is_some();
        let pids = self.pids.is_some_and(|pids| pids > 0);
        lost("--memory", self.memory.is_some(), has(host, "memory"));
        lost("--pids-limit", pids, has(host, "pids"));
        lost("--memory-swap", swap, counts_swap(host));
        lost("--memory-reservation", reserved, has(host, "memory"));
        lost("--cpu-shares", self.cpu_shares.is_some(), has(host, "cpu"));
        lost("--cpuset-cpus", self.cpuset.is_some(), has(host, "cpuset"));
        warnings
    }
}

/// The least memory in which runc can start a process: docker's minimum.
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

/// The least share of a CPU: below it the quota falls under the kernel's millisecond.
const LEAST_CPUS: f64 = 0.01;

/// The period of the CPU quota in microseconds.
const CPU_PERIOD: u32 = 100_000;

pub(super) fn resources(request: &SpecRequest<'_>) -> Result<LinuxResources, SpecError> {
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(devices::rules(request)));
    limit(request.limits, request.host, &mut resources)?;
    Ok(resources)
}

/// Writes the limits into a spec's resources.
///
/// # Errors
/// One that no container could live in, or that this host cannot keep.
pub fn limit(
    limits: &Limits,
    host: &HostFacts,
    resources: &mut LinuxResources,
) -> Result<(), SpecError> {
    resources
        .set_memory(memory(limits, host)?)
        .set_cpu(cpu(limits, host)?)
        .set_pids(pids(limits, host));
    Ok(())
}

fn memory(limits: &Limits, host: &HostFacts) -> Result<Option<LinuxMemory>, SpecError> {
    let mut memory = LinuxMemory::default();
    if let Some(reserved) = limits.memory_reservation.filter(|_| has(host, "memory")) {
        enough_memory("--memory-reservation", reserved)?;
        memory.set_reservation(Some(signed(reserved)));
    }
    if let Some(bytes) = limits.memory.filter(|_| has(host, "memory")) {
        enough_memory("--memory", bytes)?;
        let doubled = signed(bytes.saturating_mul(2));
        // As with docker, 0 is as good as not given.
        let wanted = limits.memory_swap.filter(|swap| *swap != 0);
        let swap = wanted.unwrap_or(doubled);
        memory
            .set_limit(Some(signed(bytes)))
            .set_swap(counts_swap(host).then_some(swap));
    }
    check_order(limits)?;
    Ok((memory != LinuxMemory::default()).then_some(memory))
}

/// The reservation is not above the limit, nor that above what it is together with swap.
fn check_order(limits: &Limits) -> Result<(), SpecError> {
    let above = |flag, other| SpecError::LimitsDisagree { flag, other };
    let swap = limits.memory_swap.filter(|swap| *swap > 0);
    match (limits.memory, limits.memory_reservation, swap) {
        (Some(limit), Some(reserved), _) if reserved > limit => {
            Err(above("--memory-reservation", "--memory"))
        }
        (Some(limit), _, Some(swap)) if signed(limit) > swap => {
            Err(above("--memory", "--memory-swap"))
        }
        (None, _, Some(_)) => Err(SpecError::LimitAlone {
            flag: "--memory-swap",
            other: "--memory",
        }),
        _ => Ok(()),
    }
}

fn enough_memory(flag: &'static str, bytes: u64) -> Result<(), SpecError> {
    match bytes < LEAST_MEMORY {
        true => Err(SpecError::LimitTooSmall {
            flag,
            given: format!("{bytes} bytes"),
            least: "6 MiB",
        }),
        false => Ok(()),
    }
}

/// The runtime knows signed numbers only; more than that is no limit on any machine.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn cpu(limits: &Limits, host: &HostFacts) -> Result<Option<LinuxCpu>, SpecError> {
    let mut cpu = LinuxCpu::default();
    if let Some(shares) = limits.cpu_shares.filter(|_| has(host, "cpu")) {
        cpu.set_shares(Some(shares));
    }
    if let Some(cpus) = limits.cpuset.as_ref().filter(|_| has(host, "cpuset")) {
        cpu.set_cpus(Some(cpus.clone()));
    }
    if let Some(cpus) = limits.cpus {
        // Without it docker does not go on either.
        require(host, "--cpus", "cpu")?;
        if cpus.is_nan() || cpus < LEAST_CPUS {
            return Err(SpecError::LimitTooSmall {
                flag: "--cpus",
                given: cpus.to_string(),
                least: "0.01",
            });
        }
        let there = host.limits.as_ref().map_or(0, |limits| limits.cpus);
        if cpus > f64::from(there) {
            return Err(SpecError::TooManyCpus { given: cpus, there });
        }
        // A cast saturates.
        let quota = (cpus * f64::from(CPU_PERIOD)).round() as i64;
        cpu.set_quota(Some(quota))
            .set_period(Some(u64::from(CPU_PERIOD)));
    }
    Ok((cpu != LinuxCpu::default()).then_some(cpu))
}

fn pids(limits: &Limits, host: &HostFacts) -> Option<LinuxPids> {
    let limit = limits.pids.filter(|limit| *limit > 0)?;
    let mut pids = LinuxPids::default();
    pids.set_limit(limit);
    has(host, "pids").then_some(pids)
}

fn has(host: &HostFacts, controller: &str) -> bool {
    let limits = host.limits.as_ref();
    limits.is_some_and(|limits| limits.names.contains(controller))
}

fn counts_swap(host: &HostFacts) -> bool {
    host.limits.as_ref().is_some_and(|limits| limits.swap)
}

fn require(
    host: &HostFacts,
    flag: &'static str,
    controller: &'static str,
) -> Result<(), SpecError> {
    match has(host, controller) {
        true => Ok(()),
        false => Err(SpecError::NoController { flag, controller }),
    }
}
