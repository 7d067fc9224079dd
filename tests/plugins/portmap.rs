//! portmap: a published port is reached from another machine, from the host and from the container itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::{dual, network, remove, with_both};
use crate::host::{ALPINE, FakeHost, Output, PluginSet, Running, eventually};

/// Answers each line over TCP and each datagram over UDP, of both families, with who asked.
const SERVER: &str = r#"
use IO::Socket::IP; use IO::Select; use Socket;
my %own = (LocalHost => "::", V6Only => 0, ReuseAddr => 1);
my $tcp = IO::Socket::IP->new(%own, LocalPort => 80, Proto => "tcp", Listen => 8) or die "tcp: $@";
my $udp = IO::Socket::IP->new(%own, LocalPort => 53, Proto => "udp") or die "udp: $@";
$| = 1;
print "serving\n";
my $all = IO::Select->new($tcp, $udp);
while (my @ready = $all->can_read) {
    for my $one (@ready) {
        if ($one == $tcp) {
            my $client = $tcp->accept or next;
            my $line = <$client>;
            print $client "tcp for " . $client->peerhost . "\n";
            close $client;
        } else {
            my $from = recv($udp, my $line, 99, 0);
            my ($error, $name) = Socket::getnameinfo($from, Socket::NI_NUMERICHOST());
            send($udp, "udp for $name\n", 0, $from);
        }
    }
}
"#;

fn serve(host: &FakeHost, name: &str) -> Running {
    host.write("/mnt/server.pl", SERVER);
    let server = host.cmd("ip");
    let server = server.args(&[
        "netns",
        "exec",
        &format!("netrun-{name}"),
        "perl",
        "/mnt/server.pl",
    ]);
    let server = server.spawn();
    server.expect("serving");
    server
}

/// Asks a server; its answer.
fn ask(host: &FakeHost, protocol: &str, address: &str, port: u16) -> Output {
    let line = format!(
        "exec 3<>/dev/{protocol}/{address}/{port} && echo hello >&3 && timeout 3 head -n 1 <&3 | grep ."
    );
    host.cmd("timeout").args(&["5", "bash", "-c", &line]).run()
}

/// Asks until there is an answer: an address of IPv6 is used only once it was found to be nobody else's.
#[track_caller]
fn asked(host: &FakeHost, protocol: &str, address: &str, port: u16) -> String {
    eventually(
        Duration::from_secs(15),
        &format!("{protocol} {address} {port} answers"),
        || {
            let answer = ask(host, protocol, address, port);
            (answer.code == 0).then(|| answer.text().to_owned())
        },
    )
}

/// A bridge whose ports can be published.
fn published(name: &str, third: u8, extra: &Value) -> Value {
    // Where bridged frames pass iptables, the way back to oneself leaves by the port that it came in by.
    let mut bridge = json!({"type": "bridge", "bridge": format!("{name}0"), "isDefaultGateway": true,
        "ipMasq": true, "hairpinMode": true, "ipam": dual(third)});
    let mut portmap =
        json!({"type": "portmap", "snat": true, "capabilities": {"portMappings": true}});
    if !extra.is_null() {
        bridge["ipMasqBackend"] = extra.clone();
        portmap["backend"] = extra.clone();
    }
    json!([bridge, portmap])
}

fn start_published(host: &FakeHost) {
    let ports = [
        "-p",
        "8080:80",
        "-p",
        "8053:53/udp",
        "-p",
        "10.99.0.1:8081:80",
    ];
    let run = ["run", "-d", "--name", "web", "--net", "web"];
    host.netrun(&[&run[..], &ports[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
}

/// Everybody who may ask does.
fn everybody(host: &FakeHost, peer: &FakeHost) {
    for protocol in ["tcp", "udp"] {
        let port = if protocol == "tcp" { 8080 } else { 8053 };
        // The container sees who asks from outside.
        assert_eq!(
            asked(peer, protocol, "10.99.0.1", port),
            format!("{protocol} for ::ffff:10.99.0.2")
        );
        assert_eq!(
            asked(peer, protocol, "fd99::1", port),
            format!("{protocol} for fd99::2")
        );
        for own in ["10.99.0.1", "127.0.0.1"] {
            assert!(asked(host, protocol, own, port).starts_with(protocol));
        }
    }
    // By way of the machine's address, back to itself.
    let line = "echo hello | nc -w 5 10.99.0.1 8080";
    let own = super::within(host, "web", line).ok();
    assert!(own.stdout.contains("tcp for"), "{own}");
    assert_eq!(
        asked(peer, "tcp", "10.99.0.1", 8081),
        "tcp for ::ffff:10.99.0.2"
    );
    assert_ne!(ask(peer, "tcp", "fd99::1", 8081).code, 0);
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let host = FakeHost::new();
    let peer = host.peer();
    with_both(&host, |set| {
        network(&host, set, "web", &published("web", 50, &Value::Null));
        start_published(&host);
        let server = serve(&host, "web");
        everybody(&host, &peer);
        drop(server);
        remove(&host, &["web"]);
        assert_ne!(ask(&peer, "tcp", "10.99.0.1", 8080).code, 0);
    });
    peer.finish();
    host.finish();
}

#[test]
fn the_newer_ones_do_the_same_with_nftables() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.use_plugins(PluginSet::Newer);
    // The plugins' tables and chains stay, without anything of a container.
    host.announce("nft table * cni_*");
    network(
        &host,
        PluginSet::Newer,
        "web",
        &published("web", 51, &json!("nftables")),
    );
    start_published(&host);
    let server = serve(&host, "web");
    everybody(&host, &peer);
    drop(server);
    remove(&host, &["web"]);
    let left = host.sh("nft list ruleset").ok();
    assert!(
        !left.stdout.contains("10.20.51.") && !left.stdout.contains("8080"),
        "{left}"
    );
    assert!(!host.sh("iptables-save").ok().stdout.contains("CNI"));
    peer.finish();
    host.finish();
}
