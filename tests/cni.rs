//! `netrun cni` on real plugins, with no containerd anywhere: what it adds cnitool checks and
//! deletes, and the reverse; what is named badly is left alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::host::{ALPINE, FakeHost, unpacked};

const NETNS: &str = "/var/run/netns/testing";

/// Both sets of plugins: bookworm's 1.1.1 and sid's 1.9.1.
fn plugin_sets() -> [String; 2] {
    let newer = unpacked("cni-1.9/usr/lib/cni");
    assert!(
        newer.join("bridge").exists(),
        "scripts/test unpacks {}",
        newer.display()
    );
    ["/usr/lib/cni".to_owned(), newer.display().to_string()]
}

/// Five plugins of the reference set.
fn chain() -> Value {
    json!({"cniVersion": "1.0.0", "name": "mynet", "plugins": [
        {"type": "bridge", "bridge": "chain0", "isDefaultGateway": true, "ipMasq": true,
         "capabilities": {"mac": true},
         "ipam": {"type": "host-local", "ranges": [
            [{"subnet": "10.40.0.0/24"}], [{"subnet": "fd40::/64"}]]}},
        {"type": "portmap", "capabilities": {"portMappings": true}},
        {"type": "firewall"},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_notify": "1"}},
        {"type": "bandwidth", "capabilities": {"bandwidth": true}}
    ]})
}

/// A host with that chain as its network, announcing what all attachments share.
fn host_with_chain(host: FakeHost) -> FakeHost {
    host.network("10-mynet.conflist", &chain().to_string());
    host.announce("* -A CNI-FORWARD * -j CNI-ADMIN");
    host.announce("* CNI-HOSTPORT-SETMARK *");
    host
}

/// netrun's own way or cnitool's, with the same words.
fn tool(host: &FakeHost, name: &str, plugins: &str, verb: &str) -> crate::host::Output {
    let cnitool = unpacked("cnitool/cnitool").display().to_string();
    let capabilities = json!({
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
        "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 8_000_000, "egressRate": 8_000_000, "egressBurst": 8_000_000},
        "mac": "02:00:00:00:00:07"
    });
    let command = match name {
        "netrun" => host.cmd("netrun").args(&["cni"]),
        _ => host.cmd(&cnitool),
    };
    command
        .args(&[verb, "mynet", NETNS])
        .env("CNI_PATH", plugins)
        .env("CAP_ARGS", &capabilities.to_string())
        .run()
}

#[test]
fn what_one_adds_the_other_checks_and_deletes() {
    for plugins in plugin_sets() {
        let host = host_with_chain(FakeHost::bare());
        // portmap's own CHECK finds fault with what portmap made, whoever asks.
        let mut checked = chain();
        checked["plugins"].as_array_mut().unwrap().remove(1);
        for [adds, other] in [["netrun", "cnitool"], ["cnitool", "netrun"]] {
            host.sh("ip netns add testing").ok();
            tool(&host, adds, &plugins, "add").ok();
            host.sh("iptables-save -t nat | grep -q 'dport 8080'").ok();
            tool(&host, other, &plugins, "del").ok();
            host.sh("ip netns del testing").ok();
            host.assert_clean();
        }
        host.write("/etc/cni/net.d/10-mynet.conflist", &checked.to_string());
        for [adds, other] in [["netrun", "cnitool"], ["cnitool", "netrun"]] {
            host.sh("ip netns add testing").ok();
            let added = tool(&host, adds, &plugins, "add").ok().json();
            assert_eq!(
                added["ips"][0]["address"]
                    .as_str()
                    .unwrap()
                    .split('/')
                    .nth(1),
                Some("24")
            );
            let inside = host.sh("ip netns exec testing ip -o link show eth0").ok();
            assert!(inside.stdout.contains("02:00:00:00:00:07"), "{inside}");
            for who in [adds, other] {
                let checked = tool(&host, who, &plugins, "check").ok();
                assert_eq!(checked.stdout, "");
            }
            let deleted = tool(&host, other, &plugins, "del").ok();
            assert_eq!((deleted.stdout.as_str(), deleted.stderr.as_str()), ("", ""));
            host.sh("ip netns del testing").ok();
            host.assert_clean();
        }
    }
}

/// The sequence of the README, word for word, with the network that is shipped (of a version that
/// has no CHECK).
#[test]
fn the_typed_sequence() {
    for plugins in plugin_sets() {
        let host = FakeHost::bare();
        host.mynet();
        for [adds, other] in [["netrun", "cnitool"], ["cnitool", "netrun"]] {
            host.sh("ip netns add testing").ok();
            tool(&host, adds, &plugins, "add").ok();
            for who in [adds, other] {
                let refused = tool(&host, who, &plugins, "check").code(1);
                assert!(refused.stderr.contains("0.3.1"), "{refused}");
            }
            tool(&host, other, &plugins, "del").ok();
            host.sh("ip netns del testing").ok();
            host.assert_clean();
        }
    }
}

#[test]
fn the_printed_result_is_cnitools() {
    let host = host_with_chain(FakeHost::bare());
    let printed = ["netrun", "cnitool"].map(|who| {
        host.sh("ip netns add testing").ok();
        let added = tool(&host, who, "/usr/lib/cni", "add").ok();
        tool(&host, who, "/usr/lib/cni", "del").ok();
        host.sh("ip netns del testing; rm -r /var/lib/cni/networks")
            .ok();
        let mut result = added.json();
        for interface in result["interfaces"].as_array_mut().unwrap() {
            // What the kernel makes up anew.
            if interface.get("sandbox").is_none() {
                interface["mac"] = json!("made up");
                let name = interface["name"].as_str().unwrap().to_owned();
                interface["name"] = json!(&name[..4]);
            }
        }
        let indented = added.lines()[1].starts_with("    \"cniVersion\"");
        (indented, result)
    });
    assert_eq!(printed[0], printed[1]);
}

#[test]
fn a_namespace_is_found_by_both_of_its_names() {
    let host = FakeHost::bare();
    host.mynet();
    host.sh("ip netns add testing").ok();
    let netrun = |words: &[&str]| host.netrun(&[&["cni"], words].concat());
    netrun(&["add", "mynet", NETNS]).ok();
    // The other spelling is the same namespace: an ADD would end in a DEL of what is there.
    let again = netrun(&["add", "mynet", "/run/netns/testing"]);
    again.fails(
        1,
        &[
            "eth0",
            "cnitool-",
            "netrun cni del mynet /run/netns/testing",
        ],
    );
    host.sh("ip netns exec testing ip link show eth0").ok();
    netrun(&["del", "mynet", "/run/netns/testing"]).ok();
    // Relative paths and dots are worked out as cnitool does.
    host.sh("cd /var/run/netns && CNI_PATH=/usr/lib/cni netrun cni add mynet ./../netns/testing")
        .ok();
    netrun(&["del", "mynet", NETNS]).ok();
    // An id of one's own, two interfaces.
    for ifname in ["eth0", "net1"] {
        netrun(&["add", "mynet", NETNS, "--cni-id", "mine", "-i", ifname]).ok();
    }
    host.sh("test -e /var/lib/cni/results/mynet-mine-net1").ok();
    for ifname in ["net1", "eth0"] {
        netrun(&[
            "del", "mynet", NETNS, "--cni-id", "mine", "--ifname", ifname,
        ])
        .ok();
    }
    host.sh("ip netns del testing").ok();
}

#[test]
fn del_finishes_though_the_namespace_or_the_file_is_gone() {
    let host = host_with_chain(FakeHost::bare());
    let plugins = "/usr/lib/cni";
    host.sh("ip netns add testing").ok();
    tool(&host, "netrun", plugins, "add").ok();
    host.sh("ip netns del testing").ok();
    tool(&host, "netrun", plugins, "del").ok();
    host.assert_clean();
    // W4, W6: somebody keeps the namespace, so that the veth does not go with it, and no result tells
    // of the addresses.
    host.sh("ip netns add testing").ok();
    tool(&host, "netrun", plugins, "add").ok();
    let pinned = host
        .cmd("ip")
        .args(&["netns", "exec", "testing", "sleep", "1000"])
        .spawn();
    crate::host::eventually(std::time::Duration::from_secs(10), "it sleeps", || {
        let there = host.sh("test -n \"$(ip netns pids testing)\"");
        (there.code == 0).then_some(())
    });
    host.sh("ip netns del testing").ok();
    tool(&host, "netrun", plugins, "del").ok();
    let veths = host.sh("ip -o link show type veth").ok();
    assert_eq!(veths.stdout, "");
    drop(pinned);
    host.settle(std::time::Duration::from_secs(5));
    host.assert_clean();
    let forget = "cd /var/lib/cni/results; jq 'del(.result)' * >/tmp/file && mv /tmp/file mynet-*";
    host.sh("ip netns add testing").ok();
    tool(&host, "netrun", plugins, "add").ok();
    host.sh(&format!("ip netns del testing; {forget}")).ok();
    tool(&host, "netrun", plugins, "del").ok();
    host.assert_clean();
    // As often as one likes.
    tool(&host, "netrun", plugins, "del").ok();
    host.sh("ip netns add testing").ok();
    tool(&host, "netrun", plugins, "add").ok();
    host.sh("rm /etc/cni/net.d/*").ok();
    tool(&host, "netrun", plugins, "del").ok();
    tool(&host, "netrun", plugins, "del").fails(1, &["no network configuration", "/etc/cni/net.d"]);
    host.sh("ip netns del testing").ok();
}

/// C3: only what is nobody's goes unasked.
#[test]
fn gc_leaves_to_others_what_is_theirs() {
    let host = host_with_chain(FakeHost::new());
    let netrun = |words: &[&str]| host.netrun(&[&["cni"], words].concat());
    host.netrun(&[
        "run", "-d", "--name", "web", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    for name in ["alive", "gone", "theirs"] {
        host.sh(&format!("ip netns add {name}")).ok();
        let path = format!("/run/netns/{name}");
        let id = format!("job-{name}");
        let own: &[&str] = if name == "theirs" {
            &["--cni-id", &id]
        } else {
            &[]
        };
        netrun(&[&["add", "mynet", &path], own].concat()).ok();
    }
    host.sh("ip netns del gone; ip netns del theirs").ok();
    let attached = || {
        let list = host
            .sh("jq -r .netns /var/lib/cni/results/* | xargs -n1 basename")
            .ok();
        list.lines()
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let expect = |names: &[&str]| {
        let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(attached(), names);
    };
    let collected = netrun(&["gc", "mynet"]).ok();
    assert!(collected.stderr.contains("/run/netns/gone"), "{collected}");
    expect(&["alive", "netrun-web", "theirs"]);
    assert_eq!(netrun(&["gc", "mynet", NETNS]).ok().stderr, "");
    netrun(&["gc", "mynet", "--detach", "job-theirs"]).ok();
    expect(&["alive", "netrun-web"]);
    host.netrun(&["exec", "web", "ip", "link", "show", "eth0"])
        .ok();
    netrun(&["gc", "mynet", "--detach-all"]).ok();
    assert_eq!(host.sh("ls /var/lib/cni/results").ok().stdout, "");
    host.sh("ip netns del alive").ok();
    host.netrun(&["rm", "-f", "web"]).ok();
}

#[test]
fn status_and_version() {
    for plugins in plugin_sets() {
        let host = FakeHost::bare();
        let mut list = chain();
        list["cniVersion"] = json!("1.1.0");
        host.network("10-mynet.conflist", &list.to_string());
        let status = |who: &str| tool(&host, who, &plugins, "status");
        assert_eq!(
            status("netrun").code,
            status("cnitool").code,
            "{}",
            status("netrun")
        );
        let version = host
            .netrun_cmd(&["cni", "version", "mynet"])
            .env("CNI_PATH", &plugins)
            .run()
            .ok();
        let bridge = version.lines()[1].to_owned();
        assert!(
            bridge.starts_with("bridge") && bridge.contains("0.3.1 0.4.0 1.0.0"),
            "{version}"
        );
        let own = host.netrun(&["cni", "version"]).ok().json();
        assert_eq!(own["cniVersion"], "1.1.0");
    }
}
