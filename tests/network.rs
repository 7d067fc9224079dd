//! Networks: what is attached, in which order, with which configuration, and what a bad one causes.

use std::time::{Duration, Instant};

use nix::sys::signal;

use crate::host::{ALPINE, FakeHost};

/// A conflist of one bridge network.
fn bridge(name: &str, third: u8) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [
            {{"type": "bridge", "bridge": "{name}0", "isDefaultGateway": true, "ipMasq": true,
              "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "10.20.{third}.0/24"}}]]}}}}]}}"#
    )
}

/// A plugin in shell, found in `/mnt/plugins`.
fn plugin(host: &FakeHost, name: &str, script: &str) {
    host.write(&format!("/mnt/plugins/{name}"), script);
    host.sh(&format!("chmod 755 /mnt/plugins/{name}")).ok();
}

fn with_plugin(host: &FakeHost, network: &str, kind: &str) {
    let config = format!(
        r#"{{"cniVersion": "1.0.0", "name": "{network}", "plugins": [{{"type": "{kind}"}}]}}"#
    );
    host.network(&format!("20-{network}.conflist"), &config);
}

#[test]
fn the_default_network_needs_no_configuration() {
    let host = FakeHost::new();
    let show = ["ip", "-4", "-o", "addr", "show", "eth0"];
    let run = host
        .netrun(&[&["run", "--rm", ALPINE], &show[..]].concat())
        .ok();
    assert!(run.stdout.contains("inet "), "{run}");
    assert!(
        host.path("/etc/cni/net.d/zz-netrun-netrun.conflist")
            .exists()
    );
    host.netrun(&[&["run", "--rm", "--net", "bridge", ALPINE], &show[..]].concat())
        .ok();
    host.netrun(&[&["run", "--rm", "--network", "netrun", ALPINE], &show[..]].concat())
        .ok();
    host.sh("ip link show netrun0").ok();
}

#[test]
fn the_default_range_is_clear_of_the_hosts_routes() {
    let host = FakeHost::new();
    let first = host
        .netrun(&["run", "--rm", ALPINE, "ip", "-4", "route"])
        .ok();
    let subnet = |text: &str| {
        text.lines()
            .find(|line| !line.starts_with("default"))
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let usual = subnet(&first.stdout);
    drop(host);
    let host = FakeHost::new();
    host.sh(&format!(
        "ip link add lan type bridge; ip link set lan up; ip route add {usual} dev lan"
    ))
    .ok();
    host.announce("* lan*");
    let second = host
        .netrun(&["run", "--rm", ALPINE, "ip", "-4", "route"])
        .ok();
    assert_ne!(subnet(&second.stdout), usual);
}

#[test]
fn several_networks_in_the_order_given() {
    let host = FakeHost::new();
    host.network("10-red.conflist", &bridge("red", 1));
    host.network("10-blue.conflist", &bridge("blue", 2));
    host.mynet();
    for (order, thirds) in [(["red", "blue"], [1, 2]), (["blue", "red"], [2, 1])] {
        let show = "ip -4 -o addr; ip link show lo | head -1";
        let run = [
            "run", "--rm", "--net", order[0], "--net", order[1], ALPINE, "sh", "-c", show,
        ];
        let run = host.netrun(&run).ok();
        for (number, third) in thirds.iter().enumerate() {
            let found = run
                .stdout
                .lines()
                .find(|line| line.contains(&format!("eth{number} ")))
                .unwrap();
            assert!(found.contains(&format!("10.20.{third}.")), "{run}");
        }
        assert!(run.stdout.contains("<LOOPBACK,UP"), "{run}");
    }
    host.netrun(&[
        "run", "--rm", "--net", "red", "--net", "red", ALPINE, "true",
    ])
    .fails(125, &["red"]);
    host.netrun(&["run", "--rm", "--net", "red,blue", ALPINE, "true"])
        .fails(125, &["red,blue"]);
}

#[test]
fn none_and_host() {
    let host = FakeHost::new();
    let run = host
        .netrun(&[
            "run",
            "--rm",
            "--net",
            "none",
            ALPINE,
            "sh",
            "-c",
            "ip -o link; ip -o addr show lo",
        ])
        .ok();
    assert!(run.stdout.contains("lo: <LOOPBACK,UP"), "{run}");
    assert!(!run.stdout.contains("eth0"), "{run}");
    let own = host.sh("readlink /proc/self/ns/net").ok();
    let run = host
        .netrun(&[
            "run",
            "--rm",
            "--net",
            "host",
            ALPINE,
            "readlink",
            "/proc/self/ns/net",
        ])
        .ok();
    assert_eq!(run.text(), own.text());
    let detached = [
        "run",
        "-d",
        "--name",
        "h",
        "--network",
        "host",
        ALPINE,
        "sleep",
        "1000",
    ];
    host.netrun(&detached).ok();
    assert!(!host.sh("ip netns list").ok().stdout.contains("netrun-h"));
    host.netrun(&["rm", "-f", "h"]).ok();
    host.sh("ip link show lo | grep -q ,UP").ok();
}

#[test]
fn other_tools_see_what_we_do() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    let reserved = host.sh("cat /var/lib/cni/networks/mynet/10.10.0.2").ok();
    assert_eq!(reserved.stdout.replace('\r', ""), "default-c\neth0");
    let cached = host.read("/var/lib/cni/results/mynet-default-c-eth0");
    let cached: serde_json::Value = serde_json::from_str(&cached).unwrap();
    assert_eq!(cached["kind"], "cniCacheV1");
    assert_eq!(cached["containerId"], "default-c");
    assert_eq!(cached["ifName"], "eth0");
    assert_eq!(cached["networkName"], "mynet");
    let alias = host.sh("ip -d link show type veth").ok();
    assert!(alias.stdout.contains("cni0"), "{alias}");
    let inspect = host.netrun(&["inspect", "c"]).ok().json().to_string();
    let mac = host
        .sh("ip netns exec netrun-c cat /sys/class/net/eth0/address")
        .ok();
    for word in [
        "10.10.0.2",
        mac.text(),
        "/run/netns/netrun-c",
        "mynet",
        "eth0",
    ] {
        assert!(inspect.contains(word), "{word} in {inspect}");
    }
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn an_unknown_network_lists_the_known_ones() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&["run", "--rm", "--net", "yournet", ALPINE, "true"])
        .fails(125, &["yournet", "mynet"]);
    host.assert_clean();
}

#[test]
fn a_broken_file_is_told_with_its_line_and_only_where_it_matters() {
    let host = FakeHost::new();
    host.mynet();
    host.announce("file /etc/cni/net.d/00-broken*");
    host.write(
        "/etc/cni/net.d/00-broken.conflist",
        "{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"broken\",,\n}\n",
    );
    host.netrun(&["run", "--rm", "--net", "mynet", ALPINE, "true"])
        .ok();
    host.netrun(&["run", "--rm", "--net", "broken", ALPINE, "true"])
        .fails(125, &["00-broken.conflist", "line 3"]);
    let listed = host.netrun(&["network", "ls"]).ok();
    assert!(listed.stderr.contains("at line 3 column"), "{listed}");
    host.write(
        "/etc/cni/net.d/00-broken2.conflist",
        r#"{"cniVersion": "1.0.0", "name": "broken2", "plugins": []}"#,
    );
    host.netrun(&["run", "--rm", "--net", "broken2", ALPINE, "true"])
        .fails(125, &["00-broken2.conflist"]);
    host.assert_clean();
}

#[test]
fn a_missing_plugin_names_the_directories() {
    let host = FakeHost::new();
    with_plugin(&host, "absent", "no-such-plugin");
    let run = host.netrun(&["run", "--rm", "--net", "absent", ALPINE, "true"]);
    run.fails(125, &["no-such-plugin", "/opt/cni/bin", "/usr/lib/cni"]);
    let args = ["run", "--rm", "--net", "absent", ALPINE, "true"];
    let run = host
        .netrun_cmd(&args)
        .env("CNI_PATH", "/tmp/here:/tmp/there")
        .run();
    run.fails(125, &["no-such-plugin", "/tmp/here", "/tmp/there"]);
    host.assert_clean();
}

#[test]
fn plugins_that_fail_or_print_rubbish() {
    let host = FakeHost::new();
    let version = r#"[ "$CNI_COMMAND" != VERSION ] || { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit; }"#;
    for (name, body, words) in [
        (
            "says-why",
            r#"echo '{"cniVersion":"1.0.0","code":11,"msg":"try again later","details":"the pool is empty"}'; exit 1"#,
            &["try again later", "the pool is empty"][..],
        ),
        (
            "on-stderr",
            "echo 'it went wrong' >&2; exit 3",
            &["it went wrong"],
        ),
        ("silent", "exit 4", &["silent"]),
        ("rubbish", "echo 'hello { world'", &["rubbish"]),
        ("empty", "exit 0", &["empty"]),
    ] {
        // Whoever it is, DEL must come and may succeed.
        let script = format!(
            "#!/bin/sh\necho $CNI_COMMAND >>/tmp/calls.{name}\n{version}\n[ $CNI_COMMAND = DEL ] && exit 0\n{body}\n"
        );
        plugin(&host, name, &script);
        with_plugin(&host, name, name);
        host.announce("file /tmp/calls.*");
        let args = ["run", "--rm", "--net", name, ALPINE, "true"];
        let path = "/mnt/plugins:/usr/lib/cni";
        host.netrun_cmd(&args)
            .env("CNI_PATH", path)
            .run()
            .fails(125, words);
        let calls = host.read(&format!("/tmp/calls.{name}"));
        assert!(
            calls.contains("ADD") && calls.contains("DEL"),
            "DEL follows a failed ADD: {name}: {calls}"
        );
        host.assert_clean();
    }
}

#[test]
fn a_chain_that_fails_in_its_middle_is_undone() {
    let host = FakeHost::new();
    plugin(
        &host,
        "fail",
        "#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho '{\"cniVersion\":\"1.0.0\",\"code\":100,\"msg\":\"second fails\"}'\nexit 1\n",
    );
    let config = bridge("half", 3).replace("}]}", "}, {\"type\": \"fail\"}]}");
    host.network("20-half.conflist", &config);
    let args = ["run", "--rm", "--net", "half", ALPINE, "true"];
    host.netrun_cmd(&args)
        .env("CNI_PATH", "/mnt/plugins:/usr/lib/cni")
        .run()
        .fails(125, &["second fails"]);
    host.assert_clean();
}

#[test]
fn a_plugin_that_hangs_can_be_interrupted() {
    let host = FakeHost::new();
    plugin(
        &host,
        "hang",
        "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && sleep 1000\nexit 0\n",
    );
    with_plugin(&host, "hang", "hang");
    for (options, signal) in [
        (&["--rm"][..], signal::SIGINT),
        (&["-d"], signal::SIGTERM),
        (&["--name", "kept"], signal::SIGHUP),
    ] {
        let args = ["run", "--net", "hang", "--cidfile", "/tmp/cid"];
        let args = [&args, options, &[ALPINE, "sleep", "1000"]].concat();
        let run = host
            .netrun_cmd(&args)
            .env("CNI_PATH", "/mnt/plugins")
            .spawn();
        crate::host::eventually(Duration::from_secs(20), "the plugin hangs", || {
            (host.sh("pgrep -f '[p]lugins/hang'").code == 0).then_some(())
        });
        let started = Instant::now();
        run.signal(signal);
        let ended = run.wait_for(Duration::from_secs(30));
        ended.fails(
            128 + signal as i32,
            &["called off", "nothing of it is left"],
        );
        assert!(started.elapsed() < Duration::from_secs(20));
        // It is as it says: at once, and without anybody's help.
        host.assert_clean();
    }
}

#[test]
fn a_run_that_is_called_off_at_any_moment_leaves_nothing() {
    let host = FakeHost::new();
    host.mynet();
    for number in 0..16 {
        let options = match number % 2 {
            0 => &["--rm"][..],
            _ => &["--name", "n", "--cidfile", "/tmp/cid"],
        };
        let args = [
            &["run", "--net", "mynet"],
            options,
            &[ALPINE, "sleep", "1000"],
        ]
        .concat();
        let mut run = host.netrun_cmd(&args).spawn();
        std::thread::sleep(Duration::from_millis(20 * number));
        // A first process ignores what it does not handle; the second ctrl-c that is seen as one of
        // its own ends it.
        for _ in 0..200 {
            run.try_signal(signal::SIGINT);
            std::thread::sleep(Duration::from_millis(100));
            if run.ended() {
                break;
            }
        }
        let ended = run.wait_for(Duration::from_secs(30));
        assert!([130, 137].contains(&ended.code), "{ended}");
        // What ran was ended, as a signal ends it; what did not leaves nothing.
        if host.path("/tmp/cid").exists() {
            host.sh("rm /tmp/cid; netrun rm n").ok();
        }
        host.assert_clean();
    }
}

#[test]
fn the_same_bytes_for_del_whatever_became_of_the_file() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.sh("rm /etc/cni/net.d/10-mynet.conf").ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

#[test]
fn removal_succeeds_though_the_rules_were_flushed() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.sh("iptables -t nat -F; iptables -t nat -X; nft flush ruleset")
        .ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
    // The chain is where it was; only what led to it is gone.
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.sh("iptables -t nat -F POSTROUTING").ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.sh("ip netns del netrun-c; ip link del cni0").ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    host.assert_clean();
}

/// The rules of the old iptables are where nothing goes ahead of the plugin's own DEL.
#[test]
fn rules_of_the_old_iptables_go_too() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("ln -sf /usr/sbin/iptables-legacy /etc/alternatives/iptables")
        .ok();
    host.announce("* /etc/alternatives*");
    host.netrun(&[
        "run", "-d", "--name", "c", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.sh("iptables-legacy-save | grep -q 'POSTROUTING.*default-c'")
        .ok();
    host.netrun(&["rm", "-f", "c"]).ok();
    let rules = host.sh("iptables-legacy-save -t nat | grep -c CNI");
    assert_eq!(rules.text(), "0", "{rules}");
    host.assert_clean();
}

#[test]
fn an_address_pool_that_is_used_up() {
    let host = FakeHost::new();
    let small = bridge("small", 4).replace("10.20.4.0/24", "10.20.4.0/30");
    host.network("20-small.conflist", &small);
    host.netrun(&[
        "run", "-d", "--name", "a", "--net", "small", ALPINE, "sleep", "1000",
    ])
    .ok();
    host.netrun(&[
        "run", "-d", "--name", "b", "--net", "small", ALPINE, "sleep", "1000",
    ])
    .fails(125, &["small"]);
    host.netrun(&["rm", "-f", "a"]).ok();
    host.netrun(&["run", "--rm", "--net", "small", ALPINE, "true"])
        .ok();
    host.assert_clean();
}

#[test]
fn a_single_plugin_conf_and_a_result_with_dns() {
    let host = FakeHost::new();
    let dns = r#"{"cniVersion": "0.3.1", "name": "withdns", "type": "bridge", "bridge": "withdns0",
        "ipam": {"type": "static", "addresses": [{"address": "10.30.0.9/24"}]},
        "dns": {"nameservers": ["192.0.2.77"], "search": ["corp.example"]}}"#;
    host.network("30-withdns.conf", dns);
    let look = "ip -4 -o addr show eth0; cat /etc/resolv.conf";
    let run = host
        .netrun(&["run", "--rm", "--net", "withdns", ALPINE, "sh", "-c", look])
        .ok();
    for word in [
        "10.30.0.9/24",
        "nameserver 192.0.2.77",
        "search corp.example",
    ] {
        assert!(run.stdout.contains(word), "{word} in {run}");
    }
    assert!(!run.stdout.contains("192.0.2.53"), "{run}");
}

#[test]
fn a_container_reaches_another_machine_through_the_masquerade() {
    let host = FakeHost::new();
    let peer = host.peer();
    host.mynet();
    host.netrun(&[
        "run",
        "--rm",
        "--net",
        "mynet",
        ALPINE,
        "ping",
        "-c",
        "1",
        "-w",
        "5",
        "10.99.0.2",
    ])
    .ok();
    let server = peer
        .cmd("busybox")
        .args(&["nc", "-l", "-p", "7777"])
        .spawn();
    crate::host::eventually(Duration::from_secs(10), "the server listens", || {
        peer.sh("ss -ltn | grep -q :7777").code.eq(&0).then_some(())
    });
    let line = "echo through | nc -w 5 10.99.0.2 7777";
    host.netrun(&["run", "--rm", "--net", "mynet", ALPINE, "sh", "-c", line])
        .ok();
    assert_eq!(server.wait().ok().text(), "through");
}
