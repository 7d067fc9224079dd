//! tap, of the newer plugins: what a container sends comes out where a virtual machine would hold the tap.

use std::time::Duration;

use serde_json::json;

use super::{beside, fixed, network, ping, remove, start, within};
use crate::host::{FakeHost, PluginSet, eventually};

/// Holds the tap `eth0` and answers ARP and ICMP for every address, as the machine 02:00:00:00:00:99.
const MACHINE: &str = r#"
open(my $tap, "+<", "/dev/net/tun") or die "tun: $!";
my $request = pack("a16 s x22", "eth0", 0x1002);
ioctl($tap, 0x400454ca, $request) or die "tap: $!";
my $mac = pack("H*", "020000000099");
$| = 1;
print "holding\n";
while (sysread($tap, my $frame, 2048)) {
    my ($from, $type) = (substr($frame, 6, 6), unpack("n", substr($frame, 12, 2)));
    if ($type == 0x0806) {
        my ($sender, $target) = (substr($frame, 28, 4), substr($frame, 38, 4));
        my $reply = substr($frame, 14, 6) . pack("n", 2) . $mac . $target . $from . $sender;
        syswrite($tap, $from . $mac . pack("n", 0x0806) . $reply);
    } elsif ($type == 0x0800 && unpack("C", substr($frame, 23, 1)) == 1) {
        my ($head, $body) = (substr($frame, 14, 20), substr($frame, 34));
        my $swapped = substr($head, 0, 12) . substr($head, 16, 4) . substr($head, 12, 4);
        substr($body, 0, 1) = "\0";
        substr($body, 2, 2) = pack("n", (unpack("n", substr($body, 2, 2)) + 0x0800) % 0xffff);
        syswrite($tap, $from . $mac . pack("n", 0x0800) . $swapped . $body);
    }
}
"#;

#[test]
fn a_container_speaks_with_whoever_holds_its_tap() {
    let host = FakeHost::new();
    host.use_plugins(PluginSet::Newer);
    host.write("/mnt/machine.pl", MACHINE);
    let tap = json!([{"type": "tap", "mac": "02:00:00:00:00:88", "mtu": 1440, "ipam": fixed(&["10.20.30.2/24"])}]);
    network(&host, PluginSet::Newer, "tapped", &tap);
    start(&host, "one", "tapped");
    let link = beside(&host, "one", "ip -d link show eth0").ok();
    for words in ["tun type tap", "02:00:00:00:00:88", "mtu 1440"] {
        assert!(link.stdout.contains(words), "{words} in {link}");
    }
    assert_ne!(within(&host, "one", "ping -c 1 -W 1 10.20.30.9").code, 0);
    let machine = host
        .cmd("ip")
        .args(&["netns", "exec", "netrun-one", "perl", "/mnt/machine.pl"])
        .spawn();
    machine.expect("holding");
    within(&host, "one", &ping("10.20.30.9")).ok();
    eventually(Duration::from_secs(5), "the machine is a neighbour", || {
        let seen = beside(&host, "one", "ip neigh show 10.20.30.9");
        seen.stdout.contains("02:00:00:00:00:99").then_some(())
    });
    drop(machine);
    remove(&host, &["one"]);
    host.finish();
}
