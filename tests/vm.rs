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
fn ipvlan_vlan_and_a_port_of_sctp_from_machine_to_machine() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.sh(
        "ip link add link wire0 name tagged type vlan id 100
         ip addr add 10.98.0.2/24 dev tagged; ip addr add fd98::2/64 dev tagged nodad; ip link set tagged up",
    )
    .ok();
    peer.announce("* tagged*");
    with_both(&host, |set| {
        ipvlan(&host, &peer, set);
        routed_ipvlan(&host, &peer, set);
        vlan(&host, set);
        sctp(&host, &peer, set);
    });
    peer.finish();
    host.finish();
}

/// An ipvlan has an address of its own and the wire's own hardware address.
fn ipvlan(host: &FakeHost, peer: &FakeHost, set: PluginSet) {
    let own = host.sh("cat /sys/class/net/wire0/address").ok();
    let ipam = fixed(&["10.99.0.21/24", "fd99::21/64"]);
    let ipvlan = json!([{"type": "ipvlan", "master": "wire0", "mode": "l2", "ipam": ipam}]);
    network(host, set, "shared", &ipvlan);
    start(host, "one", "shared");
    for (far, near) in [("10.99.0.2", "10.99.0.21"), ("fd99::2", "fd99::21")] {
        within(host, "one", &ping(far)).ok();
        peer.sh(&machine_ping(near)).ok();
        let seen = peer.sh(&format!("ip neigh show {near}")).ok();
        assert!(seen.stdout.contains(own.text()), "{own} in {seen}");
    }
    remove(host, &["one"]);
}

/// In mode l3 the wire's machine is the router: who is beyond the wire must send to it.
fn routed_ipvlan(host: &FakeHost, peer: &FakeHost, set: PluginSet) {
    peer.sh("ip route add 10.96.0.0/24 via 10.99.0.1").ok();
    let ipam = json!({"type": "static", "addresses": [{"address": "10.96.0.21/24"}],
        "routes": [{"dst": "0.0.0.0/0"}]});
    let ipvlan = json!([{"type": "ipvlan", "master": "wire0", "mode": "l3", "ipam": ipam}]);
    network(host, set, "routed", &ipvlan);
    start(host, "one", "routed");
    let link = beside(host, "one", "ip -d link show eth0").ok();
    assert!(link.stdout.contains("mode l3"), "{link}");
    within(host, "one", &ping("10.99.0.2")).ok();
    peer.sh(&machine_ping("10.96.0.21")).ok();
    remove(host, &["one"]);
    peer.sh("ip route del 10.96.0.0/24").ok();
}

/// A vlan reaches what is behind its tag, and that alone.
fn vlan(host: &FakeHost, set: PluginSet) {
    let ipam = fixed(&["10.98.0.1/24", "fd98::1/64"]);
    let vlan =
        json!([{"type": "vlan", "master": "wire0", "vlanId": 100, "mtu": 1400, "ipam": ipam}]);
    network(host, set, "tagged", &vlan);
    start(host, "one", "tagged");
    for far in ["10.98.0.2", "fd98::2"] {
        within(host, "one", &ping(far)).ok();
    }
    within(host, "one", &no_ping("10.99.0.2")).ok();
    let link = beside(host, "one", "ip -d link show eth0").ok();
    for words in ["vlan protocol 802.1Q id 100", "mtu 1400"] {
        assert!(link.stdout.contains(words), "{words} in {link}");
    }
    remove(host, &["one"]);
}

/// Networks of `network create` that need more of the kernel.
#[test]
#[ignore = "scripts/vm runs it"]
fn made_networks_of_ipvlan_of_vlans_and_with_sctp() {
    let host = FakeHost::new();
    let peer = host.peer();
    for (machine, last) in [(&host, 1), (&peer, 2)] {
        machine
            .sh(&format!(
                "ip link add link wire0 name wire0.10 type vlan id 10
                 ip addr add 10.97.0.{last}/24 dev wire0.10; ip link set wire0.10 up"
            ))
            .ok();
        machine.announce("* wire0.10*");
    }
    host.write("/mnt/server.pl", SCTP_SERVER);
    peer.write("/mnt/client.pl", SCTP_CLIENT);
    // The newer plugins leave their empty tables.
    host.announce("nft table inet cni_plugins_masquerade*");
    host.announce("nft table ip* cni_hostport*");
    with_both(&host, |set| {
        made_bridge_with_a_vlan(&host, &peer, set);
        // What differs between the sets is seen in the chains of other tests.
        if set == PluginSet::Newer {
            made_ipvlan(&host);
            made_beside_a_vlan(&host, &peer);
            made_with_sctp(&host, &peer);
        }
    });
    peer.finish();
    host.finish();
}

fn create(host: &FakeHost, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    host.netrun(&[&["network", "create"], &words[..]].concat())
        .ok();
}

fn take_away(host: &FakeHost) {
    host.sh("netrun rm -f $(netrun ps -aq)").ok();
    host.netrun(&["network", "prune"]).ok();
    host.assert_clean();
}

/// Has the wire's hardware address, reaches who is on the wire, and finds its neighbours by name.
fn made_ipvlan(host: &FakeHost) {
    let addresses = "--subnet 10.99.0.0/24 --ip-range 10.99.0.64/27 --subnet fd99::/64 --ip-range fd99::64:0/112 --gateway 10.99.0.2";
    create(host, &format!("-d ipvlan -o parent=wire0 {addresses} near"));
    for name in ["one", "two"] {
        start(host, name, "near");
    }
    for far in ["10.99.0.2", "two", "two.near"] {
        within(host, "one", &ping(far)).ok();
    }
    let own = host.sh("cat /sys/class/net/wire0/address").ok();
    let link = within(host, "one", "cat /sys/class/net/eth0/address").ok();
    assert_eq!(link.text(), own.text());
    let asked = ["run", "--rm", "--net", "near:mac=02:00:00:00:00:07"];
    host.netrun(&[&asked[..], &[ALPINE, "true"]].concat())
        .fails(125, &["near", "hardware address"]);
    take_away(host);
}

/// Beside an interface of a VLAN, what is said goes out with its tag.
fn made_beside_a_vlan(host: &FakeHost, peer: &FakeHost) {
    let addresses = "--subnet 10.97.0.0/24 --ip-range 10.97.0.64/27 --gateway 10.97.0.2";
    create(
        host,
        &format!("-d ipvlan -o parent=wire0.10 {addresses} tagged"),
    );
    start(host, "one", "tagged");
    within(host, "one", &ping("10.97.0.2")).ok();
    let seen = peer.sh("ip neigh show dev wire0.10").ok();
    assert!(seen.stdout.contains("10.97.0.6"), "{seen}");
    take_away(host);
}

/// The ports of the bridge are in the VLAN; the gateway, which has an interface of its own then, is
/// reached, and behind it the others, though FORWARD drops.
fn made_bridge_with_a_vlan(host: &FakeHost, peer: &FakeHost, set: PluginSet) {
    host.sh("iptables -P FORWARD DROP").ok();
    create(host, "-o vlan=30 --subnet 10.5.0.0/24 a-very-long-name");
    create(host, "-o vlan=31 --internal --subnet 10.6.0.0/24 inner");
    start(host, "one", "a-very-long-name");
    start(host, "two", "a-very-long-name");
    for far in ["10.5.0.1", "two", "10.99.0.2"] {
        within(host, "one", &ping(far)).ok();
    }
    let vlans = host.sh("bridge vlan show").ok();
    assert!(vlans.stdout.contains("30 PVID"), "{set:?}: {vlans}");
    start(host, "in", "inner");
    within(host, "in", &ping("10.6.0.1")).ok();
    within(host, "in", &no_ping("10.99.0.2")).ok();
    peer.sh("ip route add 10.6.0.0/24 via 10.99.0.1").ok();
    peer.sh("! busybox ping -c 1 -W 1 10.6.0.2").ok();
    peer.sh("ip route del 10.6.0.0/24").ok();
    host.sh("iptables -P FORWARD ACCEPT").ok();
    take_away(host);
}

/// A port of SCTP is held, so that a conflict says whose it is, and reached from another machine.
fn made_with_sctp(host: &FakeHost, peer: &FakeHost) {
    create(host, "lan");
    let publish = |name| {
        let run = ["run", "-d", "--name", name, "--net", "lan"];
        let rest = ["-p", "8099:99/sctp", ALPINE, "sleep", "1000"];
        host.netrun(&[&run[..], &rest].concat())
    };
    publish("one").ok();
    publish("two").fails(125, &["8099/sctp", "\"one\""]);
    host.sh("perl -e 'use Socket; socket(my $s, AF_INET, SOCK_STREAM, 132) or exit 2; exit !bind($s, pack_sockaddr_in(8099, INADDR_ANY))'")
        .code(1);
    let server = ["netns", "exec", "netrun-one", "perl", "/mnt/server.pl"];
    let server = host.cmd("ip").args(&server).spawn();
    server.expect("serving");
    let client = peer.cmd("perl").args(&["/mnt/client.pl"]).run().ok();
    assert_eq!(client.text(), "hello by sctp");
    server.wait().ok();
    take_away(host);
}

/// Says hello to the first who comes.
const SCTP_SERVER: &str = r#"
use Socket;
socket(my $own, AF_INET, SOCK_STREAM, 132) or die "socket: $!";
bind($own, pack_sockaddr_in(99, INADDR_ANY)) or die "bind: $!";
listen($own, 1) or die "listen: $!";
$| = 1;
print "serving\n";
accept(my $client, $own) or die "accept: $!";
syswrite($client, "hello by sctp\n");
"#;

const SCTP_CLIENT: &str = r#"
use Socket;
socket(my $own, AF_INET, SOCK_STREAM, 132) or die "socket: $!";
connect($own, pack_sockaddr_in(8099, inet_aton("10.99.0.1"))) or die "connect: $!";
sysread($own, my $line, 99) or die "read: $!";
print $line;
"#;

fn sctp(host: &FakeHost, peer: &FakeHost, set: PluginSet) {
    let bridge =
        json!({"type": "bridge", "bridge": "web0", "isDefaultGateway": true, "ipam": dual(43)});
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    network(host, set, "web", &json!([bridge, portmap]));
    host.write("/mnt/server.pl", SCTP_SERVER);
    peer.write("/mnt/client.pl", SCTP_CLIENT);
    let run = [
        "run",
        "-d",
        "--name",
        "one",
        "--net",
        "web",
        "-p",
        "8099:99/sctp",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&run).ok();
    let server = ["netns", "exec", "netrun-one", "perl", "/mnt/server.pl"];
    let server = host.cmd("ip").args(&server).spawn();
    server.expect("serving");
    let client = peer.cmd("perl").args(&["/mnt/client.pl"]).run().ok();
    assert_eq!(client.text(), "hello by sctp");
    server.wait().ok();
    remove(host, &["one"]);
}

#[test]
#[ignore = "scripts/vm runs it"]
fn vrf_dummy_and_the_vlans_of_a_bridge() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        vrf(&host, set);
        bridge_vlans(&host, set);
    });
    host.use_plugins(PluginSet::Newer);
    dummy(&host);
    bridge_trunk(&host);
    host.finish();
}

/// What is bound to the VRF sees the interface's routes, and nothing else does.
fn vrf(host: &FakeHost, set: PluginSet) {
    let bridge =
        json!({"type": "bridge", "bridge": "routed0", "isGateway": true, "ipam": dual(40)});
    network(
        host,
        set,
        "routed",
        &json!([bridge, {"type": "vrf", "vrfname": "blue"}]),
    );
    start(host, "one", "routed");
    for (version, gateway) in [('4', "10.20.40.1"), ('6', "fd20:40::1")] {
        within(host, "one", &ping(&format!("-I blue {gateway}"))).ok();
        assert!(!address(host, "one", "eth0", version).is_empty());
    }
    within(host, "one", &no_ping("10.20.40.1")).ok();
    let link = beside(host, "one", "ip link show eth0").ok();
    assert!(link.stdout.contains("master blue"), "{link}");
    remove(host, &["one"]);
}

/// Two of a vlan reach each other, the third does not.
fn bridge_vlans(host: &FakeHost, set: PluginSet) {
    for (name, last, vlan) in [("a", 1, 100), ("b", 2, 100), ("c", 3, 200)] {
        let ipam = fixed(&[
            &format!("10.20.41.{last}/24"),
            &format!("fd20:41::{last}/64"),
        ]);
        let bridge: Value =
            json!([{"type": "bridge", "bridge": "trunk0", "vlan": vlan, "ipam": ipam}]);
        network(host, set, &format!("vlan-{name}"), &bridge);
        start(host, name, &format!("vlan-{name}"));
    }
    for (same, other) in [("10.20.41.2", "10.20.41.3"), ("fd20:41::2", "fd20:41::3")] {
        within(host, "a", &ping(same)).ok();
        within(host, "a", &no_ping(other)).ok();
    }
    remove(host, &["a", "b", "c"]);
}

/// A port may carry several VLANs, each for an interface of its own behind it.
fn bridge_trunk(host: &FakeHost) {
    let bridge = |key: &str, value: Value, last: u8| {
        let ipam = fixed(&[&format!("10.20.43.{last}/24")]);
        let mut plugin = json!({"type": "bridge", "bridge": "trunk1", "ipam": ipam});
        plugin[key] = value;
        json!([plugin])
    };
    let trunk = json!([{"id": 101}, {"minID": 200, "maxID": 202}]);
    for (name, plugins) in [
        ("t", bridge("vlanTrunk", trunk, 1)),
        ("a", bridge("vlan", json!(101), 2)),
        ("b", bridge("vlan", json!(201), 3)),
        ("c", bridge("vlan", json!(102), 4)),
    ] {
        network(host, PluginSet::Newer, &format!("trunk-{name}"), &plugins);
        start(host, name, &format!("trunk-{name}"));
    }
    let carries = |vlan: u16, far: &str| {
        let line = format!(
            "ip addr flush dev eth0; ip link add link eth0 name tagged type vlan id {vlan} &&
             ip addr add 10.20.43.1/24 dev tagged && ip link set tagged up"
        );
        beside(host, "t", &line).ok();
        let answer = within(host, "t", &ping(far)).code == 0;
        beside(host, "t", "ip link del tagged").ok();
        answer
    };
    assert!(carries(101, "10.20.43.2") && carries(201, "10.20.43.3"));
    assert!(!carries(102, "10.20.43.4"));
    remove(host, &["t", "a", "b", "c"]);
}

/// A dummy answers for itself, and swallows and counts what is sent elsewhere.
fn dummy(host: &FakeHost) {
    let ipam = fixed(&["10.20.42.5/24", "fd20:42::5/64"]);
    network(
        host,
        PluginSet::Newer,
        "dummy",
        &json!([{"type": "dummy", "ipam": ipam}]),
    );
    start(host, "one", "dummy");
    let link = beside(host, "one", "ip -d link show eth0").ok();
    assert!(link.stdout.contains("dummy"), "{link}");
    for own in ["10.20.42.5", "fd20:42::5"] {
        within(host, "one", &ping(own)).ok();
    }
    let sent = "ping -c 1 -W 1 10.20.42.9; cat /sys/class/net/eth0/statistics/tx_packets";
    let sent = within(host, "one", sent).ok();
    assert!(
        sent.lines().last().is_some_and(|count| *count != "0"),
        "{sent}"
    );
    remove(host, &["one"]);
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
    let stats = ["stats", "--no-stream", "--format", "json", "one"];
    let stats = host.netrun(&stats).ok().json();
    let used = stats["MemUsage"].as_str().unwrap();
    assert!(
        used.ends_with(" / 32MiB") && !used.starts_with("0B"),
        "{stats}"
    );
    let pids: u32 = stats["PIDs"].as_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&pids), "{stats}");
    assert_eq!(stats["Name"], "one");
    host.netrun(&["stop", "one"]).ok();
    assert_eq!(host.waited("one"), 7);
    host.netrun(&["start", "one"]).ok();
    host.netrun(&["rm", "-f", "one"]).ok();
    host.assert_clean();
    let greedy = "run --name greedy --memory 16m alpine:3.14 tail /dev/zero";
    let greedy: Vec<&str> = greedy.split(' ').collect();
    host.netrun(&greedy).code(137);
    let killed = ["inspect", "-f", "{{.State.OOMKilled}}", "greedy"];
    assert_eq!(host.netrun(&killed).ok().text(), "true");
    host.netrun(&["rm", "greedy"]).ok();
    host.finish();
}
