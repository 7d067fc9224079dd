//! What a container may do, what it shares, how much it may use.

use crate::host::{ALPINE, FakeHost};

/// Runs a shell line in an alpine container with these options; its output.
#[track_caller]
fn inside(host: &FakeHost, options: &[&str], line: &str) -> String {
    let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
    host.netrun(&args).ok().text().to_owned()
}

#[track_caller]
fn refused(host: &FakeHost, options: &[&str], word: &str) {
    let args = [&["run", "--rm"], options, &[ALPINE, "true"]].concat();
    host.netrun(&args).fails(125, &[word]);
}

#[test]
fn security_options() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    let status = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | cut -f2 | tr '\\n' ' '
        [ -w /proc/sys/net/core/somaxconn ] && echo open";
    let open = [
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "no-new-privileges",
        "--security-opt",
        "systempaths=unconfined",
        "--security-opt",
        "apparmor=unconfined",
        "--security-opt",
        "label=disable",
    ];
    assert_eq!(inside(&host, &open, status), "1 0 open");
    host.write(
        "/tmp/profile.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]}"#,
    );
    let own = ["--security-opt", "seccomp=/tmp/profile.json"];
    let line = "chmod 1 /etc/motd 2>/dev/null || echo filtered";
    assert_eq!(inside(&host, &own, line), "filtered");
    host.write("/tmp/bad.json", "{}");
    for (option, word) in [
        ("seccomp=/tmp/bad.json", "profile"),
        ("seccomp=/tmp/none.json", "/tmp/none.json"),
        ("colour=red", "colour"),
        ("apparmor=mine", "AppArmor"),
    ] {
        refused(&host, &["--security-opt", option], word);
    }
}

#[test]
fn devices_and_groups() {
    let host = FakeHost::new();
    let options = [
        "--device",
        "/dev/full:/dev/brim:r",
        "--device-cgroup-rule",
        "c 10:229 rwm",
        "--group-add",
        "audio",
        "--group-add",
        "4242",
        "--umask",
        "0027",
    ];
    let line = "ls -l /dev/brim | cut -c1; id -G; umask
        mknod /tmp/k c 10 229 && head -c0 /tmp/k && echo allowed
        mknod /tmp/s b 7 99 && head -c0 /tmp/s 2>/dev/null || echo denied";
    let seen = inside(&host, &options, line);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "c", "{seen}");
    let groups: Vec<&str> = lines[1].split(' ').collect();
    assert!(groups.contains(&"18") && groups.contains(&"4242"), "{seen}");
    assert_eq!(lines[2..], ["0027", "allowed", "denied"]);
    refused(&host, &["--device", "/dev/none"], "/dev/none");
    refused(&host, &["--device", "/etc/passwd"], "/etc/passwd");
    refused(&host, &["--group-add", "nobodys"], "nobodys");
    refused(&host, &["--device-cgroup-rule", "c 1:3"], "c 1:3");
    refused(&host, &["--umask", "8"], "8");
}

#[test]
fn namespaces_of_the_host_and_of_others() {
    let host = FakeHost::new();
    let namespace = |kind: &str| {
        host.sh(&format!("readlink /proc/self/ns/{kind}"))
            .ok()
            .stdout
    };
    let options = [
        "--pid",
        "host",
        "--ipc",
        "host",
        "--uts",
        "host",
        "--cgroupns",
        "host",
    ];
    let line = "for n in pid ipc uts cgroup; do readlink /proc/self/ns/$n; done; hostname";
    let expected: String = ["pid", "ipc", "uts", "cgroup"].map(namespace).concat();
    let seen = inside(&host, &options, line);
    assert_eq!(seen, format!("{expected}{}", host.name()));
    let own = inside(
        &host,
        &["--cgroupns", "private"],
        "readlink /proc/self/ns/cgroup",
    );
    assert_ne!(format!("{own}\n"), namespace("cgroup"));
}

#[test]
fn namespaces_of_others() {
    let host = FakeHost::new();
    let first = [
        "run",
        "-d",
        "--name",
        "first",
        "--ipc",
        "shareable",
        "--shm-size",
        "4m",
    ];
    host.netrun(&[&first[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    host.netrun(&["exec", "first", "sh", "-c", "echo shared >/dev/shm/x"])
        .ok();
    let join = ["--pid", "container:first", "--ipc", "container:first"];
    let line = "cat /dev/shm/x; ps -o args | grep -c '^sleep 1000'";
    assert_eq!(inside(&host, &join, line), "shared\n1");
    // Whose processes they are is found out at each start.
    let second = ["create", "--name", "second", "--pid", "container:first"];
    host.netrun(&[&second[..], &[ALPINE, "sh", "-c", line]].concat())
        .ok();
    host.netrun(&["restart", "-t", "0", "first"]).ok();
    let line = host.netrun(&["start", "-a", "second"]);
    assert!(line.stdout.contains('1'), "{line}");
    host.netrun(&["rm", "-f", "first"]).ok();
    host.netrun(&["start", "second"]).fails(4, &["first"]);
    host.netrun(&["rm", "second"]).ok();

    host.netrun(&["run", "-d", "--name", "private", ALPINE, "sleep", "1000"])
        .ok();
    refused(&host, &["--ipc", "container:private"], "private");
    host.netrun(&["rm", "-f", "private"]).ok();
    refused(&host, &["--pid", "container:none"], "none");
    refused(&host, &["--pid", "other"], "other");
    refused(&host, &["--uts", "host", "--hostname", "x"], "--hostname");
    let none = inside(
        &host,
        &["--ipc", "none"],
        "grep -c ' /dev/shm ' /proc/mounts || true",
    );
    assert_eq!(none, "0");
    host.finish();
}

#[test]
fn settings_and_limits_of_the_process() {
    let host = FakeHost::new();
    host.announce("cgroup */jobs");
    let options = [
        "--sysctl",
        "net.core.somaxconn=77",
        "--sysctl",
        "net.ipv4.conf.eth0.forwarding=0",
        "--sysctl",
        "kernel.msgmax=9000",
        "--ulimit",
        "nofile=100:200",
        "--ulimit",
        "core=0",
        "--oom-score-adj",
        "700",
        "--domainname",
        "example.org",
        "--hostname",
        "box",
    ];
    let line = "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/conf/eth0/forwarding
        cat /proc/sys/kernel/msgmax; ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj
        cat /proc/sys/kernel/domainname; tail -n1 /etc/hosts | tr '\\t' ' ' | cut -d' ' -f2,3";
    let seen = inside(&host, &options, line);
    let expected = "77\n0\n9000\n100\n200\n0\n700\nexample.org\nbox.example.org box";
    assert_eq!(seen, expected);
    let parent = ["--cgroup-parent", "/jobs", "--cgroupns", "host"];
    let cgroup = inside(&host, &parent, "cat /proc/self/cgroup");
    assert!(cgroup.contains("/jobs/netrun-"), "{cgroup}");
    for (option, value, word) in [
        ("--sysctl", "kernel.panic=1", "kernel.panic"),
        ("--sysctl", "net.core", "net.core"),
        ("--ulimit", "files=1", "files"),
        ("--ulimit", "nofile=5:1", "nofile"),
        ("--oom-score-adj", "2000", "2000"),
    ] {
        refused(&host, &[option, value], word);
    }
    let hosts = ["--net", "host", "--sysctl", "net.core.somaxconn=1"];
    refused(&host, &hosts, "somaxconn");
    // Where nobody may raise limits, that is said before anything is made.
    let may_raise = "grep CapBnd /proc/self/status | cut -f2";
    let bounding = host.sh(may_raise).ok();
    let bounding = u64::from_str_radix(bounding.text(), 16).unwrap();
    if bounding & (1 << 24) == 0 {
        refused(&host, &["--ulimit", "nofile=99999999:99999999"], "nofile");
        refused(&host, &["--oom-score-adj", "-999"], "OOM");
    }
}

#[test]
fn limits_reach_the_cgroup() {
    let host = FakeHost::new();
    let options = [
        "--memory",
        "64m",
        "--memory-swap",
        "96m",
        "--memory-reservation",
        "32m",
        "-c",
        "512",
        "--cpuset-cpus",
        "0",
    ];
    let run = ["run", "-d", "--name", "lim"];
    host.netrun(&[&run, &options[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    let read = |file: &str| {
        let line = format!("cat $(find /sys/fs/cgroup -path '*netrun-lim/{file}') 2>/dev/null");
        host.sh(&line).stdout.trim().to_owned()
    };
    let v2 = host.sh("test -e /sys/fs/cgroup/cgroup.controllers").code == 0;
    if v2 {
        assert_eq!(read("memory.low"), "33554432");
        assert_eq!(read("memory.swap.max"), "33554432");
        assert_eq!(read("cpuset.cpus"), "0");
    } else {
        assert_eq!(read("memory.soft_limit_in_bytes"), "33554432");
        assert_eq!(read("cpu.shares"), "512");
        assert_eq!(read("cpuset.cpus"), "0");
    }
    let update = |option: &str, value: &str| host.netrun(&["update", option, value, "lim"]);
    update("--cpuset-cpus", "999").fails(2, &["no CPUs 999"]);
    // What the kernel refuses, for more is used, is not kept for the next start either.
    let fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=48 2>/dev/null";
    host.netrun(&["exec", "lim", "sh", "-c", fill]).ok();
    if !v2 {
        update("--memory", "40m").fails(1, &["lim"]);
        let kept = host.netrun(&["inspect", "-f", "{{.HostConfig.Memory}}", "lim"]);
        assert_eq!(kept.ok().text(), "67108864");
    }
    update("--cpu-shares", "256").ok();
    host.netrun(&["restart", "-t", "0", "lim"]).ok();
    host.netrun(&["rm", "-f", "lim"]).ok();
    for (options, word) in [
        (&["--memory-swap", "1g"][..], "--memory"),
        (
            &["--memory", "64m", "--memory-swap", "32m"],
            "--memory-swap",
        ),
        (
            &["--memory", "64m", "--memory-reservation", "1g"],
            "--memory-reservation",
        ),
        (&["--cpuset-cpus", "999"], "999"),
        (&["--cpuset-cpus", "3-0"], "3-0"),
        (&["--cpu-shares", "many"], "many"),
        (&["--shm-size", "lots"], "lots"),
    ] {
        refused(&host, options, word);
    }
}
