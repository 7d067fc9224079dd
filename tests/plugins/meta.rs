//! tuning, bandwidth, sbr and firewall, and chains of many: what they add to another plugin's interface.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    address, beside, dual, machine_ping, network, no_ping, once, ping, remove, start, with_both,
    within,
};
use crate::host::{ALPINE, FakeHost, eventually};

fn bridge(third: u8) -> Value {
    json!({"type": "bridge", "bridge": format!("br{third}"), "isDefaultGateway": true, "ipMasq": true,
        "ipam": dual(third)})
}

#[test]
fn tuning_sets_sysctls_and_the_link() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        let tuning = json!({"type": "tuning", "mac": "02:11:22:33:44:55", "mtu": 1454, "promisc": true,
            "allmulti": true, "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"}});
        network(&host, set, "tuned", &json!([bridge(21), tuning]));
        start(&host, "one", "tuned");
        let link = beside(&host, "one", "ip -d link show eth0").ok();
        for words in ["02:11:22:33:44:55", "mtu 1454", "PROMISC", "ALLMULTI"] {
            assert!(link.stdout.contains(words), "{words} in {link}");
        }
        let read = "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/conf/eth0/arp_filter";
        assert_eq!(within(&host, "one", read).ok().lines(), ["500", "1"]);
        for target in ["10.20.21.1", "fd20:21::1"] {
            within(&host, "one", &ping(target)).ok();
        }
        remove(&host, &["one"]);
    });
    host.finish();
}

/// How long two million bytes take from here to there, over a limit of a million a second.
fn transfer(host: &FakeHost, inwards: bool) -> Duration {
    let near = address(host, "one", "eth0", '4');
    // The listener's own stdin would end at once, and with it the sender.
    let listen = "exec 3>&1; busybox nc -l -p 7000 -e sh -c 'wc -c >&3'";
    let send = "head -c 2000000 /dev/zero | busybox nc";
    let inside = |line: &str| host.netrun_cmd(&["exec", "one", "sh", "-c", line]);
    let outside = |line: &str| host.sh_cmd(line);
    let (listener, sender) = match inwards {
        true => (inside(listen), outside(&format!("{send} {near} 7000"))),
        false => (outside(listen), inside(&format!("{send} 10.20.22.1 7000"))),
    };
    let listener = listener.spawn();
    eventually(Duration::from_secs(10), "the server listens", || {
        let sockets = match inwards {
            true => beside(host, "one", "ss -ltn"),
            false => host.sh("ss -ltn"),
        };
        sockets.stdout.contains(":7000").then_some(())
    });
    let started = Instant::now();
    let sender = sender.spawn();
    let received = listener.wait().ok();
    let took = started.elapsed();
    assert_eq!(received.text(), "2000000");
    drop(sender.wait());
    took
}

#[test]
fn bandwidth_lets_no_more_through_than_the_limit() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        let limit = json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 400_000,
            "egressRate": 8_000_000, "egressBurst": 400_000});
        network(&host, set, "slow", &json!([bridge(22), limit]));
        start(&host, "one", "slow");
        let queues = host.sh("tc qdisc show").ok();
        let limited = queues
            .stdout
            .lines()
            .filter(|line| line.starts_with("qdisc tbf"));
        let limited: Vec<&str> = limited.filter(|line| line.contains("rate 8Mbit")).collect();
        assert_eq!(limited.len(), 2, "one for each direction: {queues}");
        assert!(
            limited.iter().all(|line| line.contains("burst 50000b")),
            "{queues}"
        );
        for inwards in [true, false] {
            let took = transfer(&host, inwards);
            assert!(
                took > Duration::from_millis(1800),
                "inwards {inwards}: {took:?}"
            );
        }
        remove(&host, &["one"]);
    });
    host.finish();
}

#[test]
fn sbr_answers_through_the_interface_that_was_asked() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.sh("ip route add 10.20.24.0/24 via 10.99.0.1; ip -6 route add fd20:24::/64 via fd99::1")
        .ok();
    peer.announce("route *20*24* via *");
    with_both(&host, |set| {
        network(&host, set, "first", &json!([bridge(23)]));
        let second =
            json!({"type": "bridge", "bridge": "br24", "isGateway": true, "ipam": dual(24)});
        network(&host, set, "without", &json!([second]));
        network(&host, set, "with", &json!([second, {"type": "sbr"}]));
        for (name, expected) in [("without", "eth0"), ("with", "eth1")] {
            let networks = ["--net", "first", "--net", name];
            let args = [
                &["run", "-d", "--name", name],
                &networks[..],
                &[ALPINE, "sleep", "1000"],
            ];
            host.netrun(&args.concat()).ok();
            for (version, far) in [('4', "10.99.0.2"), ('6', "fd99::2")] {
                let own = address(&host, name, "eth1", version);
                let route = beside(&host, name, &format!("ip route get {far} from {own}")).ok();
                assert!(route.stdout.contains(&format!("dev {expected}")), "{route}");
                peer.sh(&machine_ping(&own)).ok();
            }
            remove(&host, &[name]);
        }
    });
    peer.finish();
    host.finish();
}

#[test]
fn firewall_lets_a_container_through_a_forward_policy_of_drop() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP")
        .ok();
    with_both(&host, |set| {
        network(&host, set, "shut", &json!([bridge(25)]));
        let firewall = json!({"type": "firewall", "backend": "iptables"});
        network(&host, set, "open", &json!([bridge(26), firewall]));
        for far in ["10.99.0.2", "fd99::2"] {
            once(&host, "shut", &no_ping(far)).ok();
            once(&host, "open", &ping(far)).ok();
        }
    });
    peer.finish();
    host.finish();
}

#[test]
fn a_chain_of_seven() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP")
        .ok();
    with_both(&host, |set| {
        let plugins = json!([
            bridge(27),
            {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "tuning", "capabilities": {"mac": true}, "sysctl": {"net.core.somaxconn": "501"}},
            {"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 400_000},
            {"type": "firewall"},
            {"type": "sbr"},
            {"type": "loopback"}]);
        network(&host, set, "long", &plugins);
        start(&host, "one", "long");
        start(&host, "two", "long");
        for (version, far) in [('4', "10.99.0.2"), ('6', "fd99::2")] {
            // sbr's default route is for those who name their address.
            let own = address(&host, "one", "eth0", version);
            within(&host, "one", &ping(&format!("-I {own} {far}"))).ok();
            let neighbour = address(&host, "two", "eth0", version);
            within(&host, "one", &ping(&format!("-I {own} {neighbour}"))).ok();
        }
        let rules = beside(
            &host,
            "one",
            "cat /proc/sys/net/core/somaxconn; ip rule; ip -6 rule",
        )
        .ok();
        assert_eq!(rules.lines()[0], "501");
        for words in ["from 10.20.27.", "from fd20:27::"] {
            assert!(rules.stdout.contains(words), "{words} in {rules}");
        }
        let queues = host.sh("tc qdisc show").ok();
        let limited = queues
            .lines()
            .iter()
            .filter(|line| line.contains("tbf") && line.contains("8Mbit"))
            .count();
        assert_eq!(limited, 2, "{queues}");
        remove(&host, &["one", "two"]);
    });
    peer.finish();
    host.finish();
}
