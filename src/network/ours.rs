//! By what a network is known as one of ours, and what we keep of it.
//!
//! Invariant: a list without our key is a foreign one, and is left alone.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::{self, ConfigError, NetworkConfigList};
use super::default;

/// The key of a list that holds what netrun keeps of a network.
pub const KEY: &str = "netrun";

/// Whether a list is one that netrun made.
pub fn is_ours(list: &NetworkConfigList) -> bool {
    list.object().get(KEY).is_some_and(Value::is_object)
}

/// Whether a list is one of ours that was removed since: neither its file is there nor, in its directory,
/// another with the network.
pub fn is_gone(list: &NetworkConfigList) -> bool {
    if !is_ours(list) || list.source().exists() {
        return false;
    }
    let dir = list.source().parent().unwrap_or(Path::new("/"));
    let found = config::load(dir, list.name());
    matches!(
        found,
        Err(ConfigError::NoConfigs { .. } | ConfigError::NotFound { .. })
    )
}

/// A word or flag that netrun keeps of a network of ours.
pub fn kept<'l>(list: &'l NetworkConfigList, key: &str) -> Option<&'l Value> {
    list.object().get(KEY)?.get(key)
}

/// The bridge of a list, if its first plugin makes one.
pub fn bridge_of(list: &NetworkConfigList) -> Option<&str> {
    let plugin = list
        .plugins()
        .iter()
        .find(|one| one.plugin_type() == "bridge")?;
    let named = plugin.object().get("bridge").and_then(Value::as_str);
    // What the plugin takes where nothing is said.
    Some(named.filter(|name| !name.is_empty()).unwrap_or("cni0"))
}

/// The interfaces of the host that packets of a bridge's network come in and go out by: the bridge, and
/// with a VLAN the interface that the plugin makes for its gateway.
pub fn gateways_of(list: &NetworkConfigList) -> Vec<String> {
    let Some(bridge) = bridge_of(list) else {
        return Vec::new();
    };
    let mut plugins = list.plugins().iter();
    let plugin = plugins.find(|one| one.plugin_type() == "bridge");
    let vlan = plugin.and_then(|one| one.object().get("vlan")?.as_u64());
    let of_vlan = vlan.filter(|vlan| *vlan != 0);
    let of_vlan = of_vlan.map(|vlan| format!("{bridge}.{vlan}"));
    std::iter::once(bridge.to_owned()).chain(of_vlan).collect()
}

/// The file that a network of ours lies in.
pub fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(default::file_name(name))
}
