//! `netrun network`: what is written, who can use it, and what is left when it is gone.

use crate::host::{ALPINE, FakeHost};

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
fn networks_are_listed_inspected_and_removed() {
    let host = FakeHost::new();
    let created = host
        .netrun(&["network", "create", "--label", "job=42", "lan"])
        .ok();
    assert_eq!(created.text(), "lan");
    host.netrun(&["network", "create", "lan"])
        .fails(4, &["lan", "already"]);
    host.netrun(&["network", "create", "--ignore", "lan"]).ok();
    host.netrun(&["network", "create", "other"]).ok();
    host.mynet();
    let names = host.netrun(&["network", "ls", "-q"]).ok();
    assert_eq!(names.lines(), ["lan", "other", "mynet"]);
    let ours = host
        .netrun(&["network", "ls", "-q", "--filter", "label=job=42"])
        .ok();
    assert_eq!(ours.text(), "lan");
    let table = host.netrun(&["network", "ls"]).ok();
    assert!(
        table.lines()[0].starts_with("NAME") && table.stdout.contains("10.64.0.0/24"),
        "{table}"
    );
    host.netrun(&["network", "exists", "lan"]).ok();
    assert_eq!(host.netrun(&["network", "exists", "nope"]).code, 3);
    host.netrun(&[
        "run", "-d", "--name", "web", "--net", "lan", ALPINE, "sleep", "1000",
    ])
    .ok();
    let inspect = host.netrun(&["network", "inspect", "lan"]).ok().json();
    let lan = &inspect[0];
    assert_eq!(
        lan["IPAM"]["Config"][0]["Used"],
        serde_json::json!(["10.64.0.2"])
    );
    assert_eq!(lan["IPAM"]["Config"][0]["Free"], "252");
    assert_eq!(lan["Containers"]["default-web"]["Name"], "web");
    assert_eq!(
        lan["Containers"]["default-web"]["IPv4Address"],
        "10.64.0.2/24"
    );
    assert!(
        lan["Plugins"][0]["Path"]
            .as_str()
            .unwrap()
            .ends_with("/bridge"),
        "{lan}"
    );
    assert!(
        lan["Plugins"][0]["CNIVersions"]
            .to_string()
            .contains("1.0.0"),
        "{lan}"
    );
    host.netrun(&["network", "rm", "lan"])
        .fails(4, &["in use", "\"web\""]);
    host.netrun(&["stop", "-t", "0", "web"]).ok();
    host.netrun(&["network", "rm", "lan"])
        .fails(4, &["in use", "\"web\""]);
    let pruned = host.netrun(&["network", "prune", "-f"]).ok();
    assert_eq!(pruned.text(), "other");
    host.netrun(&["rm", "web"]).ok();
    host.netrun(&["network", "rm", "mynet"])
        .fails(4, &["mynet", "not made by netrun"]);
    host.netrun(&["network", "rm", "lan"]).ok();
    host.netrun(&["network", "rm", "lan"]).fails(3, &["lan"]);
    host.netrun(&["network", "rm", "-f", "lan"]).ok();
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
    host.assert_clean();
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_changed() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("ip link add taken0 type bridge; ip addr add 10.66.0.1/24 dev taken0; ip link set taken0 up").ok();
    host.announce("* taken0*");
    for (options, words) in [
        (
            &["--subnet", "10.10.5.0/24", "x"][..],
            &["overlaps", "mynet"][..],
        ),
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
        (&["-d", "macvlan", "x"], &["subnet"]),
        (&["-o", "bridge=taken0", "x"], &["taken0", "taken by"]),
        (&["-o", "bridge=cni0", "x"], &["cni0", "mynet"]),
        (&["-o", "colour=red", "x"], &["colour"]),
        (&["-o", "mtu=1", "x"], &["mtu"]),
        (&["-d", "overlay", "x"], &["overlay"]),
        (&["mynet"], &["mynet", "already"]),
        (&["host"], &["host"]),
        (&["a/b"], &["a/b"]),
    ] {
        let refused = host.netrun(&[&["network", "create"], options].concat());
        assert!(
            refused.code == 2 || refused.code == 3 || refused.code == 4,
            "{refused}"
        );
        let code = refused.code;
        refused.fails(code, words);
    }
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
    host.netrun(&["network", "create", "--subnet", "10.5.0.0/24", "lan"])
        .ok();
    for (name, net) in [("web", "mynet"), ("peer", "lan")] {
        host.netrun(&[
            "run", "-d", "--name", name, "--net", net, ALPINE, "sleep", "1000",
        ])
        .ok();
    }
    host.netrun(&[
        "network",
        "connect",
        "--ip",
        "10.5.0.77",
        "--alias",
        "www",
        "lan",
        "web",
    ])
    .ok();
    host.netrun(&["network", "connect", "lan", "web"])
        .fails(4, &["already"]);
    let ping =
        |name: &str, from: &str| host.netrun(&["exec", from, "ping", "-c", "1", "-w", "5", name]);
    for (name, from) in [
        ("www", "peer"),
        ("web.lan", "peer"),
        ("peer", "web"),
        ("www", "web"),
    ] {
        ping(name, from).ok();
    }
    let route = host.netrun(&["exec", "web", "ip", "route"]).ok();
    assert!(
        route.stdout.contains("default via 10.10.0.1 dev eth0 \n"),
        "{route}"
    );
    let shown = host
        .netrun(&[
            "ps",
            "--filter",
            "name=web",
            "--format",
            "{{.Networks}} {{.Addresses}}",
        ])
        .ok();
    assert_eq!(shown.text(), "mynet,lan 10.10.0.2,10.5.0.77");
    host.netrun(&["network", "disconnect", "lan", "web"]).ok();
    assert_ne!(ping("www", "peer").code, 0);
    assert_ne!(ping("peer", "web").code, 0);
    assert_ne!(
        host.netrun(&["exec", "web", "ip", "link", "show", "eth1"])
            .code,
        0
    );
    host.netrun(&["network", "disconnect", "lan", "web"])
        .fails(3, &["not attached"]);
    // What does not run is changed for its next start.
    host.netrun(&["stop", "-t", "0", "web"]).ok();
    host.netrun(&["network", "connect", "lan", "web"]).ok();
    host.netrun(&["start", "web"]).ok();
    ping("web", "peer").ok();
    host.netrun(&["rm", "-f", "web", "peer"]).ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}
