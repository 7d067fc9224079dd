//! The kernel's side of a container: namespaces, cgroup, limits, devices, masks, sysctls, seccomp.
//!
//! Invariant: a limit is either in the spec or an error, never dropped.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{
    Capabilities, Linux, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxNamespace,
    LinuxNamespaceType, LinuxPids, LinuxResources,
};

use super::{SpecError, SpecRequest};
use crate::engine::seccomp;
use crate::model::mount::Propagation;
use crate::sys::facts::{CgroupMode, HostFacts};

/// Whose network a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Netns {
    /// The named one at this path.
    Path(PathBuf),
    /// The host's.
    Host,
}

/// What a container may use at most; nothing means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Memory in bytes; with swap, where the host counts it, twice as much.
    pub memory: Option<u64>,
    /// CPUs, also parts of one.
    pub cpus: Option<f64>,
    /// Processes and threads; 0 and below mean no limit.
    pub pids: Option<i64>,
}

impl Limits {
    /// Whether there is any: then the host's controllers have to be known.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// The least memory in which runc can start a process: docker's minimum.
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

/// The least share of a CPU: below it the quota falls under the kernel's millisecond.
const LEAST_CPUS: f64 = 0.01;

/// The period of the CPU quota in microseconds.
const CPU_PERIOD: u32 = 100_000;

/// Docker's masked paths; further ones depend on the host's CPUs.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Docker's read-only paths.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Character devices by major and minor, and whether they are allowed: docker's rules beyond those
/// of the runtime itself.
const DEVICE_RULES: [(i64, i64, bool); 7] = [
    (1, 5, true),     // zero
    (1, 3, true),     // null
    (1, 9, true),     // urandom
    (1, 8, true),     // random
    (5, 0, true),     // tty
    (5, 1, true),     // console
    (10, 229, false), // fuse
];

pub(super) fn linux(
    request: &SpecRequest<'_>,
    capabilities: &Capabilities,
) -> Result<Linux, SpecError> {
    let privileged = request.privileged;
    let filtered = !privileged && request.host.seccomp;
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(request)))
        .set_cgroups_path(Some(cgroups_path(request)))
        .set_resources(Some(resources(request)?))
        .set_devices(privileged.then(|| request.host.devices.clone()))
        .set_sysctl(sysctls(request))
        .set_seccomp(filtered.then(|| seccomp::default_profile(capabilities, request.host)))
        .set_masked_paths((!privileged).then(|| masked(request.host)))
        .set_readonly_paths((!privileged).then(|| READ_ONLY.map(str::to_owned).to_vec()))
        .set_rootfs_propagation(rootfs_propagation(request))
        .set_uid_mappings(None)
        .set_gid_mappings(None)
        .set_mount_label(None)
        .set_intel_rdt(None);
    Ok(linux)
}

fn namespaces(request: &SpecRequest<'_>) -> Vec<LinuxNamespace> {
    let mut namespaces: Vec<LinuxNamespace> = [
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
    ]
    .map(|typ| namespace(typ, None))
    .into();
    if let Netns::Path(path) = request.netns {
        namespaces.push(namespace(LinuxNamespaceType::Network, Some(path.clone())));
    }
    // On cgroup v1 docker shares the host's, since images there expect the whole path.
    if request.host.cgroups == CgroupMode::V2 {
        namespaces.push(namespace(LinuxNamespaceType::Cgroup, None));
    }
    namespaces
}

fn namespace(typ: LinuxNamespaceType, path: Option<PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(typ).set_path(path);
    namespace
}

/// A directory of its own right below the root, by the name of the container's netns: runc removes
/// it, and there is no parent that it would leave behind as containerd's `/<namespace>/<id>` does.
fn cgroups_path(request: &SpecRequest<'_>) -> PathBuf {
    PathBuf::from("/").join(request.id.netns_name(request.namespace))
}

fn resources(request: &SpecRequest<'_>) -> Result<LinuxResources, SpecError> {
    let mut resources = LinuxResources::default();
    resources
        .set_devices(Some(device_rules(request.privileged)))
        .set_memory(memory(request)?)
        .set_cpu(cpu(request)?)
        .set_pids(pids(request)?);
    Ok(resources)
}

fn device_rules(privileged: bool) -> Vec<LinuxDeviceCgroup> {
    let mut all = LinuxDeviceCgroup::default();
    all.set_allow(privileged).set_access(Some("rwm".to_owned()));
    if privileged {
        return vec![all];
    }
    let mut rules = vec![all];
    rules.extend(DEVICE_RULES.map(|(major, minor, allow)| {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow)
            .set_typ(Some(LinuxDeviceType::C))
            .set_major(Some(major))
            .set_minor(Some(minor))
            .set_access(Some("rwm".to_owned()));
        rule
    }));
    rules
}

fn memory(request: &SpecRequest<'_>) -> Result<Option<LinuxMemory>, SpecError> {
    let Some(bytes) = request.limits.memory else {
        return Ok(None);
    };
    require(request.host, "--memory", "memory")?;
    if bytes < LEAST_MEMORY {
        return Err(SpecError::LimitTooSmall {
            flag: "--memory",
            given: format!("{bytes} bytes"),
            least: "6 MiB",
        });
    }
    let counts_swap = request
        .host
        .limits
        .as_ref()
        .is_some_and(|limits| limits.swap);
    // The runtime knows signed numbers only; more than that is no limit on any machine.
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(Some(signed(bytes)))
        .set_swap(counts_swap.then(|| signed(bytes.saturating_mul(2))));
    Ok(Some(memory))
}

fn cpu(request: &SpecRequest<'_>) -> Result<Option<LinuxCpu>, SpecError> {
    let Some(cpus) = request.limits.cpus else {
        return Ok(None);
    };
    require(request.host, "--cpus", "cpu")?;
    if cpus.is_nan() || cpus < LEAST_CPUS {
        return Err(SpecError::LimitTooSmall {
            flag: "--cpus",
            given: cpus.to_string(),
            least: "0.01",
        });
    }
    // A cast saturates, and a quota beyond all CPUs is no limit.
    let quota = (cpus * f64::from(CPU_PERIOD)).round() as i64;
    let mut cpu = LinuxCpu::default();
    cpu.set_quota(Some(quota))
        .set_period(Some(u64::from(CPU_PERIOD)));
    Ok(Some(cpu))
}

fn pids(request: &SpecRequest<'_>) -> Result<Option<LinuxPids>, SpecError> {
    let Some(limit) = request.limits.pids.filter(|limit| *limit > 0) else {
        return Ok(None);
    };
    require(request.host, "--pids-limit", "pids")?;
    let mut pids = LinuxPids::default();
    pids.set_limit(limit);
    Ok(Some(pids))
}

fn require(
    host: &HostFacts,
    flag: &'static str,
    controller: &'static str,
) -> Result<(), SpecError> {
    let there = host
        .limits
        .as_ref()
        .is_some_and(|limits| limits.names.contains(controller));
    if there {
        Ok(())
    } else {
        Err(SpecError::NoController { flag, controller })
    }
}

/// The kernel that came with `ip_unprivileged_port_start`; runc fails on one that is not there.
const UNPRIVILEGED_PORTS: (u32, u32) = (4, 11);

/// In a network of its own, root is not needed to ping or to listen on a low port, as in docker.
fn sysctls(request: &SpecRequest<'_>) -> Option<HashMap<String, String>> {
    if *request.netns == Netns::Host {
        return None;
    }
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut sysctls = HashMap::from([setting("net.ipv4.ping_group_range", "0 2147483647")]);
    if request.host.kernel >= UNPRIVILEGED_PORTS {
        sysctls.extend([setting("net.ipv4.ip_unprivileged_port_start", "0")]);
    }
    Some(sysctls)
}

fn masked(host: &HostFacts) -> Vec<String> {
    let thermal = host
        .thermal_cpus
        .iter()
        .map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    MASKED
        .map(str::to_owned)
        .into_iter()
        .chain(thermal)
        .collect()
}

/// The root's propagation, which must let pass what the binds are to pass.
fn rootfs_propagation(request: &SpecRequest<'_>) -> Option<String> {
    let any = |wanted: [Propagation; 2]| {
        request
            .binds
            .iter()
            .any(|bind| wanted.contains(&bind.propagation))
    };
    if any([Propagation::Shared, Propagation::RShared]) {
        Some("shared".to_owned())
    } else if any([Propagation::Slave, Propagation::RSlave]) {
        Some("rslave".to_owned())
    } else {
        None
    }
}
