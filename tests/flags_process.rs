//! The process, its surroundings, its log.

use crate::host::{ALPINE, FakeHost};

#[track_caller]
fn inside(host: &FakeHost, options: &[&str], line: &str) -> String {
    let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn files_of_variables_and_labels() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    host.write("/tmp/env", "# comment\nA=file\nB=two words\nFROM_HERE\n");
    host.write("/tmp/more", "A=later\n");
    host.write("/tmp/labels", "tier=front\njob=1\n");
    let args = [
        "run",
        "--rm",
        "--env-file",
        "/tmp/env",
        "--env-file",
        "/tmp/more",
        "-e",
        "C=line",
        ALPINE,
        "sh",
        "-c",
        "echo $A $B $C $FROM_HERE",
    ];
    let run = host.netrun_cmd(&args).env("FROM_HERE", "here").run().ok();
    assert_eq!(run.text(), "later two words line here");
    let create = [
        "create",
        "--name",
        "c",
        "--label-file",
        "/tmp/labels",
        "-l",
        "job=2",
        "--annotation",
        "org.x=y",
        "--expose",
        "80",
        "--expose",
        "53/udp",
        ALPINE,
        "true",
    ];
    host.netrun(&create).ok();
    let show = |format: &str| {
        host.netrun(&["inspect", "-f", format, "c"])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(
        show("{{.Config.Labels.tier}} {{.Config.Labels.job}}"),
        "front 2"
    );
    assert_eq!(show("{{index .Spec.annotations \"org.x\"}}"), "y");
    assert_eq!(
        show("{{json .Config.ExposedPorts}}"),
        "{\"53/udp\":{},\"80/tcp\":{}}"
    );
    host.netrun(&["rm", "c"]).ok();
    host.write("/tmp/bad", "A=1\nwith blanks=2\n");
    for (option, value, word) in [
        ("--env-file", "/tmp/none", "/tmp/none"),
        ("--env-file", "/tmp/bad", "line 2"),
        ("--label-file", "/tmp/none", "/tmp/none"),
        ("--expose", "web", "web"),
    ] {
        host.netrun(&["run", "--rm", option, value, ALPINE, "true"])
            .fails(125, &[word]);
    }
    host.netrun(&["run", "-d", "--name", "e", ALPINE, "sleep", "1000"])
        .ok();
    let exec = [
        "exec",
        "--env-file",
        "/tmp/env",
        "-e",
        "A=x",
        "e",
        "sh",
        "-c",
        "echo $A $B",
    ];
    assert_eq!(host.netrun(&exec).ok().text(), "x two words");
    let capabilities = "grep CapEff /proc/self/status | cut -f2";
    let all = ["exec", "--privileged", "e", "sh", "-c", capabilities];
    let own = host.sh(capabilities).ok();
    assert_eq!(host.netrun(&all).ok().text(), own.text());
    host.netrun(&["rm", "-f", "e"]).ok();
    host.finish();
}

#[test]
fn an_init_reaps_and_passes_signals_on() {
    let host = FakeHost::new();
    let line = "cat /proc/1/cmdline | tr '\\0' ' '";
    let seen = inside(&host, &["--init"], line);
    assert!(seen.starts_with("/sbin/docker-init -- sh -c"), "{seen}");
    let run = [
        "run", "-d", "--init", "--name", "i", ALPINE, "sleep", "1000",
    ];
    host.netrun(&run).ok();
    // A sleep that is process 1 itself would ignore it.
    host.netrun(&["kill", "-s", "TERM", "i"]).ok();
    assert_eq!(host.waited("i"), 143);
    let init = host
        .netrun(&["inspect", "-f", "{{.HostConfig.Init}} {{.Path}}", "i"])
        .ok();
    assert_eq!(init.text(), "true sleep");
    host.netrun(&["rm", "i"]).ok();
}

#[test]
fn without_tini_it_says_what_to_install() {
    let host = FakeHost::new();
    let hidden =
        "mount --bind /dev/null /usr/bin/tini-static && netrun run --rm --init alpine:3.14 true";
    let hidden = hidden.replace(
        "--bind /dev/null /usr/bin/tini-static",
        "-t tmpfs tmpfs /usr/bin",
    );
    let line = format!(
        "mkdir /tmp/b; cp $(command -v mount) /tmp/b; cp $(command -v netrun) /tmp/b/netrun
         unshare -m sh -c 'PATH=/tmp/b:$PATH; {hidden}'"
    );
    host.announce("* /tmp/b*");
    host.sh(&line)
        .fails(125, &["tini", "apt-get install -y tini"]);
}

#[test]
fn zones_platforms_pid_files_and_replacement() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    let zone = inside(&host, &["--tz", "Etc/GMT+5"], "date +%z");
    assert_eq!(zone, "-0500");
    let here = host
        .netrun(&["info", "--format", "{{.OSType}}/{{.Architecture}}"])
        .ok();
    let here = here
        .text()
        .replace("x86_64", "amd64")
        .replace("aarch64", "arm64");
    assert_eq!(inside(&host, &["--platform", &here], "echo here"), "here");
    for (option, value, word) in [
        ("--tz", "Nowhere/Land", "Nowhere/Land"),
        ("--tz", "../passwd", "../passwd"),
        ("--platform", "moon", "moon"),
    ] {
        host.netrun(&["run", "--rm", option, value, ALPINE, "true"])
            .fails(125, &[word]);
    }
    let run = [
        "run",
        "-d",
        "--name",
        "p",
        "--pidfile",
        "/tmp/pid",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&run).ok();
    let pid = host.netrun(&["inspect", "-f", "{{.State.Pid}}", "p"]).ok();
    assert_eq!(host.read("/tmp/pid").trim(), pid.text());
    host.netrun(&["run", "-d", "--name", "p", ALPINE, "sleep", "1"])
        .fails(125, &["p"]);
    let again = [
        "run",
        "-d",
        "--name",
        "p",
        "--replace",
        ALPINE,
        "sleep",
        "2000",
    ];
    host.netrun(&again).ok();
    let args = host.netrun(&["inspect", "-f", "{{.Args}}", "p"]).ok();
    assert_eq!(args.text(), "[2000]");
    host.netrun(&["rm", "-f", "p"]).ok();
    host.netrun(&["run", "--rm", "--name", "p", "--replace", ALPINE, "true"])
        .ok();
    host.finish();
}

#[test]
fn logs_by_their_driver() {
    let host = FakeHost::new();
    let line = "echo out; echo err >&2; printf end";
    let json = [
        "run",
        "--name",
        "j",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=1m",
    ];
    host.netrun(
        &[
            &json[..],
            &["--log-opt", "max-file=2", ALPINE, "sh", "-c", line],
        ]
        .concat(),
    )
    .ok();
    let logs = host.netrun(&["logs", "j"]).ok();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("out\nend", "err\n")
    );
    let config = host.netrun(&[
        "inspect",
        "-f",
        "{{.HostConfig.LogConfig.Type}} {{.LogPath}}",
        "j",
    ]);
    let config = config.ok();
    let (driver, path) = config.text().split_once(' ').unwrap();
    assert_eq!(driver, "json-file");
    let lines = host.read(path);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(
        first["log"] == "out\n" || first["log"] == "err\n",
        "{first}"
    );
    host.netrun(&["rm", "j"]).ok();
}

#[test]
fn logs_that_are_small_or_not_kept() {
    let host = FakeHost::new();
    let none = [
        "run",
        "--name",
        "n",
        "--log-driver",
        "none",
        ALPINE,
        "echo",
        "seen",
    ];
    assert_eq!(host.netrun(&none).ok().text(), "seen");
    host.netrun(&["logs", "n"]).fails(4, &["keeps no log"]);
    let small = [
        "run",
        "-d",
        "--name",
        "s",
        "--log-opt",
        "max-size=10k",
        ALPINE,
    ];
    let much = ["sh", "-c", "yes 0123456789 | head -n 100000; echo last"];
    host.netrun(&[&small[..], &much].concat()).ok();
    host.waited("s");
    let kept = host.netrun(&["logs", "s"]).ok();
    assert!(
        kept.stdout.ends_with("last\n") && kept.stdout.len() < 400_000,
        "{}",
        kept.stdout.len()
    );
    host.netrun(&["rm", "n", "s"]).ok();
    for (option, value, word) in [
        ("--log-driver", "journald", "journald"),
        ("--log-driver", "paper", "paper"),
        ("--log-opt", "max-size=0", "max-size"),
        ("--log-opt", "tag=x", "tag"),
    ] {
        host.netrun(&["run", "--rm", option, value, ALPINE, "true"])
            .fails(125, &[word]);
    }
    host.finish();
}

/// This machine's, and another one's that the test images are made for.
fn platforms() -> (&'static str, &'static str) {
    match cfg!(target_arch = "x86_64") {
        true => ("linux/amd64", "linux/arm64"),
        false => ("linux/arm64", "linux/amd64"),
    }
}

#[test]
fn the_image_of_the_platform_that_is_asked_for() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let (own, other) = platforms();
    let made_from = |options: &[&str]| {
        let args = [&["create", "--name", "p"], options, &[ALPINE, "true"]].concat();
        host.netrun(&args).ok();
        let image = host.netrun(&["inspect", "-f", "{{.Image}}", "p"]).ok();
        host.netrun(&["rm", "p"]).ok();
        image.text().to_owned()
    };
    let never = |platform: &str| {
        let args = ["run", "--rm", "--pull", "never", "--platform", platform];
        host.netrun(&[&args[..], &[ALPINE, "true"]].concat())
    };
    let foreign = made_from(&["--platform", other]);
    never(own).fails(125, &["not here", own]);
    host.netrun(&["run", "--rm", "--platform", other, ALPINE, "true"])
        .ok();
    // What is here for others is not taken for ours.
    let usual = made_from(&[]);
    assert_ne!(foreign, usual);
    for platform in ["linux/s390x", "s390x"] {
        host.netrun(&["run", "--rm", "--platform", platform, ALPINE, "true"])
            .fails(125, &["linux/s390x", own, other]);
    }
    host.stop_registry();
    assert_eq!(made_from(&["--platform", own]), usual);
    assert_eq!(made_from(&["--platform", other]), foreign);
    let by_variable = |value: &str| {
        let create = ["create", "--name", "v", ALPINE, "true"];
        let create = host.netrun_cmd(&create);
        create.env("DOCKER_DEFAULT_PLATFORM", value).run().ok();
        let image = host.netrun(&["inspect", "-f", "{{.Image}}", "v"]).ok();
        host.netrun(&["rm", "v"]).ok();
        image.text().to_owned()
    };
    assert_eq!([by_variable(""), by_variable(other)], [usual, foreign]);
    host.finish();
}

#[test]
fn an_image_that_is_here_for_another_platform_alone() {
    let host = FakeHost::new();
    host.announce_images();
    // One that is here for another platform alone, under its name.
    host.sh("echo x >/tmp/x; tar -C /tmp -cf /tmp/x.tar x").ok();
    host.netrun(&[
        "import",
        "--platform",
        "linux/s390x",
        "/tmp/x.tar",
        "lone:1",
    ])
    .ok();
    for options in [&["--pull", "never"][..], &[]] {
        let args = [&["run", "--rm"], options, &["lone:1", "/x"]].concat();
        host.netrun(&args)
            .fails(125, &[platforms().0, "linux/s390x"]);
    }
    host.netrun(&[
        "create",
        "--name",
        "l",
        "--platform",
        "linux/s390x",
        "lone:1",
        "/x",
    ])
    .ok();
    host.netrun(&["rm", "l"]).ok();
    host.announce("* /tmp/*");
    host.finish();
}
