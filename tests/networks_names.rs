//! Names: every container of a network finds the others, as they come and go.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::host::{ALPINE, FakeHost, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

fn up(host: &FakeHost, name: &str, options: &[&str]) {
    let run = ["run", "-d", "--name", name];
    host.netrun(&[&run[..], options, &[ALPINE, "sleep", "1000"][..]].concat())
        .ok();
}

fn finds(host: &FakeHost, from: &str, name: &str) -> bool {
    host.netrun(&["exec", from, "ping", "-c", "1", "-w", "3", name])
        .code
        == 0
}

#[test]
fn neighbours_find_each_other_by_name_alias_and_network() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "--ipv6", "lan"]).ok();
    host.netrun(&["network", "create", "far"]).ok();
    up(&host, "web", &["--net", "lan:alias=www"]);
    // Before the first instruction.
    let line = "ping -c 1 -w 3 web && ping -c 1 -w 3 www && ping -c 1 -w 3 web.lan && ping -6 -c 1 -w 3 web && grep -c first /etc/hosts";
    let first = host
        .netrun(&[
            "run", "--rm", "--name", "first", "--net", "lan", ALPINE, "sh", "-c", line,
        ])
        .ok();
    assert!(
        first.stdout.ends_with("2\n"),
        "its own lines, of both families: {first}"
    );
    up(
        &host,
        "client",
        &["--net", "lan", "--hostname", "box.example.org"],
    );
    up(&host, "stranger", &["--net", "far"]);
    for (from, name, found) in [
        ("client", "web", true),
        ("client", "www.lan", false),
        ("web", "client", true),
        ("web", "client.lan", true),
        ("web", "stranger", false),
        ("stranger", "web", false),
        ("client", "box", true),
        ("web", "first", false),
        ("web", "web", true),
        ("web", "www", true),
    ] {
        assert_eq!(finds(&host, from, name), found, "{name} from {from}");
    }
    let hosts = |name: &str| host.read(&format!("/var/lib/netrun/default/{name}/hosts"));
    assert!(hosts("web").contains("client"));
    host.netrun(&["stop", "-t", "0", "client"]).ok();
    assert!(!hosts("web").contains("client"), "{}", hosts("web"));
    host.netrun(&["start", "client"]).ok();
    assert!(finds(&host, "web", "client") && finds(&host, "client", "web"));
    host.netrun(&["rm", "-f", "web", "client", "stranger"]).ok();
    host.netrun(&["network", "rm", "lan", "far"]).ok();
    host.assert_clean();
}

#[test]
fn what_a_container_writes_into_its_file_stays_with_it() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "lan"]).ok();
    up(&host, "bad", &["--net", "lan"]);
    up(&host, "good", &["--net", "lan"]);
    host.netrun(&[
        "exec",
        "bad",
        "sh",
        "-c",
        "echo 192.0.2.1 good evil >>/etc/hosts",
    ])
    .ok();
    up(&host, "third", &["--net", "lan"]);
    let read = |name: &str| {
        host.netrun(&["exec", name, "cat", "/etc/hosts"])
            .ok()
            .stdout
    };
    assert!(!read("third").contains("192.0.2.1") && !read("good").contains("192.0.2.1"));
    assert!(read("bad").contains("192.0.2.1 good evil") && read("bad").contains("third"));
    // One that has emptied its file is given what comes.
    host.netrun(&["exec", "bad", "sh", "-c", ": >/etc/hosts"])
        .ok();
    up(&host, "fourth", &["--net", "lan"]);
    assert!(read("bad").contains("fourth"));
    host.netrun(&["rm", "-f", "bad", "good", "third", "fourth"])
        .ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn names_go_with_containers_that_nobody_looked_after() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "lan"]).ok();
    up(&host, "a", &["--net", "lan"]);
    up(&host, "b", &["--net", "lan"]);
    host.sh("pkill -9 -f '[n]etrun supervise'; sleep 0.2; pkill -9 -f '[c]ontainerd-shim.*-id a'; sleep 0.5").ok();
    host.netrun(&["gc"]).ok();
    let hosts = host.read("/var/lib/netrun/default/b/hosts");
    assert!(!hosts.contains("\ta "), "{hosts}");
    up(&host, "c", &["--net", "lan"]);
    assert!(finds(&host, "b", "c") && finds(&host, "c", "b"));
    // A note that belongs to nobody.
    host.sh("printf '10.64.0.99\\tghost ghost.lan\\n' >/run/netrun/.names/lan/default--ghost")
        .ok();
    up(&host, "d", &["--net", "lan"]);
    host.netrun(&["gc"]).ok();
    let hosts = host.read("/var/lib/netrun/default/d/hosts");
    assert!(!hosts.contains("ghost"), "{hosts}");
    host.sh("netrun rm -f $(netrun ps -aq)").ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

/// The names of containers in a hosts file, and whether it is one.
fn named(text: &str) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let address = words.next().unwrap_or_default();
        if address.parse::<std::net::IpAddr>().is_err() {
            return Err(line.to_owned());
        }
        names.extend(
            words
                .filter(|word| word.starts_with('m') && !word.contains('.'))
                .map(str::to_owned),
        );
    }
    Ok(names)
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads every hosts file again and again; what was wrong.
fn watch(init: i32, until: &AtomicBool) -> Vec<String> {
    let dir = format!("/proc/{init}/root/var/lib/netrun/default");
    let mut wrong = Vec::new();
    while !until.load(Ordering::Relaxed) {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path().join("hosts")) else {
                continue;
            };
            // One that is only just being made is empty.
            if text.is_empty() {
                continue;
            }
            if let Err(line) = named(&text) {
                wrong.push(line);
            } else if !text.starts_with("127.0.0.1\tlocalhost\n") || !text.ends_with('\n') {
                wrong.push(text);
            }
        }
    }
    wrong
}

#[test]
fn many_containers_on_one_network() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "--subnet", "10.5.0.0/22", "lan"])
        .ok();
    let count = crate::long::times(200);
    let done = AtomicBool::new(false);
    let sh = |line: String| {
        host.cmd("sh")
            .args(&["-c", &line])
            .patience(Duration::from_secs(1200))
            .run()
            .ok()
    };
    let started = Instant::now();
    let init = host.init();
    let wrong = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(init, &done));
        // Also when something is wrong, else the watcher would be waited for without end.
        let over = Over(&done);
        sh(format!(
            "seq {count} | xargs -P 20 -I @ netrun run -d --name m@ --net lan alpine:3.14 sleep 10000 >/dev/null"
        ));
        let everybody: BTreeSet<String> = (1..=count).map(|n| format!("m{n}")).collect();
        for number in 1..=count {
            let hosts = host.read(&format!("/var/lib/netrun/default/m{number}/hosts"));
            assert_eq!(named(&hosts).unwrap(), everybody, "m{number}");
        }
        // By the resolver, from the first to the last.
        let line =
            format!("for n in $(seq {count}); do ping -c 1 -w 3 m$n >/dev/null || echo m$n; done");
        let found = host
            .cmd("netrun")
            .args(&["exec", "m1", "sh", "-c", &line])
            .patience(Duration::from_secs(600))
            .run()
            .ok();
        assert_eq!(found.text(), "");
        let half = count / 2;
        sh(format!(
            "seq {count} | shuf -n {half} --random-source=/usr/bin/env | sed s/^/m/ >/tmp/half; xargs -P 10 -n 5 netrun rm -f </tmp/half >/dev/null"
        ));
        let gone: BTreeSet<String> = host.read("/tmp/half").lines().map(str::to_owned).collect();
        let rest: BTreeSet<String> = everybody.difference(&gone).cloned().collect();
        for name in &rest {
            let hosts = host.read(&format!("/var/lib/netrun/default/{name}/hosts"));
            assert_eq!(named(&hosts).unwrap(), rest, "{name}");
        }
        drop(over);
        watcher.join().unwrap()
    });
    assert!(
        wrong.is_empty(),
        "after {:?}: {wrong:#?}",
        started.elapsed()
    );
    sh("rm /tmp/half; netrun ps -aq | xargs -n 20 netrun rm -f >/dev/null".to_owned());
    host.netrun(&["network", "rm", "lan"]).ok();
    let left = host.settle(PATIENCE);
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_web_server_and_a_client() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.netrun(&["network", "create", "lan"]).ok();
    let serve = "mkdir /www; echo served >/www/index.html; httpd -f -p 8080 -h /www";
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "web",
        "--net",
        "lan:alias=www",
        "-p",
        "80:8080",
        ALPINE,
        "sh",
        "-c",
        serve,
    ])
    .ok();
    for name in ["web", "www", "web.lan"] {
        let line = format!(
            "for i in 1 2 3 4 5; do timeout 5 wget -qO- http://{name}:8080/ && exit; sleep 1; done; exit 1"
        );
        let got = host
            .netrun(&["run", "--rm", "--net", "lan", ALPINE, "sh", "-c", &line])
            .ok();
        assert_eq!(got.text(), "served", "{name}");
    }
    for (machine, url) in [
        (&host, "127.0.0.1"),
        (&host, "10.99.0.1"),
        (&peer, "10.99.0.1"),
    ] {
        eventually(PATIENCE, url, || {
            let got = machine.sh(&format!("timeout 5 busybox wget -qO- http://{url}/"));
            (got.text() == "served").then_some(())
        });
    }
    host.netrun(&["rm", "-f", "web"]).ok();
    host.netrun(&["network", "prune"]).ok();
    host.assert_clean();
}
