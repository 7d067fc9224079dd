//! The bridge of a network of ours with IPv6, made ready before the plugin gives it its address.
//!
//! Invariant: what cannot be made ready is left to the plugin, which makes or refuses the bridge itself.

use std::fs;

use serde_json::Value;

use super::config::NetworkConfigList;
use super::ours::{bridge_of, is_ours};
use super::pool::subnets;
use crate::sys::netlink;

/// Makes the bridge, so that its gateway answers from the first packet on. The kernel looks for a
/// second or two whether somebody else has an address of IPv6 (RFC 4862, section 5.4), anew whenever a
/// bridge without ports gets one; the plugin does not wait for that, and nobody else is on a bridge
/// that is made for its containers.
pub fn make_ready(list: &NetworkConfigList) {
    let mut plugins = list.plugins().iter();
    let plugin = plugins.find(|one| one.plugin_type() == "bridge");
    let (Some(plugin), Some(bridge)) = (plugin, bridge_of(list)) else {
        return;
    };
    let number = |key: &str| plugin.object().get(key).and_then(Value::as_u64);
    // In a VLAN another interface has the address, and the bridge is made in another way.
    let is_plain = number("vlan").unwrap_or(0) == 0;
    if !is_ours(list) || !is_plain || subnets(list).iter().all(|net| net.addr().is_ipv4()) {
        return;
    }
    let mtu = number("mtu").and_then(|mtu| u32::try_from(mtu).ok());
    // What is there already was made ready when it was made, or is somebody else's, and stays as it is.
    if netlink::add_bridge(bridge, mtu.filter(|mtu| *mtu != 0)).is_ok() {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{bridge}/accept_dad"), "0");
    }
}
