//! The configuration that one plugin gets on its standard input.
//!
//! Invariant: it is the plugin's object with every key kept; `name` and `cniVersion` are the
//! list's. (`capabilities` stays in, though the specification would drop it: plugins are tested
//! with libcni, which leaves it.)

use serde_json::{Map, Value, json};

use super::RuntimeConf;
use super::config::{NetworkConfigList, PluginConfig};
use super::result::CniResult;

/// An attachment as GC names it: one that is still wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidAttachment {
    /// The container id that plugins saw.
    pub container_id: String,
    /// The interface's name in the container.
    pub ifname: String,
}

/// The request of STATUS, and the base of all others: no previous result, nothing of a container.
pub fn plain(list: &NetworkConfigList, plugin: &PluginConfig) -> Map<String, Value> {
    let mut request = plugin.object().clone();
    request.insert("name".to_owned(), json!(list.name()));
    request.insert("cniVersion".to_owned(), json!(list.cni_version()));
    // The runtime's word; a file may not put it into a plugin's mouth.
    request.shift_remove("prevResult");
    request
}

/// The request of ADD, CHECK and DEL.
pub fn attachment(
    list: &NetworkConfigList,
    plugin: &PluginConfig,
    conf: &RuntimeConf,
    prev: Option<&CniResult>,
) -> Map<String, Value> {
    let mut request = plain(list, plugin);
    let asked = conf.capability_args.iter();
    let declared = asked.filter(|(capability, _)| plugin.declares(capability));
    let runtime: Map<String, Value> = declared
        .map(|(capability, value)| (capability.clone(), value.clone()))
        .collect();
    if !runtime.is_empty() {
        request.insert("runtimeConfig".to_owned(), Value::Object(runtime));
    }
    if let Some(prev) = prev {
        request.insert("prevResult".to_owned(), prev.to_value());
    }
    request
}

/// The request of GC: everything that is still attached, under the key of the specification and
/// under the one that libcni's first releases wrote by mistake and plugins came to read.
pub fn gc(
    list: &NetworkConfigList,
    plugin: &PluginConfig,
    valid: &[ValidAttachment],
) -> Map<String, Value> {
    let mut request = plain(list, plugin);
    let valid = valid.iter();
    let valid: Value = valid
        .map(|one| json!({"containerID": one.container_id, "ifname": one.ifname}))
        .collect();
    request.insert("cni.dev/valid-attachments".to_owned(), valid.clone());
    request.insert("cni.dev/attachments".to_owned(), valid);
    request
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn list() -> NetworkConfigList {
        let text = json!({"name": "lan", "cniVersion": "1.0.0", "plugins": [{
            "type": "p", "name": "other", "cniVersion": "0.1.0", "own": [1],
            "prevResult": {"from": "a file"},
            "capabilities": {"portMappings": true, "ips": false}
        }]});
        NetworkConfigList::parse(&text.to_string(), Path::new("x")).unwrap()
    }

    #[test]
    fn a_plugin_sees_the_lists_name_and_version_and_only_what_it_declares() {
        let list = list();
        let mut conf = RuntimeConf::default();
        for capability in ["portMappings", "ips", "mac"] {
            conf.capability_args
                .insert(capability.to_owned(), json!([]));
        }
        let prev = CniResult::from_value(json!({}), "1.0.0").unwrap();
        let request = attachment(&list, &list.plugins()[0], &conf, Some(&prev));
        assert_eq!(
            Value::Object(request),
            json!({
                "type": "p", "name": "lan", "cniVersion": "1.0.0", "own": [1],
                "capabilities": {"portMappings": true, "ips": false},
                "runtimeConfig": {"portMappings": []},
                "prevResult": {"cniVersion": "1.0.0"}
            })
        );
        let bare = attachment(&list, &list.plugins()[0], &RuntimeConf::default(), None);
        assert!(!bare.contains_key("runtimeConfig") && !bare.contains_key("prevResult"));
    }

    #[test]
    fn gc_names_the_valid_attachments_twice() {
        let list = list();
        let valid = ValidAttachment {
            container_id: "default-web".to_owned(),
            ifname: "eth0".to_owned(),
        };
        let request = gc(&list, &list.plugins()[0], &[valid]);
        let expected = json!([{"containerID": "default-web", "ifname": "eth0"}]);
        assert_eq!(request["cni.dev/valid-attachments"], expected);
        assert_eq!(request["cni.dev/attachments"], expected);
        assert_eq!(
            gc(&list, &list.plugins()[0], &[])["cni.dev/attachments"],
            json!([])
        );
    }
}
