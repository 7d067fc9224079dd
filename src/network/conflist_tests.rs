//! Tests of the configuration list: what is accepted, what is refused and why.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &str) -> Result<NetworkConfigList, ConfigError> {
    NetworkConfigList::parse(text, Path::new("/etc/cni/net.d/x.conflist"))
}

fn flaw(value: Value) -> Flaw {
    match parse(&value.to_string()) {
        Err(ConfigError::Invalid { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_keeps_its_bytes_and_all_its_keys() {
    let text = r#"{ "name":"a", "cniVersion":"1.0.0", "nerdctlID": 7,
        "plugins":[{"type":"bridge","x":{"y":[1,null]},"capabilities":{"ips":true,"mac":false}}] }"#;
    let list = parse(text).unwrap();
    assert_eq!(list.bytes(), text);
    assert_eq!(list.object()["nerdctlID"], json!(7));
    assert_eq!(list.plugins()[0].object()["x"], json!({"y": [1, null]}));
    assert!(list.declares("ips") && !list.declares("mac") && !list.declares("z"));
}

#[test]
fn a_single_plugin_becomes_a_list_of_one() {
    let text = include_str!("../../configs/mynet.conf");
    let list = parse(text).unwrap();
    assert_eq!((list.name(), list.cni_version()), ("mynet", "0.3.1"));
    assert_eq!(list.plugin_types(), ["bridge"]);
    assert_eq!(list.plugins()[0].ipam_type(), Some("host-local"));
    assert_eq!(list.plugins()[0].object()["name"], "mynet");
    assert_eq!(parse(list.bytes()).unwrap(), list);
}

#[test]
fn each_flaw_is_named() {
    let plugins = json!([{"type": "p"}]);
    assert_eq!(flaw(json!([])), Flaw::NotAnObject);
    assert_eq!(flaw(json!({"plugins": plugins})), Flaw::NoName);
    assert_eq!(
        flaw(json!({"name": 1, "plugins": plugins})),
        kind("name", "a text")
    );
    assert!(matches!(
        flaw(json!({"name": "a/b", "plugins": plugins})),
        Flaw::Parameter(_)
    ));
    assert_eq!(
        flaw(json!({"name": "a", "plugins": []})),
        Flaw::EmptyPlugins
    );
    assert_eq!(
        flaw(json!({"name": "a", "plugins": {}})),
        kind("plugins", "a list")
    );
    assert_eq!(flaw(json!({"name": "a"})), Flaw::NoPlugins);
    assert_eq!(
        flaw(json!({"name": "a", "plugins": [{"type": "p"}, {}]})),
        Flaw::NoType(2)
    );
    assert_eq!(flaw(json!({"name": "a", "plugins": [3]})), Flaw::NoType(1));
    let sneaky = json!({"name": "a", "plugins": [{"type": "../p"}]});
    assert!(matches!(flaw(sneaky), Flaw::Parameter(_)));
    let versions = json!({"name": "a", "plugins": plugins, "cniVersions": ["1.x"]});
    assert!(matches!(flaw(versions), Flaw::Version(_)));
    let check = json!({"name": "a", "plugins": plugins, "disableCheck": "yes"});
    assert_eq!(flaw(check), kind("disableCheck", "true or false"));
}

#[test]
fn booleans_may_be_texts() {
    let list = json!({"name": "a", "plugins": [{"type": "p"}], "disableCheck": "TRUE",
        "disableGC": true, "loadOnlyInlinedPlugins": "False"});
    let list = parse(&list.to_string()).unwrap();
    assert!(list.check_disabled() && list.gc_disabled() && !list.only_inlined());
}

#[test]
fn the_highest_known_version_is_chosen() {
    for (own, offered, chosen) in [
        (None, None, ""),
        (Some("0.3.1"), None, "0.3.1"),
        (Some("9.0.0"), None, "9.0.0"),
        (
            Some("0.4.0"),
            Some(json!(["1.0.0", "1.1.0", "1.2.0"])),
            "1.1.0",
        ),
        (Some("1.0.0"), Some(json!(["0.3.0"])), "1.0.0"),
        (None, Some(json!(["0.10.0", "0.4.0"])), "0.10.0"),
        (Some("9.0.0"), Some(json!([])), "9.0.0"),
    ] {
        let mut list = json!({"name": "a", "plugins": [{"type": "p"}]});
        if let Some(own) = own {
            list["cniVersion"] = json!(own);
        }
        if let Some(offered) = offered {
            list["cniVersions"] = offered;
        }
        assert_eq!(
            parse(&list.to_string()).unwrap().cni_version(),
            chosen,
            "{list}"
        );
    }
}

#[test]
fn dns_is_found_in_the_list_or_in_a_plugin() {
    let list = json!({"name": "a", "plugins": [{"type": "p", "dns": {}},
        {"type": "q", "dns": {"nameservers": ["10.0.0.1"]}}]});
    let dns = parse(&list.to_string()).unwrap().dns().unwrap();
    assert_eq!(dns.nameservers, ["10.0.0.1"]);
}

#[test]
fn a_json_error_has_its_line() {
    match parse("{\n  \"name\": \"a\",\n  oops\n}") {
        Err(ConfigError::Json { line, .. }) => assert_eq!(line, 3),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn any_value_at_a_known_key_is_refused_or_kept(
        key in prop::sample::select(&["name", "cniVersion", "cniVersions", "plugins", "type",
            "disableCheck", "disableGC", "loadOnlyInlinedPlugins", "dns", "capabilities", "ipam"][..]),
        value in super::super::result::any_json(),
        inside in any::<bool>(),
    ) {
        let mut list = json!({"name": "a", "cniVersion": "1.0.0", "plugins": [{"type": "p"}]});
        match inside {
            true => list["plugins"][0][key] = value.clone(),
            false => list[key] = value.clone(),
        }
        if let Ok(parsed) = parse(&list.to_string()) {
            prop_assert_eq!(&parse(parsed.bytes()).unwrap(), &parsed);
            parsed.dns();
            parsed.plugins()[0].ipam_type();
            if inside {
                prop_assert_eq!(&parsed.plugins()[0].object()[key], &value);
            }
        }
    }

    #[test]
    fn unknown_keys_survive(key in "x[a-zA-Z.]{0,12}", value in "\\PC{0,20}", number in any::<i64>()) {
        let mut list = json!({"name": "a", "cniVersion": "1.0.0", "plugins": [{"type": "p"}]});
        list[&key] = json!({"deep": [value.clone(), number]});
        list["plugins"][0][&key] = json!(value);
        let parsed = parse(&list.to_string()).unwrap();
        prop_assert_eq!(&Value::Object(parsed.object().clone()), &list);
        prop_assert_eq!(&parsed.plugins()[0].object()[&key], &json!(value));
        let beside = PluginConfig::new(&json!({"type": "q", "k": number}), 1).unwrap();
        let whole = parsed.complete(vec![beside]).unwrap();
        prop_assert_eq!(&parse(whole.bytes()).unwrap(), &whole);
        prop_assert_eq!(&whole.object()[&key], &list[&key]);
    }
}
