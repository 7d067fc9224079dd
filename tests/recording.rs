//! netrun beside cnitool, the reference runtime: the same commands on plugins that write down every
//! call. Arguments, environment, standard input, order, results, cache and exit status are equal but
//! for the places listed here, each with its reason.

mod compare;

use serde_json::{Value, json};

use compare::{same, step};

/// netrun keeps what a plugin says and nobody specified; libcni's result types drop it.
const UNKNOWN_KEYS: &[(&str, &str)] = &[(
    "*/by-*: nothing is true",
    "S7: unknown keys of a result are kept and handed on",
)];

fn list(version: &str, plugins: &[Value]) -> Value {
    json!({"cniVersion": version, "name": "net", "plugins": plugins})
}

#[test]
fn five_plugins_through_all_verbs() {
    let plugins = [
        json!({"type": "a", "capabilities": {"portMappings": true, "ips": true}, "own": {"deep": [1, null]}}),
        json!({"type": "b", "capabilities": {"bandwidth": true, "mac": false}}),
        json!({"type": "c", "name": "its own", "cniVersion": "0.1.0"}),
        json!({"type": "d", "args": {"cni": {"k": "v"}}, "capabilities": {
            "dns": true, "ipRanges": true, "aliases": true, "cgroupPath": true, "deviceID": true, "infinibandGUID": true}}),
        json!({"type": "e", "ipam": {"type": "none"}, "dns": {"nameservers": ["192.0.2.9"]}}),
    ];
    let capabilities = json!({
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}],
        "ips": ["10.1.0.2/16"], "mac": "02:00:00:00:00:07",
        "bandwidth": {"ingressRate": 1, "ingressBurst": 2, "egressRate": 3, "egressBurst": 4},
        "dns": {"servers": ["192.0.2.2"], "searches": [], "options": ["ndots:1"]},
        "ipRanges": [[{"subnet": "10.1.0.0/16"}]], "aliases": ["one", "two"], "cgroupPath": "/a/b",
        "deviceID": "0000:00:1f.6", "infinibandGUID": "c2:11:22:33:44:55:66:77", "nobodys": true
    })
    .to_string();
    let with_all = |verb: &str| {
        step(verb, "net")
            .env("CAP_ARGS", &capabilities)
            .env("CNI_ARGS", "IgnoreUnknown=1;K=V;A=a b")
            .env("CNI_IFNAME", "net1")
            .env(
                "TRACEPARENT",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .env("BAGGAGE", "k=v")
    };
    let steps = ["status", "add", "check", "gc", "del"].map(with_all);
    let [status, add, check, _, del] = steps;
    same(
        &[("10-net.conflist", list("1.1.0", &plugins))],
        &[status, add, check, del],
        UNKNOWN_KEYS,
    );
}

#[test]
fn every_version() {
    let legacy = [(
        "*/dns: {} is nothing",
        "S5: an empty dns says nothing, and is not made up",
    )];
    for version in [
        "", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let config = list(version, &[json!({"type": "a"}), json!({"type": "b"})]);
        let steps = ["status", "add", "check", "del"].map(|verb| step(verb, "net"));
        let more: &[(&str, &str)] = if version < "0.3" { &legacy } else { &[] };
        same(
            &[("net.conflist", config)],
            &steps,
            &[UNKNOWN_KEYS, more].concat(),
        );
    }
}

/// L2, L3, L8, L10, L12: which file is the network, and what belongs to it.
#[test]
fn files_of_every_kind() {
    let single = json!({"cniVersion": "0.4.0", "name": "one", "type": "single", "own": 1});
    let json = json!({"cniVersion": "1.0.0", "name": "two", "type": "single"});
    let versions = json!({"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0", "1.1.0", "9.0.0"],
        "name": "many", "plugins": [{"type": "a"}]});
    let beside = json!({"cniVersion": "1.0.0", "name": "beside", "plugins": [{"type": "a"}]});
    let inlined = json!({"cniVersion": "1.0.0", "name": "inlined", "loadOnlyInlinedPlugins": "TRUE",
        "disableCheck": false, "nobodys": {"key": 1}, "plugins": [{"type": "a"}]});
    let unchecked = json!({"cniVersion": "1.1.0", "name": "unchecked", "disableCheck": true,
        "plugins": [{"type": "a"}]});
    let late = json!({"cniVersion": "1.0.0", "name": "one", "plugins": [{"type": "b"}]});
    let files = [
        ("20-one.conf", json!({"name": "one", "type": "c"})),
        ("two.json", json),
        ("many.conflist", versions),
        ("beside.conflist", beside),
        ("beside/2.conf", json!({"type": "c"})),
        ("beside/1.conf", json!({"type": "b", "name": "other"})),
        ("inlined.conflist", inlined),
        ("inlined/1.conf", json!({"type": "b"})),
        ("unchecked.conflist", unchecked),
        ("30-one.conflist", late),
        ("10-one.conf", single.clone()),
    ];
    let mut steps = Vec::new();
    for network in [
        "one",
        "two",
        "many",
        "beside",
        "inlined",
        "unchecked",
        "absent",
    ] {
        steps.extend(["add", "check", "del"].map(|verb| step(verb, network)));
    }
    same(&files, &steps, UNKNOWN_KEYS);
    // Without the list the single files count, the first of them.
    let steps = ["add", "check", "del"].map(|verb| step(verb, "one"));
    let files = [
        ("20-one.conf", json!({"name": "one", "type": "c"})),
        ("10-one.conf", single),
    ];
    same(&files, &steps, UNKNOWN_KEYS);
}

/// S2: plugins answer in what version they like.
#[test]
fn results_in_another_version_than_the_configuration() {
    let old = r#"{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/testing"}],
        "ips": [{"version": "4", "address": "10.1.0.2/16", "interface": 0}]}"#;
    let plugins = [
        json!({"type": "a", "say": {"ADD": {"stdout": old}}}),
        json!({"type": "b"}),
    ];
    let steps = ["add", "check", "del"].map(|verb| step(verb, "net"));
    same(
        &[("net.conflist", list("1.0.0", &plugins))],
        &steps,
        UNKNOWN_KEYS,
    );
    let plugins = [
        json!({"type": "a"}),
        json!({"type": "b", "say": {"ADD": {"stdout": old}}}),
    ];
    same(
        &[("net.conflist", list("1.0.0", &plugins))],
        &steps,
        UNKNOWN_KEYS,
    );
    let unversioned = r#"{"ips": [{"address": "10.1.0.2/16"}]}"#;
    let plugins = [
        json!({"type": "a", "say": {"ADD": {"stdout": unversioned}}}),
        json!({"type": "b"}),
    ];
    same(
        &[("net.conflist", list("1.0.0", &plugins))],
        &steps,
        UNKNOWN_KEYS,
    );
}

#[test]
fn a_failed_add() {
    let refusal =
        json!({"cniVersion": "1.0.0", "code": 100, "msg": "no", "details": "never"}).to_string();
    let fails = |say: Value| {
        let plugins = [
            json!({"type": "a"}),
            json!({"type": "b"}),
            json!({"type": "c", "say": {"ADD": say}}),
            json!({"type": "d"}),
        ];
        [("net.conflist", list("1.0.0", &plugins))]
    };
    for say in [
        json!({"stdout": refusal, "exit": 1}),
        json!({"stderr": "broken", "exit": 2}),
        json!({"stdout": "no JSON", "exit": 1}),
        json!({"stdout": "{\"cniVersion\": \"7.0.0\"}"}),
        json!({"stdout": "no JSON"}),
    ] {
        same(
            &fails(say),
            &[step("add", "net"), step("del", "net")],
            UNKNOWN_KEYS,
        );
    }
    let again = json!({"stdout": refusal.replace("100", "11"), "exit": 1, "times": 2});
    same(
        &fails(again),
        &[step("add", "net"), step("del", "net")],
        UNKNOWN_KEYS,
    );
}

#[test]
fn a_failed_del() {
    let plugins = [
        json!({"type": "a"}),
        json!({"type": "b", "say": {"DEL": {"stderr": "broken", "exit": 1, "times": 2}}}),
        json!({"type": "c"}),
    ];
    let steps = [
        step("add", "net"),
        step("del", "net"),
        step("check", "net"),
        step("del", "net"),
    ];
    same(
        &[("net.conflist", list("1.0.0", &plugins))],
        &steps,
        UNKNOWN_KEYS,
    );
}

#[test]
fn the_order_of_verbs() {
    let config = [(
        "net.conflist",
        list("1.1.0", &[json!({"type": "a"}), json!({"type": "b"})]),
    )];
    let steps = [
        step("del", "net"),
        step("check", "net"),
        step("add", "net"),
        step("add", "net").after("again", "true"),
        step("del", "net"),
        step("del", "net").after("again", "true"),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
}

#[test]
fn what_changed_since_the_add() {
    let config = [(
        "net.conflist",
        list(
            "1.0.0",
            &[json!({"type": "a", "capabilities": {"mac": true}})],
        ),
    )];
    let other = r#"echo '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"b"}]}' >/mnt/net.d/net.conflist"#;
    let add = || {
        let mac = r#"{"mac": "02:00:00:00:00:07"}"#;
        step("add", "net")
            .env("CAP_ARGS", mac)
            .env("CNI_ARGS", "K=V")
    };
    let steps = [
        add(),
        step("check", "net").after("without the variables", "true"),
        step("del", "net").after("without the variables", "true"),
        add(),
        step("del", "net").after("with another file", other),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let steps = [
        add(),
        step("check", "net").after("with another file", other),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let steps = [
        add(),
        step("del", "net").after("with no file", "rm /mnt/net.d/net.conflist"),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let broken = "echo '{' >/var/lib/cni/results/net-*";
    let steps = [
        add(),
        step("del", "net").after("with a broken cache", broken),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let steps = [
        add(),
        step("check", "net").after("with a broken cache", broken),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let bare = "for file in /var/lib/cni/results/net-*; do jq .result $file >/tmp/bare; mv /tmp/bare $file; done";
    let steps = [
        add(),
        step("check", "net").after("with a bare result", bare),
        step("del", "net"),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
}

#[test]
fn garbage_collection() {
    let config = [(
        "net.conflist",
        list("1.1.0", &[json!({"type": "a"}), json!({"type": "b"})]),
    )];
    let others = r#"cd /var/lib/cni/results; sed 's/cnitool-[0-9a-f]*/default-web/; s/eth0/eth7/' net-* >net-default-web-eth7"#;
    let steps = [
        step("add", "net"),
        step("gc", "net").after("beside another's", others),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
    let everything = step("gc", "net").after("of everything", others);
    let everything = everything.more_for_netrun("--detach-all");
    same(&config, &[step("add", "net"), everything], UNKNOWN_KEYS);
    let mut disabled = list("1.1.0", &[json!({"type": "a"})]);
    disabled["disableGC"] = json!(true);
    same(
        &[("net.conflist", disabled)],
        &[step("add", "net"), step("gc", "net"), step("del", "net")],
        UNKNOWN_KEYS,
    );
}

#[test]
fn words_and_variables_that_mean_nothing() {
    let config = [(
        "net.conflist",
        list("1.0.0", &[json!({"type": "a"}), json!({"type": "missing"})]),
    )];
    let steps = [
        step("add", "net"),
        step("del", "net"),
        step("add", "net").env("CNI_ARGS", "IP"),
        step("add", "net").env("CAP_ARGS", "[]"),
        step("add", "net").env("CNI_IFNAME", ""),
        step("add", "net").env("CNI_IFNAME", "much-too-long-a-name"),
        step("add", "net").env("CNI_IFNAME", "a/b"),
        step("add", "nonet"),
        step("add", "../net"),
        step("status", "net"),
        step("frobnicate", "net"),
    ];
    same(&config, &steps, UNKNOWN_KEYS);
}
