//! ptp, macvlan, host-device and loopback: traffic with a peer through that very interface.

use serde_json::json;

use super::{
    address, beside, dual, fixed, machine_ping, network, no_ping, once, ping, remove, start,
    with_both, within,
};
use crate::host::FakeHost;

#[test]
fn ptp_joins_a_container_to_the_host_and_the_world() {
    let host = FakeHost::new();
    let peer = host.peer();
    with_both(&host, |set| {
        let mut ipam = dual(7);
        ipam["routes"] = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
        let ptp = json!([{"type": "ptp", "ipMasq": true, "mtu": 1450, "ipam": ipam}]);
        network(&host, set, "ptp", &ptp);
        start(&host, "one", "ptp");
        start(&host, "two", "ptp");
        for (version, far) in [('4', "10.99.0.2"), ('6', "fd99::2")] {
            within(&host, "one", &ping(far)).ok();
            within(&host, "one", &ping(&address(&host, "two", "eth0", version))).ok();
            let near = address(&host, "one", "eth0", version);
            host.sh(&machine_ping(&near)).ok();
        }
        // A cable and no bridge: the host has a route to the one address.
        let near = address(&host, "one", "eth0", '4');
        let route = host.sh(&format!("ip route get {near}")).ok();
        assert!(route.stdout.contains("dev veth"), "{route}");
        let link = beside(&host, "one", "ip link show eth0").ok();
        assert!(link.stdout.contains("mtu 1450"), "{link}");
        remove(&host, &["one", "two"]);
    });
    peer.finish();
    host.finish();
}

#[test]
fn macvlan_stands_on_the_wire_with_an_address_of_its_own() {
    let host = FakeHost::new();
    let peer = host.peer();
    with_both(&host, |set| {
        for last in [11, 12] {
            let ipam = fixed(&[&format!("10.99.0.{last}/24"), &format!("fd99::{last}/64")]);
            let macvlan =
                json!([{"type": "macvlan", "master": "wire0", "mode": "bridge", "ipam": ipam}]);
            network(&host, set, &format!("wire{last}"), &macvlan);
        }
        start(&host, "one", "wire11");
        start(&host, "two", "wire12");
        for (far, neighbour) in [("10.99.0.2", "10.99.0.12"), ("fd99::2", "fd99::12")] {
            within(&host, "one", &ping(far)).ok();
            within(&host, "one", &ping(neighbour)).ok();
        }
        let own = beside(&host, "one", "cat /sys/class/net/eth0/address").ok();
        for near in ["10.99.0.11", "fd99::11"] {
            peer.sh(&machine_ping(near)).ok();
            let seen = peer.sh(&format!("ip neigh show {near}")).ok();
            assert!(seen.stdout.contains(own.text()), "{own} in {seen}");
        }
        // By the kernel's design a macvlan does not reach the machine that it stands on.
        within(&host, "one", &no_ping("10.99.0.1")).ok();
        remove(&host, &["one", "two"]);
        peer.sh("ip neigh flush dev wire0").ok();
    });
    peer.finish();
    host.finish();
}

#[test]
fn host_device_lends_a_device_and_gives_it_back() {
    let host = FakeHost::new();
    host.sh(
        "ip link add card0 address 02:00:00:00:00:77 type veth peer name far0
         ip addr add 10.20.8.1/24 dev far0; ip addr add fd20:8::1/64 dev far0 nodad
         ip link set far0 up; ip link set card0 up",
    )
    .ok();
    host.announce("* card0*");
    host.announce("* far0*");
    with_both(&host, |set| {
        let ipam = fixed(&["10.20.8.2/24", "fd20:8::2/64"]);
        for (name, choice) in [("byname", json!("card0")), ("bymac", json!(null))] {
            let mut plugin = json!({"type": "host-device", "ipam": ipam});
            if choice.is_null() {
                plugin["hwaddr"] = json!("02:00:00:00:00:77");
            } else {
                plugin["device"] = choice;
            }
            network(&host, set, name, &json!([plugin]));
            start(&host, "one", name);
            assert_ne!(host.sh("ip link show card0").code, 0);
            let link = beside(&host, "one", "ip link show eth0").ok();
            assert!(link.stdout.contains("02:00:00:00:00:77"), "{link}");
            for far in ["10.20.8.1", "fd20:8::1"] {
                within(&host, "one", &ping(far)).ok();
            }
            remove(&host, &["one"]);
            host.sh("ip link show card0").ok();
        }
        // It comes back from a container that is killed, from one that ends by itself, and from one whose
        // supervisor died with it.
        start(&host, "one", "byname");
        host.netrun(&["kill", "one"]).ok();
        host.netrun(&["wait", "one"]).code(137);
        host.netrun(&["rm", "one"]).ok();
        host.sh("ip link show card0").ok();
        once(&host, "byname", &ping("10.20.8.1")).ok();
        host.sh("ip link show card0").ok();
        start(&host, "one", "byname");
        host.sh("pkill -9 -f '[n]etrun supervise'; pkill -9 -x sleep")
            .ok();
        host.netrun(&["gc"]).ok();
        let link = host.sh("ip link show card0").ok();
        assert!(link.stdout.contains("02:00:00:00:00:77"), "{link}");
        remove(&host, &["one"]);
    });
    host.finish();
}

#[test]
fn loopback_is_up_in_a_network_of_its_own_and_in_a_chain() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        network(&host, set, "lo-only", &json!([{"type": "loopback"}]));
        let only = once(
            &host,
            "lo-only",
            &format!("ip -o link; {}", ping("127.0.0.1")),
        )
        .ok();
        assert!(only.stdout.contains("lo: <LOOPBACK,UP"), "{only}");
        assert!(!only.stdout.contains("eth0"), "{only}");
        once(&host, "lo-only", &ping("::1")).ok();
        let chain = json!([{"type": "bridge", "bridge": "chained0", "isGateway": true, "ipam": dual(9)},
            {"type": "loopback"}]);
        network(&host, set, "chained", &chain);
        for target in ["127.0.0.1", "10.20.9.1", "fd20:9::1"] {
            once(&host, "chained", &ping(target)).ok();
        }
    });
    host.finish();
}
