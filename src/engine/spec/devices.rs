//! Devices: the nodes in the container and what its cgroup lets it do with which.
//!
//! Invariant: what no rule allows is denied, except to a privileged container.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use super::SpecRequest;
use crate::model::device::DeviceRule;

/// Character devices by major and minor, and whether they are allowed: docker's rules beyond those
/// of the runtime itself.
const RULES: [(i64, i64, bool); 7] = [
    (1, 5, true),     // zero
    (1, 3, true),     // null
    (1, 9, true),     // urandom
    (1, 8, true),     // random
    (5, 0, true),     // tty
    (5, 1, true),     // console
    (10, 229, false), // fuse
];

/// The nodes beside those that every container has; nothing if there are none.
pub(super) fn nodes(request: &SpecRequest<'_>) -> Option<Vec<LinuxDevice>> {
    let asked = request.extras.devices.iter().map(|(node, _)| node);
    let mut nodes: Vec<LinuxDevice> = match request.privileged {
        true => request.host.devices.clone(),
        false => Vec::new(),
    };
    for node in asked {
        nodes.retain(|other| other.path() != node.path());
        nodes.push(node.clone());
    }
    (!nodes.is_empty() || request.privileged).then_some(nodes)
}

pub(super) fn rules(request: &SpecRequest<'_>) -> Vec<LinuxDeviceCgroup> {
    let mut all = LinuxDeviceCgroup::default();
    all.set_allow(request.privileged)
        .set_access(Some("rwm".to_owned()));
    if request.privileged {
        return vec![all];
    }
    let built_in = RULES.map(|(major, minor, allow)| {
        let numbers = (Some(major), Some(minor));
        rule(allow, LinuxDeviceType::C, numbers, "rwm")
    });
    let asked = request.extras.devices.iter().map(|(node, access)| {
        let numbers = (Some(node.major()), Some(node.minor()));
        rule(true, node.typ(), numbers, access)
    });
    let by_rule = request.extras.device_rules.iter().map(asked_rule);
    let mut rules = vec![all];
    rules.extend(built_in.into_iter().chain(asked).chain(by_rule));
    rules
}

fn asked_rule(asked: &DeviceRule) -> LinuxDeviceCgroup {
    let typ = match asked.kind {
        'b' => LinuxDeviceType::B,
        'c' => LinuxDeviceType::C,
        _ => LinuxDeviceType::A,
    };
    rule(true, typ, (asked.major, asked.minor), &asked.access)
}

/// A number that is left out means every one.
fn rule(
    allow: bool,
    typ: LinuxDeviceType,
    (major, minor): (Option<i64>, Option<i64>),
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow)
        .set_typ(Some(typ))
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}
