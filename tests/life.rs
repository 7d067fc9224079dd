//! The rest of a container's life: create, start, stop, kill, restart, rm, wait, attach.

use std::time::{Duration, Instant};

use crate::host::{ALPINE, FakeHost, eventually};

/// Starts a detached container that says `up`, and `term` when it is asked to end.
fn polite(host: &FakeHost, name: &str) {
    let line = "trap 'echo term; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", name, ALPINE, "sh", "-c", line])
        .ok();
    up(host, name);
}

fn up(host: &FakeHost, name: &str) {
    eventually(Duration::from_secs(20), "it is up", || {
        let logs = host.netrun(&["logs", name]);
        logs.stdout.contains("up").then_some(())
    });
}

fn state(host: &FakeHost, name: &str) -> String {
    let args = ["inspect", "--format", "{{.State.Status}}", name];
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn created_started_stopped_started_again_removed() {
    let host = FakeHost::new();
    host.mynet();
    let create = [
        "create",
        "--name",
        "c",
        "--net",
        "mynet",
        ALPINE,
        "sh",
        "-c",
        "echo up; sleep 1000",
    ];
    assert_eq!(host.netrun(&create).ok().text(), "c");
    assert_eq!(state(&host, "c"), "created");
    assert!(!host.sh("ip netns list").ok().stdout.contains("netrun-c"));
    host.netrun(&["start", "c"]).ok();
    assert_eq!(state(&host, "c"), "running");
    // The kernel gives the numbers of namespaces that are gone to new ones: a mark tells them apart.
    let mark = || host.sh("ip -n netrun-c link add mark type bridge").ok();
    mark();
    host.netrun(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(state(&host, "c"), "exited");
    assert!(!host.sh("ip netns list").ok().stdout.contains("netrun-c"));
    assert_eq!(
        host.sh("ls /var/lib/cni/networks/mynet | grep ^10 | wc -l")
            .ok()
            .text(),
        "0"
    );
    host.netrun(&["start", "c"]).ok();
    mark();
    host.netrun(&["restart", "-t", "0", "c"]).ok();
    mark();
    let exec = host
        .netrun(&["exec", "c", "ip", "-4", "addr", "show", "eth0"])
        .ok();
    assert!(exec.stdout.contains("10.10."), "{exec}");
    host.netrun(&["rm", "c"]).fails(4, &["c"]);
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_was_written_survives_a_restart_and_not_a_removal() {
    let host = FakeHost::new();
    let line = "cat /kept 2>/dev/null; echo again >/kept; echo up; sleep 1000";
    host.netrun(&["run", "-d", "--name", "w", ALPINE, "sh", "-c", line])
        .ok();
    up(&host, "w");
    host.netrun(&["restart", "-t", "0", "w"]).ok();
    eventually(
        Duration::from_secs(20),
        "the second run found the file",
        || {
            host.netrun(&["logs", "w"])
                .stdout
                .contains("again")
                .then_some(())
        },
    );
    host.netrun(&["rm", "-f", "w"]).ok();
    let again = host.netrun(&["run", "--rm", "--name", "w", ALPINE, "ls", "/kept"]);
    assert_ne!(again.code, 0);
}

#[test]
fn stop_asks_then_kills() {
    let host = FakeHost::new();
    polite(&host, "p");
    // docker's word for as long as it takes.
    host.netrun(&["stop", "-t", "-1", "p"]).ok();
    assert_eq!(host.waited("p"), 5);
    assert!(host.netrun(&["logs", "p"]).ok().stdout.contains("term"));
    host.netrun(&["stop", "p"]).ok();
    host.netrun(&["rm", "p"]).ok();
    // One that goes when it ends does not go when it is started again.
    let args = ["run", "-d", "--rm", "--name", "r", ALPINE, "sleep", "1000"];
    host.netrun(&args).ok();
    host.netrun(&["restart", "-t", "0", "r"]).ok();
    host.netrun(&["exec", "r", "true"]).ok();
    host.netrun(&["gc"]).ok();
    host.netrun(&["stop", "-t", "0", "r"]).ok();
    host.netrun(&["exec", "r", "true"]).fails(125, &["r"]);
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", "d", ALPINE, "sh", "-c", deaf])
        .ok();
    up(&host, "d");
    let started = Instant::now();
    host.netrun(&["stop", "--time", "1", "d"]).ok();
    let took = started.elapsed();
    assert!((0.9..8.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(host.waited("d"), 137);
    host.netrun(&["rm", "d"]).ok();
}

#[test]
fn kill_sends_the_signal_that_is_asked_for() {
    let host = FakeHost::new();
    let line = "trap 'echo got-usr1' USR1; trap 'echo got-hup' HUP; trap 'exit 6' TERM
        echo up; while :; do sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", "k", ALPINE, "sh", "-c", line])
        .ok();
    up(&host, "k");
    for (signal, answer) in [("USR1", "got-usr1"), ("SIGHUP", "got-hup")] {
        host.netrun(&["kill", "-s", signal, "k"]).ok();
        eventually(Duration::from_secs(10), answer, || {
            host.netrun(&["logs", "k"])
                .stdout
                .contains(answer)
                .then_some(())
        });
    }
    host.netrun(&["kill", "-s", "NOPE", "k"])
        .fails(2, &["NOPE"]);
    host.netrun(&["kill", "--signal", "15", "k"]).ok();
    assert_eq!(host.waited("k"), 6);
    host.netrun(&["kill", "k"]).fails(4, &["k"]);
    host.netrun(&["rm", "k"]).ok();
}

#[test]
fn many_at_once_and_each_failure_is_told() {
    let host = FakeHost::new();
    for name in ["a", "b", "c"] {
        host.netrun(&["run", "-d", "--name", name, ALPINE, "sleep", "1000"])
            .ok();
    }
    let stopped = host.netrun(&["stop", "-t", "0", "a", "b"]).ok();
    assert_eq!(stopped.lines(), ["a", "b"]);
    let removed = host
        .netrun(&["rm", "a", "missing", "b"])
        .fails(3, &["missing"]);
    assert_eq!(removed.lines(), ["a", "b"], "{removed}");
    let waiting = host.netrun_cmd(&["wait", "c"]).spawn();
    host.netrun(&["rm", "-f", "-v", "c"]).ok();
    assert_eq!(waiting.wait().code(137).text(), "137");
    for verb in [
        &["rm"][..],
        &["stop"],
        &["start"],
        &["kill"],
        &["restart"],
        &["logs"],
        &["inspect"],
        &["attach"],
    ] {
        host.netrun(&[verb, &["missing"]].concat())
            .fails(3, &["missing"]);
    }
    // What stands for a process's status says 125 where there was no process.
    host.netrun(&["wait", "missing"]).fails(125, &["missing"]);
    host.netrun(&["exec", "missing", "true"])
        .fails(125, &["missing"]);
    host.netrun(&["rm", "-f", "missing"]).ok();
    host.assert_clean();
}

#[test]
fn a_name_serves_one_container_at_a_time() {
    let host = FakeHost::new();
    host.netrun(&["create", "--name", "one", ALPINE, "true"])
        .ok();
    let taken = host.netrun(&["run", "--rm", "--name", "one", ALPINE, "true"]);
    taken.fails(125, &["one", "hint:"]);
    assert_eq!(state(&host, "one"), "created");
    host.netrun(&["rm", "one"]).ok();
    host.netrun(&["run", "--rm", "--name", "one", ALPINE, "true"])
        .ok();
    // A container of ctr's is not ours to take or to touch.
    host.ctr(&[
        "run",
        "-d",
        "docker.io/library/alpine:3.14",
        "theirs",
        "sleep",
        "1000",
    ])
    .ok();
    host.netrun(&["run", "--rm", "--name", "theirs", ALPINE, "true"])
        .fails(125, &["theirs"]);
    host.sh("netrun rm -f theirs; netrun gc; true").ok();
    assert!(host.ctr(&["task", "ls"]).ok().stdout.contains("theirs"));
    host.sh(
        "ctr task kill -s SIGKILL theirs; sleep 0.3; ctr task rm theirs; ctr container rm theirs",
    )
    .ok();
}

#[test]
fn attach_sees_what_comes_and_the_status() {
    let host = FakeHost::new();
    let line = "read line; echo got $line; exit 4";
    host.netrun(&["run", "-d", "-i", "--name", "at", ALPINE, "sh", "-c", line])
        .ok();
    let mut attached = host.netrun_cmd(&["attach", "at"]).spawn_interactive();
    attached.send("this\n");
    let attached = attached.wait().code(4);
    assert_eq!(attached.text(), "got this");
    assert!(
        host.netrun(&["logs", "at"])
            .ok()
            .stdout
            .contains("got this")
    );
    host.netrun(&["attach", "at"]).fails(4, &["at"]);
    host.netrun(&["rm", "at"]).ok();
}

#[test]
fn the_death_of_an_attached_client_ends_no_container() {
    let host = FakeHost::new();
    let line = "while :; do echo tick; sleep 0.05; done";
    host.netrun(&["run", "-d", "--name", "at", ALPINE, "sh", "-c", line])
        .ok();
    let attached = host.netrun_cmd(&["attach", "--no-stdin", "at"]).spawn();
    attached.expect("tick");
    attached.signal(nix::sys::signal::SIGKILL);
    drop(attached);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(state(&host, "at"), "running");
    host.netrun(&["rm", "-f", "at"]).ok();
}

#[test]
fn signals_are_passed_on_to_the_foreground() {
    let host = FakeHost::new();
    let line = "trap 'echo int' INT; trap 'echo usr2' USR2; trap 'echo term; exit 8' TERM
        echo up; while :; do sleep 0.05; done";
    let run = host
        .netrun_cmd(&["run", "--rm", ALPINE, "sh", "-c", line])
        .spawn();
    run.expect("up");
    for (signal, answer) in [
        (nix::sys::signal::SIGINT, "int"),
        (nix::sys::signal::SIGUSR2, "usr2"),
    ] {
        run.signal(signal);
        run.expect(answer);
    }
    run.signal(nix::sys::signal::SIGTERM);
    let ended = run.wait().code(8);
    assert!(ended.stdout.ends_with("term\n"), "{ended}");
    host.assert_clean();
}

#[test]
fn a_second_interrupt_kills() {
    let host = FakeHost::new();
    let deaf = "trap '' INT TERM; echo up; while :; do sleep 0.05; done";
    let run = host
        .netrun_cmd(&["run", "--rm", ALPINE, "sh", "-c", deaf])
        .spawn();
    run.expect("up");
    run.signal(nix::sys::signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    run.signal(nix::sys::signal::SIGINT);
    assert_eq!(run.wait_for(Duration::from_secs(8)).code, 137);
    host.assert_clean();
}

#[test]
fn a_start_after_a_reboot_takes_the_old_run_down_first() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "b", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    // What a reboot takes: every process, and everything below /run that is netrun's.
    host.sh(
        "pkill -9 -f '[n]etrun supervise'; pkill -9 -f 'containerd-[s]him'; pkill -9 -f '^sleep [1]000'; sleep 0.5; \
         umount /run/netns/netrun-b; rm -rf /run/netns/netrun-b /run/netrun/default",
    )
    .ok();
    host.netrun(&["start", "b"]).ok();
    let address = host.netrun(&["exec", "b", "ip", "-4", "addr", "show", "eth0"]);
    assert!(address.ok().stdout.contains("10.10."));
    host.netrun(&["rm", "-f", "b"]).ok();
}

#[test]
fn removing_by_force_what_is_not_there_is_no_failure() {
    let host = FakeHost::new();
    host.netrun(&["create", "--name", "c", ALPINE, "true"]).ok();
    let removed = host.netrun(&["rm", "-f", "nosuch", "c"]).ok();
    assert_eq!(removed.text(), "c");
    assert!(removed.stderr.contains("nosuch"), "{removed}");
    // Nor does one that is not there leave anything, a lock say.
    for verb in ["rm", "start", "stop", "restart", "kill", "attach", "logs"] {
        host.netrun(&[verb, "nosuch"]).fails(3, &["nosuch"]);
    }
    host.assert_clean();
}
