//! Networks whose commands and supervisors are killed in the middle: who comes next finishes it, and
//! nothing is left.

use crate::host::{ALPINE, FakeHost};

fn create(host: &FakeHost, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    host.netrun(&[&["network", "create"], &words[..]].concat())
        .ok();
}

/// What the container has, and what the others and the record say that it has.
fn check(host: &FakeHost, point: &str, attached: bool) {
    let hosts = host.read("/var/lib/netrun/default/peer/hosts");
    assert_eq!(
        hosts.contains("\tweb web.lan www\n"),
        attached,
        "{point}: {hosts}"
    );
    let own = host.read("/var/lib/netrun/default/web/hosts");
    assert_eq!(
        own.contains("\tpeer peer.lan\n"),
        attached,
        "{point}: {own}"
    );
    let links = host.netrun(&["exec", "web", "ip", "-4", "-o", "addr"]).ok();
    assert_eq!(links.stdout.contains("eth0"), attached, "{point}: {links}");
    let format = "{{.Networks}} {{.Addresses}}";
    let shown = host
        .netrun(&["ps", "--filter", "name=web", "--format", format])
        .ok();
    let listed = shown.text().starts_with("lan 10.5.0.");
    assert_eq!(listed, attached, "{point}: {shown}");
    let addresses = host.sh("ls /run/cni/netrun-ipam/lan | grep -c '^10'");
    let expected = if attached { "2" } else { "1" };
    assert_eq!(addresses.text(), expected, "{point}");
}

#[test]
fn a_change_is_finished_by_who_comes_after_the_supervisor() {
    let host = FakeHost::new();
    create(&host, "--subnet 10.5.0.0/24 lan");
    let peer = ["run", "-d", "--name", "peer", "--net", "lan", ALPINE];
    host.netrun(&[&peer[..], &["sleep", "1000"]].concat()).ok();
    let connect = ["network", "connect", "--alias", "www", "lan", "web"];
    let disconnect = ["network", "disconnect", "lan", "web"];
    let web = ["run", "-d", "--name", "web", "--net", "none", ALPINE];
    let web = [&web[..], &["sleep", "1000"]].concat();
    for point in [
        "attach:before",
        "attach:after",
        "names-remove:before",
        "names-remove:after",
        "detach:before",
        "detach:after",
    ] {
        let fault = format!("{point}:kill-supervisor");
        let run = host.netrun_cmd(&web).env("NETRUN_FAILPOINT", &fault);
        run.run().ok();
        // The client asks again whoever takes over.
        host.netrun(&connect).ok();
        check(&host, point, true);
        host.netrun(&disconnect).ok();
        check(&host, point, false);
        host.netrun(&["rm", "-f", "web"]).ok();
    }
    host.netrun(&["rm", "-f", "peer"]).ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn a_change_whose_client_is_killed_too_is_done_or_undone() {
    let host = FakeHost::new();
    create(&host, "--subnet 10.5.0.0/24 lan");
    let peer = ["run", "-d", "--name", "peer", "--net", "lan", ALPINE];
    host.netrun(&[&peer[..], &["sleep", "1000"]].concat()).ok();
    let web = "netrun run -d --name web --net none alpine:3.14 sleep 1000";
    let connect = "netrun network connect --alias www lan web";
    // Both are gone before either can ask again.
    let killed = |line: &str| {
        let all = "pkill -9 -f '[n]etrun supervise.*web|[n]etrun network'";
        let _ = host.sh(&format!(
            "{line} & for i in $(seq 40); do sleep 0.01; {all}; done; wait"
        ));
    };
    for point in ["attach:before", "attach:after"] {
        host.sh(&format!("NETRUN_FAILPOINT={point}:kill-supervisor {web}"))
            .ok();
        killed(connect);
        host.netrun(&["gc"]).ok();
        let attached = host.netrun(&["ps", "--format", "{{.Networks}}", "-f", "name=web"]);
        check(&host, point, attached.text() == "lan");
        host.netrun(&["rm", "-f", "web"]).ok();
    }
    host.netrun(&["rm", "-f", "peer"]).ok();
    host.netrun(&["network", "rm", "lan"]).ok();
    host.assert_clean();
}

#[test]
fn a_network_is_used_or_removed_and_never_both() {
    let host = FakeHost::new();
    host.sh("iptables -P FORWARD DROP").ok();
    for pause in [
        "0.01", "0.03", "0.05", "0.07", "0.09", "0.11", "0.13", "0.15",
    ] {
        create(&host, "lan");
        let race = format!(
            "netrun run -d --name web --net lan alpine:3.14 sleep 1000 & sleep {pause}
            if netrun network rm lan; then wait $!; [ $? = 125 ]; else wait $!; fi"
        );
        host.sh(&race).ok();
        host.sh("netrun rm -f web; netrun network rm -f lan").ok();
        host.assert_clean();
    }
}

#[test]
fn networks_whose_making_and_removing_is_killed_leave_nothing() {
    let host = FakeHost::new();
    host.sh("iptables -P FORWARD DROP").ok();
    for pause in [
        "0.004", "0.01", "0.02", "0.03", "0.05", "0.07", "0.1", "0.15",
    ] {
        let kill = |verb: &str| {
            let _ = host.sh(&format!("timeout -s KILL {pause} netrun network {verb}"));
        };
        kill("create --isolate one");
        kill("create --internal two");
        kill("rm one");
        kill("prune");
        // What there is, is whole, and can be used and removed; what there is not, can be made.
        host.netrun(&["gc"]).ok();
        host.netrun(&["network", "create", "--ignore", "--isolate", "one"])
            .ok();
        host.netrun(&["run", "--rm", "--net", "one", ALPINE, "true"])
            .ok();
        host.netrun(&["network", "rm", "-f", "one", "two"]).ok();
        host.netrun(&["gc"]).ok();
        host.assert_clean();
    }
    // A file that its writer did not finish.
    host.write("/etc/cni/net.d/.netrun-99999999-0.tmp", "{");
    host.netrun(&["gc"]).ok();
    host.assert_clean();
}
