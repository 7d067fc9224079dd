//! `netrun netns` beside `ip netns`: what one makes the other lists, enters, numbers and removes.

use crate::host::{ALPINE, FakeHost};

fn netns(host: &FakeHost, words: &[&str]) -> crate::host::Output {
    host.netrun(&[&["netns"], words].concat())
}

/// One line of `netrun netns ls`, by columns.
fn line(host: &FakeHost, name: &str) -> Vec<String> {
    let list = netns(host, &["ls"]).ok();
    let line = list
        .lines()
        .into_iter()
        .find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {list}"));
    let columns = line
        .split("   ")
        .map(str::trim)
        .filter(|column| !column.is_empty());
    columns.map(str::to_owned).collect()
}

#[test]
fn both_tools_make_list_enter_and_remove() {
    let host = FakeHost::bare();
    assert_eq!(netns(&host, &["ls", "-q"]).ok().stdout, "");
    assert_eq!(
        netns(&host, &["add", "ours", "more"]).ok().text(),
        "ours\nmore"
    );
    host.sh("ip netns add theirs").ok();
    assert_eq!(
        netns(&host, &["ls", "-q"]).ok().text(),
        "more\nours\ntheirs"
    );
    let theirs = host.sh("ip netns list | sort").ok();
    assert_eq!(theirs.text(), "more\nours\ntheirs");
    let inside = host.sh("ip netns exec ours ip -o link").ok();
    assert!(inside.stdout.contains("lo: <LOOPBACK,UP"), "{inside}");
    for name in ["ours", "theirs"] {
        let links = netns(&host, &["exec", name, "ip", "-o", "link"]).ok();
        assert_eq!(links.lines().len(), 1, "{links}");
    }
    host.sh("ip netns del ours").ok();
    assert_eq!(
        netns(&host, &["rm", "theirs", "more"]).ok().text(),
        "theirs\nmore"
    );
    assert_eq!(host.sh("ip netns list; ls /run/netns").ok().stdout, "");
    host.sh("ip netns add again").ok();
    netns(&host, &["del", "again"]).ok();
}

#[test]
fn names_that_cannot_be() {
    let host = FakeHost::bare();
    netns(&host, &["add", "a"]).ok();
    netns(&host, &["add", "a"]).fails(4, &["already"]);
    for bad in ["a/b", "..", ""] {
        netns(&host, &["add", bad]).fails(2, &["cannot name a network namespace"]);
    }
    netns(&host, &["rm", "b"]).fails(3, &["no network namespace \"b\"", "netrun netns ls"]);
    netns(&host, &["exec", "b", "true"]).fails(125, &["no network namespace \"b\""]);
    // The others are done all the same, and the first failure is the status.
    let some = netns(&host, &["rm", "b", "a"]).fails(3, &["\"b\""]);
    assert_eq!(some.text(), "a");
    // Something that is there and no namespace can be taken away.
    host.sh("mkdir -p /run/netns && touch /run/netns/file").ok();
    assert_eq!(line(&host, "file").last().unwrap(), "not a namespace");
    netns(&host, &["exec", "file", "true"]).fails(125, &["file"]);
    netns(&host, &["rm", "file"]).ok();
}

#[test]
fn exec_is_that_of_ip() {
    let host = FakeHost::bare();
    netns(&host, &["add", "a"]).ok();
    host.write("/etc/netns/a/resolv.conf", "nameserver 192.0.2.99\n");
    host.write("/etc/netns/a/not-in-etc", "");
    host.announce("* /etc/netns*");
    host.sh("ip -n a link add inner type veth peer name other")
        .ok();
    let look =
        "cat /etc/resolv.conf; ls /sys/class/net; ip -o link | wc -l; readlink /proc/self/ns/net";
    let run = |tool: &[&str]| {
        let output = host
            .cmd(tool[0])
            .args(&tool[1..])
            .args(&["netns", "exec", "a", "sh", "-c", look]);
        output.run().ok()
    };
    let (ours, theirs) = (run(&["netrun"]), run(&["ip"]));
    assert_eq!(ours.stdout, theirs.stdout);
    assert!(ours.stdout.starts_with("nameserver 192.0.2.99\n") && ours.stdout.contains("inner\n"));
    assert!(ours.stderr.contains("/etc/not-in-etc"), "{ours}");
    // Nothing of it comes to the host.
    host.sh("grep -q 192.0.2.53 /etc/resolv.conf && test ! -e /sys/class/net/inner")
        .ok();

    let exec = |words: &[&str]| netns(&host, &[&["exec", "a"], words].concat());
    exec(&["sh", "-c", "exit 7"]).code(7);
    exec(&["sh", "-c", "kill -TERM $$"]).code(128 + 15);
    exec(&["/no/such"]).fails(127, &["/no/such"]);
    exec(&["/etc/passwd"]).fails(126, &["/etc/passwd"]);
    // Options after the name are the command's, and it has our streams, words and environment.
    let echoed = exec(&["echo", "-n", "--format", "json", "a b"]).ok();
    assert_eq!(echoed.stdout, "--format json a b");
    let piped = host.netrun_cmd(&["netns", "exec", "a", "--", "sh", "-c", "cat; echo $KEPT"]);
    let piped = piped.env("KEPT", "kept").stdin("in\n").run().ok();
    assert_eq!(piped.stdout, "in\nkept\n");
    // It is the very process that was started, with one thread.
    let pid = host
        .sh("netrun netns exec a sh -c 'echo $PPID; cat /proc/$$/task/*/comm' & wait; echo $$")
        .ok();
    assert_eq!(pid.lines()[0], pid.lines()[2], "{pid}");
    host.sh("ip netns del a").ok();
}

#[test]
fn ids_are_those_of_ip() {
    let host = FakeHost::bare();
    netns(&host, &["add", "a", "b"]).ok();
    assert_eq!(netns(&host, &["id"]).ok().stdout, "");
    netns(&host, &["id", "a"]).fails(3, &["ip netns set a auto"]);
    host.sh("ip netns set a 7; ip netns set b auto").ok();
    assert_eq!(netns(&host, &["id", "a"]).ok().text(), "7 a");
    let theirs = host
        .sh("ip netns list-id | sed -E 's/nsid ([0-9]+).*name: (.*)\\)/\\1 \\2/' | sort -n")
        .ok();
    assert_eq!(netns(&host, &["id"]).ok().stdout, theirs.stdout);
    assert_eq!(line(&host, "a")[1], "7");
    netns(&host, &["rm", "a", "b"]).ok();
}

const CRI: &str = "cni-01234567-89ab-cdef-0123-456789abcdef";

/// A host with namespaces that are held by a container, by cnitool, by a runtime, by docker and, by
/// its name, by containerd's CRI, and one, `nobodys`, by nobody.
fn host_with_holders() -> FakeHost {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "web", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    netns(&host, &["add", "testing", "runtime", "nobodys", CRI]).ok();
    host.sh("CNI_PATH=/usr/lib/cni netrun cni add mynet /var/run/netns/testing")
        .ok();
    host.sh("netrun cni add mynet /run/netns/runtime --cni-id k8s-pod")
        .ok();
    host.sh(
        "mkdir -p /run/docker/netns; touch /run/docker/netns/0123456789ab
        mount --bind /proc/self/ns/net /run/docker/netns/0123456789ab
        ln -s /run/docker/netns/0123456789ab /run/netns/linked",
    )
    .ok();
    host
}

/// Takes it all away.
fn release(host: &FakeHost) {
    host.sh("netrun cni del mynet /var/run/netns/testing").ok();
    host.sh("netrun cni del mynet /var/run/netns/runtime").ok();
    netns(host, &["rm", "testing", "runtime", "nobodys"]).ok();
    netns(host, &["rm", "--force", CRI, "linked"]).ok();
    host.sh("umount /run/docker/netns/0123456789ab; rm -r /run/docker")
        .ok();
    host.netrun(&["rm", "-f", "web"]).ok();
}

#[test]
fn ls_says_who_holds_each() {
    let host = host_with_holders();
    let asleep = host
        .cmd("netrun")
        .args(&["netns", "exec", "nobodys", "sleep", "1000"])
        .spawn();
    crate::host::eventually(std::time::Duration::from_secs(10), "it sleeps", || {
        (line(&host, "nobodys")[1..] == ["1", "unknown"]).then_some(())
    });
    for (name, holder) in [
        ("netrun-web", "container web: mynet (eth0)"),
        ("testing", "cnitool: mynet (eth0)"),
        ("runtime", "k8s-pod: mynet (eth0)"),
        ("linked", "docker"),
        (CRI, "containerd CRI"),
    ] {
        assert_eq!(line(&host, name).last().unwrap(), holder, "{name}");
    }
    assert!(line(&host, "netrun-web").contains(&"1".to_owned()));
    let json = netns(
        &host,
        &["ls", "--format", "{{.Name}} {{.Networks}} {{.Path}}"],
    )
    .ok();
    assert!(
        json.stdout.contains("testing mynet /run/netns/testing\n"),
        "{json}"
    );

    asleep.signal(nix::sys::signal::Signal::SIGKILL);
    let _ = asleep.wait();
    release(&host);
}

#[test]
fn rm_asks_first() {
    let host = host_with_holders();
    netns(&host, &["rm", "netrun-web"]).fails(4, &["container \"web\"", "netrun rm -f web"]);
    netns(&host, &["rm", "-f", "netrun-web"]).fails(4, &["netrun gc"]);
    netns(&host, &["add", "netrun-other"]).fails(4, &["container \"other\""]);
    netns(&host, &["rm", "testing"]).fails(
        4,
        &[
            "cnitool: mynet",
            "netrun cni del mynet /var/run/netns/testing",
        ],
    );
    netns(&host, &["rm", CRI]).fails(4, &["containerd CRI", "--force"]);
    netns(&host, &["rm", "linked"]).fails(4, &["docker"]);
    host.netrun(&["exec", "web", "ip", "link", "show", "eth0"])
        .ok();

    release(&host);
}
