//! dhcp: a lease of a real server on the other machine, through the plugin's daemon, renewed while the
//! container lives and given back when it is removed.

use std::time::Duration;

use serde_json::json;

use super::{address, network, ping, remove, start, with_both, within};
use crate::host::{ALPINE, FakeHost, PluginSet, Running, eventually};

/// Leases of two minutes that are to be renewed after three seconds.
const SERVER: &str = "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --pid-file= \
    --interface=wire0 --bind-interfaces --dhcp-range=10.99.0.100,10.99.0.110,2m --dhcp-leasefile=/tmp/leases \
    --dhcp-option=option:router,10.99.0.2 --dhcp-option=option:T1,3 --dhcp-option=option:T2,60 \
    --log-facility=/tmp/dnsmasq.log";

/// Counts what is sent to the server alone, before the kernel judges it.
const COUNTER: &str = "table ip seen { chain c { type filter hook prerouting priority -300; \
    ip daddr 10.99.0.2 udp dport 67 counter; }; }";

/// How often the server's log has this word.
fn told(peer: &FakeHost, word: &str) -> usize {
    peer.read("/tmp/dnsmasq.log").matches(word).count()
}

/// How many packets were sent to the server alone.
fn sent(peer: &FakeHost) -> u32 {
    let count = "nft list table ip seen | grep -o 'packets [0-9]*' | cut -d' ' -f2";
    peer.sh(count).ok().text().parse().unwrap()
}

fn daemon(host: &FakeHost, set: PluginSet) -> Running {
    let program = FakeHost::plugin(set, "dhcp");
    let daemon = host.cmd(&program).args(&["daemon"]).spawn();
    eventually(Duration::from_secs(10), "the daemon listens", || {
        host.path("/run/cni/dhcp.sock").exists().then_some(())
    });
    daemon
}

#[test]
fn a_lease_is_taken_renewed_and_released() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.announce("file /tmp/*");
    peer.sh(&format!("nft '{COUNTER}'")).ok();
    peer.announce("nft table ip seen*");
    let server = peer.sh_cmd(SERVER).spawn();
    eventually(Duration::from_secs(10), "the server is ready", || {
        peer.path("/tmp/dnsmasq.log").exists().then_some(())
    });
    host.announce("dir /run/cni");
    with_both(&host, |set| {
        let daemon = daemon(&host, set);
        let macvlan = json!([{"type": "macvlan", "master": "wire0", "mode": "bridge", "ipam": {"type": "dhcp"}}]);
        network(&host, set, "leased", &macvlan);
        start(&host, "one", "leased");
        let own = address(&host, "one", "eth0", '4');
        assert!(peer.read("/tmp/leases").contains(&own));
        within(&host, "one", &ping("10.99.0.2")).ok();
        let route = within(&host, "one", "ip route").ok();
        assert!(route.stdout.contains("default via 10.99.0.2"), "{route}");
        let granted = told(&peer, "DHCPACK");
        eventually(Duration::from_secs(20), "the lease is renewed", || {
            (told(&peer, "DHCPACK") > granted).then_some(())
        });
        let before = sent(&peer);
        remove(&host, &["one"]);
        // The newer daemon gives it back from 0.0.0.0 to the server alone, whose kernel drops that.
        eventually(Duration::from_secs(10), "the lease is given back", || {
            let released = match set {
                PluginSet::Installed => told(&peer, "DHCPRELEASE") == 1,
                PluginSet::Newer => sent(&peer) > before,
            };
            released.then_some(())
        });
        let leases = peer.read("/tmp/leases");
        assert_eq!(leases.contains(&own), set == PluginSet::Newer, "{leases}");
        drop(daemon);
        host.sh("rm /run/cni/dhcp.sock").ok();
    });
    drop(server);
    peer.finish();
    host.finish();
}

#[test]
fn a_server_that_has_no_lease_left_is_told_of() {
    let host = FakeHost::new();
    let peer = host.peer();
    peer.announce("file /tmp/*");
    let one = SERVER.replace("10.99.0.110", "10.99.0.100");
    let server = peer.sh_cmd(&one).spawn();
    eventually(Duration::from_secs(10), "the server is ready", || {
        peer.path("/tmp/dnsmasq.log").exists().then_some(())
    });
    host.announce("dir /run/cni");
    host.use_plugins(PluginSet::Newer);
    let daemon = daemon(&host, PluginSet::Newer);
    let macvlan =
        json!([{"type": "macvlan", "master": "wire0", "mode": "bridge", "ipam": {"type": "dhcp"}}]);
    network(&host, PluginSet::Newer, "leased", &macvlan);
    start(&host, "one", "leased");
    let run = ["run", "--rm", "--net", "leased", ALPINE, "true"];
    let second = host.netrun_cmd(&run).patience(Duration::from_secs(180));
    second
        .run()
        .fails(125, &["leased", "did not end its ADD", "hint: see what"]);
    within(&host, "one", &ping("10.99.0.2")).ok();
    remove(&host, &["one"]);
    drop(daemon);
    host.sh("rm /run/cni/dhcp.sock").ok();
    drop(server);
    peer.finish();
    host.finish();
}

#[test]
fn without_the_daemon_the_reason_is_told() {
    let host = FakeHost::new();
    host.sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up")
        .ok();
    host.announce("* wire*");
    with_both(&host, |set| {
        let macvlan = json!([{"type": "macvlan", "master": "wire0", "ipam": {"type": "dhcp"}}]);
        network(&host, set, "leased", &macvlan);
        let run = ["run", "--rm", "--net", "leased", ALPINE, "true"];
        host.netrun(&run).fails(125, &["leased", "dhcp.sock"]);
    });
    host.finish();
}
