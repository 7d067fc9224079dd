//! The supervisor: it gives back what a container had, survives its users, and is replaced if it dies.

use std::fs;
use std::time::Duration;

use crate::control::connections;
use crate::host::{ALPINE, FakeHost, eventually};

fn supervisor(host: &FakeHost) -> String {
    host.sh("pgrep -f '[n]etrun supervise'")
        .ok()
        .text()
        .to_owned()
}

fn status(host: &FakeHost, name: &str) -> String {
    let args = ["inspect", "--format", "{{.State.Status}}", name];
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn one_small_process_per_running_container() {
    let host = FakeHost::new();
    for name in ["a", "b"] {
        host.netrun(&["run", "-d", "--name", name, ALPINE, "sleep", "1000"])
            .ok();
    }
    let pids = supervisor(&host);
    assert_eq!(pids.lines().count(), 2, "{pids}");
    for pid in pids.lines() {
        let threads = host.sh(&format!("ls /proc/{pid}/task | wc -l")).ok();
        assert_eq!(threads.text(), "1");
        eventually(Duration::from_secs(5), "no connection is held", || {
            connections(&host, pid).text().is_empty().then_some(())
        });
    }
    host.netrun(&["rm", "-f", "a", "b"]).ok();
    host.assert_clean();
}

#[test]
fn with_rm_everything_goes_by_itself() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--rm", "--net", "mynet", ALPINE, "sleep", "0.3",
    ])
    .ok();
    let left = host.settle(Duration::from_secs(10));
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_dead_supervisor_is_replaced_by_the_next_command() {
    let host = FakeHost::new();
    let line = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done";
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sh", "-c", line])
        .ok();
    let first = supervisor(&host);
    host.sh(&format!("kill -9 {first}; sleep 1")).ok();
    assert_eq!(host.netrun(&["ps", "-q"]).ok().text(), "c");
    let second = eventually(Duration::from_secs(5), "a new supervisor", || {
        let found = host.sh("pgrep -f '[n]etrun supervise'");
        (found.code == 0 && found.text() != first).then(|| found.text().to_owned())
    });
    assert_ne!(first, second);
    std::thread::sleep(Duration::from_millis(500));
    host.netrun(&["exec", "c", "true"]).ok();
    host.netrun(&["stop", "-t", "0", "c"]).ok();
    // Not one line is missing.
    let logs = host.netrun(&["logs", "c"]).ok();
    let numbers: Vec<u64> = logs
        .lines()
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(numbers.len() > 50, "{}", numbers.len());
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_ended_unsupervised_is_torn_down_by_the_next_command() {
    let host = FakeHost::new();
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "c",
        ALPINE,
        "sh",
        "-c",
        "sleep 1; exit 3",
    ])
    .ok();
    let pid = supervisor(&host);
    host.sh(&format!("kill -9 {pid}; sleep 2")).ok();
    host.netrun(&["ps"]).ok();
    eventually(Duration::from_secs(10), "its network is gone", || {
        (!host.sh("ip netns list").stdout.contains("netrun-c")).then_some(())
    });
    assert_eq!(status(&host, "c"), "exited");
    assert_eq!(host.waited("c"), 3);
    host.netrun(&["rm", "c"]).ok();
}

#[test]
fn a_foreground_run_outlives_no_killed_client() {
    let host = FakeHost::new();
    let polite = "trap 'touch /out/term; exit' TERM; echo up; while :; do sleep 0.05; done";
    host.announce("* /tmp/out*");
    let args = [
        "run",
        "-v",
        "/tmp/out:/out",
        "--name",
        "k",
        ALPINE,
        "sh",
        "-c",
        polite,
    ];
    let run = host.netrun_cmd(&args).spawn();
    run.expect("up");
    run.signal(nix::sys::signal::SIGKILL);
    drop(run);
    eventually(Duration::from_secs(20), "it was asked to end", || {
        host.path("/tmp/out/term").exists().then_some(())
    });
    eventually(Duration::from_secs(20), "it has ended", || {
        (status(&host, "k") == "exited").then_some(())
    });
    host.netrun(&["rm", "k"]).ok();
}

#[test]
fn a_client_of_start_may_go_at_any_time() {
    let host = FakeHost::new();
    host.netrun(&[
        "create",
        "--name",
        "s",
        ALPINE,
        "sh",
        "-c",
        "echo up; sleep 1000",
    ])
    .ok();
    let start = host.netrun_cmd(&["start", "-a", "s"]).spawn();
    start.expect("up");
    start.signal(nix::sys::signal::SIGKILL);
    drop(start);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(status(&host, "s"), "running");
    host.netrun(&["rm", "-f", "s"]).ok();
}

#[test]
fn a_foreground_run_is_over_when_its_supervisor_has_gone() {
    let host = FakeHost::new();
    let supervisors = || {
        let processes = fs::read_dir(host.path("/proc")).unwrap().flatten();
        let words = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        words
            .filter(|words| words.starts_with(b"netrun\0supervise"))
            .count()
    };
    // Every core is busy, and the supervisor comes last: what it has left to do takes it long.
    let busy = "for core in $(seq $(nproc)); do \
         timeout 60 sh -c 'while :; do :; done' & all=\"$all $!\"; done; \
         trap 'kill $all' TERM; wait; wait";
    let busy = host.sh_cmd(busy).spawn();
    for _ in 0..5 {
        let args = ["run", "--rm", "-i", ALPINE, "sh", "-c", "echo up; cat"];
        let mut run = host.netrun_cmd(&args).spawn_interactive();
        run.expect("up");
        host.sh("renice -n 10 -p $(pgrep -f '[n]etrun supervise')")
            .ok();
        run.close_stdin();
        run.wait().ok();
        assert_eq!(supervisors(), 0);
    }
    busy.signal(nix::sys::signal::SIGTERM);
    let _ = busy.wait();
}

#[test]
fn a_foreground_run_goes_on_when_its_supervisor_dies() {
    let host = FakeHost::new();
    let echo = "echo up; while read line; do echo got $line; done; exit 7";
    for kill in ["before", "between"] {
        let args = ["run", "--rm", "-i", "--name", "f", ALPINE, "sh", "-c", echo];
        let mut run = host.netrun_cmd(&args).spawn_interactive();
        run.expect("up");
        host.sh("pkill -9 -f '[n]etrun supervise'").ok();
        if kill == "between" {
            // Whoever comes first takes over.
            host.netrun(&["ps"]).ok();
        }
        run.send("one\n");
        run.expect("got one");
        run.send("two\n");
        run.expect("got two");
        run.close_stdin();
        assert_eq!(run.wait().code, 7, "{kill}");
        host.assert_clean();
    }
    // The client is still the owner.
    let run = host
        .netrun_cmd(&[
            "run",
            "--rm",
            "--name",
            "o",
            ALPINE,
            "sh",
            "-c",
            "echo up; sleep 1000",
        ])
        .spawn();
    run.expect("up");
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    eventually(Duration::from_secs(10), "another supervisor", || {
        (host.sh("pgrep -f '[n]etrun supervise'").code == 0).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    run.signal(nix::sys::signal::SIGKILL);
    drop(run);
    eventually(Duration::from_secs(20), "it is gone", || {
        host.sh("ctr container ls -q")
            .ok()
            .text()
            .is_empty()
            .then_some(())
    });
}

/// The client of a run sleeps while its supervisor dies and another command brings a new one.
fn adopted_behind_its_clients_back(host: &FakeHost) {
    host.sh("pkill -STOP -f '^netrun run'; pkill -9 -f '^netrun supervise'")
        .ok();
    host.netrun(&["ps"]).ok();
    std::thread::sleep(Duration::from_millis(500));
    host.sh("pkill -CONT -f '^netrun run'").ok();
}

#[test]
fn what_is_written_before_the_client_is_back_waits_for_it() {
    let host = FakeHost::new();
    let count = "netrun run --rm --name w alpine:3.14 sh -c \
        'i=0; while [ $i -lt 150 ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 7'; exit $?";
    let run = host.sh_cmd(count).spawn();
    run.expect("20\n");
    adopted_behind_its_clients_back(&host);
    let run = run.wait();
    let expected: String = (0..150).map(|i| format!("{i}\n")).collect();
    assert_eq!((run.stdout.as_str(), run.code), (expected.as_str(), 7));
    host.assert_clean();
}

#[test]
fn the_client_of_a_run_stays_its_owner_whoever_brought_the_supervisor() {
    let host = FakeHost::new();
    let polite = "netrun run --rm --name g alpine:3.14 sh -c \
        'trap exit TERM; while :; do echo up; sleep 0.02; done'; exit $?";
    let run = host.sh_cmd(polite).spawn();
    run.expect("up");
    adopted_behind_its_clients_back(&host);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(status(&host, "g"), "running");
    host.sh("pkill -9 -f '^netrun run'").ok();
    eventually(Duration::from_secs(20), "it is gone", || {
        let ls = host.sh("ctr container ls -q").ok();
        ls.text().is_empty().then_some(())
    });
    drop(run);
    host.settle(Duration::from_secs(10));
    host.assert_clean();
}

#[test]
fn what_ended_while_its_client_could_not_look_has_its_status() {
    let host = FakeHost::new();
    let line = "netrun run --name e alpine:3.14 sh -c 'sleep 3; exit 7' & until netrun exec e true 2>/dev/null; do :; done; \
        kill -STOP $!; pkill -9 -f '[n]etrun supervise'; sleep 3; netrun wait e; kill -CONT $!; wait $!";
    let run = host.sh(line);
    assert_eq!((run.text(), run.code), ("7", 7), "{run}");
    host.netrun(&["rm", "e"]).ok();
    host.assert_clean();
}

#[test]
fn containers_live_through_a_restart_of_containerd() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    host.stop_containerd();
    host.start_containerd();
    host.netrun(&["exec", "c", "true"]).ok();
    assert_eq!(status(&host, "c"), "running");
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn an_exit_while_containerd_is_down_is_torn_down_after() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "2"])
        .ok();
    host.stop_containerd();
    std::thread::sleep(Duration::from_secs(3));
    host.start_containerd();
    eventually(Duration::from_secs(20), "it has ended", || {
        (status(&host, "c") == "exited").then_some(())
    });
    host.netrun(&["rm", "c"]).ok();
}

#[test]
fn another_namespace_keeps_apart() {
    let host = FakeHost::new();
    host.announce("namespace ci");
    host.announce("* /run/netrun/ci");
    host.announce("* /var/lib/netrun/ci");
    host.announce("dir /run/containerd/*/ci");
    host.announce("cgroup */ci");
    host.sh("ctr image export /tmp/a.tar docker.io/library/alpine:3.14; ctr -n ci image import /tmp/a.tar; rm /tmp/a.tar").ok();
    host.announce("* ci *alpine*");
    host.announce("* ci sha256:*");
    let ci = |args: &[&str]| {
        host.netrun_cmd(args)
            .env("CONTAINERD_NAMESPACE", "ci")
            .run()
    };
    ci(&["run", "-d", "--name", "same", ALPINE, "sleep", "1000"]).ok();
    host.netrun(&["run", "-d", "--name", "same", ALPINE, "sleep", "1000"])
        .ok();
    let netns = host.sh("ip netns list | cut -d' ' -f1 | sort").ok();
    assert_eq!(netns.lines(), ["netrun-ci--same", "netrun-same"]);
    ci(&["rm", "-f", "same"]).ok();
    assert_eq!(host.netrun(&["ps", "-q"]).ok().text(), "same");
    host.netrun(&["rm", "-f", "same"]).ok();
}
