//! Conversion of a result's object between the three formats.
//!
//! Invariant: what a format cannot say is dropped; every key that no format knows is kept.

use serde_json::{Map, Value, json};

use super::version::Family;

/// Converts a checked object, all but its `cniVersion`. False if the format wanted can only say
/// addresses and there is none.
pub(super) fn convert(object: &mut Map<String, Value>, from: Family, to: Family) -> bool {
    if from == to {
        return true;
    }
    if from == Family::Legacy {
        from_legacy(object);
    }
    match to {
        Family::Legacy => return to_legacy(object),
        Family::Early => describe_early(object),
        Family::Current => forget_versions(object),
    }
    true
}

/// 0.3.0 to 0.4.0 say each address's family, and less of an interface.
fn describe_early(object: &mut Map<String, Value>) {
    for ip in entries_mut(object, "ips") {
        let version = if is_v6(ip.get("address")) { "6" } else { "4" };
        ip.insert("version".to_owned(), json!(version));
    }
    for interface in entries_mut(object, "interfaces") {
        for key in ["mtu", "socketPath", "pciID"] {
            interface.shift_remove(key);
        }
    }
}

fn forget_versions(object: &mut Map<String, Value>) {
    for ip in entries_mut(object, "ips") {
        ip.shift_remove("version");
    }
}

/// To `ip4` and `ip6`: the first address of each family, with the family's routes.
fn to_legacy(object: &mut Map<String, Value>) -> bool {
    let ips = take_list(object, "ips");
    let routes = take_list(object, "routes");
    object.shift_remove("interfaces");
    let mut found = false;
    for (key, six) in [("ip4", false), ("ip6", true)] {
        let mut own = ips.iter().filter(|ip| is_v6(ip.get("address")) == six);
        let Some(Value::Object(mut ip)) = own.next().cloned() else {
            continue;
        };
        found = true;
        ip.shift_remove("version");
        ip.shift_remove("interface");
        let address = ip.shift_remove("address").unwrap_or_default();
        ip.insert("ip".to_owned(), address);
        let own = routes.iter().filter(|route| is_v6(route.get("dst")) == six);
        let own: Vec<Value> = own.map(plain_route).collect();
        if !own.is_empty() {
            ip.insert("routes".to_owned(), Value::Array(own));
        }
        object.insert(key.to_owned(), Value::Object(ip));
    }
    found
}

/// From `ip4` and `ip6`: addresses of no particular interface, all routes in one list.
fn from_legacy(object: &mut Map<String, Value>) {
    let mut ips = Vec::new();
    let mut routes = Vec::new();
    for key in ["ip4", "ip6"] {
        let Some(Value::Object(mut ip)) = object.shift_remove(key) else {
            continue;
        };
        routes.extend(take_list(&mut ip, "routes"));
        let address = ip.shift_remove("ip").unwrap_or_default();
        ip.insert("address".to_owned(), address);
        ips.push(Value::Object(ip));
    }
    for (key, list) in [("ips", ips), ("routes", routes)] {
        if !list.is_empty() {
            object.insert(key.to_owned(), Value::Array(list));
        }
    }
}

/// The only two words that a legacy route has.
fn plain_route(route: &Value) -> Value {
    let words = ["dst", "gw"].into_iter();
    let words = words.filter_map(|key| Some((key.to_owned(), route.get(key)?.clone())));
    Value::Object(words.collect())
}

fn is_v6(address: Option<&Value>) -> bool {
    let text = address.and_then(Value::as_str);
    text.is_some_and(|text| text.contains(':'))
}

fn entries_mut<'a>(
    object: &'a mut Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = object.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn take_list(object: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match object.shift_remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}
