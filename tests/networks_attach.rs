//! What is asked of an attachment: addresses, names of interfaces, default routes; networks of others.

use crate::host::{ALPINE, FakeHost};

fn show(host: &FakeHost, options: &[&str], line: &str) -> String {
    let run = [
        &["run", "--rm"][..],
        options,
        &[ALPINE, "sh", "-c", line][..],
    ]
    .concat();
    host.netrun(&run).ok().stdout
}

#[test]
fn addresses_and_names_are_given_as_asked() {
    let host = FakeHost::new();
    host.mynet();
    let look = "ip -4 -o addr; cat /sys/class/net/*/address";
    let mac = "02:42:0a:0a:00:07";
    for options in [
        &["--net", "mynet", "--ip", "10.10.0.7", "--mac-address", mac][..],
        &[
            "--net",
            "mynet:ip=10.10.0.7,mac=02:42:0a:0a:00:07,ifname=eth0",
        ],
        &[
            "--network",
            "name=mynet,ip=10.10.0.7,mac-address=02:42:0a:0a:00:07",
        ],
    ] {
        let shown = show(&host, options, look);
        assert!(
            shown.contains("eth0 ") && shown.contains("10.10.0.7/16") && shown.contains(mac),
            "{shown}"
        );
    }
    let shown = show(&host, &["--net", "mynet:ifname=lan0"], look);
    assert!(
        shown.contains("lan0 ") && !shown.contains("eth0 "),
        "{shown}"
    );
    host.assert_clean();
}

#[test]
fn a_chain_with_capabilities_is_told_by_them() {
    let host = FakeHost::new();
    let options = [
        "--net",
        "netrun:ip=10.61.0.9,mac=02:42:0a:0a:00:08,alias=db",
    ];
    let shown = show(
        &host,
        &options,
        "ip -4 -o addr; cat /sys/class/net/eth0/address; sleep 0.1",
    );
    assert!(
        shown.contains("10.61.0.9/16") && shown.contains("02:42:0a:0a:00:08"),
        "{shown}"
    );
    host.assert_clean();
}

#[test]
fn what_cannot_be_given_is_refused_before_anything_is_made() {
    let host = FakeHost::new();
    host.mynet();
    let bare = r#"{"cniVersion": "1.0.0", "name": "bare", "plugins": [{"type": "ptp", "ipam": {"type": "dhcp"}}]}"#;
    host.network("20-bare.conflist", bare);
    let hold = [
        "run",
        "-d",
        "--name",
        "one",
        "--net",
        "mynet:ip=10.10.0.9,mac=02:42:0a:0a:00:09",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&hold).ok();
    for (net, words) in [
        ("bare:ip=10.1.1.1", &["bare", "ips"][..]),
        ("bare:mac=02:42:0a:0a:00:01", &["bare", "mac"]),
        ("mynet:ip=10.11.0.1", &["10.11.0.1", "mynet", "range"]),
        ("mynet:ip=10.10.0.1", &["10.10.0.1", "gateway"]),
        ("mynet:ip=10.10.0.9", &["10.10.0.9", "\"one\""]),
        (
            "mynet:mac=02:42:0a:0a:00:09",
            &["02:42:0a:0a:00:09", "\"one\""],
        ),
        ("mynet:mac=ff:ff:ff:ff:ff:ff", &["ff:ff:ff:ff:ff:ff"]),
        ("mynet:ifname=lo", &["\"lo\""]),
        ("mynet:ifname=eth%d", &["eth%d"]),
        ("mynet:colour=red", &["colour"]),
        ("mynet:ip=10.10.0.256", &["10.10.0.256"]),
        (
            "ns:/run/netns/none",
            &["/run/netns/none", "not a network namespace"],
        ),
        ("container:none", &["none"]),
    ] {
        host.netrun(&["run", "--rm", "--net", net, ALPINE, "true"])
            .fails(125, words);
    }
    let alone = [
        "run",
        "--rm",
        "--net",
        "none",
        "--ip",
        "10.10.0.4",
        ALPINE,
        "true",
    ];
    host.netrun(&alone).fails(125, &["--ip", "none"]);
    host.netrun(&["rm", "-f", "one"]).ok();
    host.assert_clean();
}

#[test]
fn the_default_route_is_the_first_networks_unless_asked_otherwise() {
    let host = FakeHost::new();
    host.mynet();
    let route = "ip route | grep default; ip -4 -o addr show eth1";
    let shown = show(&host, &["--net", "netrun", "--net", "mynet"], route);
    assert!(
        shown.starts_with("default via 10.61.0.1 dev eth0"),
        "{shown}"
    );
    assert!(shown.contains("metric 1000"), "{shown}");
    assert!(shown.contains("10.10."), "{shown}");
    let shown = show(
        &host,
        &["--net", "netrun", "--net", "mynet:gw-priority=1"],
        route,
    );
    assert!(
        shown.starts_with("default via 10.10.0.1 dev eth1"),
        "{shown}"
    );
    assert!(shown.contains("metric 1000"), "{shown}");
    // docker's other word for the default network.
    let shown = show(&host, &["--net", "default"], "ip -4 -o addr show eth0");
    assert!(shown.contains("10.61."), "{shown}");
    host.assert_clean();
}

#[test]
fn default_routes_follow_networks_that_come_and_go() {
    let host = FakeHost::new();
    for (name, four, six) in [
        ("a", "10.5.0.0/24", "fd05::/64"),
        ("b", "10.6.0.0/24", "fd06::/64"),
    ] {
        let subnets = ["--subnet", four, "--subnet", six, name];
        host.netrun(&[&["network", "create"], &subnets[..]].concat())
            .ok();
    }
    // The kernel makes one of two routes of IPv6 with one metric.
    let route = "ip route | grep default; ip -6 route | grep default";
    let shown = show(&host, &["--net", "a", "--net", "b:gw-priority=1"], route);
    let expected = [
        "default via 10.6.0.1 dev eth1",
        "default via 10.5.0.1 dev eth0  metric 1000",
        "default via fd06::1 dev eth1  metric 1024",
        "default via fd05::1 dev eth0  metric 2024",
    ];
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    };
    let found: Vec<String> = lines(&shown);
    assert_eq!(found, expected);
    let run = ["run", "-d", "--name", "web", "--net", "a", "--net", "b"];
    host.netrun(&[&run[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    let routes = || {
        let shown = host.netrun(&["exec", "web", "sh", "-c", route]).ok();
        lines(&shown.stdout) as Vec<String>
    };
    let mut expected = vec![
        "default via 10.5.0.1 dev eth0",
        "default via 10.6.0.1 dev eth1  metric 1000",
        "default via fd05::1 dev eth0  metric 1024",
        "default via fd06::1 dev eth1  metric 2024",
    ];
    assert_eq!(routes(), expected);
    // The other one takes its place, and keeps it.
    for _ in 0..2 {
        host.netrun(&["network", "disconnect", "a", "web"]).ok();
        let alone = [
            "default via 10.6.0.1 dev eth1",
            "default via fd06::1 dev eth1  metric 1024",
        ];
        assert_eq!(routes(), alone);
        host.netrun(&["network", "connect", "a", "web"]).ok();
        expected = vec![
            "default via 10.6.0.1 dev eth1",
            "default via 10.5.0.1 dev eth0  metric 1000",
            "default via fd06::1 dev eth1  metric 1024",
            "default via fd05::1 dev eth0  metric 2024",
        ];
        assert_eq!(routes(), expected);
    }
    host.netrun(&["rm", "-f", "web"]).ok();
    host.netrun(&["network", "rm", "a", "b"]).ok();
    host.assert_clean();
}

#[test]
fn the_network_of_another_container_or_a_named_one() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "first", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    let look = "ip -4 -o addr show eth0; hostname; cat /etc/hosts";
    let shown = show(&host, &["--net", "container:first"], look);
    assert!(
        shown.contains("10.10.0.2/16")
            && shown.contains("\nfirst\n")
            && shown.contains("10.10.0.2\tfirst"),
        "{shown}"
    );
    host.netrun(&["exec", "first", "ip", "addr", "show", "eth0"])
        .ok();
    host.sh("ip netns add mine; ip -n mine link add d0 type bridge")
        .ok();
    host.announce("* /run/netns/mine*");
    let shown = show(&host, &["--net", "ns:/run/netns/mine"], "ip -o link");
    assert!(shown.contains("d0"), "{shown}");
    assert!(host.sh("ip netns list").ok().stdout.contains("mine"));
    host.netrun(&[
        "create",
        "--name",
        "second",
        "--net",
        "container:first",
        ALPINE,
        "true",
    ])
    .ok();
    host.netrun(&["rm", "-f", "first"]).ok();
    host.netrun(&["start", "second"])
        .fails(4, &["shares the network", "first"]);
    host.netrun(&["rm", "second"]).ok();
    host.assert_clean();
}

#[test]
fn what_was_free_may_be_taken_at_the_next_start() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "--subnet", "10.5.0.0/24", "lan"])
        .ok();
    for (asked, what) in [
        ("lan:mac=02:42:0a:05:00:05", "02:42:0a:05:00:05"),
        ("lan:ip=10.5.0.5", "10.5.0.5"),
    ] {
        let up = |name| {
            let run = ["run", "-d", "--name", name, "--net", asked, ALPINE];
            host.netrun(&[&run[..], &["sleep", "1000"]].concat()).ok();
        };
        up("a");
        host.netrun(&["stop", "-t", "0", "a"]).ok();
        up("b");
        host.netrun(&["start", "a"])
            .fails(4, &[what, "taken by container \"b\""]);
        host.netrun(&["rm", "-f", "b"]).ok();
        host.netrun(&["start", "a"]).ok();
        host.netrun(&["network", "connect", "lan", "a"])
            .fails(4, &["attached", "lan"]);
        host.netrun(&["rm", "-f", "a"]).ok();
    }
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn what_belongs_to_the_other_container_is_given_to_it() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "web", ALPINE, "sleep", "1000"])
        .ok();
    for option in [
        &["--dns", "1.1.1.1"],
        &["--dns-search", "x"],
        &["--dns-option", "x"],
        &["--add-host", "a:1.2.3.4"],
    ] {
        let run = [&["run", "--rm", "--net", "container:web"], &option[..]].concat();
        host.netrun(&[&run[..], &[ALPINE, "true"]].concat())
            .fails(125, &[option[0], "container:web"]);
    }
    let made = ["create", "--name", "side", "--net", "container:web"];
    host.netrun(&[&made[..], &[ALPINE, "true"]].concat()).ok();
    host.netrun(&["rm", "-f", "web"]).ok();
    host.netrun(&["start", "side"])
        .fails(4, &["\"web\"", "has none now", "netrun start web"]);
    host.netrun(&["rm", "side"]).ok();
    for (path, words) in [
        ("/proc/self/ns/mnt", ["not a network namespace", "hint"]),
        ("/proc/self/ns/net", ["of the host", "--net host"]),
    ] {
        let net = format!("ns:{path}");
        host.netrun(&["run", "--rm", "--net", &net, ALPINE, "true"])
            .fails(125, &words);
    }
    host.assert_clean();
}

#[test]
fn directories_may_be_named_from_here() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("mkdir -p /mnt/here/net.d && ln -s /usr/lib/cni /mnt/here/bin")
        .ok();
    let line = "cd /mnt/here && export NETCONFPATH=net.d CNI_PATH=./bin && netrun network create lan \
        && netrun run --rm --net lan alpine:3.14 ip addr show eth0 && netrun network rm lan";
    let shown = host.sh(line).ok();
    assert!(shown.stdout.contains("inet "), "{shown}");
    let line = "cd /run/containerd && netrun -a containerd.sock run --rm alpine:3.14 echo here";
    assert_eq!(host.sh(line).ok().text(), "here");
    host.assert_clean();
}
