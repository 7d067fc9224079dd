//! `netrun exec`: a second process in a running container.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, eventually};

fn running() -> FakeHost {
    let host = FakeHost::new();
    let run = [
        "run", "-d", "--name", "c", "-e", "BASE=1", "-w", "/srv", ALPINE, "sleep", "1000",
    ];
    host.netrun(&run).ok();
    host
}

fn end(host: FakeHost) {
    host.netrun(&["rm", "-f", "c"]).ok();
    host.finish();
}

#[test]
fn status_streams_and_options() {
    let host = running();
    for (options, line, expected) in [
        (&[][..], "echo $BASE; pwd", "1\n/srv"),
        (
            &["-e", "BASE=2", "--env", "MORE=3"],
            "echo $BASE$MORE",
            "23",
        ),
        (&["-w", "/etc"], "pwd", "/etc"),
        (&["-u", "guest"], "id -un; id -gn", "guest\nusers"),
        (&["--user", "7:8"], "id -u; id -g", "7\n8"),
    ] {
        let args = [&["exec"], options, &["c", "sh", "-c", line]].concat();
        assert_eq!(host.netrun(&args).ok().text(), expected, "{options:?}");
    }
    let both = host
        .netrun(&["exec", "c", "sh", "-c", "echo o; echo e >&2; exit 33"])
        .code(33);
    assert_eq!((both.text(), both.stderr.trim()), ("o", "e"));
    host.netrun(&["exec", "c", "sh", "-c", "kill -9 $$"])
        .code(137);
    host.netrun(&["exec", "c", "nothing-here"])
        .fails(127, &["nothing-here"]);
    host.netrun(&["exec", "c", "/etc/motd"])
        .fails(126, &["/etc/motd"]);
    host.netrun(&["exec", "-u", "stranger", "c", "true"])
        .fails(126, &["stranger"]);
    // Options behind the container's name belong to the command.
    assert_eq!(
        host.netrun(&["exec", "c", "echo", "-e", "-d"]).ok().text(),
        "-d"
    );
    end(host);
}

#[test]
fn input_arrives_whole_and_ends() {
    let host = running();
    let big = vec![b'y'; 2_000_000];
    let sum = host
        .netrun_cmd(&["exec", "-i", "c", "sha256sum"])
        .stdin(big.clone())
        .run()
        .ok();
    let here = host.cmd("sha256sum").stdin(big).run().ok();
    assert_eq!(sum.text(), here.text());
    // Without -i the command reads an end of file at once.
    assert_eq!(
        host.netrun_cmd(&["exec", "c", "wc", "-c"])
            .stdin("xxx")
            .run()
            .ok()
            .text(),
        "0"
    );
    end(host);
}

#[test]
fn detached_it_returns_at_once_and_runs_on() {
    let host = running();
    let exec = host
        .netrun(&[
            "exec",
            "-d",
            "c",
            "sh",
            "-c",
            "sleep 0.5; echo x >/done; sleep 1000",
        ])
        .ok();
    assert!(exec.took < Duration::from_secs(5), "{exec}");
    eventually(Duration::from_secs(10), "the command went on", || {
        (host.netrun(&["exec", "c", "cat", "/done"]).code == 0).then_some(())
    });
    end(host);
}

#[test]
fn an_exec_whose_client_was_killed_is_ended() {
    let host = running();
    let exec = host
        .netrun_cmd(&["exec", "c", "sh", "-c", "echo up; yes"])
        .spawn();
    exec.expect("up");
    exec.signal(nix::sys::signal::SIGKILL);
    drop(exec);
    eventually(Duration::from_secs(20), "the process is gone", || {
        (host.sh("pgrep -x yes").code != 0).then_some(())
    });
    end(host);
}

#[test]
fn signals_go_to_the_command() {
    let host = running();
    let line = "trap 'echo caught; exit 12' TERM; echo up; while :; do sleep 0.05; done";
    let exec = host.netrun_cmd(&["exec", "c", "sh", "-c", line]).spawn();
    exec.expect("up");
    exec.signal(nix::sys::signal::SIGTERM);
    assert_eq!(exec.wait().code(12).text(), "up\ncaught");
    end(host);
}

#[test]
fn only_in_a_running_container() {
    let host = FakeHost::new();
    host.netrun(&["create", "--name", "c", ALPINE, "sleep", "1000"])
        .ok();
    host.netrun(&["exec", "c", "true"])
        .fails(125, &["c", "not running"]);
    host.netrun(&["start", "c"]).ok();
    host.netrun(&["exec", "c", "true"]).ok();
    end(host);
}

#[test]
fn twenty_at_once() {
    let host = running();
    let started: Vec<_> = (0..20)
        .map(|number| {
            host.netrun_cmd(&["exec", "c", "sh", "-c", &format!("echo {number}")])
                .spawn()
        })
        .collect();
    for (number, exec) in started.into_iter().enumerate() {
        assert_eq!(exec.wait().ok().text(), number.to_string());
    }
    end(host);
}
