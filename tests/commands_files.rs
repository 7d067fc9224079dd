//! A container's files from outside: `cp` both ways, `diff`, `export`.

use crate::host::{ALPINE, FakeHost};

fn host() -> FakeHost {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    host
}

/// A container that runs, and one that does not.
fn two_containers(host: &FakeHost) {
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "runs",
        "-v",
        "data:/data",
        ALPINE,
        "sleep",
        "1000",
    ])
    .ok();
    host.netrun(&[
        "create",
        "--name",
        "stopped",
        "-v",
        "data:/data",
        ALPINE,
        "true",
    ])
    .ok();
}

#[test]
fn what_is_mounted_in_a_stopped_container_is_copied_as_in_a_running_one() {
    let host = host();
    host.sh("mkdir -p /tmp/conf /tmp/out; echo conf >/tmp/conf/app; echo file >/tmp/other")
        .ok();
    let line = "-v /tmp/conf:/etc/app -v /tmp/other:/etc/one.conf -v inner:/etc/app/inner";
    let mounts: Vec<&str> = line.split(' ').collect();
    let script = "echo deep >/etc/app/inner/deep; ln -s /etc/app /to; ln -sf / /etc/out";
    let run = [
        &["run", "--name", "m"],
        &mounts[..],
        &[ALPINE, "sh", "-c", script],
    ]
    .concat();
    host.netrun(&run).ok();
    for (path, copied) in [
        ("/etc/app/app", "/tmp/out/app"),
        ("/etc/one.conf", "/tmp/out/one.conf"),
        ("/etc/app", "/tmp/out/app/inner/deep"),
        ("/to/inner/deep", "/tmp/out/deep"),
        ("/etc", "/tmp/out/etc/app/inner/deep"),
    ] {
        host.sh("rm -rf /tmp/out/*").ok();
        host.netrun(&["cp", &format!("m:{path}"), "/tmp/out"]).ok();
        let text = host.sh(&format!("cat {copied}")).ok();
        assert!(
            ["conf", "file", "deep"].contains(&text.text()),
            "{path}: {text}"
        );
    }
    host.netrun(&["cp", "/tmp/other", "m:/etc/app/inner/in"])
        .ok();
    host.netrun(&["cp", "/tmp/other", "m:/etc/app/in"]).ok();
    host.netrun(&["cp", "/tmp/conf/app", "m:/etc/one.conf"])
        .ok();
    assert_eq!(
        host.sh("cat /tmp/conf/in /tmp/other").ok().text(),
        "file\nconf"
    );
    let inner = ["run", "--rm", "-v", "inner:/i", ALPINE, "cat", "/i/in"];
    assert_eq!(host.netrun(&inner).ok().text(), "file");
    // Nothing of it is mounted where others see it.
    assert_eq!(host.sh("grep -c /tmp/conf /proc/self/mounts").stdout, "0\n");
    host.netrun(&["rm", "-v", "m"]).ok();
    host.netrun(&["volume", "rm", "inner"]).ok();
}

#[test]
fn what_a_container_may_not_write_to_is_not_written_to_by_copies() {
    let host = host();
    host.sh("mkdir /tmp/ro; echo new >/tmp/new").ok();
    let mounts = ["--read-only", "-v", "/tmp/ro:/srv:ro", "-v", "data:/home"];
    for (name, verb, command) in [
        ("fresh", &["create"][..], "true"),
        ("ended", &["run"], "true"),
        ("runs", &["run", "-d"], "sleep 1000"),
    ] {
        let named = [verb, &["--name", name], &mounts].concat();
        let words = ["sh", "-c", command];
        host.netrun(&[&named[..], &[ALPINE], &words].concat()).ok();
        for path in ["/srv/new", "/etc/new"] {
            let to = format!("{name}:{path}");
            host.netrun(&["cp", "/tmp/new", &to])
                .fails(1, &["ead-only", "hint"]);
        }
        host.netrun(&["cp", "/tmp/new", &format!("{name}:/home/new")])
            .ok();
        host.netrun(&["cp", &format!("{name}:/srv"), "/tmp/out"])
            .ok();
    }
    assert_eq!(host.sh("ls /tmp/ro").stdout, "");
    host.netrun(&["rm", "-f", "fresh", "ended", "runs"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
    host.finish();
}

#[test]
fn what_the_kernel_makes_up_is_copied_as_it_is_read() {
    let host = host();
    two_containers(&host);
    for path in [
        "/proc/1/status",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let inside = host.netrun(&["exec", "runs", "sh", "-c", &format!("grep -v State {path}")]);
        host.netrun(&["cp", &format!("runs:{path}"), "/tmp/made-up"])
            .ok();
        let copied = host.sh("grep -av State /tmp/made-up").ok();
        assert!(!copied.text().is_empty() && !copied.stdout.contains('\0'));
        assert_eq!(
            copied.text().lines().next(),
            inside.ok().text().lines().next()
        );
    }
    host.netrun(&["rm", "-f", "runs", "stopped"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
}

#[test]
fn both_ways_running_and_stopped() {
    let host = host();
    two_containers(&host);
    host.sh("mkdir -p /tmp/d/deep; echo one >/tmp/d/one; echo two >/tmp/d/deep/two; chown 7:8 /tmp/d/one; chmod 640 /tmp/d/one")
        .ok();
    for name in ["runs", "stopped"] {
        let inside = |path: &str| format!("{name}:{path}");
        let cp = |args: &[&str]| host.netrun(&[&["cp"], args].concat());
        cp(&["/tmp/d", &inside("/srv")]).ok();
        cp(&["/tmp/d/.", &inside("/opt")]).ok();
        cp(&["/tmp/d/one", &inside("/srv/renamed")]).ok();
        cp(&["-a", "/tmp/d/one", &inside("/mnt/")]).ok();
        cp(&["/tmp/d/one", &inside("/data/volume")]).ok();
        let out = format!("/tmp/out-{name}");
        host.sh(&format!("mkdir {out}")).ok();
        for path in [
            "/srv/d",
            "/opt/deep/two",
            "/srv/renamed",
            "/mnt/one",
            "/data/volume",
        ] {
            cp(&["-a", &inside(path), &out]).ok();
        }
        let seen = host
            .sh(&format!(
                "cd {out}; cat d/deep/two two renamed one volume; stat -c '%u:%g %a' renamed one"
            ))
            .ok();
        assert_eq!(
            seen.text(),
            "two\ntwo\none\none\none\n0:0 640\n7:8 640",
            "{name}"
        );
        // A new name for a directory, and a stream both ways.
        cp(&[&inside("/srv/d"), &format!("{out}/new")]).ok();
        assert_eq!(host.read(&format!("{out}/new/one")), "one\n");
        let listed = host.sh(&format!(
            "netrun cp {name}:/srv/d - | tar -t | sort | tr '\\n' ' '"
        ));
        assert_eq!(listed.ok().text(), "d/ d/deep/ d/deep/two d/one");
        host.sh(&format!("tar -C /tmp/d -c one | netrun cp - {name}:/home"))
            .ok();
        cp(&[&inside("/home/one"), &format!("{out}/again")]).ok();
        assert_eq!(host.read(&format!("{out}/again")), "one\n");
    }
    host.netrun(&["rm", "-f", "runs", "stopped"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
    host.finish();
}

#[test]
fn what_cannot_be_copied_is_said() {
    let host = host();
    two_containers(&host);
    host.write("/tmp/file", "x");
    host.sh("mkdir /tmp/dir").ok();
    for (code, args, word) in [
        (3, ["none:/etc", "/tmp"], "none"),
        (3, ["runs:/none", "/tmp"], "netrun exec runs ls /"),
        (3, ["/tmp/none", "runs:/"], "/tmp/none"),
        (3, ["/tmp/file", "runs:/none/x"], "/none"),
        (3, ["/tmp/file", "runs:/none/"], "/none"),
        (2, ["/tmp/dir", "runs:/etc/motd"], "/etc/motd"),
        (2, ["/tmp/file", "/tmp/dir"], "CONTAINER:PATH"),
        (2, ["runs:/etc", "stopped:/etc"], "CONTAINER:PATH"),
        (2, ["-", "runs:/etc/motd"], "/etc/motd"),
    ] {
        host.netrun(&["cp", args[0], args[1]]).fails(code, &[word]);
    }
    host.sh("echo no-tar | netrun cp - runs:/srv")
        .fails(2, &["cannot copy", "is no tar"]);
    host.netrun(&["rm", "-f", "runs", "stopped"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
}

#[test]
fn hostile_links_lead_nowhere() {
    let host = host();
    host.write("/tmp/secret/kept", "kept");
    host.write("/tmp/file", "new");
    let prepare = "ln -s /tmp/secret /srv/absolute; ln -s ../../../../../../tmp/secret /srv/up
        ln -s /tmp/secret/kept /srv/over; mkdir /srv/out; ln -s /tmp/secret /srv/out/way
        echo x >/srv/out/plain; sleep 1000";
    host.netrun(&["run", "-d", "--name", "bad", ALPINE, "sh", "-c", prepare])
        .ok();
    host.netrun(&[
        "exec",
        "bad",
        "sh",
        "-c",
        "until [ -e /srv/out/plain ]; do sleep 0.1; done",
    ])
    .ok();
    for target in [
        "bad:/srv/absolute/x",
        "bad:/srv/up/x",
        "bad:/srv/absolute/",
        "bad:/srv/over/x",
    ] {
        let copied = host.netrun(&["cp", "/tmp/file", target]);
        assert_ne!(copied.code, 0, "{copied}");
    }
    // A link leads to where it would for the container, which has no such directory.
    host.netrun(&["cp", "/tmp/file", "bad:/srv/over"])
        .fails(3, &["no directory /tmp/secret"]);
    let read = host.netrun(&["cp", "-L", "bad:/srv/absolute/kept", "/tmp/stolen"]);
    read.fails(3, &["/srv/absolute/kept"]);
    // A link that comes out is a link, and nothing is written through it.
    host.netrun(&["cp", "bad:/srv/out", "/tmp/out"]).ok();
    let again = host.netrun(&["cp", "bad:/srv/out/.", "/tmp/out"]);
    assert_eq!(again.code, 0, "{again}");
    let secret = host
        .sh("ls /tmp/secret; cat /tmp/secret/kept; readlink /tmp/out/way")
        .ok();
    assert_eq!(secret.text(), "kept\nkept/tmp/secret");
    host.netrun(&["rm", "-f", "bad"]).ok();
    host.finish();
}

#[test]
fn changes_and_the_whole() {
    let host = host();
    let line = "echo x >/srv/new; echo y >>/etc/motd; rm /etc/alpine-release; mkdir -p /a/b";
    host.netrun(&[
        "run", "--name", "c", "-v", "/data", "--tmpfs", "/m", ALPINE, "sh", "-c", line,
    ])
    .ok();
    let diff = host.netrun(&["diff", "c"]).ok();
    let lines = diff.lines();
    for expected in [
        "C /srv",
        "A /srv/new",
        "C /etc",
        "C /etc/motd",
        "D /etc/alpine-release",
        "A /a",
        "A /a/b",
    ] {
        assert!(lines.contains(&expected), "{expected} in {diff}");
    }
    let listed =
        host.sh("netrun export c | tar -t | grep -E '^(./)?(srv/new|bin/busybox|a/b/)$' | sort");
    assert_eq!(listed.ok().lines().len(), 3);
    host.netrun(&["export", "-o", "/tmp/all.tar", "c"]).ok();
    host.sh("tar -xOf /tmp/all.tar srv/new | grep x").ok();
    host.netrun(&["rm", "-v", "c"]).ok();
    host.netrun(&["diff", "none"]).fails(3, &["none"]);
    let native = [
        "run",
        "--name",
        "n",
        "--snapshotter",
        "native",
        ALPINE,
        "true",
    ];
    host.announce("snapshot * sha256:*");
    host.netrun(&native).ok();
    host.netrun(&["diff", "n"]).fails(125, &["native"]);
    host.netrun(&["rm", "n"]).ok();
}

#[test]
fn a_full_disk_keeps_no_half_file() {
    let host = host();
    let run = [
        "run",
        "-d",
        "--name",
        "full",
        "--tmpfs",
        "/small:size=64k",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&run).ok();
    host.sh("head -c 1000000 /dev/zero >/tmp/big").ok();
    host.netrun(&["cp", "/tmp/big", "full:/small/"])
        .fails(1, &["/small"]);
    let left = host.netrun(&["exec", "full", "ls", "/small"]).ok();
    assert_eq!(left.text(), "");
    host.netrun(&["rm", "-f", "full"]).ok();
}
