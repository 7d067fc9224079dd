//! `netrun network`: what is written, who can use it, and what is left when it is gone.

use crate::host::{ALPINE, FakeHost};

fn up(host: &FakeHost, name: &str, net: &str) {
    let run = ["run", "-d", "--name", name, "--net", net, ALPINE];
    host.netrun(&[&run[..], &["sleep", "1000"]].concat()).ok();
}

fn ok(host: &FakeHost, line: &str) -> crate::host::Output {
    let words: Vec<&str> = line.split(' ').collect();
    host.netrun(&words).ok()
}

const FILE: &str = "/etc/cni/net.d/zz-netrun-lan.conflist";

#[test]
fn a_network_is_a_file_that_cnitool_and_ctr_can_use() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "--subnet", "10.5.0.0/24", "lan"])
        .ok();
    assert_eq!(host.sh(&format!("stat -c %a {FILE}")).ok().text(), "644");
    host.sh("ip netns add testing").ok();
    let cnitool = crate::host::unpacked("cnitool/cnitool")
        .display()
        .to_string();
    let tool = |verb: &str| {
        let line = format!("CNI_PATH=/usr/lib/cni {cnitool} {verb} lan /var/run/netns/testing");
        host.sh(&line).ok()
    };
    assert_eq!(tool("add").json()["ips"][0]["address"], "10.5.0.2/24");
    host.sh("busybox ping -c 1 -w 5 10.5.0.2").ok();
    tool("check");
    let inspect = host.netrun(&["network", "inspect", "lan"]).ok().json();
    assert!(
        inspect[0]["Containers"].to_string().contains("10.5.0.2/24"),
        "{inspect}"
    );
    host.netrun(&["network", "rm", "lan"])
        .fails(4, &["lan", "in use", "cnitool-"]);
    tool("del");
    host.sh("ip netns del testing").ok();
    // ctr takes the first file; here there is no other. It looks for plugins in /opt/cni/bin.
    host.sh("mkdir -p /mnt/cni; ln -s /usr/lib/cni/* /mnt/cni/; mkdir -p /opt; [ -e /opt/cni/bin/bridge ] || { mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni; ln -s /usr/lib/cni /opt/cni/bin; }").ok();
    host.announce("mount /opt tmpfs");
    // ctr forgets to detach what it attached.
    host.announce("iptables * nat -N CNI-*");
    host.announce("iptables * nat -A *id: \\\"default-c\\\"*");
    let image = "docker.io/library/alpine:3.14";
    let run = host
        .ctr(&[
            "run", "--rm", "--cni", image, "c", "ip", "-4", "-o", "addr", "show", "eth0",
        ])
        .ok();
    assert!(run.stdout.contains("10.5.0."), "{run}");
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn networks_are_listed_and_filtered() {
    let host = FakeHost::new();
    let created = ok(&host, "network create --label job=42 lan");
    assert_eq!(created.text(), "lan");
    host.netrun(&["network", "create", "lan"])
        .fails(4, &["lan", "already"]);
    ok(&host, "network create --ignore lan");
    ok(&host, "network create other");
    host.mynet();
    assert_eq!(
        ok(&host, "network ls -q").lines(),
        ["lan", "other", "mynet"]
    );
    let ours = ok(&host, "network ls -q --filter label=job=42");
    assert_eq!(ours.text(), "lan");
    let table = ok(&host, "network ls");
    assert!(table.lines()[0].starts_with("NAME"), "{table}");
    assert!(table.stdout.contains("10.64.0.0/24"), "{table}");
    ok(&host, "network exists lan");
    assert_eq!(host.netrun(&["network", "exists", "nope"]).code, 3);
    ok(&host, "network rm lan other");
    host.netrun(&["network", "rm", "lan"]).fails(3, &["lan"]);
    ok(&host, "network rm -f lan");
    host.netrun(&["network", "rm", "mynet"])
        .fails(4, &["mynet", "not made by netrun"]);
    host.assert_clean();
}

#[test]
fn a_network_in_use_is_inspected_and_not_removed() {
    let host = FakeHost::new();
    ok(&host, "network create lan");
    ok(&host, "network create other");
    up(&host, "web", "lan");
    let inspect = ok(&host, "network inspect lan").json();
    let lan = &inspect[0];
    let config = &lan["IPAM"]["Config"][0];
    assert_eq!(config["Used"], serde_json::json!(["10.64.0.2"]));
    assert_eq!(config["Free"], "252");
    let web = &lan["Containers"]["default-web"];
    assert_eq!(web["Name"], "web");
    assert_eq!(web["IPv4Address"], "10.64.0.2/24");
    let bridge = &lan["Plugins"][0];
    assert!(
        bridge["Path"].as_str().unwrap().ends_with("/bridge"),
        "{lan}"
    );
    assert!(bridge["CNIVersions"].to_string().contains("1.0.0"), "{lan}");
    let in_use = || {
        host.netrun(&["network", "rm", "lan"])
            .fails(4, &["in use", "\"web\""]);
    };
    in_use();
    ok(&host, "stop -t 0 web");
    in_use();
    assert_eq!(ok(&host, "network prune -f").text(), "other");
    ok(&host, "rm web");
    ok(&host, "network rm lan");
    host.assert_clean();
}

#[test]
fn a_network_is_in_use_by_what_any_namespace_has() {
    let host = FakeHost::new();
    ok(&host, "network create lan");
    let image = "docker.io/library/alpine:3.14";
    host.ctr(&["image", "export", "/mnt/alpine.tar", image])
        .ok();
    host.ctr(&["-n", "ci", "image", "import", "/mnt/alpine.tar"])
        .ok();
    host.announce("*ci*");
    ok(&host, "-n ci create --name web --net lan alpine:3.14 true");
    host.netrun(&["network", "rm", "lan"])
        .fails(4, &["in use", "container \"web\" of namespace \"ci\""]);
    assert_eq!(ok(&host, "network prune").text(), "");
    ok(&host, "-n ci rm web");
    ok(&host, "network rm lan");
}

#[test]
fn dockers_word_for_the_default_network() {
    let host = FakeHost::new();
    assert_eq!(host.netrun(&["network", "exists", "bridge"]).code, 3);
    up(&host, "web", "bridge");
    ok(&host, "network exists bridge");
    ok(&host, "network disconnect bridge web");
    ok(&host, "rm -f web");
    // A network of that very name is itself.
    let own = r#"{"cniVersion": "1.0.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "own0",
        "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}]}"#;
    host.network("50-own.conflist", own);
    up(&host, "web", "bridge");
    let ip = ["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"];
    assert_eq!(host.netrun(&ip).ok().text(), "10.77.0.2");
    ok(&host, "network disconnect bridge web");
    ok(&host, "rm -f web");
    ok(&host, "network rm netrun");
    host.assert_clean();
}

#[test]
fn no_two_networks_share_an_address() {
    let host = FakeHost::new();
    // Nobody is on it, so that no route tells of it.
    ok(&host, "network create --subnet 10.61.4.0/24 lan");
    let shown = ["run", "--rm", ALPINE, "ip", "-4", "-o", "addr"];
    let shown = host.netrun(&shown).ok();
    assert!(shown.stdout.contains("10.62.0.2/16"), "{shown}");
    let fixed = r#"{"cniVersion": "1.0.0", "name": "fixed", "plugins": [{"type": "bridge", "bridge": "own0",
        "ipam": {"type": "static", "addresses": [{"address": "10.64.0.9/24"}]}}]}"#;
    host.network("50-fixed.conflist", fixed);
    ok(&host, "network create far");
    let far = ok(&host, "network inspect far");
    assert!(far.stdout.contains("10.64.1.0/24"), "{far}");
    host.netrun(&["network", "create", "--subnet", "10.64.0.0/20", "x"])
        .fails(2, &["overlaps", "fixed"]);
    // A file in the way, which holds another network.
    host.network("zz-netrun-x.conflist", &fixed.replace("fixed", "other"));
    host.netrun(&["network", "create", "x"])
        .fails(4, &["zz-netrun-x.conflist", "something else"]);
    ok(&host, "network rm lan far netrun");
    host.assert_clean();
}

#[test]
fn the_default_network_can_be_taken_away_too() {
    let host = FakeHost::new();
    host.netrun(&["run", "--rm", ALPINE, "true"]).ok();
    host.netrun(&["network", "prune"]).ok();
    host.sh("ip link show netrun0").ok();
    host.netrun(&["network", "rm", "netrun"]).ok();
    assert_ne!(host.sh("ip link show netrun0").code, 0);
    host.netrun(&["run", "--rm", ALPINE, "true"]).ok();
}

#[test]
fn the_mtu_follows_the_default_route() {
    let host = FakeHost::new();
    let _peer = host.peer();
    host.sh("ip link set wire0 mtu 1400; ip route add default via 10.99.0.2")
        .ok();
    host.announce("route default *");
    host.netrun(&["network", "create", "lan"]).ok();
    let shown = host
        .netrun(&[
            "run",
            "--rm",
            "--net",
            "lan",
            ALPINE,
            "cat",
            "/sys/class/net/eth0/mtu",
        ])
        .ok();
    assert_eq!(shown.text(), "1400");
    host.netrun(&["network", "rm", "lan"]).ok();
    let eth0 = "/sys/class/net/eth0/mtu";
    let by_default = host.netrun(&["run", "--rm", ALPINE, "cat", eth0]).ok();
    assert_eq!(by_default.text(), "1400");
    host.netrun(&["network", "rm", "netrun"]).ok();
    host.netrun(&["network", "create", "-o", "mtu=1300", "lan"])
        .ok();
    let shown = host
        .netrun(&[
            "run",
            "--rm",
            "--net",
            "lan",
            ALPINE,
            "cat",
            "/sys/class/net/eth0/mtu",
        ])
        .ok();
    assert_eq!(shown.text(), "1300");
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn a_network_beside_an_interface_of_the_host() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.sh("ip addr add 10.98.0.1/24 dev wire0").ok();
    peer.announce("* dev wire0*");
    let create = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=wire0",
        "--subnet",
        "10.98.0.0/24",
        "--gateway",
        "10.98.0.1",
        "lan",
    ];
    host.netrun(&create).ok();
    host.netrun(&[
        "run",
        "--rm",
        "--net",
        "lan",
        ALPINE,
        "ping",
        "-c",
        "1",
        "-w",
        "5",
        "10.98.0.1",
    ])
    .ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    // Without a subnet of the parent's it has one of the pool's, as with docker.
    let pooled = ["network", "create", "-d", "macvlan", "-o", "parent=wire0"];
    let pooled = host.netrun(&[&pooled[..], &["own"]].concat()).ok();
    assert!(pooled.stderr.contains("10.64.0.0/24"), "{pooled}");
    up(&host, "one", "own");
    let ping = ["run", "--rm", "--net", "own", ALPINE, "ping", "-c", "1"];
    host.netrun(&[&ping[..], &["-w", "5", "one"]].concat()).ok();
    host.netrun(&["rm", "-f", "one"]).ok();
    host.netrun(&["network", "rm", "own"]).ok();
    assert_ne!(host.sh("ls /run/cni").code, 0);
    host.assert_clean();
}

/// Options of `network create`, and words of the refusal.
const REFUSED: &[(&[&str], &[&str])] = &[
    (&["--subnet", "10.10.5.0/24", "x"], &["overlaps", "mynet"]),
    (&["--subnet", "10.66.0.0/16", "x"], &["overlaps", "route"]),
    (
        &["--subnet", "10.5.0.1/24", "x"],
        &["10.5.0.1/24", "10.5.0.0/24"],
    ),
    (&["--subnet", "10.5.0.0/33", "x"], &["10.5.0.0/33"]),
    (&["--subnet", "10.5.0.0/31", "x"], &["10.5.0.0/31"]),
    (
        &["--subnet", "10.5.0.0/24", "--gateway", "10.6.0.1", "x"],
        &["10.6.0.1", "gateway"],
    ),
    (
        &["--subnet", "10.5.0.0/24", "--ip-range", "10.6.0.0/28", "x"],
        &["10.6.0.0/28"],
    ),
    (
        &[
            "-d",
            "macvlan",
            "-o",
            "parent=nope",
            "--subnet",
            "10.5.0.0/24",
            "x",
        ],
        &["nope", "taken0"],
    ),
    (&["-d", "macvlan", "x"], &["default route", "-o parent"]),
    (
        &["-d", "ipvlan", "-o", "vlan=7", "x"],
        &["\"vlan\"", "parent"],
    ),
    (
        &[
            "--subnet",
            "10.5.0.0/24",
            "--gateway",
            "10.5.0.1",
            "--gateway",
            "10.5.0.2",
            "x",
        ],
        &["10.5.0.2", "second gateway"],
    ),
    (&["default"], &["--net default"]),
    (&["-o", "bridge=taken0", "x"], &["taken0", "taken by"]),
    (&["-o", "bridge=cni0", "x"], &["cni0", "mynet"]),
    (&["-o", "bridge=br+", "x"], &["br+", "letters"]),
    (&["-o", "bridge=a%d", "x"], &["a%d"]),
    (&["-o", "bridge=0123456789abcdef", "x"], &["15 bytes"]),
    (
        &["-o", "bridge=br-01234567", "-o", "vlan=1000", "x"],
        &["15 bytes"],
    ),
    (
        &[
            "-d",
            "macvlan",
            "-o",
            "parent=lo",
            "--subnet",
            "10.5.0.0/24",
            "x",
        ],
        &["\"lo\""],
    ),
    (
        &["--subnet", "10.5.0.0/24", "--ip-range", "10.5.0.1/32", "x"],
        &["10.5.0.1/32", "none of it"],
    ),
    (
        &["--subnet", "10.5.0.0/24", "--ip-range", "10.5.0.9/28", "x"],
        &["10.5.0.9/28", "10.5.0.0/28"],
    ),
    (&["--subnet", "224.0.0.0/24", "x"], &["set aside"]),
    (&["--subnet", "10.5.0.0", "x"], &["10.5.0.0", "such as"]),
    (&["--gateway", "10.5.0.1", "x"], &["10.5.0.1", "--subnet"]),
    (&["-o", "colour=red", "x"], &["colour"]),
    (&["-o", "mtu=1", "x"], &["mtu"]),
    (&["-d", "overlay", "x"], &["overlay"]),
    (&["mynet"], &["mynet", "already"]),
    (&["host"], &["host"]),
    (&["a/b"], &["a/b"]),
];

#[test]
fn what_cannot_work_is_refused_before_anything_is_changed() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("ip link add taken0 type bridge; ip addr add 10.66.0.1/24 dev taken0; ip link set taken0 up").ok();
    host.announce("* taken0*");
    for (options, words) in REFUSED {
        let refused = host.netrun(&[&["network", "create"][..], options].concat());
        assert!(
            refused.code == 2 || refused.code == 3 || refused.code == 4,
            "{refused}"
        );
        let code = refused.code;
        refused.fails(code, words);
    }
    host.assert_clean();
}

#[test]
fn a_pool_of_subnets_can_be_used_up() {
    let host = FakeHost::new();
    host.write(
        "/etc/netrun/netrun.toml",
        "subnet_pools = [{ base = \"10.7.0.0/23\", size = 24 }]\n",
    );
    host.announce("* /etc/netrun*");
    for name in ["a", "b"] {
        host.netrun(&["network", "create", name]).ok();
    }
    host.netrun(&["network", "create", "c"])
        .fails(1, &["no subnet is free", "10.7.0.0/23"]);
    host.netrun(&["network", "prune"]).ok();
    host.assert_clean();
}

#[test]
fn networks_come_to_and_go_from_a_running_container() {
    let host = FakeHost::new();
    host.mynet();
    ok(&host, "network create --subnet 10.5.0.0/24 lan");
    up(&host, "web", "mynet");
    up(&host, "peer", "lan");
    ok(&host, "network connect --ip 10.5.0.77 --alias www lan web");
    host.netrun(&["network", "connect", "lan", "web"])
        .fails(4, &["already"]);
    let ping = |from: &str, name: &str| {
        host.netrun(&["exec", from, "ping", "-c", "1", "-w", "5", name])
            .code
    };
    for (from, name) in [
        ("peer", "www"),
        ("peer", "web.lan"),
        ("web", "peer"),
        ("web", "www"),
    ] {
        assert_eq!(ping(from, name), 0, "{name} from {from}");
    }
    let route = ok(&host, "exec web ip route");
    assert!(
        route
            .stdout
            .starts_with("default via 10.10.0.1 dev eth0 \n"),
        "{route}"
    );
    let shown = host.netrun(&[
        "ps",
        "--filter",
        "name=web",
        "--format",
        "{{.Networks}} {{.Addresses}}",
    ]);
    assert_eq!(shown.ok().text(), "mynet,lan 10.10.0.2,10.5.0.77");
    ok(&host, "network disconnect lan web");
    assert_ne!(ping("peer", "www"), 0);
    assert_ne!(ping("web", "peer"), 0);
    let gone = host.netrun(&["exec", "web", "ip", "link", "show", "eth1"]);
    assert_ne!(gone.code, 0, "{gone}");
    host.netrun(&["network", "disconnect", "lan", "web"])
        .fails(3, &["not attached"]);
    ok(&host, "network disconnect -f lan web");
    ok(&host, "rm -f web peer");
    ok(&host, "network rm lan");
    host.assert_clean();
}

#[test]
fn what_does_not_run_is_connected_from_its_next_start_on() {
    let host = FakeHost::new();
    ok(&host, "network create lan");
    ok(&host, "network create far");
    up(&host, "peer", "lan");
    up(&host, "web", "far");
    ok(&host, "stop -t 0 web");
    ok(&host, "network connect lan web");
    ok(&host, "network disconnect far web");
    ok(&host, "network rm far");
    ok(&host, "start web");
    ok(&host, "exec peer ping -c 1 -w 5 web");
    // One whose supervisor died is adopted, and connected then.
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    ok(&host, "network create late");
    ok(&host, "network connect late web");
    assert!(ok(&host, "exec web ip -o link").stdout.contains("eth1"));
    ok(&host, "rm -f web peer");
    ok(&host, "network rm lan late");
    host.assert_clean();
}

#[test]
fn an_interface_of_that_name_may_be_somebody_elses() {
    let host = FakeHost::new();
    for (make, there) in [
        (
            "ip link add br-lan type bridge && ip addr add 192.168.55.1/24 dev br-lan",
            true,
        ),
        (
            "ip link add br-lan type bridge && ip link add p0 type veth peer name p1 && ip link set p0 master br-lan",
            true,
        ),
        ("ip link add br-lan type veth peer name p1", true),
        ("netrun run --rm --net lan alpine:3.14 true", false),
    ] {
        host.netrun(&["network", "create", "lan"]).ok();
        host.sh(make).ok();
        host.netrun(&["network", "rm", "lan"]).ok();
        let found = host.sh("ip link show br-lan").code == 0;
        assert_eq!(found, there, "{make}");
        host.sh("ip link del p1; ip link del br-lan; true").ok();
    }
    host.assert_clean();
}

#[test]
fn a_gateway_of_ipv6_answers_the_first_packet() {
    let host = FakeHost::new();
    let subnets = ["--ipv6", "--subnet", "fd08::/64"];
    host.netrun(&[&["network", "create"][..], &subnets, &["six"]].concat())
        .ok();
    let ping = "ping -6 -c 1 -W 1 fd08::1 && ip -4 -o addr show eth0 | grep -q inet";
    for _ in 0..2 {
        let run = ["run", "--rm", "--net", "six", ALPINE, "sh", "-c", ping];
        host.netrun(&run).ok();
    }
    host.netrun(&["network", "rm", "six"]).ok();
    // An interface of somebody else is left as it is.
    host.netrun(&["network", "create", "--ipv6", "six"]).ok();
    host.sh("ip link add br-six type veth peer name p1").ok();
    host.netrun(&["run", "--rm", "--net", "six", ALPINE, "true"])
        .fails(125, &["br-six"]);
    let checks = host.sh("cat /proc/sys/net/ipv6/conf/br-six/accept_dad");
    assert_eq!(checks.ok().text(), "1");
    host.netrun(&["network", "rm", "six"]).ok();
    host.sh("ip link del br-six").ok();
    host.sh("ip link add out type veth peer name far && ip link set out mtu 1200 up && ip link set far up")
        .ok();
    host.sh("ip addr add 10.98.0.1/24 dev out && ip route replace default via 10.98.0.2")
        .ok();
    host.netrun(&["network", "create", "--ipv6", "small"])
        .fails(2, &["1200", "1280"]);
    host.netrun(&["network", "create", "small"]).ok();
    host.netrun(&["network", "rm", "small"]).ok();
    host.sh("ip link del out").ok();
    host.assert_clean();
}
