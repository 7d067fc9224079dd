//! What scripts learn of a container that was started: that it is ready, why it is not, where it is.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost};

#[test]
fn a_wait_in_vain_tells_the_end_of_the_log() {
    let host = FakeHost::new();
    let run = |options: &[&str], line: &str| {
        let run = ["run", "-d", "--name", "w"];
        host.netrun(&[&run, options, &[ALPINE, "sh", "-c", line]].concat())
    };
    // However soon it ends, and even if it is removed then.
    for wait in ["--wait=log:never", "--wait=tcp:80", "--wait=http:80/x"] {
        let ended = run(&["--rm", wait], "echo oops; exit 3");
        ended.fails(125, &["before it was ready", "oops"]);
        assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    }
    run(&["--wait=tcp:80"], "echo oops; exit 3").fails(125, &["status 3", "oops"]);
    host.netrun(&["rm", "w"]).ok();
    let late = run(
        &["--rm", "--wait=tcp:80", "--wait-timeout", "1"],
        "echo up; sleep 1000",
    );
    late.fails(124, &["after 1 seconds", "up"]);
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    // What can only fail is refused before anything is made.
    for (options, word) in [
        (
            &["--wait=log:x", "--log-driver", "none"][..],
            "--log-driver",
        ),
        (&["--wait-timeout", "soon"], "10s"),
        (&["--wait=http:80x"], "1 to 65535"),
        (&["--wait=log:("], "("),
        (&["--wait=udp:53"], "tcp:5432"),
    ] {
        let refused = run(options, "sleep 1000");
        refused.fails(125, &[word]);
        assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    }
    host.finish();
}

#[test]
fn lines_for_jobs_and_shells() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    // Somebody's last line may have no end.
    host.sh("printf LAST=1 >/tmp/env").ok();
    let run = |name: &str, file: &str| {
        let run = ["run", "-d", "--name", name, "--env-out", file, "-p", "5432"];
        host.netrun(&[&run[..], &[ALPINE, "sleep", "1000"]].concat())
    };
    for name in ["db.1", "2nd"] {
        run(name, "/tmp/env").ok();
    }
    let line = "set -eu; . /tmp/env; echo $LAST $DB_1_ID $_2ND_ID; ping -c1 -W2 $DB_1_IP >/dev/null
        test $DB_1_PORT_5432 -gt 1023; ip netns exec $(basename $_2ND_NETNS) true";
    assert_eq!(host.sh(line).ok().text(), "1 db.1 2nd");
    host.netrun(&["rm", "-f", "db.1", "2nd"]).ok();
    // Every file that is named gets them.
    let both = ["--env-out", "/tmp/a", "--env-out", "/tmp/b"];
    let run_both = ["run", "-d", "--name", "both"];
    host.netrun(&[&run_both, &both[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    host.sh("cmp /tmp/a /tmp/b && test -s /tmp/a").ok();
    host.netrun(&["rm", "-f", "both"]).ok();
    for option in ["--pidfile", "--cidfile"] {
        let never = ["run", "--name", "no", option, "/none/file", ALPINE, "true"];
        host.netrun(&never)
            .fails(125, &["/none/file", "mkdir -p /none"]);
        assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "", "{option}");
    }
    let late = ["run", "--name", "no", "--pidfile", "/dev/full"];
    host.netrun(&[&late[..], &[ALPINE, "sleep", "1000"]].concat())
        .fails(125, &["/dev/full"]);
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    // A file that cannot be written keeps nothing running.
    for file in ["/none/env", "/tmp", "/dev/full"] {
        run("no", file).fails(125, &["--env-out"]);
        assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "", "{file}");
    }
    let seconds = host.netrun(&["run", "--rm", "--timeout", "1", ALPINE, "sleep", "1000"]);
    assert_eq!(seconds.code, 124, "{seconds}");
    assert!(seconds.took < Duration::from_secs(20), "{seconds}");
    host.finish();
}
