//! host-local and static: ranges, exhaustion and reuse; fixed addresses, routes and name servers.

use serde_json::{Value, json};

use super::{fixed, network, once, ping, remove, start, with_both, within};
use crate::host::FakeHost;

/// The older bridge forgets the name servers that its IPAM plugin tells; ptp never did.
fn on_ptp(ipam: &Value) -> Value {
    json!([{"type": "ptp", "ipam": ipam}])
}

fn on_bridge(name: &str, ipam: &Value) -> Value {
    json!([{"type": "bridge", "bridge": format!("{name}0"), "isGateway": true, "ipam": ipam}])
}

/// The global addresses of a container's `eth0`, with the lengths of their prefixes.
fn addresses(host: &FakeHost, name: &str) -> Vec<String> {
    let shown = within(host, name, "ip -o addr show eth0 scope global").ok();
    let words = shown
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    words.map(str::to_owned).collect()
}

#[test]
fn host_local_gives_what_its_ranges_hold_and_takes_it_back() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        // The first set has two ranges with two addresses between them, the second is wide.
        let ipam = json!({"type": "host-local", "ranges": [
            [{"subnet": "10.20.10.0/24", "rangeStart": "10.20.10.50", "rangeEnd": "10.20.10.50", "gateway": "10.20.10.254"},
             {"subnet": "10.20.10.0/24", "rangeStart": "10.20.10.60", "rangeEnd": "10.20.10.60", "gateway": "10.20.10.254"}],
            [{"subnet": "fd20:10::/64", "rangeStart": "fd20:10::100", "rangeEnd": "fd20:10::1ff"}]],
            "routes": [{"dst": "192.0.2.0/24"}]});
        network(&host, set, "ranged", &on_bridge("ranged", &ipam));
        start(&host, "one", "ranged");
        start(&host, "two", "ranged");
        let (one, two) = (addresses(&host, "one"), addresses(&host, "two"));
        let mut first = [one[0].as_str(), two[0].as_str()];
        first.sort_unstable();
        assert_eq!(first, ["10.20.10.50/24", "10.20.10.60/24"]);
        assert!(one[1].starts_with("fd20:10::1"), "{one:?}");
        assert_ne!(one[1], two[1]);
        let third = [
            "run",
            "--rm",
            "--net",
            "ranged",
            crate::host::ALPINE,
            "true",
        ];
        host.netrun(&third)
            .fails(125, &["ranged", "no free address"]);
        let routes = within(&host, "one", &format!("ip route; {}", ping("10.20.10.254"))).ok();
        let route = "192.0.2.0/24 via 10.20.10.254";
        assert!(routes.stdout.contains(route), "{routes}");
        // What is given back is given out again, and nothing else is.
        remove(&host, &["one"]);
        let again = once(&host, "ranged", "ip -4 -o addr show eth0").ok();
        assert!(again.stdout.contains(&one[0]), "{one:?} in {again}");
        remove(&host, &["two"]);
    });
    host.finish();
}

#[test]
fn host_local_goes_on_to_the_next_address_and_keeps_its_files_where_it_is_told() {
    let host = FakeHost::new();
    host.announce("dir /run/kept*");
    host.announce("file /run/kept/kept/l*");
    with_both(&host, |set| {
        let ipam = json!({"type": "host-local", "subnet": "10.20.12.0/24", "dataDir": "/run/kept",
            "resolvConf": "/etc/kept.conf"});
        host.write(
            "/etc/kept.conf",
            "nameserver 192.0.2.9\nsearch kept.example\n",
        );
        host.announce("file /etc/kept.conf");
        network(&host, set, "kept", &on_ptp(&ipam));
        let show = "ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4; cat /etc/resolv.conf";
        let runs = [
            once(&host, "kept", show).ok(),
            once(&host, "kept", show).ok(),
        ];
        assert_ne!(runs[0].lines()[0], runs[1].lines()[0]);
        for words in ["10.20.12.", "nameserver 192.0.2.9", "search kept.example"] {
            assert!(runs[0].stdout.contains(words), "{words} in {}", runs[0]);
        }
        start(&host, "one", "kept");
        let own = addresses(&host, "one").swap_remove(0).replace("/24", "");
        assert!(
            host.read(&format!("/run/kept/kept/{own}"))
                .contains("default-one")
        );
        remove(&host, &["one"]);
    });
    host.finish();
}

#[test]
fn a_fixed_address_is_the_containers_with_its_routes_and_name_servers() {
    let host = FakeHost::new();
    with_both(&host, |set| {
        let mut ipam = fixed(&["10.20.13.5/24", "fd20:13::5/64"]);
        ipam["addresses"][0]["gateway"] = json!("10.20.13.1");
        ipam["addresses"][1]["gateway"] = json!("fd20:13::1");
        ipam["routes"] = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "203.0.113.0/24", "gw": "10.20.13.9"}]);
        network(&host, set, "fixed", &on_bridge("fixed", &ipam));
        start(&host, "one", "fixed");
        assert_eq!(addresses(&host, "one"), ["10.20.13.5/24", "fd20:13::5/64"]);
        let shown = within(&host, "one", "ip route; ip -6 route").ok();
        for words in [
            "default via 10.20.13.1 dev eth0",
            "default via fd20:13::1 dev eth0",
            "203.0.113.0/24 via 10.20.13.9",
        ] {
            assert!(shown.stdout.contains(words), "{words} in {shown}");
        }
        for target in ["10.20.13.1", "fd20:13::1"] {
            within(&host, "one", &ping(target)).ok();
        }
        remove(&host, &["one"]);
        let mut named = fixed(&["10.20.14.5/24"]);
        named["addresses"][0]["gateway"] = json!("10.20.14.1");
        named["dns"] = json!({"nameservers": ["192.0.2.8"], "search": ["fixed.example"], "options": ["ndots:3"]});
        network(&host, set, "named", &on_ptp(&named));
        let names = once(&host, "named", "cat /etc/resolv.conf").ok();
        for words in [
            "nameserver 192.0.2.8",
            "search fixed.example",
            "options ndots:3",
        ] {
            assert!(names.stdout.contains(words), "{words} in {names}");
        }
    });
    host.finish();
}
