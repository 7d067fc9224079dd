//! What becomes of a foreground run: `--attach`, `--sig-proxy`, `--detach-keys`, `--timeout`.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::{ALPINE, FakeHost, eventually};

#[test]
fn only_the_streams_that_are_named() {
    let host = FakeHost::new();
    let line = "echo out; echo err >&2; cat";
    let run = |options: &[&str]| {
        let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
        let ran = host.netrun_cmd(&args).stdin("typed\n").run().ok();
        (ran.stdout, ran.stderr)
    };
    let seen = |out: &str, err: &str| (out.to_owned(), err.to_owned());
    assert_eq!(run(&["-a", "stdout"]), seen("out\n", ""));
    assert_eq!(run(&["-a", "STDERR"]), seen("", "err\n"));
    let all = ["-i", "-a", "stdin", "--attach", "stdout", "-a", "stderr"];
    assert_eq!(run(&all), seen("out\ntyped\n", "err\n"));
    for options in [&["-a", "paper"][..], &["-d", "-a", "stdout"]] {
        let args = [&["run", "--rm"], options, &[ALPINE, "true"]].concat();
        host.netrun(&args).fails(125, &[]);
    }
    host.finish();
}

#[test]
fn signals_are_kept_from_it_if_so_wished() {
    let host = FakeHost::new();
    let line = "trap 'echo heard' TERM; echo ready; while :; do sleep 0.1; done";
    let args = [
        "run",
        "--name",
        "s",
        "--sig-proxy=false",
        ALPINE,
        "sh",
        "-c",
        line,
    ];
    let run = host.netrun_cmd(&args).spawn();
    run.expect("ready");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.wait().code, 143);
    let attached = host
        .netrun_cmd(&["attach", "--sig-proxy=false", "s"])
        .spawn();
    std::thread::sleep(Duration::from_millis(500));
    attached.signal(Signal::SIGTERM);
    assert_eq!(attached.wait().code, 143);
    let status = host.netrun(&["inspect", "-f", "{{.State.Status}}", "s"]);
    assert_eq!(status.ok().text(), "running");
    assert_eq!(host.netrun(&["logs", "s"]).ok().text(), "ready");
    host.netrun(&["rm", "-f", "s"]).ok();
    host.netrun(&["run", "--sig-proxy=perhaps", ALPINE, "true"])
        .fails(125, &["perhaps"]);
    host.finish();
}

#[test]
fn other_keys_leave_it_running() {
    let host = FakeHost::new();
    let run = [
        "run",
        "-it",
        "--name",
        "k",
        "--detach-keys",
        "ctrl-x,d",
        ALPINE,
        "sh",
    ];
    let mut shell = host.netrun_cmd(&run).terminal();
    shell.send("echo here-$((3 + 4))\r");
    shell.expect("here-7");
    // Docker's usual keys are keys like others now.
    shell.send("\x10\x11");
    shell.send("echo still-$((20 + 2))\r");
    shell.expect("still-22");
    shell.send("\x18d");
    assert_eq!(shell.wait().code, 0);
    let keys = ["attach", "--detach-keys", "ctrl-@", "k"];
    let mut attached = host.netrun_cmd(&keys).terminal();
    attached.send("echo again-$((1 + 1))\r");
    attached.expect("again-2");
    attached.send("\0");
    assert_eq!(attached.wait().code, 0);
    host.netrun(&["exec", "k", "true"]).ok();
    host.netrun(&["attach", "--detach-keys", "ctrl-1", "k"])
        .fails(2, &["ctrl-1"]);
    host.netrun(&["rm", "-f", "k"]).ok();
    host.finish();
}

#[test]
fn a_run_has_so_much_time() {
    let host = FakeHost::new();
    let run = |options: &[&str], line: &str| {
        let args = [&["run"], options, &[ALPINE, "sh", "-c", line]].concat();
        host.netrun(&args)
    };
    let late = run(
        &["--rm", "--timeout", "1s", "--stop-timeout", "1"],
        "sleep 1000",
    );
    assert_eq!(late.code, 124, "{late}");
    assert!(late.took < Duration::from_secs(15), "{late}");
    let asked = run(
        &["--rm", "--timeout", "1s"],
        "trap 'echo asked; exit 0' TERM; sleep 1000 & wait",
    );
    assert_eq!((asked.code, asked.text()), (124, "asked"));
    assert_eq!(run(&["--rm", "--timeout", "1m"], "exit 3").code, 3);
    run(
        &[
            "-d",
            "--name",
            "d",
            "--timeout",
            "2s",
            "--restart",
            "always",
            "-t",
        ],
        "sleep 1000",
    )
    .ok();
    // Whoever takes over counts on.
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    host.netrun(&["ps"]).ok();
    assert_eq!(host.waited("d"), 124);
    let exited = || {
        let status = host
            .netrun(&["inspect", "-f", "{{.State.Status}}", "d"])
            .ok();
        (status.text() == "exited").then_some(())
    };
    eventually(Duration::from_secs(5), "it stays ended", exited);
    host.netrun(&["rm", "d"]).ok();
    run(&["--rm", "--timeout", "soon"], "true").fails(125, &["soon"]);
    host.finish();
}
