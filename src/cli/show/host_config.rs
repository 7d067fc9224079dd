//! docker's `HostConfig` and `Mounts` of a container.
//!
//! Invariant: what is shown is what stands in the record and the spec, not what was typed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::engine::spec::INIT;
use crate::engine::view::View;
use crate::model::asked::AskedDevice;
use crate::model::mount::Propagation;
use crate::model::record::{Log, MountKind, MountPoint, Record};
use crate::model::ulimit;

/// docker's `HostConfig`.
pub(super) fn host_config(view: &View, spec: &Value) -> Value {
    let record = &view.record;
    let binds = record.mounts.iter().filter_map(bind);
    let resources = &spec["linux"]["resources"];
    let add_hosts = record.names.add_hosts.iter();
    let add_hosts: Vec<String> = add_hosts.map(|(name, at)| format!("{name}:{at}")).collect();
    let mut config = rights(record, spec);
    let further = json!({
        "AutoRemove": record.auto_remove,
        "ReadonlyRootfs": spec["root"]["readonly"].as_bool().unwrap_or_default(),
        "NetworkMode": view.networks()[0],
        "PidMode": joined(record, "pid").or_else(|| of_the_host(spec, "pid")).unwrap_or_default(),
        "IpcMode": joined(record, "ipc")
            .or_else(|| of_the_host(spec, "ipc"))
            .unwrap_or_else(|| ipc(record).to_owned()),
        "UTSMode": of_the_host(spec, "uts").unwrap_or_default(),
        "PortBindings": port_bindings(record),
        "Binds": binds.collect::<Vec<_>>(),
        "Tmpfs": tmpfs(record),
        "ShmSize": shm_size(spec),
        "LogConfig": log_config(&record.log),
        "Init": init(spec),
        "CpuShares": resources["cpu"]["shares"].as_i64().unwrap_or_default(),
        "CpusetCpus": resources["cpu"]["cpus"].as_str().unwrap_or_default(),
        "MemorySwap": resources["memory"]["swap"].as_i64().unwrap_or_default(),
        "MemoryReservation": resources["memory"]["reservation"].as_i64().unwrap_or_default(),
        "OomScoreAdj": spec["process"]["oomScoreAdj"].as_i64().unwrap_or_default(),
        "Sysctls": spec["linux"]["sysctl"],
        "GroupAdd": record.process.groups,
        "Memory": resources["memory"]["limit"].as_i64().unwrap_or_default(),
        "NanoCpus": nano_cpus(&resources["cpu"]),
        "PidsLimit": resources["pids"]["limit"],
        "Runtime": record.process.runtime,
        "Dns": record.names.dns,
        "DnsSearch": record.names.dns_search,
        "DnsOptions": record.names.dns_options,
        "RestartPolicy": {
            "Name": record.restart.name(),
            "MaximumRetryCount": record.restart.most(),
        },
        "ExtraHosts": add_hosts,
    });
    if let (Value::Object(config), Value::Object(further)) = (&mut config, further) {
        config.extend(further);
    }
    config
}

/// What it may do beside the usual.
fn rights(record: &Record, spec: &Value) -> Value {
    let asked = &record.asked;
    let path = |path: &Option<PathBuf>| json!(path.as_deref().unwrap_or(Path::new("")));
    json!({
        "Privileged": asked.privileged,
        "PublishAllPorts": asked.publish_all,
        "CapAdd": or_null(&asked.cap_add),
        "CapDrop": or_null(&asked.cap_drop),
        "SecurityOpt": or_null(&asked.security),
        "Devices": asked.devices.iter().map(device).collect::<Vec<_>>(),
        "DeviceCgroupRules": or_null(&asked.device_rules),
        "VolumesFrom": or_null(&asked.volumes_from),
        "CgroupParent": path(&asked.cgroup_parent),
        "ContainerIDFile": path(&asked.cidfile),
        "Cgroup": "",
        "CgroupnsMode": of_the_host(spec, "cgroup").unwrap_or_else(|| "private".to_owned()),
        "UsernsMode": "",
        // What docker has and netrun has not is not set.
        "BlkioWeight": 0,
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "CpusetMems": "",
        "Isolation": "",
        "Links": null,
        "MemorySwappiness": null,
        // -v and --mount are not told apart: Binds has both.
        "Mounts": null,
        "OomKillDisable": false,
        "VolumeDriver": "",
        "Ulimits": ulimits(spec),
        "MaskedPaths": spec["linux"]["maskedPaths"],
        "ReadonlyPaths": spec["linux"]["readonlyPaths"],
        "Annotations": spec["annotations"],
    })
}

/// docker has null where there is nothing.
fn or_null(words: &[String]) -> Value {
    match words.is_empty() {
        true => Value::Null,
        false => json!(words),
    }
}

fn device(device: &AskedDevice) -> Value {
    json!({
        "PathOnHost": device.host,
        "PathInContainer": device.container,
        "CgroupPermissions": device.access,
    })
}

/// docker's numbers are signed: no limit is -1.
fn ulimits(spec: &Value) -> Vec<Value> {
    let limits = spec["process"]["rlimits"].as_array().into_iter().flatten();
    let number = |limit: &Value| limit.as_u64().map_or(-1, u64::cast_signed);
    let document = |limit: &Value| {
        let name = limit["type"].as_str().unwrap_or_default();
        let (soft, hard) = (number(&limit["soft"]), number(&limit["hard"]));
        json!({"Name": ulimit::short_name(name), "Soft": soft, "Hard": hard})
    };
    limits.map(document).collect()
}

/// `container:NAME` if it shares a namespace of another container.
fn joined(record: &Record, namespace: &str) -> Option<String> {
    let mut joins = record.joins.iter();
    let join = joins.find(|join| join.namespace == namespace)?;
    Some(format!("container:{}", join.container))
}

fn ipc(record: &Record) -> &'static str {
    match record.shared_memory {
        Some(_) => "shareable",
        None => "private",
    }
}

/// `host` if it has no namespace of this kind.
fn of_the_host(spec: &Value, namespace: &str) -> Option<String> {
    let namespaces = spec["linux"]["namespaces"].as_array()?;
    let own = namespaces.iter().any(|one| one["type"] == namespace);
    (!own).then(|| "host".to_owned())
}

/// What was asked for, as docker has it: the container's ports, each with addresses of the host; a port
/// of the host that is to be chosen is empty.
fn port_bindings(record: &Record) -> Value {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in &record.network.ports {
        let own = format!("{}/{}", port.container_port, port.protocol);
        let wanted = match port.wanted {
            (0, _) => String::new(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let at = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let bindings = all.entry(own).or_default();
        bindings.push(json!({"HostIp": at, "HostPort": wanted}));
    }
    json!(all)
}

/// Billionths of a CPU; 0 is no limit.
fn nano_cpus(cpu: &Value) -> i64 {
    let quota = cpu["quota"].as_i64().filter(|quota| *quota > 0);
    let period = cpu["period"].as_i64().filter(|period| *period > 0);
    match (quota, period) {
        (Some(quota), Some(period)) => quota.saturating_mul(1_000_000_000) / period,
        _ => 0,
    }
}

/// As `-v` has it; nothing for memory and images, which it has not.
fn bind(mount: &MountPoint) -> Option<String> {
    let source = match (&mount.volume, mount.kind) {
        (Some(volume), _) => volume.name.to_string(),
        (None, MountKind::Tmpfs | MountKind::Image) => return None,
        (None, _) => mount.source.display().to_string(),
    };
    let destination = mount.destination.display();
    Some(match mount.is_read_only() {
        true => format!("{source}:{destination}:ro"),
        false => format!("{source}:{destination}"),
    })
}

/// One of docker's `Mounts`.
pub(super) fn mount(mount: &MountPoint) -> Value {
    let mut options = mount.options.iter();
    let propagation = options.find_map(|option| Propagation::from_name(option));
    let mut document = json!({
        "Type": mount.kind.name(),
        "Source": mount.source,
        "Destination": mount.destination,
        "Mode": if mount.is_read_only() { "ro" } else { "" },
        "RW": !mount.is_read_only(),
        "Propagation": propagation.map_or("", Propagation::as_str),
    });
    if let Some(volume) = &mount.volume {
        document["Name"] = json!(volume.name);
        document["Driver"] = json!("local");
    }
    document
}

fn tmpfs(record: &Record) -> Value {
    let tmpfs = record.mounts.iter();
    let tmpfs = tmpfs.filter(|mount| mount.kind == MountKind::Tmpfs);
    let named = tmpfs.map(|m| (m.destination.display().to_string(), m.options.join(",")));
    named.collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn shm_size(spec: &Value) -> i64 {
    let mounts = spec["mounts"].as_array().into_iter().flatten();
    let mut shm = mounts.filter(|mount| mount["destination"] == "/dev/shm");
    let options = shm.next().and_then(|mount| mount["options"].as_array());
    let mut sizes = options.into_iter().flatten().filter_map(|option| {
        let size = option.as_str()?.strip_prefix("size=")?;
        size.parse().ok()
    });
    sizes.next().unwrap_or_default()
}

fn log_config(log: &Log) -> Value {
    let mut options = BTreeMap::new();
    options.extend(log.max_size.map(|size| ("max-size", size.to_string())));
    options.extend(log.max_files.map(|files| ("max-file", files.to_string())));
    json!({"Type": log.driver.name(), "Config": options})
}

fn init(spec: &Value) -> bool {
    let mounts = spec["mounts"].as_array().into_iter().flatten();
    mounts.into_iter().any(|mount| mount["destination"] == INIT)
}
