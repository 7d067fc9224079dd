//! The kernel's side of a container: masks, sysctls, seccomp, and what its own files know of the rest.
//!
//! Invariant: a privileged container is neither masked nor filtered, unless a filter was asked for.

use std::collections::HashMap;

use oci_spec::runtime::{Capabilities, Linux, LinuxSeccomp};

use super::{Netns, Seccomp, SpecError, SpecRequest, devices, limits, namespaces};
use crate::engine::seccomp;
use crate::model::isolation::Shared;
use crate::model::mount::Propagation;
use crate::sys::facts::HostFacts;

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

pub(super) fn linux(
    request: &SpecRequest<'_>,
    capabilities: &Capabilities,
) -> Result<Linux, SpecError> {
    let masks = !request.privileged && !request.extras.unmasked;
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces::namespaces(request)))
        .set_cgroups_path(Some(namespaces::cgroups_path(request)))
        .set_resources(Some(limits::resources(request)?))
        .set_devices(devices::nodes(request))
        .set_sysctl(sysctls(request)?)
        .set_seccomp(filter(request, capabilities)?)
        .set_masked_paths(masks.then(|| masked(request.host)))
        .set_readonly_paths(masks.then(|| READ_ONLY.map(str::to_owned).to_vec()))
        .set_rootfs_propagation(rootfs_propagation(request))
        .set_uid_mappings(None)
        .set_gid_mappings(None)
        .set_mount_label(None)
        .set_intel_rdt(None);
    Ok(linux)
}

/// The filter of system calls; none for a privileged container that does not ask for one.
fn filter(
    request: &SpecRequest<'_>,
    capabilities: &Capabilities,
) -> Result<Option<LinuxSeccomp>, SpecError> {
    match &request.extras.seccomp {
        Seccomp::Off => Ok(None),
        Seccomp::Default if request.privileged || !request.host.seccomp => Ok(None),
        Seccomp::Default => Ok(Some(seccomp::default_profile(capabilities, request.host))),
        Seccomp::Profile(_) if !request.host.seccomp => Err(SpecError::NoSeccomp),
        Seccomp::Profile(text) => seccomp::profile(text, capabilities, request.host)
            .map(Some)
            .map_err(SpecError::SeccompProfile),
    }
}

/// The kernel that came with `ip_unprivileged_port_start`; runc fails on one that is not there.
const UNPRIVILEGED_PORTS: (u32, u32) = (4, 11);

/// In a network of its own, root is not needed to ping or to listen on a low port, as in docker.
fn sysctls(request: &SpecRequest<'_>) -> Result<Option<HashMap<String, String>>, SpecError> {
    let mut sysctls = HashMap::new();
    let mut set = |name: &str, value: &str| sysctls.insert(name.to_owned(), value.to_owned());
    if *request.netns != Netns::Host {
        set("net.ipv4.ping_group_range", "0 2147483647");
        if request.host.kernel >= UNPRIVILEGED_PORTS {
            set("net.ipv4.ip_unprivileged_port_start", "0");
        }
    }
    for asked in &request.extras.sysctls {
        let shared = match () {
            () if asked.is_of_network() => *request.netns == Netns::Host,
            () if asked.is_of_ipc() => request.extras.ipc != Shared::Own,
            () => false,
        };
        if shared {
            return Err(SpecError::SharedSysctl {
                name: asked.name.clone(),
            });
        }
        set(&asked.name, &asked.value);
    }
    Ok((!sysctls.is_empty()).then_some(sysctls))
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

/// The root's propagation, which must let pass what the mounts are to pass.
fn rootfs_propagation(request: &SpecRequest<'_>) -> Option<String> {
    let any = |wanted: [Propagation; 2]| {
        let mut options = request
            .extras
            .mounts
            .iter()
            .flat_map(|mount| &mount.options);
        options.any(|option| wanted.iter().any(|wanted| wanted.as_str() == option))
    };
    if any([Propagation::Shared, Propagation::RShared]) {
        Some("shared".to_owned())
    } else if any([Propagation::Slave, Propagation::RSlave]) {
        Some("rslave".to_owned())
    } else {
        None
    }
}
