//! What a container finds inside: rights, limits, masked paths, names.

use crate::host::{ALPINE, FakeHost};

/// Runs a shell line in an alpine container with these options; its output.
#[track_caller]
fn inside(host: &FakeHost, options: &[&str], line: &str) -> String {
    let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
    host.netrun(&args).ok().text().to_owned()
}

#[test]
fn rights_are_dockers() {
    let host = FakeHost::new();
    let status =
        "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status | tr -s '\\t' ' '";
    let default = inside(&host, &[], status);
    assert_eq!(
        default,
        "CapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nNoNewPrivs: 0\nSeccomp: 2"
    );
    let effective =
        |options: &[&str]| inside(&host, options, "grep CapEff /proc/self/status | cut -f2");
    assert_eq!(effective(&["--cap-drop", "ALL"]), "0000000000000000");
    assert_eq!(
        effective(&["--cap-drop", "all", "--cap-add", "NET_ADMIN"]),
        "0000000000001000"
    );
    assert_eq!(
        effective(&["--cap-add", "CAP_NET_ADMIN", "--cap-drop", "chown"]),
        "00000000a80435fa"
    );
    let all = inside(&host, &["--privileged"], status);
    assert!(
        all.contains("Seccomp: 0") && !all.contains("a80425fb"),
        "{all}"
    );
    let own = host.sh("grep CapEff /proc/self/status | cut -f2").ok();
    assert_eq!(effective(&["--privileged"]), own.text());
    assert_eq!(effective(&["--cap-add", "ALL"]), own.text());
    assert_eq!(
        inside(
            &host,
            &["-u", "guest"],
            "grep CapEff /proc/self/status | cut -f2"
        ),
        "0000000000000000"
    );
    host.netrun(&["run", "--rm", "--cap-add", "CAP_WRONG", ALPINE, "true"])
        .fails(125, &["CAP_WRONG"]);
}

#[test]
fn paths_are_masked_and_read_only() {
    let host = FakeHost::new();
    let probe = "head -c1 /proc/kcore | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | tr -d '\\n' | wc -c
                 echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo refused
                 mount -t tmpfs tmpfs /mnt 2>/dev/null || echo refused
                 grep -c ' /sys sysfs ro' /proc/mounts";
    assert_eq!(inside(&host, &[], probe), "0\n0\nrefused\nrefused\n1");
    let probe = "mount -t tmpfs tmpfs /mnt && echo mounted; [ -e /dev/kmsg ] && echo device";
    assert_eq!(inside(&host, &["--privileged"], probe), "mounted\ndevice");
    let probe =
        "touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo shm; cat /etc/hostname";
    assert_eq!(
        inside(&host, &["--read-only", "--name", "r"], probe),
        "refused\nshm\nr"
    );
}

#[test]
fn unprivileged_ports_and_ping() {
    let host = FakeHost::new();
    let probe = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/net/ipv4/ping_group_range | tr '\\t' ' '";
    assert_eq!(inside(&host, &[], probe), "0\n0 2147483647");
    // Not the container's to change where the network is the host's.
    let own = host.sh(probe).ok();
    assert_eq!(inside(&host, &["--net", "host"], probe), own.text());
}

#[test]
fn limits_reach_the_cgroup() {
    let host = FakeHost::new();
    let options = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"];
    let run = [
        &["run", "-d", "--name", "lim"],
        &options[..],
        &[ALPINE, "sleep", "1000"],
    ]
    .concat();
    host.netrun(&run).ok();
    let read = |file: &str| {
        let line =
            format!("cat $(find /sys/fs/cgroup -path '*lim/{file}') 2>/dev/null | tr '\\n' ' '");
        host.sh(&line).stdout.trim().to_owned()
    };
    let memory = [read("memory.limit_in_bytes"), read("memory.max")].concat();
    assert_eq!(memory, "67108864");
    assert_eq!(read("pids.max"), "50");
    let v1 = format!("{} {}", read("cpu.cfs_quota_us"), read("cpu.cfs_period_us"));
    assert!(
        v1 == "50000 100000" || read("cpu.max") == "50000 100000",
        "{v1}"
    );
    host.netrun(&["rm", "-f", "lim"]).ok();
    for (option, bad) in [
        ("--memory", "lots"),
        ("--memory", "1"),
        ("--cpus", "-1"),
        ("--cpus", "x"),
        ("--pids-limit", "x"),
    ] {
        host.netrun(&["run", "--rm", option, bad, ALPINE, "true"])
            .fails(125, &[]);
    }
}

#[test]
fn a_container_that_eats_too_much_memory_is_killed_alone() {
    let host = FakeHost::new();
    let eat = "tail /dev/zero";
    let run = ["run", "--rm", "--memory", "32m", ALPINE, "sh", "-c", eat];
    host.netrun(&run).code(137);
}

#[test]
fn names_are_looked_up_where_told() {
    let host = FakeHost::new();
    let resolv = "grep -v '^#' /etc/resolv.conf";
    assert_eq!(inside(&host, &[], resolv), "nameserver 192.0.2.53");
    let options = [
        "--dns",
        "192.0.2.1",
        "--dns",
        "2001:db8::1",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:3",
    ];
    let told = inside(&host, &options, resolv);
    let lines: Vec<&str> = told.lines().collect();
    for line in [
        "nameserver 192.0.2.1",
        "nameserver 2001:db8::1",
        "search example.org",
        "options ndots:3",
    ] {
        assert!(lines.contains(&line), "{line} in {told}");
    }
    assert!(!told.contains("192.0.2.53"), "{told}");
    for (option, bad) in [
        ("--dns", "not-an-address"),
        ("--dns-search", "two words"),
        ("--dns-search", "-x"),
        ("--dns-option", " "),
        ("--add-host", "nocolon"),
        ("--add-host", "db:nowhere"),
    ] {
        host.netrun(&["run", "--rm", option, bad, ALPINE, "true"])
            .fails(125, &[bad]);
    }
    host.sh("echo 'nameserver 127.0.0.53' >/etc/resolv.conf")
        .ok();
    assert!(
        !inside(&host, &[], resolv).contains("127.0.0.53"),
        "a stub that no container reaches"
    );
}

#[test]
fn the_hosts_file_knows_the_container_and_what_was_added() {
    let host = FakeHost::new();
    let hosts = inside(
        &host,
        &[
            "--name",
            "self",
            "--add-host",
            "db:192.0.2.9",
            "--add-host",
            "gw:host-gateway",
        ],
        "tr -s '\\t' ' ' </etc/hosts; ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4; ip route | grep default",
    );
    assert!(hosts.contains("127.0.0.1 localhost"), "{hosts}");
    let address = hosts
        .lines()
        .rev()
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let gateway = hosts.lines().last().unwrap().split(' ').nth(2).unwrap();
    assert!(hosts.contains(&format!("{address} self")), "{hosts}");
    assert!(hosts.contains("192.0.2.9 db"), "{hosts}");
    assert!(hosts.contains(&format!("{gateway} gw")), "{hosts}");
}
