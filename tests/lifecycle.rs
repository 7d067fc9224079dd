//! What becomes of a container by itself: restarts, health, whose end is its own, when it is ready.

use std::time::{Duration, Instant};

use nix::sys::signal::{SIGKILL, SIGTERM};

use crate::host::{ALPINE, FakeHost, Output, eventually};

const LONG: Duration = Duration::from_secs(60);

fn inspect(host: &FakeHost, name: &str, field: &str) -> String {
    let args = ["inspect", "--format", field, name];
    host.netrun(&args).ok().text().to_owned()
}

fn until(host: &FakeHost, name: &str, field: &str, wanted: &str) {
    let what = format!("{field} of {name} to be {wanted}");
    eventually(LONG, &what, || {
        (inspect(host, name, field) == wanted).then_some(())
    });
}

/// Kills the supervisors, and sees them gone.
fn kill_supervisors(host: &FakeHost) {
    host.sh("pkill -9 -f '[n]etrun supervise'; while pgrep -f '[n]etrun supervise'; do sleep 0.02; done")
        .ok();
}

fn restarts(host: &FakeHost, name: &str) -> u32 {
    inspect(host, name, "{{.RestartCount}}").parse().unwrap()
}

#[test]
fn what_fails_is_started_again_so_many_times() {
    let host = FakeHost::new();
    host.mynet();
    let args = [
        "run",
        "-d",
        "--name",
        "f",
        "--net",
        "mynet",
        "--restart",
        "on-failure:2",
    ];
    let args = [&args[..], &[ALPINE, "sh", "-c", "echo run; exit 3"]].concat();
    host.netrun(&args).ok();
    eventually(LONG, "two restarts", || {
        (restarts(&host, "f") == 2).then_some(())
    });
    until(&host, "f", "{{.State.Status}}", "exited");
    assert_eq!(inspect(&host, "f", "{{.State.ExitCode}}"), "3");
    assert_eq!(host.netrun(&["logs", "f"]).ok().stdout, "run\nrun\nrun\n");
    assert_eq!(
        host.sh("ip netns").ok().text(),
        "",
        "each run's network went"
    );
    // Whoever starts it counts anew.
    host.netrun(&["start", "f"]).ok();
    eventually(LONG, "two more", || {
        let lines = host.netrun(&["logs", "f"]).ok().lines().len();
        (lines == 6).then_some(())
    });
    until(&host, "f", "{{.State.Status}}", "exited");
    host.netrun(&["rm", "f"]).ok();
    // What succeeds has not failed.
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "s",
        "--restart",
        "on-failure",
        ALPINE,
        "true",
    ])
    .ok();
    assert_eq!(host.waited("s"), 0);
    assert_eq!(
        inspect(&host, "s", "{{.State.Status}} {{.RestartCount}}"),
        "exited 0"
    );
    host.netrun(&["rm", "s"]).ok();
}

#[test]
fn always_means_until_somebody_stops_it() {
    let host = FakeHost::new();
    let args = ["run", "-d", "--name", "a", "--restart", "always", ALPINE];
    host.netrun(&[&args[..], &["sh", "-c", "sleep 0.3"]].concat())
        .ok();
    eventually(LONG, "some restarts", || {
        (restarts(&host, "a") >= 3).then_some(())
    });
    eventually(LONG, "it waits for its turn", || {
        let ps = host
            .netrun(&["ps", "-a", "--format", "{{.State}} {{.Status}}"])
            .ok();
        ps.text()
            .starts_with("restarting Restarting (0)")
            .then_some(())
    });
    // Wherever it is: between two runs, or in one.
    host.netrun(&["stop", "a"]).ok();
    assert_eq!(inspect(&host, "a", "{{.State.Status}}"), "exited");
    let count = restarts(&host, "a");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(restarts(&host, "a"), count);
    assert_eq!(inspect(&host, "a", "{{.State.Status}}"), "exited");
    host.netrun(&["start", "a"]).ok();
    host.netrun(&["stop", "a"]).ok();
    host.netrun(&["start", "a"]).ok();
    std::thread::sleep(Duration::from_millis(700));
    host.netrun(&["rm", "-f", "a"]).ok();
    std::thread::sleep(Duration::from_secs(2));
    host.assert_clean();
    let both = ["run", "--rm", "--restart", "always", ALPINE, "true"];
    host.netrun(&both).fails(125, &["--rm", "--restart"]);
    let word = ["run", "--restart", "sometimes", ALPINE, "true"];
    host.netrun(&word).fails(125, &["sometimes", "on-failure"]);
}

#[test]
fn a_policy_goes_on_after_its_supervisor_died() {
    let host = FakeHost::new();
    let args = ["run", "-d", "--name", "p", "--restart", "always", ALPINE];
    host.netrun(&[&args[..], &["sh", "-c", "sleep 2; exit 4"]].concat())
        .ok();
    kill_supervisors(&host);
    std::thread::sleep(Duration::from_secs(3));
    // It ended with nobody there; the next command finds it so, and its policy goes on.
    host.netrun(&["ps", "-a"]).ok();
    eventually(LONG, "it was started again", || {
        (restarts(&host, "p") >= 1).then_some(())
    });
    kill_supervisors(&host);
    host.netrun(&["ps", "-a"]).ok();
    eventually(LONG, "and again", || {
        (restarts(&host, "p") >= 2).then_some(())
    });
    host.netrun(&["rm", "-f", "p"]).ok();
}

#[test]
fn health_is_checked_and_told() {
    let host = FakeHost::new();
    let args = [
        "run",
        "-d",
        "--name",
        "h",
        "--health-cmd",
        "echo out; echo err >&2; test -e /up",
        "--health-interval",
        "200ms",
        "--health-retries",
        "2",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&args).ok();
    until(&host, "h", "{{.State.Health.Status}}", "unhealthy");
    host.netrun(&["exec", "h", "touch", "/up"]).ok();
    until(&host, "h", "{{.State.Health.Status}}", "healthy");
    let probe = inspect(&host, "h", "{{json .State.Health}}");
    assert!(
        probe.contains(r#""ExitCode":0,"Output":"out\nerr\n""#),
        "{probe}"
    );
    let status = host.netrun(&["ps", "--format", "{{.Status}}"]).ok();
    assert!(status.text().ends_with("(healthy)"), "{status}");
    // It goes on with another supervisor.
    kill_supervisors(&host);
    host.netrun(&["exec", "h", "rm", "/up"]).ok();
    until(&host, "h", "{{.State.Health.Status}}", "unhealthy");
    host.netrun(&["rm", "-f", "h"]).ok();
    // A check that hangs is killed, one that writes a lot is read.
    let args = [
        "run",
        "-d",
        "--name",
        "h",
        "--health-cmd",
        "yes | head -c 3000000; sleep 1000",
        "--health-interval",
        "100ms",
        "--health-timeout",
        "500ms",
        "--health-retries",
        "1",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&args).ok();
    until(&host, "h", "{{.State.Health.Status}}", "unhealthy");
    let log = inspect(&host, "h", "{{json .State.Health.Log}}");
    assert!(log.contains("exceeded timeout (0.5s)"), "{log}");
    host.netrun(&["rm", "-f", "h"]).ok();
    host.assert_clean();
}

#[test]
fn what_is_unhealthy_is_killed_restarted_or_stopped() {
    let host = FakeHost::new();
    for (action, state, code) in [
        ("kill", "exited", "137"),
        ("stop", "exited", "0"),
        ("restart", "running", "0"),
    ] {
        let polite = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let args = [
            "run",
            "-d",
            "--name",
            "u",
            "--health-cmd",
            "false",
            "--health-interval",
            "500ms",
            "--health-retries",
            "1",
            "--health-on-failure",
            action,
            ALPINE,
            "sh",
            "-c",
            polite,
        ];
        host.netrun(&args).ok();
        if action == "restart" {
            eventually(LONG, "it was restarted", || {
                (restarts(&host, "u") >= 1).then_some(())
            });
        }
        until(&host, "u", "{{.State.Status}}", state);
        assert_eq!(inspect(&host, "u", "{{.State.ExitCode}}"), code, "{action}");
        host.netrun(&["rm", "-f", "u"]).ok();
        host.assert_clean();
    }
}

#[test]
fn a_container_ends_with_the_process_it_is_bound_to() {
    let host = FakeHost::new();
    host.mynet();
    for (signal, options) in [
        (SIGTERM, "--rm"),
        (SIGKILL, "--rm"),
        (SIGKILL, "--name=kept"),
    ] {
        let job = format!(
            "netrun run -d {options} --net mynet --stop-timeout 1 --bind-pid parent {ALPINE} \
             sleep 1000 && echo started && exec sleep 1000"
        );
        let job = host.cmd("sh").args(&["-c", &job]).spawn();
        job.expect("started");
        job.signal(signal);
        drop(job);
        eventually(LONG, "its network is gone", || {
            host.sh("ip netns").ok().text().is_empty().then_some(())
        });
    }
    until(&host, "kept", "{{.State.Status}}", "exited");
    host.netrun(&["rm", "kept"]).ok();
    host.settle(Duration::from_secs(10));
    host.assert_clean();
    // The binding is in the record: another supervisor keeps it.
    let sleeper = host.cmd("sleep").args(&["4242"]).spawn();
    let pid = eventually(LONG, "the process", || {
        let pid = host.sh("pgrep -f '^sleep 4242'");
        (pid.code == 0).then(|| pid.text().to_owned())
    });
    host.netrun(&[
        "run",
        "-d",
        "--rm",
        "--bind-pid",
        &pid,
        "--stop-timeout",
        "0",
        ALPINE,
        "sleep",
        "1000",
    ])
    .ok();
    kill_supervisors(&host);
    host.netrun(&["ps"]).ok();
    host.sh(&format!("kill -9 {pid}")).ok();
    drop(sleeper);
    eventually(LONG, "it is gone", || {
        host.sh("ctr container ls -q")
            .ok()
            .text()
            .is_empty()
            .then_some(())
    });
    host.settle(Duration::from_secs(10));
    host.netrun(&["run", "-d", "--bind-pid", &pid, ALPINE, "true"])
        .fails(125, &["no process", &pid]);
    host.netrun(&["run", "-d", "--bind-pid", "me", ALPINE, "true"])
        .fails(125, &["me", "parent"]);
}

fn run_and_wait(host: &FakeHost, wait: &str, options: &[&str], line: &str) -> Output {
    let args = ["run", "-d", "--name", "w", "--net", "mynet", wait];
    host.netrun(&[&args, options, &[ALPINE, "sh", "-c", line]].concat())
}

const SERVE: &str = "sleep 1; mkdir /www; echo hi >/www/ready; httpd -f -p 80 -h /www";

#[test]
fn a_run_returns_when_the_container_is_ready() {
    let host = FakeHost::new();
    host.mynet();
    let run = |wait: &str, options: &[&str], line: &str| run_and_wait(&host, wait, options, line);
    for wait in [
        "--wait=tcp:80",
        "--wait=http:80/ready",
        "--wait=log:^ready \\d+$",
    ] {
        let started = Instant::now();
        run(wait, &[], &format!("(sleep 1; echo ready 5) & {SERVE}")).ok();
        assert!(started.elapsed() >= Duration::from_secs(1), "{wait}");
        host.netrun(&["rm", "-f", "w"]).ok();
    }
    let health = [
        "--health-cmd",
        "test -e /up",
        "--health-start-period",
        "60s",
        "--health-start-interval",
        "100ms",
    ];
    run("--wait", &health, "sleep 1; touch /up; sleep 1000").ok();
    assert_eq!(inspect(&host, "w", "{{.State.Health.Status}}"), "healthy");
    host.netrun(&["rm", "-f", "w"]).ok();
    run("--wait", &[], "sleep 1000").ok();
    host.netrun(&["rm", "-f", "w"]).ok();
    // A health that nobody checks is refused only where it is asked for by name.
    run("--wait=healthy", &[], "sleep 1000").fails(125, &["has no health check"]);
    host.assert_clean();
    // One that is started again is waited for until its policy is used up.
    let again = ["--restart", "on-failure:2", "-v", "tries:/t"];
    let third = "echo x >>/t/x; [ $(wc -l </t/x) = 3 ] || exit 1; echo done; sleep 1000";
    run("--wait=log:done", &again, third).ok();
    host.netrun(&["rm", "-f", "w"]).ok();
    host.netrun(&["volume", "rm", "tries"]).ok();
    run("--wait=log:done", &["--restart", "on-failure:1"], "exit 4")
        .fails(125, &["ended with status 4"]);
    assert_eq!(restarts(&host, "w"), 1);
    host.netrun(&["rm", "w"]).ok();
}

#[test]
fn a_run_that_waits_in_vain_says_why() {
    let host = FakeHost::new();
    host.mynet();
    let run = |wait: &str, options: &[&str], line: &str| run_and_wait(&host, wait, options, line);
    run(
        "--wait=tcp:80",
        &[],
        "echo starting; echo cannot bind >&2; exit 3",
    )
    .fails(125, &["ended with status 3", "starting", "cannot bind"]);
    host.netrun(&["rm", "w"]).ok();
    run(
        "--wait=tcp:80",
        &["--rm", "--wait-timeout", "1s"],
        "echo still at it; sleep 1000",
    )
    .fails(124, &["not ready (tcp:80) after 1 seconds", "still at it"]);
    host.assert_clean();
    run(
        "--wait=http:80/none",
        &["--rm", "--wait-timeout", "2s"],
        SERVE,
    )
    .fails(124, &["http:80/none"]);
    let unhealthy = [
        "--rm",
        "--health-cmd",
        "false",
        "--health-interval",
        "100ms",
    ];
    run("--wait", &unhealthy, "sleep 1000").fails(125, &["unhealthy"]);
    host.assert_clean();
    for bad in ["--wait=tcp:0", "--wait=log:(", "--wait=soon"] {
        run(bad, &[], "true").fails(125, &["--wait"]);
    }
    let attached = ["run", "--wait", ALPINE, "true"];
    host.netrun(&attached).fails(125, &["--detach"]);
}

#[test]
fn waiting_for_other_states() {
    let host = FakeHost::new();
    let args = [
        "create",
        "--name",
        "c",
        "--health-cmd",
        "true",
        "--health-interval",
        "200ms",
    ];
    host.netrun(&[&args[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    for (condition, then) in [
        ("running", "netrun start c"),
        ("healthy", "sleep 0"),
        ("exited", "netrun stop -t 0 c"),
        ("removed", "netrun rm c"),
    ] {
        let line = format!(
            "(sleep 0.5; {then}) >/tmp/then & netrun wait --condition {condition} c; wait; rm /tmp/then"
        );
        let waited = host.sh(&line).ok();
        let printed = if condition == "exited" { "137" } else { "" };
        assert_eq!(waited.text(), printed, "{condition}");
    }
    host.netrun(&["wait", "--condition", "running", "c"])
        .fails(125, &["no container \"c\""]);
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "a",
        ALPINE,
        "sh",
        "-c",
        "sleep 1; exit 4",
    ])
    .ok();
    host.netrun(&["run", "-d", "--name", "b", ALPINE, "sleep", "1000"])
        .ok();
    let first = host.netrun(&["wait", "--exit-first-match", "b", "a"]);
    assert_eq!((first.code, first.text()), (4, "4"));
    host.netrun(&["wait", "--condition", "healthy", "b"])
        .fails(125, &["has no health check"]);
    host.netrun(&["wait", "--condition", "soon", "b"])
        .fails(125, &["soon"]);
    host.netrun(&["rm", "-f", "a", "b"]).ok();
}
