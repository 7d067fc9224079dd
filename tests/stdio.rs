//! Nothing is lost or reordered within a stream, and nothing waits for what will not come.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::host::{ALPINE, FakeHost, eventually};

#[test]
fn every_byte_arrives_in_order() {
    let host = FakeHost::new();
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    for options in [&["--rm"][..], &["--rm", "-i"]] {
        let args = [&["run"], options, &[ALPINE, "seq", "1", "200000"]].concat();
        let run = host.netrun(&args).ok();
        assert!(run.stdout == expected, "{} bytes", run.stdout.len());
    }
    let both = "for n in $(seq 1 3000); do echo o$n; echo e$n >&2; done";
    let run = host.netrun(&["run", "--rm", ALPINE, "sh", "-c", both]).ok();
    let lines = |mark: &str| {
        (1..=3000)
            .map(|n| format!("{mark}{n}\n"))
            .collect::<String>()
    };
    assert!(
        run.stdout == lines("o") && run.stderr == lines("e"),
        "{run}"
    );
}

#[test]
fn the_output_of_the_shortest_life_is_there() {
    let host = FakeHost::new();
    for _ in 0..10 {
        assert_eq!(
            host.netrun(&["run", "--rm", ALPINE, "echo", "x"])
                .ok()
                .stdout,
            "x\n"
        );
    }
    // One file for both streams, and for others: nobody writes over what another wrote.
    let line = "{ netrun run --rm alpine:3.14 sh -c 'sleep 0.2; echo one'; echo two; } >/tmp/both 2>&1; \
        cat /tmp/both; rm /tmp/both";
    assert_eq!(host.sh(line).ok().stdout, "one\ntwo\n");
}

#[test]
fn a_broken_stdout_ends_the_container_at_once() {
    let host = FakeHost::new();
    let started = Instant::now();
    let head = host
        .sh("netrun run --rm alpine:3.14 yes 2>/tmp/err | head -1")
        .ok();
    assert_eq!(head.text(), "y");
    assert!(started.elapsed() < Duration::from_secs(10), "{head}");
    host.announce("file /tmp/err");
    assert_eq!(host.read("/tmp/err"), "", "a closed pipe ends quietly");
    host.assert_clean();
}

#[test]
fn input_ends_where_it_ends() {
    let host = FakeHost::new();
    let cat = host
        .netrun_cmd(&["run", "--rm", "-i", ALPINE, "cat"])
        .stdin("one\ntwo")
        .run()
        .ok();
    assert_eq!(cat.stdout, "one\ntwo");
    // Without -i there is no input at all.
    let count = host
        .netrun_cmd(&["run", "--rm", ALPINE, "wc", "-c"])
        .stdin("xxx")
        .run()
        .ok();
    assert_eq!(count.text(), "0");
    // A command that reads none of it is no reason to wait.
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-i", ALPINE, "echo", "bye"])
        .spawn_interactive();
    run.expect("bye");
    let started = Instant::now();
    while !run.ended() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "waits for its stdin"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    run.close_stdin();
    run.wait().ok();
}

#[test]
fn an_interactive_dialogue() {
    let host = FakeHost::new();
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-i", ALPINE, "sh"])
        .spawn_interactive();
    for word in ["first", "second"] {
        run.send(&format!("echo $((40 + 2)) {word}\n"));
        run.expect(&format!("42 {word}\n"));
    }
    run.send("exit 3\n");
    assert_eq!(run.wait().code, 3);
}

#[test]
fn a_detached_run_holds_no_descriptor() {
    let host = FakeHost::new();
    // As a CI step does it: whoever holds the pipe keeps the step waiting.
    let step = host
        .sh("exec 5>&1 6>/tmp/six; netrun run -d --name ci alpine:3.14 sleep 1000")
        .ok();
    assert!(step.took < Duration::from_secs(10), "{step}");
    host.announce("file /tmp/six");
    let held = host
        .sh("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c /tmp/six; true")
        .ok();
    assert_eq!(held.text(), "0");
    let supervisor = host.sh("pgrep -f '[n]etrun supervise'").ok();
    let pid = supervisor.text().to_owned();
    assert_eq!(
        host.sh(&format!("readlink /proc/{pid}/cwd")).ok().text(),
        "/"
    );
    let environment = host
        .sh(&format!(
            "tr '\\0' '\\n' </proc/{pid}/environ | grep -c HOME; true"
        ))
        .ok();
    assert_eq!(environment.text(), "0", "a clean environment");
    let session = host.sh(&format!("ps -o sid= -p {pid}")).ok();
    assert_eq!(session.text(), pid, "its own session");
    host.netrun(&["rm", "-f", "ci"]).ok();
}

/// What the command itself prints, hashed.
fn sum_of(command: &str) -> String {
    let mut sum = Command::new("sh")
        .args(["-c", &format!("{command} | sha256sum")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    sum.stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(sum.wait().unwrap().success());
    text
}

#[test]
fn a_slow_reader_gets_everything() {
    let host = FakeHost::new();
    // More than all pipes on the way hold, so that the process lives until the reader reads; and
    // less, so that it has long ended by then.
    for (last, pause) in [(300_000, 2), (100_000, 12), (60_000, 4)] {
        let slow = format!("netrun run --rm {ALPINE} seq 1 {last} | (sleep {pause}; sha256sum)");
        assert_eq!(
            host.sh(&slow).ok().stdout,
            sum_of(&format!("seq 1 {last}")),
            "{last} lines"
        );
    }
    host.netrun(&["run", "-d", "--name", "box", ALPINE, "sleep", "1000"])
        .ok();
    let both = "netrun exec box sh -c 'seq 1 60000; seq 1 60000 >&2' 2>&1 >/tmp/out \
        | (sleep 4; sha256sum); sha256sum </tmp/out; rm /tmp/out";
    let sum = sum_of("seq 1 60000");
    assert_eq!(host.sh(both).ok().stdout, format!("{sum}{sum}"));
    // The container goes down under an exec whose reader has not begun.
    let slow = "(netrun exec box seq 1 60000; echo $? >/tmp/code) | (sleep 5; sha256sum)";
    let during = format!(
        "{slow} >/tmp/sum & sleep 2; netrun rm -f box; wait; cat /tmp/sum; rm /tmp/sum /tmp/code"
    );
    assert_eq!(host.sh(&during).ok().stdout, format!("box\n{sum}"));
}

#[test]
fn a_reader_who_never_reads_keeps_nothing_but_its_own_client() {
    let host = FakeHost::new();
    let stuck = format!("netrun run --rm --name stuck {ALPINE} seq 1 60000 | sleep 1000");
    let mut stuck = host.cmd("sh").args(&["-c", &stuck]).spawn_interactive();
    let gone = "test -e /run/netrun && test -z \"$(netrun ps -aq; ip netns)\"";
    eventually(Duration::from_secs(30), "the container to be gone", || {
        (host.sh(&format!("pgrep -f '^sleep 1000' && {gone}")).code == 0).then_some(())
    });
    host.netrun(&["run", "--rm", "--name", "stuck", ALPINE, "true"])
        .ok();
    host.sh("pkill -f '^sleep 1000'").ok();
    stuck.close_stdin();
    // Its reader was killed: that is the status of the pipeline.
    stuck.wait().code(143);
}
