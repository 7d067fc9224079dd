//! `netrun gc`: what nobody looks after is adopted or torn down, and nothing else is touched.

use crate::host::{ALPINE, FakeHost};

#[test]
fn it_touches_nothing_that_lives_or_is_not_ours() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "live", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.netrun(&["create", "--name", "made", ALPINE, "true"])
        .ok();
    host.sh("ip netns add foreign; ip link add foreign0 type bridge; mkdir -p /var/lib/cni/networks/other; printf 'x\\neth0' >/var/lib/cni/networks/other/10.5.0.2").ok();
    for pattern in [
        "* /run/netns/foreign*",
        "link foreign0",
        "route * dev foreign0 *",
        "* /var/lib/cni/networks/other*",
    ] {
        host.announce(pattern);
    }
    host.netrun(&["gc"]).ok();
    host.netrun(&["exec", "live", "ping", "-c", "1", "-w", "5", "10.10.0.1"])
        .ok();
    assert!(host.sh("ip netns list").ok().stdout.contains("foreign"));
    host.sh("ip link show foreign0; cat /var/lib/cni/networks/other/10.5.0.2")
        .ok();
    host.netrun(&["start", "made"]).ok();
    host.netrun(&["rm", "-f", "live", "made"]).ok();
    host.assert_clean();
}

#[test]
fn it_finishes_what_a_killed_machine_half_left() {
    let host = FakeHost::new();
    host.mynet();
    for name in ["a", "b"] {
        host.netrun(&[
            "run", "-d", "--name", name, "--net", "mynet", ALPINE, "sleep", "1000",
        ])
        .ok();
    }
    // The supervisor first, else it would tear down the other's remains itself.
    host.sh("pkill -9 -f '[n]etrun supervise'; sleep 0.2; pkill -9 -f '[c]ontainerd-shim.*-id a'; sleep 0.5").ok();
    host.netrun(&["gc"]).ok();
    let states = host
        .netrun(&["ps", "-a", "--format", "{{.Names}} {{.State}}"])
        .ok();
    assert!(
        states.stdout.contains("a exited") && states.stdout.contains("b running"),
        "{states}"
    );
    assert_eq!(host.waited("a"), 255);
    host.netrun(&["exec", "b", "true"]).ok();
    host.netrun(&["rm", "-f", "a", "b"]).ok();
    host.assert_clean();
}

#[test]
fn a_shim_that_containerd_has_forgotten_goes() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "lost", ALPINE, "sleep", "1000"])
        .ok();
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    host.stop_containerd();
    // containerd finds running shims by their bundles.
    host.sh("cd /run/containerd/io.containerd.runtime.v2.task/default; umount -l lost/rootfs; rm -rf lost")
        .ok();
    host.start_containerd();
    host.netrun(&["rm", "-f", "lost"]).ok();
    host.netrun(&["gc"]).ok();
    // Only the bundle that this test took away said which socket the shim had.
    host.announce("socket /run/containerd/s/*");
    let left = host.settle(std::time::Duration::from_secs(10));
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn stale_entries_and_dead_leases_go() {
    let host = FakeHost::new();
    host.netrun(&["run", "--rm", ALPINE, "true"]).ok();
    host.sh("mkdir -p /run/netrun/default/ghost; touch /run/netrun/default/ghost/lock")
        .ok();
    host.netrun(&["gc"]).ok();
    host.assert_clean();
}

#[test]
fn any_command_tidies_up_after_killed_ones() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "here", ALPINE, "sleep", "1000"])
        .ok();
    host.netrun(&["create", "--name", "made", ALPINE]).ok();
    let before = host.sh("ls -A /run/netrun/locks /run/netrun/default").ok();
    host.sh("touch /run/netrun/locks/ctr-default--gone /run/netrun/locks/ctr-ci--gone; mkdir -p /run/netrun/default/.99999999-gone/io")
        .ok();
    host.netrun(&["ps"]).ok();
    let after = host.sh("ls -A /run/netrun/locks /run/netrun/default").ok();
    assert_eq!(after.stdout, before.stdout);
    // A lock that somebody holds is left.
    let lock = "/run/netrun/locks/ctr-default--soon";
    let held =
        format!("flock {lock} sh -c 'netrun ps -q; ls {lock}'; netrun ps -q; ls {lock} 2>&1");
    let held = host.sh(&held);
    assert_eq!(held.stdout.matches(lock).count(), 2, "{held}");
    assert!(held.stdout.contains("No such file"), "{held}");
    host.netrun(&["rm", "-f", "here", "made"]).ok();
    host.assert_clean();
}

#[test]
fn it_runs_beside_any_number_of_commands() {
    let host = FakeHost::new();
    host.mynet();
    let runs: Vec<_> = (0..6)
        .map(|_| {
            let line =
                "for n in 1 2 3 4; do netrun run --rm --net mynet alpine:3.14 true || exit 1; done";
            host.cmd("sh").args(&["-c", line]).spawn()
        })
        .collect();
    let mut sweeps = 0;
    for run in runs {
        let mut run = run;
        while !run.ended() {
            host.netrun(&["gc"]).ok();
            sweeps += 1;
        }
        run.wait().ok();
    }
    assert!(sweeps > 1);
    host.assert_clean();
}

#[test]
fn twice_is_the_same_as_once() {
    let host = FakeHost::new();
    for _ in 0..2 {
        host.netrun(&["gc"]).ok();
    }
    host.assert_clean();
}
