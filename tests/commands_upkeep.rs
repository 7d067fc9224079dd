//! What is going on, and upkeep: `pause`, `top`, `stats`, `events`, `update`, `prune`, `rename`.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost};

fn running(host: &FakeHost, name: &str) {
    host.netrun(&["run", "-d", "--name", name, ALPINE, "sleep", "1000"])
        .ok();
}

#[test]
fn frozen_and_going_on() {
    let host = FakeHost::new();
    running(&host, "p");
    let status = || {
        host.netrun(&["inspect", "-f", "{{.State.Status}}", "p"])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(host.netrun(&["pause", "p"]).ok().text(), "p");
    assert_eq!(status(), "paused");
    host.netrun(&["pause", "p"]).fails(4, &["paused already"]);
    assert_eq!(
        host.netrun(&["ps", "-q", "--filter", "status=paused"])
            .ok()
            .text(),
        "p"
    );
    assert_eq!(host.netrun(&["unpause", "p"]).ok().text(), "p");
    assert_eq!(status(), "running");
    host.netrun(&["unpause", "p"]).fails(4, &["not paused"]);
    // A frozen container can be stopped, killed and removed as any other.
    host.netrun(&["pause", "p"]).ok();
    let stop = host
        .netrun_cmd(&["stop", "-t", "1", "p"])
        .patience(Duration::from_secs(20))
        .run();
    stop.ok();
    host.netrun(&["pause", "p"]).fails(4, &["not running"]);
    host.netrun(&["start", "p"]).ok();
    host.netrun(&["pause", "p"]).ok();
    host.netrun_cmd(&["rm", "-f", "p"])
        .patience(Duration::from_secs(20))
        .run()
        .ok();
    host.netrun(&["pause", "none"]).fails(3, &["none"]);
    host.finish();
}

#[test]
fn processes_and_usage() {
    let host = FakeHost::new();
    running(&host, "t");
    host.netrun(&["exec", "-d", "t", "sh", "-c", "while :; do :; done"])
        .ok();
    let top = host.netrun(&["top", "t"]).ok();
    assert_eq!(top.lines().len(), 3, "{top}");
    assert!(
        top.lines()[0].contains("PID") && top.stdout.contains("sleep 1000"),
        "{top}"
    );
    let own = host.netrun(&["top", "t", "-eo", "pid,args"]).ok();
    assert!(own.lines()[0].trim_start().starts_with("PID"), "{own}");
    host.netrun(&["top", "t", "-eo", "args"]).fails(2, &["PID"]);
    host.netrun(&["top", "none"]).fails(3, &["none"]);
    let stats = host
        .netrun(&["stats", "--no-stream", "--format", "json"])
        .ok();
    let row: serde_json::Value = serde_json::from_str(stats.text()).unwrap();
    let hundredths: f64 = row["CPUPerc"]
        .as_str()
        .unwrap()
        .trim_end_matches('%')
        .parse()
        .unwrap();
    assert!(hundredths > 5.0, "{row}");
    assert_eq!(row["Name"], "t");
    assert_eq!(row["PIDs"], "2");
    assert_ne!(
        row["MemUsage"].as_str().unwrap().split(' ').next(),
        Some("0B"),
        "{row}"
    );
    let table = host.netrun(&["stats", "--no-stream", "t"]).ok();
    assert!(table.stdout.starts_with("NAME"), "{table}");
    host.netrun(&["stats", "--no-stream", "none"])
        .fails(3, &["none"]);
    host.netrun(&["rm", "-f", "t"]).ok();
    host.netrun(&["top", "t"]).fails(3, &["t"]);
    host.finish();
}

#[test]
fn events_are_dockers() {
    let host = FakeHost::new();
    let args = ["events", "--format", "json", "--filter", "type=container"];
    let watching = host.netrun_cmd(&args).spawn();
    running(&host, "other");
    // Once it tells of this one, it listens.
    watching.expect("\"other\"");
    host.netrun(&[
        "run", "--name", "e", "-l", "job=1", ALPINE, "sh", "-c", "exit 3",
    ])
    .code(3);
    host.netrun(&["rm", "e"]).ok();
    watching.expect("\"destroy\"");
    watching.signal(nix::sys::signal::Signal::SIGTERM);
    let output = watching.wait();
    let events: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let own: Vec<&serde_json::Value> = events.iter().filter(|e| e["id"] == "e").collect();
    let actions: Vec<&str> = own.iter().map(|e| e["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "start", "die", "destroy"]);
    let die = own[2];
    assert_eq!(die["status"], "die");
    assert_eq!(die["from"], "alpine:3.14");
    assert_eq!(die["Actor"]["Attributes"]["exitCode"], "3");
    assert_eq!(die["Actor"]["Attributes"]["job"], "1");
    assert!(die["timeNano"].as_i64().unwrap() > die["time"].as_i64().unwrap());
    let until = ["events", "--until", "2020-01-01T00:00:00Z"];
    host.netrun(&until).ok();
    host.netrun(&["events", "--filter", "colour=red"])
        .fails(2, &["colour"]);
    host.netrun(&["rm", "-f", "other"]).ok();
    host.finish();
}

/// Commands, each in a line.
fn all(host: &FakeHost, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        host.netrun(&line.split(' ').collect::<Vec<_>>()).ok();
    }
}

/// What was told of `id`, as `TYPE ACTION ID` in lines.
fn told_of(told: &str, kind: &str, id: &str) -> String {
    let lines = told
        .lines()
        .filter_map(|line| line.strip_suffix(&format!(" {id}")));
    let actions = lines.filter_map(|line| line.strip_prefix(&format!("{kind} ")));
    let actions: Vec<&str> = actions
        .filter(|action| !action.starts_with("exec_") && *action != "health_status: healthy")
        .collect();
    actions.join(" ")
}

#[test]
fn events_tell_what_containerd_cannot_see() {
    let host = FakeHost::new();
    let format =
        "{{.Type}} {{.Action}} {{with .Actor.Attributes.signal}}{{.}} {{end}}{{.Actor.ID}}";
    let watching = host.netrun_cmd(&["events", "--format", format]).spawn();
    running(&host, "first");
    // Once it tells of this one, it listens.
    watching.expect("container start first");
    // Others who listen to containerd are not disturbed.
    let ctr = host.sh_cmd("exec ctr events").spawn();
    all(
        &host,
        "network create lan
        volume create data
        run -d --name h --health-cmd true --health-interval 100ms -v data:/data alpine:3.14 sleep 1000",
    );
    watching.expect("container health_status: healthy h");
    all(
        &host,
        "tag alpine:3.14 other:1
        rmi other:1
        commit --pause=false h own:1
        rmi own:1
        network connect lan h
        network disconnect lan h
        kill -s USR1 h
        update --pids-limit 100 h
        restart -t 0 h
        stop -t 0 h
        rm h
        network rm lan
        volume rm data
        rm -f first",
    );
    watching.expect("container destroy first");
    ctr.expect("/netrun/container/kill");
    ctr.expect("/containers/delete");
    watching.signal(nix::sys::signal::Signal::SIGTERM);
    drop(ctr);
    let told = watching.wait().stdout;
    for (kind, id, expected) in [
        ("network", "lan", "create connect disconnect destroy"),
        ("volume", "data", "create destroy"),
        ("image", "other:1", "tag untag"),
        ("image", "own:1", "pull untag"),
        (
            "container",
            "h",
            "create start kill 10 update kill 15 kill 9 die stop start restart kill 15 kill 9 die stop destroy",
        ),
        ("container", "first", "create start kill 9 die destroy"),
    ] {
        assert_eq!(told_of(&told, kind, id), expected, "{told}");
    }
    assert!(told.contains("image delete sha256:"), "{told}");
    host.assert_clean();
}

#[test]
fn other_limits() {
    let host = FakeHost::new();
    running(&host, "u");
    let update = [
        "update",
        "--memory",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "40",
        "u",
    ];
    assert_eq!(host.netrun(&update).ok().text(), "u");
    let read = |file: &str| {
        let line = format!("cat $(find /sys/fs/cgroup -path '*netrun-u/{file}') 2>/dev/null");
        host.sh(&line).stdout.trim().to_owned()
    };
    let check = || {
        let memory = [read("memory.limit_in_bytes"), read("memory.max")].concat();
        assert_eq!(memory, "67108864");
        assert_eq!(read("pids.max"), "40");
        let cpu = [read("cpu.cfs_quota_us"), read("cpu.max")].concat();
        assert!(cpu.starts_with("50000"), "{cpu}");
    };
    check();
    host.netrun(&["restart", "-t", "0", "u"]).ok();
    check();
    let limits = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    let shown = host.netrun(&["inspect", "-f", limits, "u"]).ok();
    assert_eq!(shown.text(), "67108864 500000000 40");
    host.netrun(&["update", "u"])
        .fails(2, &["nothing to change"]);
    host.netrun(&["update", "--memory", "1k", "u"])
        .fails(2, &["6 MiB"]);
    host.netrun(&["update", "--memory", "1g", "none"])
        .fails(3, &["none"]);
    host.netrun(&["rm", "-f", "u"]).ok();
    host.finish();
}

#[test]
fn what_nobody_needs_goes() {
    let host = FakeHost::new();
    running(&host, "stays");
    for (name, label) in [("one", "a=1"), ("two", "a=2")] {
        host.netrun(&[
            "create",
            "--name",
            name,
            "-l",
            label,
            "-v",
            "/anonymous",
            ALPINE,
            "true",
        ])
        .ok();
    }
    host.netrun(&["container", "prune"]).fails(2, &["-f"]);
    let pruned = |args: &[&str]| host.netrun(args).ok().text().to_owned();
    let filter = ["container", "prune", "-f", "--filter", "label=a=1"];
    assert_eq!(pruned(&filter), "Deleted Containers:\none");
    assert_eq!(
        pruned(&["container", "prune", "-f", "--filter", "until=1h"]),
        ""
    );
    let all = pruned(&["system", "prune", "-f", "--volumes"]);
    assert!(
        all.starts_with("Deleted Containers:\ntwo\nDeleted Volumes:\n"),
        "{all}"
    );
    assert_eq!(all.lines().count(), 5, "{all}");
    assert_eq!(host.netrun(&["ps", "-q"]).ok().text(), "stays");
    host.netrun(&["rename", "stays", "moved"])
        .fails(125, &["containerd id"]);
    host.netrun(&["rm", "-f", "stays"]).ok();
    host.finish();
}
