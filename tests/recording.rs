//! netrun beside cnitool, the reference runtime: the same commands on plugins that write down every
//! call. Arguments, environment, standard input, order, results, cache and exit status are equal but
//! for the places listed here, each with its reason.

mod compare;

use serde_json::{Value, json};

use compare::{Step, same, step};

/// A pattern of what differs, and the reason.
type Difference = (&'static str, &'static str);

const EMPTY_DNS: Difference = (
    "*/dns: {} is nothing",
    "S5: dns is left out where it is empty; libcni's older types make one up",
);
const ROLLBACK: Difference = (
    "add: netrun alone calls DEL *",
    "A3: \"a delete must still be executed even if the add fails\"; libcni leaves it to its caller",
);
const REQUIRES_ADD: Difference = (
    "check*: status: 0 is 1",
    "C1: CHECK comes between ADD and DEL; without a result there is nothing to check against",
);
const NO_CHECK: Difference = ("check*: cnitool alone calls CHECK *", "C1, as above");

fn list(version: &str, plugins: &[Value]) -> Value {
    json!({"cniVersion": version, "name": "net", "plugins": plugins})
}

fn steps<const N: usize>(verbs: [&str; N], network: &str) -> Vec<Step> {
    verbs.map(|verb| step(verb, network)).to_vec()
}

/// `same` with the one list `net`.
#[track_caller]
fn same_list(list: Value, steps: &[Step], differences: &[Difference]) {
    same(&[("net.conflist", list)], steps, differences);
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
    let steps = ["status", "add", "check", "del"].map(with_all);
    same_list(list("1.1.0", &plugins), &steps, &[]);
}

/// E1: what plugins inherit.
#[test]
fn the_environment() {
    let add = step("add", "net")
        .env("PATH", "/mnt/bin:/bin:/usr/bin")
        .env("CNI_NETNS_OVERRIDE", "1")
        .env("CNI_COMMAND", "DEL")
        .env("CNI_CONTAINERID", "anothers")
        .env("TRACESTATE", "k=v");
    same_list(
        list("1.0.0", &[json!({"type": "a"})]),
        &[add],
        &[
            (
                "add: ADD a/env/PATH: * is *:/usr/sbin:/sbin\"",
                "E1: plugins execute iptables and nft",
            ),
            (
                "add: ADD a/env/CNI_NETNS_OVERRIDE: * is nothing",
                "E1: it would switch a plugin's own check off",
            ),
        ],
    );
}

#[test]
fn every_version() {
    let versions = [
        "", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ];
    let names = versions.map(|version| format!("net{version}"));
    let files = versions.map(|version| {
        let mut config = list(version, &[json!({"type": "a"}), json!({"type": "b"})]);
        config["name"] = json!(format!("net{version}"));
        config
    });
    let paths = names.each_ref().map(|name| format!("{name}.conflist"));
    let files: Vec<(&str, Value)> = paths.iter().map(String::as_str).zip(files).collect();
    let verbs = ["status", "add", "check", "del"];
    let all = names.iter().flat_map(|name| steps(verbs, name));
    same(&files, &all.collect::<Vec<Step>>(), &[EMPTY_DNS]);
}

/// L2, L3, L8, L10, L12: which file is the network, and what belongs to it.
#[test]
fn files_of_every_kind() {
    let single = json!({"cniVersion": "0.4.0", "name": "one", "type": "single", "own": 1});
    let second = json!({"name": "one", "type": "c"});
    let in_json = json!({"cniVersion": "1.0.0", "name": "two", "type": "single"});
    let versions = json!({"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0", "1.1.0", "9.0.0"],
        "name": "many", "plugins": [{"type": "a"}]});
    let beside = json!({"cniVersion": "1.0.0", "name": "beside", "plugins": [{"type": "a"}]});
    let inlined = json!({"cniVersion": "1.0.0", "name": "inlined", "loadOnlyInlinedPlugins": "TRUE",
        "disableCheck": false, "nobodys": {"key": 1}, "plugins": [{"type": "a"}]});
    let unchecked = json!({"cniVersion": "1.1.0", "name": "unchecked", "disableCheck": true,
        "plugins": [{"type": "a"}]});
    let late = json!({"cniVersion": "1.0.0", "name": "one", "plugins": [{"type": "b"}]});
    let files = [
        ("20-one.conf", second.clone()),
        ("two.json", in_json),
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
    let order = (
        "*: keeps/*/config: *",
        "L3: a single plugin's list has its keys in the file's order; Go sorts them",
    );
    let mut all = Vec::new();
    for network in [
        "one",
        "two",
        "many",
        "beside",
        "inlined",
        "unchecked",
        "absent",
    ] {
        all.extend(steps(["add", "check", "del"], network));
    }
    // Of `beside` netrun keeps the whole chain, so that DEL sees what ADD saw (D1); libcni keeps
    // the list's file alone.
    same(&files, &all, &[order]);
    // Without the list the single files count, the first of them.
    let files = [("20-one.conf", second), ("10-one.conf", single)];
    same(&files, &steps(["add", "check", "del"], "one"), &[order]);
}

/// S2: plugins answer in what version they like.
#[test]
fn results_in_another_version_than_the_configuration() {
    const CONVERTED: &[Difference] = &[
        (
            "*/cniVersion: \"0.4.0\" is \"1.0.0\"",
            "S2: a plugin reads a previous result in the configuration's version only",
        ),
        (
            "*/ips/0/version: \"4\" is nothing",
            "S2, S3: what 1.0.0 no longer says",
        ),
    ];
    let old = r#"{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/testing"}],
        "ips": [{"version": "4", "address": "10.1.0.2/16", "interface": 0}]}"#;
    let verbs = steps(["add", "check", "del"], "net");
    let says = |what: &str| json!({"type": "a", "say": {"ADD": {"stdout": what}}});
    let first = list("1.0.0", &[says(old), json!({"type": "b"})]);
    same_list(first, &verbs, &[CONVERTED, &[EMPTY_DNS]].concat());
    let last = list("1.0.0", &[json!({"type": "b"}), says(old)]);
    same_list(last, &verbs, &[CONVERTED, &[EMPTY_DNS]].concat());
    let unversioned = list(
        "1.0.0",
        &[
            says(r#"{"ips": [{"address": "10.1.0.2/16"}]}"#),
            json!({"type": "b"}),
        ],
    );
    same_list(unversioned, &verbs, &[]);
}

#[test]
fn a_failed_add() {
    let refusal = |code: u32| {
        json!({"cniVersion": "1.0.0", "code": code, "msg": "no", "details": "never"}).to_string()
    };
    let fails = |say: Value| {
        let third = json!({"type": "c", "say": {"ADD": say}});
        list(
            "1.0.0",
            &[
                json!({"type": "a"}),
                json!({"type": "b"}),
                third,
                json!({"type": "d"}),
            ],
        )
    };
    let verbs = steps(["add", "del"], "net");
    for say in [
        json!({"stdout": refusal(100), "exit": 1}),
        json!({"stderr": "broken", "exit": 2}),
        json!({"stdout": "no JSON", "exit": 1}),
        json!({"stdout": "{\"cniVersion\": \"7.0.0\"}"}),
        json!({"stdout": "no JSON"}),
    ] {
        same_list(fails(say), &verbs, &[ROLLBACK]);
    }
    let again = json!({"stdout": refusal(11), "exit": 1, "times": 2});
    same_list(
        fails(again),
        &verbs,
        &[
            (
                "add: status: 1 is 0",
                "E7: code 11 means try again later, which netrun does",
            ),
            ("add: prints: \"\" is *", "E7, as above"),
            ("add: keeps/*: nothing is *", "E7, as above"),
            ("add: netrun alone calls ADD c", "E7, as above"),
            ("add: netrun alone calls ADD d", "E7, as above"),
            (
                "del: DEL */stdin/prevResult: nothing is *",
                "E7: there was an ADD to undo",
            ),
        ],
    );
}

#[test]
fn a_failed_del() {
    let fails = |times: u32| {
        let second =
            json!({"type": "b", "say": {"DEL": {"stderr": "broken", "exit": 1, "times": times}}});
        list(
            "1.0.0",
            &[json!({"type": "a"}), second, json!({"type": "c"})],
        )
    };
    same_list(
        fails(1),
        &steps(["add", "del"], "net"),
        &[
            (
                "del: status: 1 is 0",
                "D5: one immediate retry, which helps after rules were flushed",
            ),
            ("del: netrun alone calls DEL b", "D5, as above"),
            (
                "del: netrun alone calls DEL a",
                "D5: the other plugins are called whatever became of one",
            ),
            ("del: keeps/*: * is nothing", "D6: it is detached"),
        ],
    );
    same_list(
        fails(1000),
        &steps(["add", "del", "check"], "net"),
        &[
            ("del: netrun alone calls DEL b", "D5, as above"),
            ("del: netrun alone calls DEL a", "D5, as above"),
        ],
    );
}

#[test]
fn the_order_of_verbs() {
    let config = list("1.1.0", &[json!({"type": "a"}), json!({"type": "b"})]);
    let steps = [
        step("del", "net"),
        step("check", "net"),
        step("add", "net"),
        step("add", "net").after("again", "true"),
        step("del", "net"),
        step("del", "net").after("again", "true"),
    ];
    let twice = "V5: (container id, ifname) must not be added twice";
    same_list(
        config,
        &steps,
        &[
            REQUIRES_ADD,
            NO_CHECK,
            ("add again: status: 0 is 1", twice),
            ("add again: prints: *", twice),
            ("add again: cnitool alone calls ADD *", twice),
        ],
    );
}

#[test]
fn what_changed_since_the_add() {
    const SAME: &str =
        "D3, K5: DEL and CHECK have the arguments that ADD had; cnitool has what is typed now";
    const SAME_CONFIG: &str =
        "D1: the configuration must not change between ADD and DEL, so the kept one counts";
    let config = || {
        list(
            "1.0.0",
            &[json!({"type": "a", "capabilities": {"mac": true}})],
        )
    };
    let other = r#"echo '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"b"}]}' >/mnt/net.d/net.conflist"#;
    let add = || {
        let mac = r#"{"mac": "02:00:00:00:00:07"}"#;
        step("add", "net")
            .env("CAP_ARGS", mac)
            .env("CNI_ARGS", "K=V")
    };
    let after =
        |verb: &str, title: &str, line: &str| vec![add(), step(verb, "net").after(title, line)];
    for verb in ["check", "del"] {
        same_list(
            config(),
            &after(verb, "without the variables", "true"),
            &[
                ("*: * a/env/CNI_ARGS: \"\" is \"K=V\"", SAME),
                ("*: * a/stdin/runtimeConfig: nothing is *", SAME),
            ],
        );
        same_list(
            config(),
            &after(verb, "with another file", other),
            &[
                ("*: netrun alone calls * a", SAME_CONFIG),
                ("*: cnitool alone calls * b", SAME_CONFIG),
            ],
        );
    }
    same_list(
        config(),
        &after("del", "with no file", "rm /mnt/net.d/net.conflist"),
        &[
            ("*: status: 1 is 0", SAME_CONFIG),
            ("*: netrun alone calls DEL a", SAME_CONFIG),
            ("*: keeps/*: * is nothing", "D6: it is detached"),
        ],
    );
}

#[test]
fn a_cache_that_another_wrote() {
    let config = || list("1.0.0", &[json!({"type": "a"})]);
    let after = |verb: &str, title: &str, line: &str| {
        vec![step("add", "net"), step(verb, "net").after(title, line)]
    };
    let broken = "for file in /var/lib/cni/results/net-*; do echo '{' >$file; done";
    same_list(config(), &after("del", "with a broken cache", broken), &[]);
    same_list(
        config(),
        &after("check", "with a broken cache", broken),
        &[],
    );
    let bare = "for file in /var/lib/cni/results/net-*; do jq .result $file >/tmp/bare; mv /tmp/bare $file; done";
    for verb in ["check", "del"] {
        same_list(config(), &after(verb, "with a bare result", bare), &[]);
    }
    let newer = "sed -i 's/cniCacheV1/cniCacheV2/' /var/lib/cni/results/net-*";
    let not_ours =
        "K4: a kind that comes after ours is not understood; libcni takes it for an empty result";
    same_list(
        config(),
        &after("del", "with another kind", newer),
        &[("del*: DEL a/stdin/prevResult: * is nothing", not_ours)],
    );
    same_list(
        config(),
        &after("check", "with another kind", newer),
        &[
            ("check*: status: 0 is 1", not_ours),
            ("check*: cnitool alone calls CHECK a", not_ours),
        ],
    );
}

#[test]
fn garbage_collection() {
    const NOT_OURS: &str = "C3: what nobody named stays, and plugins are told that it is wanted";
    let config = list("1.1.0", &[json!({"type": "a"}), json!({"type": "b"})]);
    let others = r#"cd /var/lib/cni/results; sed 's/cnitool-[0-9a-f]*/default-web/; s/eth0/eth7/' net-* >net-default-web-eth7"#;
    let told = [
        (
            "gc*: GC */stdin/cni.dev/valid-attachments: nothing is *",
            "C3: the wanted attachments are always told",
        ),
        (
            "gc*: GC */stdin/cni.dev/attachments: nothing is *",
            "R5: under the misspelt key, too",
        ),
    ];
    same_list(
        config.clone(),
        &[
            step("add", "net"),
            step("gc", "net").after("beside another's", others),
        ],
        &[
            told[0],
            told[1],
            ("gc*: cnitool alone calls DEL *", NOT_OURS),
            ("gc*: keeps/*: nothing is *", NOT_OURS),
        ],
    );
    let everything = step("gc", "net").after("of everything", others);
    let everything = everything.more_for_netrun("--detach-all");
    same_list(config, &[step("add", "net"), everything], &told);
    let mut disabled = list("1.1.0", &[json!({"type": "a"})]);
    disabled["disableGC"] = json!(true);
    same_list(disabled, &steps(["add", "gc", "del"], "net"), &[]);
}

#[test]
fn words_and_variables_that_mean_nothing() {
    let missing = list("1.0.0", &[json!({"type": "a"}), json!({"type": "missing"})]);
    same_list(
        missing,
        &steps(["add", "del"], "net"),
        &[
            (
                "add: cnitool alone calls ADD a",
                "a missing program is known before anything is made",
            ),
            (
                "del: netrun alone calls DEL a",
                "D5: the other plugins are called whatever became of one",
            ),
        ],
    );
    let add = |name: &str, value: &str| step("add", "net").env(name, value);
    let steps = [
        add("CNI_ARGS", "IP"),
        add("CNI_ARGS", "IP=1=2"),
        add("CAP_ARGS", "[]"),
        add("CAP_ARGS", "{"),
        add("CNI_IFNAME", ""),
        add("CNI_IFNAME", "much-too-long-a-name"),
        add("CNI_IFNAME", "a/b"),
        step("add", "nonet"),
        step("add", "../net"),
        step("status", "nonet"),
        step("frobnicate", "net"),
    ];
    let unknown = (
        "frobnicate: status: 0 is 1",
        "a verb that nobody knows is no success",
    );
    same_list(list("1.0.0", &[json!({"type": "a"})]), &steps, &[unknown]);
}
