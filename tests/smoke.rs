//! What the product promises first, in short: this runs on every containerd that is supported.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, eventually};

#[test]
fn a_networked_container_in_one_command() {
    let host = FakeHost::new();
    host.mynet();
    let args = [
        "run", "--rm", "--net", "mynet", ALPINE, "ip", "-4", "addr", "show", "eth0",
    ];
    let run = host.netrun(&args).ok();
    assert!(run.stdout.contains("inet 10.10.0."), "{run}");
    host.assert_clean();
}

#[test]
fn containers_reach_each_other_the_gateway_and_the_host() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("ip addr add 198.51.100.7/32 dev lo").ok();
    host.announce("*198.51.100.7*");
    host.netrun(&[
        "run", "-d", "--name", "other", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    let address = address_of(&host, "other");
    for target in [address.as_str(), "10.10.0.1", "198.51.100.7"] {
        let ping = ["ping", "-c", "1", "-w", "5", target];
        let run = [&["run", "--rm", "--net", "mynet", ALPINE], &ping[..]].concat();
        host.netrun(&run).ok();
        host.netrun(&[&["exec", "other"], &ping[..]].concat()).ok();
    }
    host.sh(&format!("busybox ping -c 1 -w 5 {address}")).ok();
    host.netrun(&["rm", "-f", "other"]).ok();
    host.assert_clean();
}

/// The address of a container's `eth0`, as seen from inside.
fn address_of(host: &FakeHost, name: &str) -> String {
    let output = host
        .netrun(&["exec", name, "ip", "-4", "-o", "addr", "show", "eth0"])
        .ok();
    let word = output.stdout.split_whitespace().nth(3).unwrap_or_default();
    word.split('/').next().unwrap().to_owned()
}

#[test]
fn the_readme_sequence() {
    let host = FakeHost::new();
    host.mynet();
    let run = [
        "run",
        "-d",
        "--name",
        "alpine-net",
        "--net",
        "mynet",
        ALPINE,
        "sleep",
        "1000",
    ];
    assert_eq!(host.netrun(&run).ok().text(), "alpine-net");
    assert!(
        host.sh("ip netns list")
            .ok()
            .stdout
            .contains("netrun-alpine-net")
    );
    let inside = host
        .sh("ip netns exec netrun-alpine-net ip -4 -o addr show eth0")
        .ok();
    assert!(inside.stdout.contains("10.10."), "{inside}");
    let exec = [
        "exec",
        "alpine-net",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 9",
    ];
    let exec = host.netrun(&exec).code(9);
    assert_eq!((exec.text(), exec.stderr.trim()), ("out", "err"));
    assert_eq!(host.netrun(&["ps", "-q"]).ok().text(), "alpine-net");
    host.netrun(&["rm", "-f", "alpine-net"]).ok();
    host.assert_clean();
}

#[test]
fn everything_removed_at_once_leaves_nothing() {
    let host = FakeHost::new();
    host.mynet();
    for name in ["a", "b", "c"] {
        host.netrun(&[
            "run", "-d", "--name", name, "--net", "mynet", ALPINE, "sleep", "1000",
        ])
        .ok();
    }
    host.netrun(&["run", "--name", "d", "--net", "mynet", ALPINE, "true"])
        .ok();
    host.sh("netrun rm -f $(netrun ps -aq)").ok();
    host.assert_clean();
}

#[test]
fn status_output_and_input_pass_through() {
    let host = FakeHost::new();
    let run = host.netrun(&[
        "run",
        "--rm",
        ALPINE,
        "sh",
        "-c",
        "echo o; echo e >&2; exit 42",
    ]);
    let run = run.code(42);
    assert_eq!((run.text(), run.stderr.trim()), ("o", "e"));
    let copied = host.netrun_cmd(&["run", "--rm", "-i", ALPINE, "sha256sum"]);
    let copied = copied.stdin(vec![b'x'; 3_000_000]).run().ok();
    let here = host
        .cmd("sha256sum")
        .stdin(vec![b'x'; 3_000_000])
        .run()
        .ok();
    assert_eq!(copied.text(), here.text());
    host.netrun(&["run", "--rm", ALPINE, "no-such-command"])
        .fails(127, &["no-such-command"]);
    host.netrun(&["run", "--rm", ALPINE, "/etc/motd"])
        .fails(126, &["/etc/motd"]);
}

#[test]
fn a_container_that_ends_by_itself_gives_its_network_back() {
    let host = FakeHost::new();
    host.mynet();
    let short = [
        "run", "-d", "--net", "mynet", "--name", "short", ALPINE, "sleep", "0.5",
    ];
    host.netrun(&short).ok();
    eventually(Duration::from_secs(20), "the process ended", || {
        (host.sh("pgrep -x sleep").code != 0).then_some(())
    });
    eventually(Duration::from_secs(1), "its network is gone", || {
        (!host.sh("ip netns list").stdout.contains("short")).then_some(())
    });
    assert_eq!(host.waited("short"), 0);
    host.netrun(&["rm", "short"]).ok();
    host.netrun(&[
        "run", "-d", "--rm", "--net", "mynet", ALPINE, "sleep", "0.2",
    ])
    .ok();
}

#[test]
fn pulled_from_a_registry_under_docker_hubs_name() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let run = host
        .netrun(&["run", "--rm", ALPINE, "cat", "/etc/alpine-release"])
        .ok();
    assert_eq!(run.text(), "3.14.10");
    host.ctr(&[
        "run",
        "--rm",
        "docker.io/library/alpine:3.14",
        "by-ctr",
        "true",
    ])
    .ok();
    let images = host.netrun(&["images"]).ok();
    assert!(images.stdout.contains("alpine"), "{images}");
}

#[test]
fn a_killed_foreground_run_is_stopped_and_torn_down() {
    let host = FakeHost::new();
    let run = host
        .netrun_cmd(&["run", "--rm", ALPINE, "sh", "-c", "echo up; sleep 1000"])
        .spawn();
    run.expect("up");
    run.signal(nix::sys::signal::SIGKILL);
    drop(run);
    let left = host.settle(Duration::from_secs(20));
    assert!(left.is_empty(), "left on the host:\n{}", left.join("\n"));
}
