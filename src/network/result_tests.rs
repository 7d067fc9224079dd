//! Tests of results: what is accepted, and what each conversion keeps.

use proptest::prelude::*;

use super::*;

fn result(value: Value) -> CniResult {
    CniResult::from_value(value, "").unwrap()
}

fn dual_stack() -> CniResult {
    result(json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "cni0", "mac": "aa:00:00:00:00:01", "mtu": 1500},
            {"name": "veth1", "mac": "aa:00:00:00:00:02"},
            {"name": "eth0", "mac": "aa:00:00:00:00:03", "sandbox": "/run/netns/x", "own": 1}
        ],
        "ips": [
            {"address": "10.1.0.2/16", "gateway": "10.1.0.1", "interface": 2},
            {"address": "fd00::2/64", "interface": 2, "own": true},
            {"address": "10.9.0.1/16", "interface": 0}
        ],
        "routes": [{"dst": "0.0.0.0/0", "priority": 5}, {"dst": "::/0", "gw": "fd00::1"}],
        "dns": {"nameservers": ["10.1.0.1"]},
        "own": {"deep": [1]}
    }))
}

#[test]
fn accessors_read_what_is_there() {
    let result = dual_stack();
    let addresses = result.container_addresses();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].address.to_string(), "10.1.0.2/16");
    assert_eq!(addresses[0].gateway, Some("10.1.0.1".parse().unwrap()));
    assert_eq!(result.addresses().len(), 3);
    assert_eq!(
        result.interfaces()[2].sandbox.as_deref(),
        Some("/run/netns/x")
    );
    assert_eq!(result.interfaces()[0].sandbox, None);
    assert_eq!(result.dns().unwrap().nameservers, ["10.1.0.1"]);
}

#[test]
fn current_to_early_adds_families_and_drops_what_is_unknown_there() {
    let early = dual_stack().convert("0.3.1").unwrap().to_value();
    assert_eq!(early["cniVersion"], "0.3.1");
    assert_eq!(early["ips"][0]["version"], "4");
    assert_eq!(early["ips"][1]["version"], "6");
    assert_eq!(early["interfaces"][0].get("mtu"), None);
    assert_eq!(early["interfaces"][2]["own"], 1);
    assert_eq!(early["own"], json!({"deep": [1]}));
    let back = result(early).convert("1.0.0").unwrap();
    assert_eq!(back.to_value()["ips"], dual_stack().to_value()["ips"]);
}

#[test]
fn legacy_has_the_first_address_of_each_family_with_its_routes() {
    let legacy = dual_stack().convert("0.2.0").unwrap().to_value();
    assert_eq!(
        legacy,
        json!({
            "cniVersion": "0.2.0",
            "ip4": {"ip": "10.1.0.2/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
            "ip6": {"ip": "fd00::2/64", "own": true, "routes": [{"dst": "::/0", "gw": "fd00::1"}]},
            "dns": {"nameservers": ["10.1.0.1"]},
            "own": {"deep": [1]}
        })
    );
    let early = result(legacy.clone()).convert("0.4.0").unwrap();
    assert_eq!(early.to_value()["ips"][1]["version"], "6");
    assert_eq!(early.addresses().len(), 2);
    assert_eq!(early.convert("0.2.0").unwrap().to_value(), legacy);
    assert_eq!(
        result(legacy).addresses()[0].gateway,
        Some("10.1.0.1".parse().unwrap())
    );
}

#[test]
fn without_an_address_there_is_no_legacy_result() {
    let bare = result(json!({"cniVersion": "1.0.0", "interfaces": []}));
    assert!(matches!(bare.convert(""), Err(ResultError::NoAddress(_))));
    assert!(bare.convert("0.4.0").is_ok());
}

#[test]
fn the_version_comes_from_the_result_then_the_configuration() {
    let parse = |text: &str, version: &str| CniResult::parse(text.as_bytes(), version);
    assert_eq!(parse("{}", "0.4.0").unwrap().version(), "0.4.0");
    assert_eq!(parse("null", "1.0.0").unwrap().version(), "1.0.0");
    assert_eq!(
        parse(r#"{"cniVersion":"","dns":{}}"#, "")
            .unwrap()
            .to_value(),
        json!({"cniVersion": "0.1.0"})
    );
    for (text, version) in [("{}", "2.0.0"), (r#"{"cniVersion":"1.2.0"}"#, "1.0.0")] {
        assert!(
            matches!(parse(text, version), Err(ResultError::Version(_))),
            "{text}"
        );
    }
}

#[test]
fn rubbish_is_refused() {
    for text in [
        "",
        "[]",
        "3",
        "{",
        r#"{"cniVersion":1}"#,
        r#"{"cniVersion":"1.0.0","ips":{}}"#,
        r#"{"cniVersion":"1.0.0","ips":[1]}"#,
        r#"{"cniVersion":"1.0.0","ips":[{}]}"#,
        r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1"}]}"#,
        r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/8","gateway":"x"}]}"#,
        r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/8","interface":-1}]}"#,
        r#"{"cniVersion":"1.0.0","dns":[]}"#,
        r#"{"cniVersion":"0.2.0","ip4":{}}"#,
        r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8","routes":3}}"#,
    ] {
        assert!(
            CniResult::parse(text.as_bytes(), "1.0.0").is_err(),
            "{text}"
        );
    }
}

/// Small JSON of any shape, with the keys of results among its keys.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let keys = prop_oneof![
            Just("ips"),
            Just("ip4"),
            Just("routes"),
            Just("dns"),
            Just("interfaces"),
            Just("cniVersion"),
            Just("address"),
            Just("ip"),
            Just("x"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..4).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

prop_compose! {
    /// A result of the newest version within what 0.3.0 can say too.
    fn ordinary()(
        four in any::<[u8; 4]>(), six in any::<[u16; 8]>(), prefix in 0u8..=32,
        both in any::<bool>(), own in any_json(), key in "own[a-z]{0,4}",
    ) -> Value {
        let four = std::net::Ipv4Addr::from(four);
        let six = std::net::Ipv6Addr::from(six);
        let mut ips = vec![json!({"address": format!("{four}/{prefix}"), &key: own.clone()})];
        let mut routes = vec![json!({"dst": "0.0.0.0/0", "gw": four.to_string()})];
        if both {
            ips.push(json!({"address": format!("{six}/64"), "gateway": six.to_string()}));
            routes.push(json!({"dst": "::/0"}));
        }
        json!({"cniVersion": "1.1.0", "ips": ips, "routes": routes, key: own})
    }
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(value in any_json(), version in "(0\\.[1-4]\\.0|1\\.[0-2]\\.0|)") {
        if let Ok(result) = CniResult::from_value(value, &version) {
            for to in version::SUPPORTED {
                let _ = result.convert(to);
            }
            result.container_addresses();
            result.dns();
        }
    }

    #[test]
    fn conversion_there_and_back_loses_nothing(value in ordinary(), to in 0usize..7) {
        let first = CniResult::from_value(value, "").unwrap();
        let there = first.convert(version::SUPPORTED[to]).unwrap();
        prop_assert_eq!(there.convert("1.1.0").unwrap(), first);
    }
}
