//! bridge: addresses, gateway, masquerade, hairpin, promiscuity; and two bridges kept apart by the firewall
//! plugin.

use serde_json::json;

use super::{
    address, beside, dual, network, no_ping, once, ping, remove, start, with_both, within,
};
use crate::host::FakeHost;

#[test]
fn addresses_a_default_gateway_and_a_masquerade_of_both_families() {
    let host = FakeHost::new();
    let peer = host.peer();
    with_both(&host, |set| {
        for (name, masquerade) in [("veiled", true), ("bare", false)] {
            let third = 1 + u8::from(masquerade);
            let bridge = json!([{"type": "bridge", "bridge": format!("{name}0"), "isDefaultGateway": true,
                "ipMasq": masquerade, "ipam": dual(third)}]);
            network(&host, set, name, &bridge);
        }
        let show = "ip -4 -o addr show eth0; ip -4 route; ip -6 -o addr show eth0; ip -6 route";
        let shown = once(&host, "veiled", show).ok();
        for words in [
            "inet 10.20.2.",
            "default via 10.20.2.1 dev eth0",
            "inet6 fd20:2::",
            "default via fd20:2::1 dev eth0",
        ] {
            assert!(shown.stdout.contains(words), "{words} in {shown}");
        }
        // The other machine knows no way back to a container's own address.
        for target in ["10.20.2.1", "fd20:2::1", "10.99.0.2", "fd99::2"] {
            once(&host, "veiled", &ping(target)).ok();
        }
        for target in ["10.99.0.2", "fd99::2"] {
            once(&host, "bare", &no_ping(target)).ok();
        }
    });
    peer.finish();
    host.finish();
}

#[test]
fn one_family_alone() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        for (name, subnet, gateway) in [
            ("four", "10.20.3.0/24", "10.20.3.1"),
            ("six", "fd20:3::/64", "fd20:3::1"),
        ] {
            let bridge = json!([{"type": "bridge", "bridge": format!("{name}0"), "isGateway": true,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": subnet}]]}}]);
            network(&host, set, name, &bridge);
            let show = format!("{} && ip -o addr show eth0 scope global", ping(gateway));
            let shown = once(&host, name, &show).ok();
            let lines = shown.stdout.lines().filter(|line| line.contains("inet"));
            assert_eq!(lines.count(), 1, "{shown}");
        }
    });
    host.finish();
}

/// How many of its own broadcasts a container hears, of three questions for an address that nobody has.
fn echoes(host: &FakeHost, name: &str) -> u32 {
    let count = "nft 'table arp t { chain c { type filter hook input priority 0; arp operation request counter; }; }'";
    beside(host, name, count).ok();
    let ask = "busybox arping -q -c 3 -w 3 -I eth0 10.20.4.250; nft list table arp t | grep -o 'packets [0-9]*'";
    let output = beside(host, name, ask).ok();
    let count = output.text().trim_start_matches("packets ");
    count.parse().unwrap()
}

#[test]
fn hairpin_and_promiscuity() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        let ipam = json!({"type": "host-local", "subnet": "10.20.4.0/24"});
        let bridge = |key: &str| json!([{"type": "bridge", "bridge": format!("{key}0"), key: true, "ipam": ipam}]);
        network(&host, set, "plain", &bridge("isGateway"));
        network(&host, set, "hairpin", &bridge("hairpinMode"));
        network(&host, set, "promisc", &bridge("promiscMode"));
        for name in ["plain", "hairpin", "promisc"] {
            start(&host, name, name);
        }
        assert!(echoes(&host, "plain") == 0);
        assert!(echoes(&host, "hairpin") == 3);
        let flags = |bridge: &str| host.sh(&format!("ip link show {bridge}")).ok().stdout;
        assert!(!flags("isGateway0").contains("PROMISC"));
        assert!(flags("promiscMode0").contains("PROMISC"));
        remove(&host, &["plain", "hairpin", "promisc"]);
    });
    host.finish();
}

#[test]
fn two_bridges_are_apart_if_their_networks_say_so() {
    let host = FakeHost::new();
    // What the firewall plugin makes for a bridge stays, as the bridge does.
    host.announce("iptables * CNI-ISOLATION-STAGE-*");
    host.announce("iptables * CNI-ISOLATION-STAGE-* *");
    with_both(&host, |set| {
        for (name, third) in [("red", 5), ("blue", 6)] {
            let plugins = json!([
                {"type": "bridge", "bridge": format!("{name}0"), "isDefaultGateway": true, "ipam": dual(third)},
                {"type": "firewall", "ingressPolicy": "same-bridge"}]);
            network(&host, set, name, &plugins);
        }
        start(&host, "red1", "red");
        start(&host, "red2", "red");
        start(&host, "blue1", "blue");
        for version in ['4', '6'] {
            let neighbour = address(&host, "red2", "eth0", version);
            within(&host, "red1", &ping(&neighbour)).ok();
            let stranger = address(&host, "blue1", "eth0", version);
            within(&host, "red1", &no_ping(&stranger)).ok();
        }
        remove(&host, &["red1", "red2", "blue1"]);
    });
    host.finish();
}

#[test]
fn without_it_two_bridges_are_joined_by_the_host() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        for (name, third) in [("red", 5), ("blue", 6)] {
            let plugins = json!([{"type": "bridge", "bridge": format!("{name}0"), "isDefaultGateway": true,
                "mtu": 1400, "ipam": dual(third)}]);
            network(&host, set, name, &plugins);
        }
        start(&host, "red1", "red");
        start(&host, "blue1", "blue");
        for version in ['4', '6'] {
            within(
                &host,
                "red1",
                &ping(&address(&host, "blue1", "eth0", version)),
            )
            .ok();
        }
        let link = beside(&host, "red1", "ip link show eth0").ok();
        assert!(link.stdout.contains("mtu 1400"), "{link}");
        remove(&host, &["red1", "blue1"]);
    });
    host.finish();
}
