//! `netrun run`: its options, the image's own words, what the container finds inside.

use crate::host::{ALPINE, FakeHost};

const FEATURED: &str = "featured:1";

/// Runs a shell line in an alpine container with these options; its output.
#[track_caller]
fn inside(host: &FakeHost, options: &[&str], line: &str) -> String {
    let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn options_stand_on_either_side_of_the_image() {
    let host = FakeHost::new();
    host.mynet();
    let address = ["ip", "-4", "addr", "show", "eth0"];
    let run = [&["run", "--rm", ALPINE, "--net", "mynet"], &address[..]].concat();
    assert!(host.netrun(&run).ok().stdout.contains("10.10."));
    let run = [
        "run", ALPINE, "--rm", "-e", "A=1", "--", "sh", "-c", "echo $A", "-d",
    ];
    assert_eq!(host.netrun(&run).ok().text(), "1");
    // The first word that is no option begins the command; from there on nothing is ours.
    let run = [
        "run", "--rm", ALPINE, "echo", "-d", "--rm", "--name", "x", "--", "-e",
    ];
    assert_eq!(host.netrun(&run).ok().text(), "-d --rm --name x -- -e");
    let run = ["run", "--rm", ALPINE, "--", "echo", "--net", "host"];
    assert_eq!(host.netrun(&run).ok().text(), "--net host");
}

#[test]
fn an_option_taken_behind_an_image_with_an_entrypoint_is_told() {
    let host = FakeHost::new();
    let run = host.netrun(&["run", "--rm", FEATURED, "-e", "A=1"]).ok();
    assert_eq!(run.text(), "entry one two words");
    assert!(run.stderr.contains("--"), "{run}");
    let run = host
        .netrun(&["run", "--rm", FEATURED, "--", "-e", "A=1"])
        .ok();
    assert_eq!(
        (run.text(), run.stderr.as_str()),
        ("entry -e A=1", ""),
        "{run}"
    );
}

#[test]
fn detached_or_not_kept_or_not() {
    let host = FakeHost::new();
    for (number, options) in [
        &["-i"][..],
        &["--rm"],
        &["--rm", "-i"],
        &["-d"],
        &["-d", "-i"],
        &["-d", "--rm"],
        &["-d", "--rm", "-i"],
        &["-d", "-t"],
        &["-d", "-i", "-t"],
        &["-dit", "--rm"],
        &[],
    ]
    .iter()
    .enumerate()
    {
        let name = format!("c{number}");
        let detached = options.iter().any(|option| option.starts_with("-d"));
        let removed = options.contains(&"--rm");
        let command = [ALPINE, "sh", "-c", "sleep 0.3; echo done"];
        let args = [&["run", "--name", &name], *options, &command[..]].concat();
        let run = host.netrun(&args).ok();
        let expected = if detached { name.as_str() } else { "done" };
        assert_eq!(run.text(), expected, "{run}");
        if detached && !removed {
            assert_eq!(host.waited(&name), 0);
            assert_eq!(host.netrun(&["logs", &name]).ok().text(), "done", "{run}");
        }
        if !removed {
            host.netrun(&["rm", &name]).ok();
        }
    }
}

#[test]
fn the_status_is_the_processs() {
    let host = FakeHost::new();
    for (line, status) in [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("kill -9 $$; sleep 9", 137),
    ] {
        // A child, since process 1 does not die of a signal it sends itself.
        let wrapped = format!("sh -c '{line}'; exit $?");
        host.netrun(&["run", "--rm", ALPINE, "sh", "-c", &wrapped])
            .code(status);
    }
    let host_kill = host.netrun_cmd(&[
        "run",
        "--name",
        "k",
        ALPINE,
        "sh",
        "-c",
        "echo up; sleep 1000",
    ]);
    let running = host_kill.spawn();
    running.expect("up");
    host.netrun(&["kill", "k"]).ok();
    assert_eq!(running.wait().code, 137);
    assert_eq!(host.waited("k"), 137);
    host.netrun(&["rm", "k"]).ok();
}

#[test]
fn the_images_defaults_are_honoured() {
    let host = FakeHost::new();
    let run = |options: &[&str], command: &[&str]| {
        let args = [&["run", "--rm"], options, &[FEATURED], command].concat();
        host.netrun(&args).ok().text().to_owned()
    };
    assert_eq!(run(&[], &[]), "entry one two words");
    assert_eq!(run(&[], &["mine"]), "entry mine");
    assert_eq!(
        run(&["--entrypoint", "cat"], &["zstd", "/srv/plain"]),
        "from a zstd layer\nfrom a plain layer"
    );
    assert_eq!(
        run(&["--entrypoint", "pwd"], &[]),
        "/srv/work",
        "the image's words are not the new entrypoint's"
    );
    assert_eq!(run(&["--entrypoint", "id"], &["-un"]), "worker");
    assert_eq!(
        run(
            &["--entrypoint", "sh"],
            &["-c", "echo $COLOUR-$EMPTY-$HOME"]
        ),
        "green--/home/worker"
    );
    assert_eq!(
        run(
            &["--entrypoint", "sh", "-e", "COLOUR=red"],
            &["-c", "echo $COLOUR"]
        ),
        "red"
    );
    assert_eq!(run(&["--entrypoint", "pwd", "-w", "/tmp"], &[]), "/tmp");
    assert_eq!(run(&["--entrypoint", "id", "-u", "root"], &["-u"]), "0");
}

#[test]
fn the_images_stop_signal_stops() {
    let host = FakeHost::new();
    let line = "trap 'echo usr1; exit 3' USR1; echo up; while :; do sleep 0.1; done";
    let common = ["run", "-d", "--name", "s", "--entrypoint", "sh"];
    host.netrun(&[&common[..], &[FEATURED, "-c", line]].concat())
        .ok();
    ready(&host, "s");
    host.netrun(&["stop", "s"]).ok();
    assert_eq!(host.waited("s"), 3);
    assert!(host.netrun(&["logs", "s"]).ok().stdout.contains("usr1"));
    host.netrun(&["rm", "s"]).ok();
    // The option overrules the image, and the time-out ends in SIGKILL.
    let line = "trap 'echo hup; exit 4' HUP; trap '' TERM; echo up; while :; do sleep 0.1; done";
    let options = ["--stop-signal", "HUP", "--stop-timeout", "30"];
    host.netrun(&[&common[..], &options, &[FEATURED, "-c", line]].concat())
        .ok();
    ready(&host, "s");
    host.netrun(&["stop", "s"]).ok();
    assert_eq!(host.waited("s"), 4);
    host.netrun(&["rm", "s"]).ok();
    let options = ["--stop-signal", "SIGTERM", "--stop-timeout", "1"];
    host.netrun(&[&common[..], &options, &[FEATURED, "-c", line]].concat())
        .ok();
    ready(&host, "s");
    host.netrun(&["stop", "s"]).ok();
    assert_eq!(host.waited("s"), 137);
    host.netrun(&["rm", "s"]).ok();
}

/// Waits until the container said `up`.
fn ready(host: &FakeHost, name: &str) {
    crate::host::eventually(std::time::Duration::from_secs(20), "it is up", || {
        host.netrun(&["logs", name])
            .stdout
            .contains("up")
            .then_some(())
    });
}

#[test]
fn environment_and_directory() {
    let host = FakeHost::new();
    assert_eq!(
        inside(
            &host,
            &["-e", "A=1", "--env", "B=two words", "-e", "C="],
            "echo $A-$B-$C."
        ),
        "1-two words-."
    );
    let args = [
        "run",
        "--rm",
        "-e",
        "FROM_CALLER",
        "-e",
        "NOT_SET",
        ALPINE,
        "env",
    ];
    let run = host
        .netrun_cmd(&args)
        .env("FROM_CALLER", "yes")
        .env("OTHER", "no")
        .run()
        .ok();
    let lines = run.lines();
    assert!(lines.contains(&"FROM_CALLER=yes"), "{run}");
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("NOT_SET") || line.starts_with("OTHER")),
        "{run}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("PATH=/usr/local/sbin:")),
        "{run}"
    );
    assert!(lines.contains(&"HOME=/root"), "{run}");
    assert!(
        lines.iter().any(|line| line.starts_with("HOSTNAME=")),
        "{run}"
    );
    assert_eq!(inside(&host, &["-w", "/usr/bin"], "pwd"), "/usr/bin");
    assert_eq!(
        inside(&host, &["-w", "/not/there/yet"], "pwd"),
        "/not/there/yet"
    );
}

#[test]
fn users_and_groups() {
    let host = FakeHost::new();
    for (user, expected) in [
        (
            "root",
            "uid=0(root) gid=0(root) groups=0(root),1(bin),2(daemon),10(wheel),27(video)",
        ),
        (
            "guest",
            "uid=405(guest) gid=100(users) groups=18(audio),27(video),100(users)",
        ),
        (
            "405",
            "uid=405(guest) gid=100(users) groups=18(audio),27(video),100(users)",
        ),
        (
            "guest:wheel",
            "uid=405(guest) gid=10(wheel) groups=10(wheel)",
        ),
        ("guest:4242", "uid=405(guest) gid=4242 groups=4242"),
        ("1234:5678", "uid=1234 gid=5678 groups=5678"),
        ("1234", "uid=1234 gid=0(root) groups=0(root)"),
    ] {
        assert_eq!(inside(&host, &["-u", user], "id"), expected, "-u {user}");
    }
    for user in ["stranger", "guest:strangers", "4294967296"] {
        host.netrun(&["run", "--rm", "-u", user, ALPINE, "true"])
            .fails(125, &[user.rsplit(':').next().unwrap()]);
    }
    host.assert_clean();
}

#[test]
fn bind_mounts() {
    let host = FakeHost::new();
    host.write("/tmp/in/file", "from the host\n");
    host.announce("* /tmp/*");
    assert_eq!(
        inside(
            &host,
            &["-v", "/tmp/in:/data"],
            "cat /data/file; echo new >/data/new"
        ),
        "from the host"
    );
    assert_eq!(host.read("/tmp/in/new"), "new\n");
    assert_eq!(
        inside(
            &host,
            &["-v", "/tmp/in:/data:ro"],
            "touch /data/x 2>/dev/null || echo refused"
        ),
        "refused"
    );
    assert_eq!(
        inside(&host, &["-v", "/tmp/in/file:/etc/one"], "cat /etc/one"),
        "from the host"
    );
    // docker makes a directory where the source is missing.
    assert_eq!(
        inside(&host, &["--volume", "/tmp/made:/m"], "ls -d /m"),
        "/m"
    );
    for bad in ["/tmp/in:data", ":/data", "/tmp/in:/data:wrong", "a:b:c:d"] {
        host.netrun(&["run", "--rm", "-v", bad, ALPINE, "true"])
            .fails(125, &[]);
    }
}

#[test]
fn hostname_names_and_labels() {
    let host = FakeHost::new();
    assert_eq!(
        inside(&host, &["--name", "web"], "hostname; cat /etc/hostname"),
        "web\nweb"
    );
    assert_eq!(
        inside(
            &host,
            &["--hostname", "h.example"],
            "hostname; cat /etc/hostname"
        ),
        "h.example\nh.example"
    );
    let run = [
        "run",
        "-d",
        "-l",
        "tier=front",
        "--label",
        "empty",
        "--name",
        "l",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&run).ok();
    for (filter, found) in [
        ("label=tier", "l"),
        ("label=tier=front", "l"),
        ("label=tier=back", ""),
        ("label=empty", "l"),
    ] {
        assert_eq!(
            host.netrun(&["ps", "-q", "--filter", filter]).ok().text(),
            found,
            "{filter}"
        );
    }
    host.netrun(&["rm", "-f", "l"]).ok();
    let generated = |_| {
        host.netrun(&["run", "-d", ALPINE, "true"])
            .ok()
            .text()
            .to_owned()
    };
    let mut names: Vec<String> = (0..4).map(generated).collect();
    for name in &names {
        assert!((3..=32).contains(&name.len()), "{name} is short");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c)),
            "{name}"
        );
        host.netrun(&["rm", "-f", name]).ok();
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn the_cidfile_holds_the_id() {
    let host = FakeHost::new();
    host.announce("file /tmp/cid*");
    let run = [
        "run",
        "--rm",
        "--name",
        "c",
        "--cidfile",
        "/tmp/cid",
        ALPINE,
        "true",
    ];
    host.netrun(&run).ok();
    assert_eq!(host.read("/tmp/cid").trim(), "c");
    host.netrun(&run).fails(125, &["/tmp/cid"]);
    host.assert_clean();
}

#[test]
fn another_snapshotter_and_another_runtime() {
    let host = FakeHost::new();
    host.announce("snapshot * sha256:*");
    assert_eq!(
        inside(&host, &["--snapshotter", "native"], "echo native"),
        "native"
    );
    assert_eq!(
        inside(&host, &["--runtime", "io.containerd.runc.v2"], "echo runc"),
        "runc"
    );
    let args = [
        "run",
        "--rm",
        "--runtime",
        "io.containerd.nothing.v9",
        ALPINE,
        "true",
    ];
    host.netrun(&args).fails(125, &["io.containerd.nothing.v9"]);
    let args = ["run", "--rm", "--snapshotter", "nothing", ALPINE, "true"];
    host.netrun(&args).fails(125, &["nothing"]);
    let settled = host.settle(std::time::Duration::from_secs(5));
    assert!(settled.is_empty(), "{settled:?}");
}

#[test]
fn timings_are_a_table_of_this_runs_steps() {
    let host = FakeHost::new();
    let run = host
        .netrun(&["run", "--rm", "--timings", ALPINE, "echo", "hello"])
        .ok();
    assert_eq!(run.text(), "hello");
    let steps = host.netrun(&["steps"]).ok();
    let named = steps
        .lines()
        .into_iter()
        .filter(|step| run.stderr.contains(step));
    assert!(named.count() >= 5, "{run}\n{steps}");
    assert!(run.stderr.contains("step"), "a heading: {run}");
    let quiet = host.netrun(&["run", "--rm", ALPINE, "true"]).ok();
    assert_eq!(quiet.stderr, "", "{quiet}");
}
