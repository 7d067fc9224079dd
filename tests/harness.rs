//! The harness on trial: what ctr and iproute2 leave is seen, what they take away is forgotten.

use crate::host::FakeHost;

const ALPINE: &str = "docker.io/library/alpine:3.14";

#[test]
fn a_container_of_ctr_leaves_no_trace() {
    let host = FakeHost::new();
    let run = host.ctr(&[
        "run",
        "--rm",
        ALPINE,
        "one",
        "sh",
        "-c",
        "echo hello; id -un",
    ]);
    assert_eq!(run.ok().lines(), ["hello", "root"]);
    host.finish();
}

#[test]
fn what_is_left_is_told() {
    let host = FakeHost::new();
    host.sh("ip netns add left; ip link add left0 type bridge; ip addr add 10.1.2.3/24 dev left0")
        .ok();
    host.sh("iptables -t nat -A POSTROUTING -s 10.1.2.0/24 -j MASQUERADE")
        .ok();
    host.sh("nft add table inet left; mkdir -p /run/netrun/default/left; touch /etc/left")
        .ok();
    host.ctr(&["run", "-d", ALPINE, "left", "sleep", "1000"])
        .ok();
    let changes = host.changes();
    for expected in [
        "+ mount /run/netns/left nsfs",
        "+ file /run/netns/left",
        "+ link left0",
        "+ address 10.1.2.3/24 dev left0",
        "+ iptables iptables-nft nat -A POSTROUTING -s 10.1.2.0/24 -j MASQUERADE",
        "+ nft table inet left",
        "+ dir /run/netrun/default/left",
        "+ file /etc/left",
        "+ container default left",
        "+ task default left",
        "+ snapshot default left",
        "+ process sleep 1000",
        "+ dir /run/containerd/runc/default/left",
        "+ cgroup pids/default/left",
    ] {
        assert!(
            changes.iter().any(|line| line == expected),
            "{expected} in {changes:#?}"
        );
    }
    host.ctr(&["task", "kill", "-s", "SIGKILL", "left"]).ok();
    host.sh("sleep 0.2; ctr task rm left; ctr container rm left; rm -r /etc/left /run/netrun")
        .ok();
    host.sh("ip netns del left; ip link del left0; nft delete table inet left")
        .ok();
    host.sh("iptables -t nat -F POSTROUTING").ok();
}

#[test]
fn the_typed_sequence_on_two_hosts_joined_by_a_cable() {
    let host = FakeHost::bare();
    let peer = host.peer();
    host.sh("busybox ping -c 1 -w 5 10.99.0.2").ok();
    peer.sh("busybox ping -c 1 -w 5 10.99.0.1").ok();
    assert_ne!(host.name(), peer.name());
}

#[test]
fn a_registry_serves_every_test_image() {
    let host = FakeHost::with_registry();
    host.announce_images();
    for image in ["alpine:3.14", "featured:1", "layers:1"] {
        let image = format!("docker.io/library/{image}");
        host.ctr(&[
            "image",
            "pull",
            "--hosts-dir",
            "/etc/containerd/certs.d",
            &image,
        ])
        .ok();
    }
    let look = "cat /data/five; ls /data /data/old";
    let run = host.ctr(&[
        "run",
        "--rm",
        "docker.io/library/layers:1",
        "l",
        "sh",
        "-c",
        look,
    ]);
    assert_eq!(
        run.ok().text(),
        "six\n/data:\nfive\nold\nthree\n\n/data/old:\nfresh"
    );
}
