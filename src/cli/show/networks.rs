//! `netrun network ls` and `inspect`.

use serde_json::{Map, Value, json};

use crate::cli::format::{Column, Format, Row, TemplateError, documents, list};
use crate::commands::network::inspect::Inspected;
use crate::commands::network::ls::Args;
use crate::network::cache::CachedAttachment;
use crate::network::create::{KEY, kept};
use crate::network::pool::Pool;
use crate::network::{CniResult, NetworkConfigList};

const COLUMNS: &[Column] = &[
    ("NAME", "Name"),
    ("DRIVER", "Driver"),
    ("SUBNETS", "Subnets"),
    ("PLUGINS", "Plugins"),
    ("FILE", "File"),
];

const HEADERS: &[Column] = &[("NETWORK ID", "ID"), ("SCOPE", "Scope")];

/// The list as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    networks: &[NetworkConfigList],
    args: &Args,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    if args.quiet && format.is_none() {
        return Ok(networks
            .iter()
            .map(|one| format!("{}\n", one.name()))
            .collect());
    }
    let rows: Vec<Row> = networks.iter().map(row).collect();
    list(format.unwrap_or(&Format::Table), &rows, COLUMNS, HEADERS)
}

fn row(network: &NetworkConfigList) -> Row {
    let labels: std::collections::BTreeMap<String, String> = kept(network, "labels")
        .and_then(|labels| serde_json::from_value(labels.clone()).ok())
        .unwrap_or_default();
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let fields = json!({
        "ID": network.name(),
        "Name": network.name(),
        "Driver": driver(network),
        "Scope": "local",
        "Subnets": subnets(network).join(","),
        "Plugins": network.plugin_types().join(","),
        "File": network.source(),
        "CreatedAt": kept(network, "created").cloned().unwrap_or_default(),
        "Internal": flag(network, "internal"),
        "IPv6": subnets(network).iter().any(|net| net.contains(':')),
        "Labels": pairs.join(","),
    });
    Row { fields, labels }
}

fn driver(network: &NetworkConfigList) -> String {
    network
        .plugin_types()
        .first()
        .map(|plugin| (*plugin).to_owned())
        .unwrap_or_default()
}

fn flag(network: &NetworkConfigList, key: &str) -> bool {
    kept(network, key) == Some(&Value::Bool(true))
}

fn subnets(network: &NetworkConfigList) -> Vec<String> {
    let pool = Pool::of(network)
        .map(|pool| pool.ranges)
        .unwrap_or_default();
    pool.iter().map(|range| range.subnet.to_string()).collect()
}

/// The documents as they are printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn inspected(networks: &[Inspected], format: Option<&Format>) -> Result<String, TemplateError> {
    let found: Vec<Value> = networks.iter().map(document).collect();
    documents(format, &found)
}

/// A network as docker's document.
pub(super) fn document(network: &Inspected) -> Value {
    let list = &network.list;
    let mut options = Map::new();
    let first = list.plugins().first().map(|plugin| plugin.object());
    for key in ["bridge", "master", "mtu", "vlan", "mode"] {
        if let Some(value) = first.and_then(|plugin| plugin.get(key)) {
            options.insert(key.to_owned(), value.clone());
        }
    }
    let plugins = network.plugins.iter().map(|plugin| {
        json!({"Type": plugin.plugin, "Path": plugin.path, "Version": plugin.version, "CNIVersions": plugin.speaks})
    });
    json!({
        "Name": list.name(),
        "Id": list.name(),
        "Created": kept(list, "created").cloned().unwrap_or_default(),
        "Scope": "local",
        "Driver": driver(list),
        "EnableIPv6": subnets(list).iter().any(|net| net.contains(':')),
        "IPAM": {"Driver": list.plugins().iter().find_map(|plugin| plugin.ipam_type()), "Config": ipam(network)},
        "Internal": flag(list, "internal"),
        "Isolated": flag(list, "isolate"),
        "Containers": containers(&network.attached),
        "Options": options,
        "Labels": kept(list, "labels").cloned().unwrap_or_else(|| json!({})),
        "File": list.source(),
        "Made": list.object().contains_key(KEY),
        "CNIVersion": list.cni_version(),
        "Plugins": plugins.collect::<Vec<Value>>(),
        "MissingRules": network.advice,
    })
}

fn ipam(network: &Inspected) -> Vec<Value> {
    let Some((pool, used)) = &network.pool else {
        return Vec::new();
    };
    let taken: Vec<_> = used.iter().map(|one| one.address).collect();
    let ranges = pool.ranges.iter().map(|range| {
        let own = used
            .iter()
            .filter(|one| range.subnet.contains(&one.address));
        json!({
            "Subnet": range.subnet,
            "Gateway": range.gateway,
            "First": range.first,
            "Last": range.last,
            "Used": own.map(|one| one.address).collect::<Vec<_>>(),
            // More than JSON's numbers hold, with IPv6.
            "Free": pool.free(range, &taken).to_string(),
        })
    });
    ranges.collect()
}

/// docker's form: by id, with one address of each family.
fn containers(attached: &[CachedAttachment]) -> Value {
    let mut containers = Map::new();
    for one in attached {
        let result = one
            .result
            .clone()
            .and_then(|value| CniResult::from_value(value, "").ok());
        let addresses = result
            .as_ref()
            .map(CniResult::container_addresses)
            .unwrap_or_default();
        let first = |v4: bool| {
            let mut own = addresses
                .iter()
                .map(|one| one.address)
                .filter(|net| net.addr().is_ipv4() == v4);
            own.next().map(|net| net.to_string()).unwrap_or_default()
        };
        let interfaces = result
            .as_ref()
            .map(CniResult::interfaces)
            .unwrap_or_default();
        let mut own = interfaces
            .into_iter()
            .filter(|i| i.sandbox.is_some() && i.name == one.if_name);
        let netns = one.netns.rsplit('/').next().unwrap_or_default();
        let name = netns.strip_prefix("netrun-").unwrap_or(&one.container_id);
        let document = json!({
            "Name": name.rsplit("--").next(),
            "Interface": one.if_name,
            "MacAddress": own.next().and_then(|interface| interface.mac).unwrap_or_default(),
            "IPv4Address": first(true),
            "IPv6Address": first(false),
            "Netns": one.netns,
        });
        containers.insert(one.container_id.clone(), document);
    }
    Value::Object(containers)
}
