//! Commands that meet a container while it comes up, goes down, or has lost its supervisor.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, Output, Running, eventually};

/// A network whose ADD takes this many seconds, so that a launch takes at least as long.
fn slow_network(host: &FakeHost, seconds: u32) {
    let answer = r#"{"cniVersion": "1.0.0", "interfaces": [], "ips": []}"#;
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\n[ $CNI_COMMAND = ADD ] || exit 0\nsleep {seconds}; echo '{answer}'\n"
    );
    host.write("/mnt/plugins/slow", &script);
    host.sh("chmod 755 /mnt/plugins/slow").ok();
    let config = r#"{"cniVersion": "1.0.0", "name": "slow", "plugins": [{"type": "slow"}]}"#;
    host.network("20-slow.conflist", config);
}

/// Begins a launch, and waits until it is under way.
fn launching(host: &FakeHost, name: &str, command: &[&str]) -> Running {
    let args = ["run", "-d", "--name", name, "--net", "slow", ALPINE];
    let run = host.netrun_cmd(&[&args[..], command].concat());
    let run = run.env("CNI_PATH", "/mnt/plugins").spawn();
    eventually(Duration::from_secs(20), "the launch is under way", || {
        (host.ctr(&["container", "info", name]).code == 0).then_some(())
    });
    run
}

fn sleeper(host: &FakeHost, name: &str) {
    host.netrun(&["run", "-d", "--name", name, ALPINE, "sleep", "1000"])
        .ok();
}

/// The supervisor's pid, on the host.
fn supervisor(host: &FakeHost, name: &str) -> String {
    let line = format!("pgrep -f '[n]etrun supervise default {name} '");
    host.sh(&line).ok().text().to_owned()
}

fn state(host: &FakeHost, name: &str) -> String {
    let args = ["inspect", "--format", "{{.State.Status}}", name];
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn rm_during_a_launch_is_refused_and_by_force_removes_all() {
    let host = FakeHost::new();
    slow_network(&host, 2);
    let run = launching(&host, "up", &["sleep", "1000"]);
    host.netrun(&["rm", "up"]).fails(4, &["up", "is running"]);
    run.wait().ok();
    host.netrun(&["exec", "up", "true"]).ok();
    host.netrun(&["rm", "-f", "up"]).ok();
    host.assert_clean();

    let run = launching(&host, "up", &["sleep", "1000"]);
    host.netrun(&["rm", "-f", "up"]).ok();
    // It did run, and was removed then.
    run.wait().ok();
    host.assert_clean();
}

#[test]
fn kill_ends_a_paused_container_at_once() {
    let host = FakeHost::new();
    sleeper(&host, "p");
    host.netrun(&["pause", "p"]).ok();
    let killed = host.netrun(&["kill", "p"]).ok();
    assert!(killed.took < Duration::from_secs(8), "{killed}");
    assert_eq!(state(&host, "p"), "exited");
    host.netrun(&["rm", "p"]).ok();
    host.finish();
}

#[test]
fn verbs_wait_for_a_launch_that_is_under_way() {
    let host = FakeHost::new();
    slow_network(&host, 2);
    let run = launching(&host, "e", &["sleep", "1000"]);
    let exec = host.netrun(&["exec", "e", "echo", "inside"]).ok();
    assert_eq!(exec.text(), "inside");
    run.wait().ok();
    host.netrun(&["rm", "-f", "e"]).ok();

    let run = launching(&host, "s", &["sleep", "1000"]);
    host.netrun(&["stop", "-t", "0", "s"]).ok();
    assert_eq!(state(&host, "s"), "exited");
    run.wait().ok();
    host.netrun(&["rm", "s"]).ok();

    let run = launching(&host, "w", &["sh", "-c", "sleep 0.2; exit 3"]);
    assert_eq!(host.waited("w"), 3);
    run.wait().ok();
    host.netrun(&["rm", "w"]).ok();

    let run = launching(&host, "k", &["sleep", "1000"]);
    host.netrun(&["kill", "k"]).ok();
    run.wait().ok();
    assert_eq!(host.waited("k"), 137);
    host.netrun(&["rm", "k"]).ok();

    let run = launching(&host, "a", &["sh", "-c", "sleep 1; echo seen; exit 4"]);
    let attached = host.netrun(&["attach", "a"]).code(4);
    assert_eq!(attached.text(), "seen");
    run.wait().ok();
    host.netrun(&["rm", "a"]).ok();
}

#[test]
fn a_killed_container_can_be_started_or_removed_at_once() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    for _ in 0..5 {
        host.sh("netrun kill c && netrun start c && netrun exec c true")
            .ok();
    }
    host.sh("netrun kill c && netrun rm c").ok();
    host.assert_clean();
    for _ in 0..5 {
        sleeper(&host, "d");
        host.sh("netrun kill d && netrun rm d").ok();
    }
    host.assert_clean();
}

#[test]
fn a_second_kill_says_that_it_does_not_run() {
    let host = FakeHost::new();
    for _ in 0..5 {
        sleeper(&host, "c");
        let line = "netrun kill c || exit 9; netrun kill c";
        host.sh(line).fails(4, &["c", "is not running"]);
        let line = "netrun start c && netrun kill c || exit 9; netrun exec c true";
        host.sh(line).fails(125, &["c", "is not running"]);
        host.netrun(&["rm", "c"]).ok();
    }
    // One that is being stopped still runs.
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sh", "-c", deaf])
        .ok();
    eventually(Duration::from_secs(10), "it is deaf", || {
        let logs = host.netrun(&["logs", "c"]);
        logs.stdout.contains("up").then_some(())
    });
    let stop = host.netrun_cmd(&["stop", "-t", "30", "c"]).spawn();
    std::thread::sleep(Duration::from_millis(500));
    host.netrun(&["rm", "c"]).fails(4, &["c", "is running"]);
    host.netrun(&["kill", "c"]).ok();
    let stopped = stop.wait_for(Duration::from_secs(10)).ok();
    assert_eq!(stopped.text(), "c");
    host.netrun(&["rm", "c"]).ok();
}

#[test]
fn a_supervisor_that_dies_under_a_request_is_replaced() {
    let host = FakeHost::new();
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sh", "-c", deaf])
        .ok();
    let stop = host.netrun_cmd(&["stop", "-t", "2", "c"]).spawn();
    let wait = host.netrun_cmd(&["wait", "c"]).spawn();
    std::thread::sleep(Duration::from_millis(700));
    host.sh(&format!("kill -9 {}", supervisor(&host, "c"))).ok();
    stop.wait().ok();
    assert_eq!(wait.wait().code(137).text(), "137");
    assert_eq!(state(&host, "c"), "exited");
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}

#[test]
fn a_shim_that_says_nothing_delays_the_end_and_does_not_hide_it() {
    let host = FakeHost::new();
    sleeper(&host, "c");
    let shim = host.sh("pgrep -f '[c]ontainerd-shim.*-id c'").ok();
    host.sh(&format!(
        "kill -STOP {}; until pkill -9 -f '^sleep [1]000'; do sleep 0.05; done",
        shim.text()
    ))
    .ok();
    let told = "the record says how it ended";
    eventually(Duration::from_secs(25), told, || {
        record(&host).contains("did not say").then_some(())
    });
    host.sh(&format!("kill -CONT {}", shim.text())).ok();
    // The shim may have been told to delete what it had not seen end: then gc finishes it, and by
    // now containerd knows the status.
    host.netrun(&["gc"]).ok();
    let status = host.waited("c");
    assert!([255, 137].contains(&status), "{status}");
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}

/// The record of `c` as containerd keeps it.
fn record(host: &FakeHost) -> String {
    let line = "ctr container info c | jq -r '.Extensions[\"netrun.record\"].value // .Extensions[\"netrun.record\"].Value' | base64 -d";
    host.sh(line).stdout
}

#[test]
fn a_supervisor_short_of_descriptors_listens_again_later() {
    let host = FakeHost::new();
    sleeper(&host, "c");
    let pid = supervisor(&host, "c");
    let limit = |count: &str| {
        host.sh(&format!("prlimit --pid {pid} --nofile={count}:"))
            .ok()
    };
    let before = host
        .sh(&format!(
            "prlimit --pid {pid} --nofile --noheadings --output SOFT"
        ))
        .ok();
    limit("3");
    let stop = host.netrun_cmd(&["stop", "-t", "0", "c"]).spawn();
    std::thread::sleep(Duration::from_millis(700));
    limit(before.text());
    stop.wait_for(Duration::from_secs(20)).ok();
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}

#[test]
fn gc_sweeps_run_directories_that_were_half_made_or_half_removed() {
    let host = FakeHost::new();
    sleeper(&host, "c");
    host.sh("mkdir -p /run/netrun/default/.99999999-x /run/netrun/default/.99999998; touch /run/netrun/default/.99999999-x/alive").ok();
    host.netrun(&["gc"]).ok();
    host.netrun(&["exec", "c", "true"]).ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

/// The connections of a process to containerd.
pub fn connections(host: &FakeHost, pid: &str) -> Output {
    // Only containerd's end has the socket's name; the other one is known as its peer.
    let ends = format!(
        "/containerd.sock/ {{ theirs[$6] }} /pid={pid},/ {{ ours[$8] }} \
         END {{ for (end in ours) if (end in theirs) print end }}"
    );
    host.sh(&format!("ss -xp | awk '{ends}'")).ok()
}

#[test]
fn no_connection_is_held_after_an_exec() {
    let host = FakeHost::new();
    sleeper(&host, "c");
    let pid = supervisor(&host, "c");
    let released = || {
        eventually(Duration::from_secs(8), "it lets the connection go", || {
            connections(&host, &pid).text().is_empty().then_some(())
        });
    };
    released();
    host.netrun(&["exec", "c", "true"]).ok();
    released();
    host.netrun(&["exec", "-d", "c", "sleep", "2"]).ok();
    assert_eq!(connections(&host, &pid).lines().len(), 1);
    released();
    host.netrun(&["rm", "-f", "c"]).ok();
}

#[test]
fn the_end_of_input_is_told_though_containerd_is_away() {
    let host = FakeHost::new();
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-i", ALPINE, "sh", "-c", "cat; echo over"])
        .spawn_interactive();
    run.send("first\n");
    run.expect("first");
    sleeper(&host, "e");
    let mut exec = host
        .netrun_cmd(&["exec", "-i", "e", "sh", "-c", "cat; echo over >>/tmp/over"])
        .spawn_interactive();
    exec.send("first\n");
    exec.expect("first");
    // No connection is held any more, and none can be made.
    std::thread::sleep(Duration::from_millis(1500));
    host.stop_containerd();
    run.close_stdin();
    exec.close_stdin();
    std::thread::sleep(Duration::from_millis(1500));
    host.start_containerd();
    let ended = run.wait_for(Duration::from_secs(20)).ok();
    assert_eq!(ended.lines(), ["first", "over"]);
    eventually(Duration::from_secs(20), "the exec read its end", || {
        let over = host.netrun(&["exec", "e", "cat", "/tmp/over"]);
        over.stdout.contains("over").then_some(())
    });
    let exec = exec.wait_for(Duration::from_secs(20)).ok();
    assert_eq!(exec.text(), "first");
    host.netrun(&["rm", "-f", "e"]).ok();
}

#[test]
fn a_command_does_not_wait_for_orphans_that_take_long() {
    let host = FakeHost::new();
    for name in ["a", "b", "c"] {
        sleeper(&host, name);
    }
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    // Whoever adopts waits for this.
    let hold = "exec 8>>/run/netrun/locks/ctr-default--a 9>>/run/netrun/locks/ctr-default--b; \
        flock 8; flock 9; echo held; read line";
    let mut busy = host.sh_cmd(hold).spawn_interactive();
    busy.expect("held");
    assert_eq!(host.netrun(&["ps", "-q"]).ok().lines().len(), 3);
    host.netrun(&["exec", "c", "true"]).ok();
    // Whoever names one waits for it.
    let mut named = host.netrun_cmd(&["exec", "a", "true"]).spawn();
    std::thread::sleep(Duration::from_secs(1));
    assert!(!named.ended() && !busy.ended());
    busy.send("\n");
    named.wait().ok();
    busy.wait().ok();
    host.netrun(&["rm", "-f", "a", "b", "c"]).ok();
    host.assert_clean();
}

#[test]
fn pids_of_another_pid_namespace_are_nobody_here() {
    let host = FakeHost::new();
    host.stop_containerd();
    // Whatever pid containerd tells of is somebody's here.
    let innocent = "for n in $(seq 600); do sleep 1001 & done; echo there; wait";
    let innocent = host.cmd("sh").args(&["-c", innocent]).spawn();
    innocent.expect("there");
    let count = || host.sh("pgrep -cf '^sleep [1]001'").ok().text().to_owned();
    assert_eq!(count(), "600");
    let line = "exec unshare --pid --fork --kill-child --mount-proc --propagation slave sh -c \
        'for n in $(seq 300); do /bin/true; done; exec containerd --config /mnt/containerd.toml' \
        >/dev/null 2>&1";
    let containerd = host.cmd("sh").args(&["-c", line]).spawn();
    let answers = || (host.ctr(&["version"]).code == 0).then_some(());
    eventually(Duration::from_secs(30), "containerd answers", answers);
    // Its mounts are its own, too, so that no network namespace of ours reaches it.
    let run = ["run", "-d", "--net", "host", "--name"];
    host.netrun(&[&run[..], &["c", ALPINE, "sleep", "1000"]].concat())
        .ok();
    let ends = "echo up; sleep 1; exit 7";
    host.netrun(&[&run[..], &["d", ALPINE, "sh", "-c", ends]].concat())
        .ok();
    assert_eq!(host.netrun(&["exec", "c", "echo", "in"]).ok().text(), "in");
    assert_eq!(host.waited("d"), 7);
    host.netrun(&["rm", "d"]).ok();
    host.netrun(&["rm", "c"]).fails(4, &["is running"]);
    host.netrun(&["stop", "-t", "0", "c"]).ok();
    host.netrun(&["start", "c"]).ok();
    host.netrun(&["kill", "c"]).ok();
    assert_eq!(host.waited("c"), 137);
    host.netrun(&["rm", "c"]).ok();
    assert_eq!(count(), "600");
    drop(containerd);
    drop(innocent);
    host.sh("pkill -9 -f '^sleep [1]001'; rm -f /run/containerd/containerd.sock")
        .ok();
    host.start_containerd();
}
