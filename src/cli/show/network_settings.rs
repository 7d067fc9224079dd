//! `.NetworkSettings` of `netrun inspect`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::engine::view::View;
use crate::network::CniResult;

/// A container's networks and what they gave it, in docker's form. A container that does not run
/// has empty addresses, as with docker.
pub fn network_settings(view: &View) -> Value {
    let results = view.results();
    let names = view.networks();
    let mut networks = Map::new();
    for (index, name) in names.iter().enumerate() {
        let result = results.get(index).and_then(Option::as_ref);
        networks.insert((*name).to_owned(), endpoint(view, index, result));
    }
    // docker says those of the first network once more, outside.
    let mut settings = match networks.values().next() {
        Some(Value::Object(first)) => first.clone(),
        _ => Map::new(),
    };
    for own in ["Interface", "NetworkID", "DNSNames", "Aliases"] {
        settings.shift_remove(own);
    }
    settings.insert("Ports".to_owned(), ports(view));
    settings.insert("SandboxKey".to_owned(), json!(sandbox_key(view)));
    settings.insert("Networks".to_owned(), Value::Object(networks));
    Value::Object(settings)
}

/// The published ports by the container's, as docker has them.
fn ports(view: &View) -> Value {
    let mut ports = Map::new();
    for (own, address) in view.ports() {
        let binding = json!({
            "HostIp": address.ip().to_string(),
            "HostPort": address.port().to_string(),
        });
        let bindings = ports.entry(own.to_string()).or_insert_with(|| json!([]));
        if let Value::Array(bindings) = bindings {
            bindings.push(binding);
        }
    }
    Value::Object(ports)
}

fn sandbox_key(view: &View) -> String {
    let netns = view.netns().filter(|_| view.state.status.is_live());
    netns
        .map(|path| path.display().to_string())
        .unwrap_or_default()
}

/// One attachment.
fn endpoint(view: &View, index: usize, result: Option<&CniResult>) -> Value {
    let attachment = view.record.network.attachments.get(index);
    let aliases = attachment.map(|attachment| attachment.aliases.clone());
    let aliases = aliases.unwrap_or_default();
    let ifname = attachment
        .map(|attachment| attachment.ifname.as_str())
        .unwrap_or_default();
    let addresses = result
        .map(CniResult::container_addresses)
        .unwrap_or_default();
    let first = |wanted: fn(&IpAddr) -> bool| {
        let found = addresses.iter().find(|a| wanted(&a.address.addr()));
        let address = found.map(|a| a.address.addr().to_string());
        let gateway = found
            .and_then(|a| a.gateway)
            .map(|gateway| gateway.to_string());
        let bits = found.map(|a| a.address.prefix_len());
        (
            address.unwrap_or_default(),
            bits.unwrap_or_default(),
            gateway.unwrap_or_default(),
        )
    };
    let (v4, v4_bits, v4_gateway) = first(IpAddr::is_ipv4);
    let (v6, v6_bits, v6_gateway) = first(IpAddr::is_ipv6);
    let interfaces = result.map(CniResult::interfaces).unwrap_or_default();
    let own = interfaces
        .into_iter()
        .find(|i| i.sandbox.is_some() && i.name == ifname);
    let network = attachment
        .map(|attachment| attachment.network.as_str())
        .unwrap_or_default();
    let id = view.record.id.as_str();
    let mut names = vec![id.to_owned(), format!("{id}.{network}")];
    names.extend(aliases.iter().cloned());
    names.retain(|_| attachment.is_some());
    json!({
        "Interface": ifname,
        "NetworkID": network,
        "DNSNames": names,
        "Aliases": aliases,
        "MacAddress": own.and_then(|interface| interface.mac).unwrap_or_default(),
        "IPAddress": v4,
        "IPPrefixLen": v4_bits,
        "Gateway": v4_gateway,
        "GlobalIPv6Address": v6,
        "GlobalIPv6PrefixLen": v6_bits,
        "IPv6Gateway": v6_gateway,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::{Status, sample};
    use crate::model::record::NetworkMode;

    fn settings(status: Status, change: impl FnOnce(&mut View)) -> Value {
        let mut view = sample::view(sample::record("web", "2026-01-01T12:00:00Z"), status);
        change(&mut view);
        network_settings(&view)
    }

    #[test]
    fn a_running_container_has_the_addresses_of_both_families() {
        let settings = settings(Status::Running, |_| {});
        let expected = json!({
            "Interface": "eth0",
            "NetworkID": "mynet",
            "DNSNames": ["web", "web.mynet"],
            "Aliases": [],
            "MacAddress": "aa:bb:cc:dd:ee:ff",
            "IPAddress": "10.10.0.2",
            "IPPrefixLen": 16,
            "Gateway": "10.10.0.1",
            "GlobalIPv6Address": "fd00::2",
            "GlobalIPv6PrefixLen": 64,
            "IPv6Gateway": "fd00::1",
        });
        assert_eq!(settings["Networks"]["mynet"], expected);
        assert_eq!(settings["IPAddress"], "10.10.0.2");
        assert_eq!(settings["SandboxKey"], "/run/netns/netrun-web");
    }

    #[test]
    fn a_stopped_one_has_the_same_fields_with_nothing_in_them() {
        let settings = settings(Status::Exited, |_| {});
        let endpoint = &settings["Networks"]["mynet"];
        assert_eq!(endpoint["IPAddress"], "");
        assert_eq!(endpoint["IPPrefixLen"], 0);
        assert_eq!(settings["SandboxKey"], "");
    }

    #[test]
    fn the_hosts_network_has_dockers_name() {
        let settings = settings(Status::Running, |view| {
            view.record.network.mode = NetworkMode::Host;
            view.record.network.attachments.clear();
        });
        assert_eq!(settings["Networks"]["host"]["IPAddress"], "");
        assert_eq!(settings["SandboxKey"], "");
    }
}
