//! Bad input gets a clear error, and nothing is left.

use crate::host::{ALPINE, FakeHost};

#[test]
fn malformed_flags_are_told_by_name() {
    let host = FakeHost::new();
    let long = "x".repeat(64);
    for (options, word) in [
        (&["--qqq"][..], "usage: netrun run"),
        (&["--name", "has space"], "has space"),
        (&["--name", "../up"], "../up"),
        (&["--name", "a--b"], "a-b"),
        (&["--name", long.as_str()], "63"),
        (&["-e", "=x"], "=x"),
        (&["-l", "=x"], "=x"),
        (&["-w", "relative"], "relative"),
        (&["--hostname", "two words"], "two words"),
        (&["--stop-signal", "SIGNOPE"], "SIGNOPE"),
        (&["--stop-timeout", "soon"], "soon"),
        (&["--stop-timeout", "-2"], "-1 to wait"),
        (&["--cpu-shares", "-1"], "--cpu-shares"),
        (&["--memory", "12x"], "12x"),
        (&["--cpus", "many"], "many"),
        (&["--pids-limit", "few"], "few"),
        (&["--cap-add", "FLY"], "FLY"),
        (&["--cap-drop", "FLY"], "FLY"),
        (&["--dns", "nowhere"], "nowhere"),
        (&["--add-host", "x"], "x"),
        (&["--pull", "maybe"], "maybe"),
        (&["--net", "host", "--net", "mynet"], "host"),
        (&["--net", "none", "--net", "mynet"], "none"),
        (&["-d", "--rm=maybe"], "maybe"),
        (&["--snapshotter", "nope"], "ctr plugins ls"),
        (&["--runtime", "nope"], "check --runtime"),
        (&["--runtime", "/nope"], "check --runtime"),
        (&["-w", "/etc/passwd"], "is a file in the container"),
        (&["--pids-limit", "4194305"], "4194304 at most"),
    ] {
        let args = [&["run", "--rm"], options, &[ALPINE, "true"]].concat();
        host.netrun(&args).fails(125, &[word]);
    }
    host.netrun(&["run"]).fails(125, &[]);
    host.netrun(&["frobnicate"]).fails(2, &["frobnicate"]);
    host.netrun(&["ps", "--frobnicate"])
        .fails(2, &["--frobnicate"]);
    host.netrun(&["rm"]).fails(2, &[]);
    host.assert_clean();
}

#[test]
fn what_docker_has_and_we_not_yet_is_said() {
    let host = FakeHost::new();
    for option in [
        &["--gpus", "all"][..],
        &["--link", "x"],
        &["--userns", "host"],
    ] {
        let args = [&["run", "--rm"], option, &[ALPINE, "true"]].concat();
        host.netrun(&args)
            .fails(125, &["not supported yet", option[0]]);
    }
    for verb in ["build", "swarm", "secret"] {
        host.netrun(&[verb])
            .fails(125, &["not supported yet", verb]);
    }
    host.assert_clean();
}

#[test]
fn no_containerd() {
    let host = FakeHost::bare();
    let run = host.netrun(&["run", "--rm", ALPINE, "true"]);
    run.fails(
        125,
        &[
            "/run/containerd/containerd.sock",
            "hint:",
            "start containerd",
        ],
    );
    for verb in [&["ps"][..], &["images"], &["gc"], &["info"]] {
        host.netrun(verb)
            .fails(6, &["/run/containerd/containerd.sock"]);
    }
    let elsewhere = host
        .netrun_cmd(&["ps"])
        .env("CONTAINERD_ADDRESS", "/run/else.sock")
        .run();
    elsewhere.fails(6, &["/run/else.sock"]);
    host.netrun(&["version"]).ok();
    host.netrun(&["--help"]).ok();
}

#[test]
fn not_root() {
    let host = FakeHost::new();
    let args = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "netrun",
        "run",
        "--rm",
        ALPINE,
        "true",
    ];
    host.cmd("setpriv")
        .args(&args)
        .run()
        .fails(125, &["root", "hint:"]);
    let args = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "netrun",
        "--help",
    ];
    host.cmd("setpriv").args(&args).run().ok();
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let host = FakeHost::new();
    let output = host
        .netrun(&["inspect", "--format", "json", "missing"])
        .code(3);
    let line = output.stderr.trim();
    let error: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{output}"));
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let host = FakeHost::new();
    for verb in ["--help", "ps -a", "images", "version", "info"] {
        let line =
            format!("(netrun {verb}; echo $? >&2) 2>&1 >/dev/full | cat; netrun {verb} | true");
        let output = host.sh(&line).ok();
        assert!(
            !output.stderr.contains("panicked") && !output.stdout.contains("panicked"),
            "{output}"
        );
    }
}

#[test]
fn help_and_version() {
    let host = FakeHost::new();
    for verb in [
        "run", "create", "start", "stop", "kill", "restart", "rm", "exec", "logs", "attach",
        "wait", "ps", "inspect", "pull", "images", "rmi", "gc", "version", "info",
    ] {
        let help = host.netrun(&[verb, "--help"]).ok();
        assert!(help.stdout.contains("Usage:"), "{help}");
    }
    let version = host.netrun(&["version"]).ok();
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{version}"
    );
    let info = host.netrun(&["info"]).ok();
    assert!(info.stdout.to_lowercase().contains("containerd"), "{info}");
}
