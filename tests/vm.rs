//! What this machine's kernel may lack, on a small VM that `scripts/vm` boots: plugins that need a module, and
//! cgroup v2.
//!
//! Invariant: every test here is ignored elsewhere, and few they are: one boot serves all, and all is emulated.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{ALPINE, FakeHost, PluginSet, eventually};
use crate::plugins::{
    address, beside, dual, fixed, machine_ping, network, no_ping, ping, remove, start, with_both,
    within,
};

#[test]
#[ignore = "scripts/vm runs it"]
fn ipvlan_and_vlan_on_the_wire() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.sh(
        "ip link add link wire0 name tagged type vlan id 100
         ip addr add 10.98.0.2/24 dev tagged; ip addr add fd98::2/64 dev tagged nodad; ip link set tagged up",
    )
    .ok();
    peer.announce("* tagged*");
    let own = host.sh("cat /sys/class/net/wire0/address").ok();
    with_both(&host, |set| {
        let on_wire = |ipam: Value| json!([{"type": "ipvlan", "master": "wire0", "mode": "l2", "ipam": ipam}]);
        network(
            &host,
            set,
            "shared",
            &on_wire(fixed(&["10.99.0.21/24", "fd99::21/64"])),
        );
        let tagged = fixed(&["10.98.0.1/24", "fd98::1/64"]);
        let tagged = json!([{"type": "vlan", "master": "wire0", "vlanId": 100, "mtu": 1400, "ipam": tagged}]);
        network(&host, set, "tagged", &tagged);
        start(&host, "one", "shared");
        start(&host, "two", "tagged");
        for (far, near) in [("10.99.0.2", "10.99.0.21"), ("fd99::2", "fd99::21")] {
            within(&host, "one", &ping(far)).ok();
            peer.sh(&machine_ping(near)).ok();
            let seen = peer.sh(&format!("ip neigh show {near}")).ok();
            assert!(seen.stdout.contains(own.text()), "{own} in {seen}");
        }
        for far in ["10.98.0.2", "fd98::2"] {
            within(&host, "two", &ping(far)).ok();
        }
        // The other machine has that address behind the tag alone.
        within(&host, "two", &no_ping("10.99.0.2")).ok();
        let link = beside(&host, "two", "ip -d link show eth0").ok();
        for words in ["vlan protocol 802.1Q id 100", "mtu 1400"] {
            assert!(link.stdout.contains(words), "{words} in {link}");
        }
        remove(&host, &["one", "two"]);
        peer.sh("ip neigh flush dev wire0").ok();
    });
    peer.finish();
    host.finish();
}

#[test]
#[ignore = "scripts/vm runs it"]
fn vrf_and_dummy_and_the_vlans_of_a_bridge() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        let bridge =
            json!({"type": "bridge", "bridge": "routed0", "isGateway": true, "ipam": dual(40)});
        network(
            &host,
            set,
            "routed",
            &json!([bridge, {"type": "vrf", "vrfname": "blue"}]),
        );
        start(&host, "one", "routed");
        for (version, gateway) in [('4', "10.20.40.1"), ('6', "fd20:40::1")] {
            within(&host, "one", &ping(&format!("-I blue {gateway}"))).ok();
            assert!(!address(&host, "one", "eth0", version).is_empty());
        }
        // What is not bound to it does not see the interface's routes.
        within(&host, "one", &no_ping("10.20.40.1")).ok();
        let link = beside(&host, "one", "ip link show eth0").ok();
        assert!(link.stdout.contains("master blue"), "{link}");
        remove(&host, &["one"]);

        for (name, last, vlan) in [("a", 1, 100), ("b", 2, 100), ("c", 3, 200)] {
            let ipam = fixed(&[
                &format!("10.20.41.{last}/24"),
                &format!("fd20:41::{last}/64"),
            ]);
            let bridge =
                json!([{"type": "bridge", "bridge": "trunk0", "vlan": vlan, "ipam": ipam}]);
            network(&host, set, &format!("vlan-{name}"), &bridge);
            start(&host, name, &format!("vlan-{name}"));
        }
        for (same, other) in [("10.20.41.2", "10.20.41.3"), ("fd20:41::2", "fd20:41::3")] {
            within(&host, "a", &ping(same)).ok();
            within(&host, "a", &no_ping(other)).ok();
        }
        remove(&host, &["a", "b", "c"]);
    });
    host.use_plugins(PluginSet::Newer);
    let ipam = fixed(&["10.20.42.5/24", "fd20:42::5/64"]);
    network(
        &host,
        PluginSet::Newer,
        "dummy",
        &json!([{"type": "dummy", "ipam": ipam}]),
    );
    start(&host, "one", "dummy");
    let link = beside(&host, "one", "ip -d link show eth0").ok();
    assert!(link.stdout.contains("dummy"), "{link}");
    for own in ["10.20.42.5", "fd20:42::5"] {
        within(&host, "one", &ping(own)).ok();
    }
    // A dummy swallows what is sent, and counts it.
    let sent = "ping -c 1 -W 1 10.20.42.9; cat /sys/class/net/eth0/statistics/tx_packets";
    let sent = within(&host, "one", sent).ok();
    assert!(
        sent.lines().last().is_some_and(|count| *count != "0"),
        "{sent}"
    );
    remove(&host, &["one"]);
    host.finish();
}

#[test]
#[ignore = "scripts/vm runs it"]
fn a_life_on_cgroup_v2() {
    let host = FakeHost::new();
    host.mynet();
    let kind = host.sh("stat -f -c %T /sys/fs/cgroup").ok();
    assert_eq!(kind.text(), "cgroup2fs");
    let hello = host
        .netrun(&["run", "--rm", "--net", "mynet", ALPINE, "echo", "hello"])
        .ok();
    assert_eq!(hello.text(), "hello");
    host.assert_clean();
    let limited = [
        "run",
        "-d",
        "--name",
        "one",
        "--net",
        "mynet",
        "--memory",
        "32m",
        "--pids-limit",
        "50",
        "--cpus",
        "0.5",
        ALPINE,
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done",
    ];
    host.netrun(&limited).ok();
    let read = "cd /sys/fs/cgroup; cat memory.max pids.max cpu.max";
    assert_eq!(
        within(&host, "one", read).ok().lines(),
        ["33554432", "50", "50000 100000"]
    );
    eventually(Duration::from_secs(20), "it came up", || {
        (host.netrun(&["logs", "one"]).text() == "up").then_some(())
    });
    host.netrun(&["stop", "one"]).ok();
    assert_eq!(host.waited("one"), 7);
    host.netrun(&["start", "one"]).ok();
    host.netrun(&["rm", "-f", "one"]).ok();
    host.assert_clean();
    let greedy = [
        "run",
        "--rm",
        "--memory",
        "16m",
        ALPINE,
        "tail",
        "/dev/zero",
    ];
    host.netrun(&greedy).code(137);
    host.finish();
}
