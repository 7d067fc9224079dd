//! Adoption: what a new supervisor makes of what a dead one left, and whose containers it leaves alone.

use std::time::Duration;

use serde_json::Value;

use crate::host::{ALPINE, FakeHost, eventually};

/// The record as containerd keeps it.
fn record(host: &FakeHost, name: &str) -> Value {
    let read = r#"jq -r '.Extensions["netrun.record"] | .value // .Value' | base64 -d"#;
    let line = format!("ctr container info {name} | {read}");
    host.sh(&line).ok().json()
}

fn kill_supervisors(host: &FakeHost) {
    host.sh("pkill -9 -f '[n]etrun supervise'; sleep 0.2").ok();
}

#[test]
fn that_it_was_started_is_written_after_it_was() {
    let host = FakeHost::new();
    host.mynet();
    // The results are written beside the start, and are there long before it is done.
    let crashed = host
        .netrun_cmd(&[
            "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
        ])
        .env("NETRUN_FAILPOINT", "results:after:kill-supervisor")
        .run();
    assert_ne!(crashed.code, 0, "{crashed}");
    let found = record(&host, "c");
    assert_eq!(found["provisional"], true, "{found}");
    assert!(found["network"]["attachments"][0]["result"].is_object());
    host.netrun(&["gc"]).ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_was_started_is_completed_in_the_record() {
    let host = FakeHost::new();
    host.mynet();
    let run = host
        .netrun_cmd(&[
            "run", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
        ])
        .env("NETRUN_FAILPOINT", "start:after:kill-supervisor")
        .run();
    assert_ne!(run.code, 0, "{run}");
    let found = record(&host, "c");
    assert_eq!(found["provisional"], true);
    assert!(found["network"]["attachments"][0]["result"].is_null());
    host.netrun(&["ps"]).ok();
    let found = record(&host, "c");
    assert_eq!(found["provisional"], false);
    assert!(found["network"]["attachments"][0]["result"]["ips"].is_array());
    assert!(found["started"].is_string(), "{found}");
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_ran_to_its_end_unseen_stays_with_its_status() {
    let host = FakeHost::new();
    let run = host
        .netrun_cmd(&[
            "run",
            "--name",
            "c",
            ALPINE,
            "sh",
            "-c",
            "echo said; exit 7",
        ])
        .env("NETRUN_FAILPOINT", "start:after:kill-supervisor")
        .run();
    assert_ne!(run.code, 0, "{run}");
    std::thread::sleep(Duration::from_millis(500));
    host.netrun(&["gc"]).ok();
    assert_eq!(host.waited("c"), 7);
    host.netrun(&["rm", "c"]).ok();
    // What nobody has read when the process ends is gone with the shim's ends; what was read stays.
    let line = "echo said; sleep 3; exit 7";
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sh", "-c", line])
        .ok();
    eventually(Duration::from_secs(2), "it was read", || {
        (host.netrun(&["logs", "c"]).ok().text() == "said").then_some(())
    });
    kill_supervisors(&host);
    std::thread::sleep(Duration::from_secs(4));
    host.netrun(&["gc"]).ok();
    assert_eq!(host.waited("c"), 7);
    assert_eq!(host.netrun(&["logs", "c"]).ok().text(), "said");
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}

#[test]
fn a_shim_that_does_not_answer_ends_nothing() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    kill_supervisors(&host);
    host.sh("pkill -STOP -f '[c]ontainerd-shim.*-id c'").ok();
    let said = host.netrun(&["gc"]);
    host.sh("pkill -CONT -f '[c]ontainerd-shim.*-id c'").ok();
    said.fails(5, &["cannot tell", "shim"]);
    host.netrun(&["exec", "c", "true"]).ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_lost_supervisor_and_shim_at_once_is_taken_down() {
    let host = FakeHost::new();
    host.mynet();
    for _ in 0..3 {
        let run = ["run", "-d", "--name", "c", "--net", "mynet", ALPINE];
        host.netrun(&[&run[..], &["sleep", "1000"]].concat()).ok();
        kill_supervisors(&host);
        // containerd has had no time to notice.
        host.sh("pkill -9 -f '[c]ontainerd-shim.*-id c'; netrun gc")
            .ok();
        let status = host.netrun(&["inspect", "-f", "{{.State.Status}}", "c"]);
        assert_eq!(status.ok().text(), "exited");
        host.netrun(&["rm", "c"]).ok();
        host.assert_clean();
    }
}

/// A runc at whose next exec the supervisors die, just before the shim opens the FIFOs.
const DEADLY_RUNC: &str = r#"#!/bin/sh
case " $* " in *" exec "*) rm /tmp/once 2>/dev/null && pkill -9 -f '[n]etrun supervise' ;; esac
exec /tmp/runc "$@"
"#;

#[test]
fn an_exec_that_was_starting_holds_nobody_up() {
    let host = FakeHost::new();
    host.write("/tmp/deadly", DEADLY_RUNC);
    host.sh("cp $(command -v runc) /tmp/runc && chmod +x /tmp/deadly && mount --bind /tmp/deadly $(command -v runc)")
        .ok();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    for (command, detached) in [("true", false), ("sleep 1000", false), ("true", true)] {
        host.sh("touch /tmp/once").ok();
        let option = if detached { "-d" } else { "-i" };
        let killed = host.netrun(&["exec", option, "c", "sh", "-c", command]);
        assert_eq!(host.sh("ls /tmp/once").code, 2, "{killed}");
        let said = host.netrun(&["exec", "c", "echo", "here"]).ok();
        assert_eq!(said.text(), "here", "after {command}");
    }
    host.netrun(&["rm", "-f", "c"]).ok();
    host.sh("umount $(command -v runc); rm /tmp/runc /tmp/deadly")
        .ok();
    host.assert_clean();
}

#[test]
fn a_detached_exec_outlives_the_supervisor() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    // More than any pipe holds.
    let line = "sleep 2; yes | head -c 3000000; yes | head -c 1000000 >&2; touch /tmp/done";
    host.netrun(&["exec", "-d", "c", "sh", "-c", line]).ok();
    let attended = host
        .netrun_cmd(&["exec", "c", "sh", "-c", "sleep 2000"])
        .spawn();
    eventually(Duration::from_secs(5), "the exec runs", || {
        (host.sh("pgrep -f '^sleep 2000'").code == 0).then_some(())
    });
    kill_supervisors(&host);
    drop(attended);
    host.netrun(&["ps"]).ok();
    eventually(Duration::from_secs(20), "it has come to its end", || {
        let done = host.netrun(&["exec", "c", "test", "-e", "/tmp/done"]);
        (done.code == 0).then_some(())
    });
    eventually(Duration::from_secs(5), "its FIFOs are gone", || {
        let left = host.sh("ls -d /run/netrun/default/c/exec-*");
        (left.code != 0).then_some(())
    });
    assert_ne!(host.sh("pgrep -f '^sleep 2000'").code, 0);
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn what_lost_its_run_directory_is_found_by_its_record() {
    let host = FakeHost::new();
    host.mynet();
    let line = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done";
    for name in ["runs", "ended"] {
        host.netrun(&[
            "run", "-d", "--name", name, "--net", "mynet", ALPINE, "sh", "-c", line,
        ])
        .ok();
    }
    eventually(Duration::from_secs(5), "the record is final", || {
        (record(&host, "ended")["provisional"] == false).then_some(())
    });
    kill_supervisors(&host);
    host.sh("pkill -9 -f '[c]ontainerd-shim.*-id ended'; rm -r /run/netrun/default/*; sleep 1")
        .ok();
    let before = record(&host, "ended");
    let gc = host.netrun(&["gc"]).ok();
    let states = host
        .netrun(&["ps", "-a", "--format", "{{.Names}} {{.State}}"])
        .ok();
    let expected = ["ended exited", "runs running"];
    assert!(
        expected.iter().all(|line| states.stdout.contains(line)),
        "{states}\n{gc}\n{before}"
    );
    host.netrun(&["stop", "-t", "0", "runs"]).ok();
    // Not one line is missing, though the FIFOs had no name for a while.
    let logs = host.netrun(&["logs", "runs"]).ok();
    let lines = logs.lines();
    assert!(lines.len() > 80, "{}", lines.len());
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, (number + 1).to_string());
    }
    host.netrun(&["rm", "runs", "ended"]).ok();
    host.assert_clean();
}

#[test]
fn a_create_that_was_killed_is_nobodys_container() {
    let host = FakeHost::new();
    for point in [
        "record:after",
        "snapshot:after",
        "files:before",
        "results:before",
    ] {
        let create = || {
            let killed = host
                .netrun_cmd(&["create", "--name", "c", ALPINE, "true"])
                .env("NETRUN_FAILPOINT", &format!("{point}:kill-cli"))
                .run();
            assert_eq!(killed.code, 137, "{point}: {killed}");
        };
        create();
        host.netrun(&["start", "c"]).fails(4, &["half made"]);
        host.assert_clean();
        create();
        host.netrun(&["gc"]).ok();
        host.assert_clean();
        host.netrun(&["create", "--name", "c", ALPINE, "true"]).ok();
        host.netrun(&["gc"]).ok();
        host.netrun(&["start", "-a", "c"]).ok();
        host.netrun(&["rm", "c"]).ok();
    }
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    let host = FakeHost::new();
    for point in [
        "record:before",
        "record:after",
        "files:after",
        "results:after",
    ] {
        host.netrun_cmd(&["create", "--name", "c", ALPINE, "true"])
            .env("NETRUN_FAILPOINT", &format!("{point}:error"))
            .run()
            .fails(1, &["injected"]);
        host.assert_clean();
    }
}

#[test]
fn a_removal_that_was_killed_is_finished() {
    let host = FakeHost::new();
    for point in [
        "task-delete:before",
        "snapshot-remove:after",
        "files-remove:after",
        "record-remove:before",
    ] {
        let fault = format!("{point}:kill-supervisor");
        let stopped = || {
            host.netrun(&["create", "--name", "c", ALPINE, "true"]).ok();
            let rm = host.netrun_cmd(&["rm", "c"]);
            let killed = rm.env("NETRUN_FAILPOINT", &fault).run();
            assert_eq!(killed.code, 137, "{point}: {killed}");
        };
        stopped();
        host.netrun(&["gc"]).ok();
        host.assert_clean();
        stopped();
        host.netrun(&["start", "c"]).fails(4, &["half removed"]);
        host.assert_clean();
        // Of one that runs its supervisor is killed, and the next command finishes what it was told.
        host.netrun_cmd(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
            .env("NETRUN_FAILPOINT", &fault)
            .run()
            .ok();
        let remove = host.netrun(&["rm", "-f", "c"]);
        host.netrun(&["gc"]).ok();
        assert!(host.settle(Duration::from_secs(5)).is_empty(), "{remove}");
    }
}

#[test]
fn a_namespace_of_somebody_else_stays_his() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&["create", "--name", "d", "--net", "mynet", ALPINE, "true"])
        .ok();
    host.sh(
        "for n in c d; do ip netns add netrun-$n; ip -n netrun-$n link add his type bridge; done",
    )
    .ok();
    for line in [
        &[
            "run", "--rm", "--name", "c", "--net", "mynet", ALPINE, "true",
        ][..],
        &[
            "run", "-d", "--name", "c", "--net", "none", ALPINE, "sleep", "9",
        ],
    ] {
        host.netrun(line).fails(125, &["netrun-c", "ip netns del"]);
    }
    host.netrun(&["start", "d"]).fails(4, &["netrun-d"]);
    host.netrun(&["rm", "d"]).ok();
    host.sh(
        "for n in c d; do ip -n netrun-$n link show his || exit 1; ip netns del netrun-$n; done",
    )
    .ok();
    host.netrun(&[
        "run", "--rm", "--name", "c", "--net", "mynet", ALPINE, "true",
    ])
    .ok();
    host.assert_clean();
}

#[test]
fn drafts_and_cgroups_of_the_dead_are_swept() {
    let host = FakeHost::new();
    host.sh("mkdir -p /run/netrun/default/.4194305; touch /run/netrun/default/.4194305/alive")
        .ok();
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    let empty = "find /sys/fs/cgroup -maxdepth 2 -name netrun -type d | grep .";
    eventually(Duration::from_secs(5), "it has its cgroup", || {
        (host.sh(empty).code == 0).then_some(())
    });
    kill_supervisors(&host);
    host.netrun(&["rm", "-f", "c"]).ok();
    host.netrun(&["gc"]).ok();
    assert_ne!(host.sh(empty).code, 0);
    assert_ne!(host.sh("ls -d /run/netrun/default/.4194305").code, 0);
    host.assert_clean();
}

#[test]
fn cgroups_that_nobody_is_in_go_with_their_container() {
    let host = FakeHost::new();
    let everywhere = |line: &str| format!("for h in /sys/fs/cgroup/*/; do {line}; done");
    // What runc leaves that is killed while it makes a container.
    host.sh(&everywhere("mkdir $h/netrun-c")).ok();
    host.netrun(&["create", "--name", "c", ALPINE, "true"]).ok();
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
    // Without a container, and a foreign one that is in use.
    host.sh(&everywhere("mkdir -p $h/netrun-ghost/below")).ok();
    let join = everywhere("mkdir $h/netrun-his; echo $$ >$h/netrun-his/cgroup.procs");
    let his = host.sh_cmd(&format!("{join}; exec sleep 1000")).spawn();
    let there =
        "[ -d /sys/fs/cgroup/pids/netrun-his ] || [ -d /sys/fs/cgroup/netrun-his ]; pgrep -x sleep";
    eventually(Duration::from_secs(5), "it is in its cgroups", || {
        (host.sh(there).code == 0).then_some(())
    });
    host.netrun(&["gc"]).ok();
    let found = host.sh("find /sys/fs/cgroup -name 'netrun-*' -printf '%f\\n' | sort -u");
    assert_eq!(found.ok().text(), "netrun-his");
    his.signal(nix::sys::signal::Signal::SIGKILL);
    let _ = his.wait();
    host.netrun(&["gc"]).ok();
    host.assert_clean();
}

const OTHER: &str = "/run/other/containerd.sock";

/// A second containerd on the same host, with the same image.
fn second_containerd(host: &FakeHost) -> crate::host::Running {
    host.announce("* /run/other*");
    host.announce("* /run/containerd/*");
    let start = "mkdir -p /run/other; \
        sed 's#/mnt/containerd#/mnt/other#; s#/run/containerd#/run/other#' /mnt/containerd.toml >/mnt/other.toml; \
        exec containerd --config /mnt/other.toml >/mnt/other.log 2>&1";
    let running = host.cmd("sh").args(&["-c", start]).spawn();
    eventually(Duration::from_secs(30), "it answers", || {
        (host.ctr(&["-a", OTHER, "version"]).code == 0).then_some(())
    });
    host.sh(&format!(
        "ctr image export /tmp/a.tar docker.io/library/alpine:3.14; \
         ctr -a {OTHER} image import /tmp/a.tar; rm /tmp/a.tar"
    ))
    .ok();
    running
}

/// What somebody else runs here under the same name is not taken for what was left there.
fn twins(host: &FakeHost) {
    let there = |args: &[&str]| {
        let netrun = host.netrun_cmd(args);
        netrun.env("CONTAINERD_ADDRESS", OTHER).run()
    };
    let image = "docker.io/library/alpine:3.14";
    there(&["create", "--name", "twin", ALPINE, "true"]).ok();
    host.ctr(&["run", "-d", image, "twin", "sleep", "1000"])
        .ok();
    there(&["rm", "twin"]).ok();
    host.ctr(&["task", "exec", "--exec-id", "e", "twin", "true"])
        .ok();
    host.ctr(&["task", "rm", "-f", "twin"]).ok();
    host.ctr(&["container", "rm", "twin"]).ok();
}

#[test]
fn two_containerds_leave_each_other_alone() {
    let host = FakeHost::new();
    host.mynet();
    let other = second_containerd(&host);
    let there = |args: &[&str]| {
        let netrun = host.netrun_cmd(args);
        netrun.env("CONTAINERD_ADDRESS", OTHER).run()
    };
    for name in ["made", "runs"] {
        there(&[
            "create", "--name", name, "--net", "mynet", ALPINE, "sleep", "1000",
        ])
        .ok();
    }
    there(&["start", "runs"]).ok();
    for args in [
        &["gc"][..],
        &["ps", "-a"],
        &["exec", "runs", "true"],
        &["rm", "-f", "runs"],
        &["rm", "-f", "made"],
        &["stop", "runs"],
        &["start", "made"],
        &["create", "--name", "made", ALPINE, "true"],
        &["run", "-d", "--name", "runs", ALPINE, "true"],
        &["run", "-d", "--name", "made", ALPINE, "true"],
        &["gc"],
    ] {
        let said = host.netrun(args);
        let fine = matches!(args[0], "gc" | "ps");
        assert_eq!(said.code == 0, fine, "{said}");
        assert!(fine || said.stderr.contains(OTHER), "{said}");
    }
    there(&["exec", "runs", "ping", "-c", "1", "-w", "5", "10.10.0.1"]).ok();
    // A dead supervisor is the business of those who speak to its containerd.
    kill_supervisors(&host);
    host.netrun(&["ps"]).ok();
    host.netrun(&["gc"]).ok();
    assert_ne!(host.sh("pgrep -f '[n]etrun supervise'").code, 0);
    there(&["exec", "runs", "true"]).ok();
    there(&["rm", "-f", "runs", "made"]).ok();
    twins(&host);
    let left = there(&["ps", "-aq"]).ok();
    assert_eq!(left.text(), "");
    other.signal(nix::sys::signal::Signal::SIGTERM);
    let _ = other.wait();
    host.sh("rm -rf /run/other").ok();
    let left = host.settle(Duration::from_secs(5));
    assert!(left.is_empty(), "{left:#?}");
}
