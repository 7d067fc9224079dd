//! Published ports: reached from everywhere they should be, held while the container lives.

use crate::host::{ALPINE, FakeHost, Output, eventually};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What a web server serves, started by `httpd`.
const SERVER: &str = "mkdir /www; echo served >/www/index.html; httpd -f -p 80 -h /www";

fn serve(host: &FakeHost, name: &str, options: &[&str]) {
    let run = ["run", "-d", "--name", name];
    let image = [ALPINE, "sh", "-c", SERVER];
    host.netrun(&[&run[..], options, &image[..]].concat()).ok();
}

/// Fetches a page as a client on a host, until it is served.
#[track_caller]
fn fetched(host: &FakeHost, url: &str) {
    eventually(PATIENCE, url, || {
        let got = fetch(host, url);
        (got.code == 0 && got.text() == "served").then_some(())
    });
}

fn fetch(host: &FakeHost, url: &str) -> Output {
    host.sh(&format!("timeout 5 busybox wget -q -O - {url}"))
}

#[test]
fn a_port_is_reached_from_the_host_itself_other_machines_and_containers() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.mynet_with_ports();
    serve(&host, "web", &["--net", "mynet", "-p", "8080:80"]);
    for url in ["127.0.0.1:8080", "10.99.0.1:8080", "10.10.0.1:8080"] {
        fetched(&host, &format!("http://{url}/"));
    }
    fetched(&peer, "http://10.99.0.1:8080/");
    // From another container, and from itself: the way back is turned round at the bridge.
    let line = "timeout 5 wget -q -O - http://10.99.0.1:8080/";
    let client = ["run", "--rm", "--net", "mynet", ALPINE, "sh", "-c", line];
    assert_eq!(host.netrun(&client).ok().text(), "served");
    let own = host.netrun(&["exec", "web", "sh", "-c", line]).ok();
    assert_eq!(own.text(), "served");
    let listed = host.netrun(&["port", "web"]).ok();
    assert_eq!(listed.text(), "80/tcp -> 0.0.0.0:8080");
    assert_eq!(
        host.netrun(&["port", "web", "80"]).ok().text(),
        "0.0.0.0:8080"
    );
    host.netrun(&["port", "web", "81"]).fails(3, &["81/tcp"]);
    let ports = host.netrun(&["ps", "--format", "{{.Ports}}"]).ok();
    assert_eq!(ports.text(), "0.0.0.0:8080->80/tcp");
    host.netrun(&["rm", "-f", "web"]).ok();
    assert_ne!(fetch(&host, "http://127.0.0.1:8080/").code, 0);
    host.assert_clean();
}

#[test]
fn random_ports_ranges_and_one_address() {
    let host = FakeHost::new();
    host.mynet_with_ports();
    let options = [
        "--net",
        "mynet",
        "-p",
        "80",
        "-p",
        "127.0.0.1:9000-9010:80",
        "-p",
        "5353:53/udp",
    ];
    serve(&host, "a", &options);
    serve(
        &host,
        "b",
        &[
            "--net",
            "mynet",
            "-p",
            "127.0.0.1:9000-9010:80",
            "-p",
            "[::1]:81:81",
        ],
    );
    let listed = host.netrun(&["port", "a"]).ok();
    let lines = listed.lines();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(
        lines.contains(&"53/udp -> 0.0.0.0:5353") && lines.contains(&"80/tcp -> 127.0.0.1:9000"),
        "{listed}"
    );
    let random = lines
        .iter()
        .find_map(|line| line.strip_prefix("80/tcp -> 0.0.0.0:"))
        .unwrap();
    fetched(&host, &format!("http://127.0.0.1:{random}/"));
    let other = host.netrun(&["port", "b"]).ok();
    assert!(
        other.stdout.contains("127.0.0.1:9001") && other.stdout.contains("[::1]:81"),
        "{other}"
    );
    fetched(&host, "http://127.0.0.1:9001/");
    // What is published on one address is not reached on another.
    assert_ne!(fetch(&host, "http://10.10.0.1:9001/").code, 0);
    // A random port stays the container's when it starts again.
    host.netrun(&["restart", "-t", "0", "a"]).ok();
    assert_eq!(host.netrun(&["port", "a"]).ok().stdout, listed.stdout);
    host.netrun(&["rm", "-f", "a", "b"]).ok();
    host.assert_clean();
}

#[test]
fn who_has_no_choice_comes_before_who_has() {
    let host = FakeHost::new();
    host.mynet_with_ports();
    serve(
        &host,
        "web",
        &["--net", "mynet", "-p", "9000-9010:80", "-p", "9000:81"],
    );
    let listed = host.netrun(&["port", "web"]).ok();
    let expected = ["80/tcp -> 0.0.0.0:9001", "81/tcp -> 0.0.0.0:9000"];
    assert_eq!(listed.lines(), expected);
    host.netrun(&["rm", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_conflict_is_found_before_anything_starts_and_says_who() {
    let host = FakeHost::new();
    host.mynet_with_ports();
    serve(&host, "web", &["--net", "mynet", "-p", "8080:80"]);
    let again = [
        "run",
        "--rm",
        "--net",
        "mynet",
        "-p",
        "127.0.0.1:8080:80",
        ALPINE,
        "true",
    ];
    let files = || {
        host.sh("find /run/netrun /var/lib/netrun | sort")
            .ok()
            .stdout
    };
    let before = files();
    host.netrun(&again).fails(125, &["8080", "\"web\""]);
    assert_eq!(files(), before);
    let listener = host
        .cmd("busybox")
        .args(&["nc", "-l", "-p", "8081"])
        .spawn();
    eventually(PATIENCE, "nc listens", || {
        host.sh("ss -ltn | grep -q :8081").code.eq(&0).then_some(())
    });
    let taken = [
        "run", "--rm", "--net", "mynet", "-p", "8081:80", ALPINE, "true",
    ];
    host.netrun(&taken).fails(125, &["8081", "busybox"]);
    drop(listener);
    let twice = [
        "run", "--rm", "--net", "mynet", "-p", "82:80", "-p", "82:81", ALPINE, "true",
    ];
    host.netrun(&twice).fails(125, &["82/tcp", "twice"]);
    // The host's own programs cannot take it either, and strangers are not kept waiting.
    let bind = host.sh("timeout 1 busybox nc -l -p 8080");
    assert!(bind.code != 124, "{bind}");
    host.netrun(&["stop", "-t", "0", "web"]).ok();
    // A container that is stopped holds nothing.
    host.netrun(&again).ok();
    // Of several at once one has it, and the others say which, though it is only just starting.
    let at_once = "for n in 1 2 3 4 5 6; do netrun run -d --name r$n --net mynet -p 8080:80 alpine:3.14 sleep 1000 & done; wait";
    let said = host.sh(at_once).ok();
    let won = said.text();
    let refused = format!("taken by container \"{won}\"");
    assert_eq!(said.stderr.matches(&refused).count(), 5, "{said}");
    host.netrun(&["rm", "-f", won]).ok();
    host.netrun(&["rm", "web"]).ok();
    host.assert_clean();
}

#[test]
fn ports_that_nobody_would_publish_are_refused() {
    let host = FakeHost::new();
    host.mynet();
    let run = |net: &str, port: &str| {
        host.netrun(&["run", "--rm", "--net", net, "-p", port, ALPINE, "true"])
    };
    run("mynet", "8080:80").fails(125, &["mynet", "portMappings", "hint:"]);
    run("none", "8080:80").fails(125, &["--publish", "none"]);
    for port in ["8080:0", "1-2:1-3", "x", "80/icmp", "1.2.3:1:2"] {
        run("mynet", port).fails(125, &[port]);
    }
    host.mynet_with_ports();
    run("mynet", "192.0.2.7:80:80").fails(125, &["192.0.2.7:80"]);
    let on_host = host
        .netrun(&[
            "run", "--rm", "--net", "host", "-p", "80:80", ALPINE, "true",
        ])
        .ok();
    assert!(on_host.stderr.contains("not published"), "{on_host}");
    host.assert_clean();
}

#[test]
fn who_adopts_a_container_holds_its_ports() {
    let host = FakeHost::new();
    host.mynet_with_ports();
    serve(&host, "web", &["--net", "mynet", "-p", "8080:80"]);
    let holds = || host.sh("timeout 1 busybox nc -l -p 8080").code != 124;
    assert!(holds());
    host.sh("pkill -9 -f '[n]etrun supervise'").ok();
    eventually(PATIENCE, "nobody holds the port", || {
        (!holds()).then_some(())
    });
    host.netrun(&["ps"]).ok();
    eventually(PATIENCE, "the port is held again", || holds().then_some(()));
    fetched(&host, "http://127.0.0.1:8080/");
    host.netrun(&["rm", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn ports_go_and_come_with_their_network() {
    let host = FakeHost::new();
    for (name, subnet) in [("lan", "10.5.0.0/24"), ("six", "fd05::/64")] {
        host.netrun(&["network", "create", "--subnet", subnet, name])
            .ok();
    }
    let options = ["--net", "lan", "-p", "8080:80", "-p", "81"];
    serve(&host, "web", &options);
    fetched(&host, "http://127.0.0.1:8080/");
    let ports = || host.netrun(&["port", "web"]).ok().stdout;
    let before = ports();
    let change = |verb: &str, net: &str| host.netrun(&["network", verb, net, "web"]);
    let told = change("disconnect", "lan").ok();
    assert!(told.stderr.contains("not published any more"), "{told}");
    assert_eq!(ports(), "");
    // Somebody else may have it meanwhile, and is told of before anything is changed.
    serve(&host, "thief", &["--net", "lan", "-p", "8080:80"]);
    change("connect", "lan").fails(4, &["8080", "\"thief\""]);
    host.netrun(&["rm", "-f", "thief"]).ok();
    change("connect", "lan").ok();
    assert_eq!(ports(), before);
    fetched(&host, "http://127.0.0.1:8080/");
    // Also of one that does not run; addresses of a family that the network has not lead nowhere.
    host.netrun(&["stop", "-t", "0", "web"]).ok();
    change("disconnect", "lan").ok();
    change("connect", "six").ok();
    host.netrun(&["start", "web"]).ok();
    let listed = ports();
    assert!(listed.starts_with("80/tcp -> [::]:8080\n"), "{listed}");
    assert!(!listed.contains("0.0.0.0"), "{listed}");
    host.netrun(&["rm", "-f", "web"]).ok();
    let warned = host
        .netrun(&[
            "run",
            "--rm",
            "--net",
            "six",
            "-p",
            "127.0.0.1:80:80",
            ALPINE,
            "true",
        ])
        .ok();
    assert!(warned.stderr.contains("\"six\" has no IPv4"), "{warned}");
    host.netrun(&["network", "prune"]).ok();
    host.assert_clean();
}

#[test]
fn all_that_the_image_exposes() {
    let host = FakeHost::new();
    host.mynet_with_ports();
    let options = ["--net", "mynet", "-P", "-p", "8080:80"];
    let command = ["--entrypoint", "sleep", "featured:1", "1000"];
    let run = [&["run", "-d", "--name", "web"][..], &options, &command].concat();
    host.netrun(&run).ok();
    let listed = host.netrun(&["port", "web"]).ok();
    let lines = listed.lines();
    // What is named beside it is not published twice.
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].starts_with("53/udp -> 0.0.0.0:"), "{listed}");
    assert_eq!(lines[1], "80/tcp -> 0.0.0.0:8080");
    let ports = ["inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"];
    let inspect = host.netrun(&ports).ok().json();
    assert_eq!(inspect["80/tcp"][0]["HostPort"], "8080", "{inspect}");
    host.netrun(&["rm", "-f", "web"]).ok();
    host.assert_clean();
}
