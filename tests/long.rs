//! The long runs. CI does a tenth of them; `scripts/test --long` all.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost};

/// How often something is done: all of it, or CI's tenth.
pub fn times(all: usize) -> usize {
    match std::env::var_os("NETRUN_TEST_LONG") {
        Some(_) => all,
        None => all / 10,
    }
}

#[test]
fn run_after_run_nothing_grows() {
    let host = FakeHost::new();
    host.mynet();
    // The first few make what stays by design, and containerd's own caches.
    for _ in 0..5 {
        host.netrun(&["run", "--rm", "--net", "mynet", ALPINE, "true"])
            .ok();
    }
    let (descriptors, memory) = (host.containerd_descriptors(), host.containerd_memory());
    let count = times(500).to_string();
    let run =
        "netrun run --rm --net mynet alpine:3.14 true >>/tmp/out 2>&1 || echo failed >>/tmp/out";
    let line = format!("seq {count} | xargs -P 8 -I @ sh -c '{run}'; cat /tmp/out; rm -f /tmp/out");
    let all = host
        .cmd("sh")
        .args(&["-c", &line])
        .patience(Duration::from_secs(900))
        .run()
        .ok();
    assert_eq!(all.stdout, "");
    host.assert_clean();
    let left = host.settle(Duration::from_secs(5));
    assert!(left.is_empty(), "{left:#?}");
    let grown = host.containerd_descriptors().saturating_sub(descriptors);
    assert!(grown <= 8, "{grown} more descriptors in containerd");
    let grown = host.containerd_memory().saturating_sub(memory);
    assert!(grown < 40_000, "{grown} KiB more in containerd");
}

#[test]
fn fifty_at_once_up_and_down() {
    let host = FakeHost::new();
    host.mynet();
    let count = times(500).max(20);
    let line = format!(
        "seq {count} | xargs -P 20 -I @ netrun run -d --name m@ --net mynet alpine:3.14 sleep 1000 >/tmp/out; wc -l </tmp/out; rm /tmp/out"
    );
    let up = host
        .cmd("sh")
        .args(&["-c", &line])
        .patience(Duration::from_secs(900))
        .run()
        .ok();
    assert_eq!(up.text(), count.to_string());
    let addresses = host.netrun(&["ps", "--format", "{{.Names}}"]).ok();
    assert_eq!(addresses.lines().len(), count);
    host.cmd("sh")
        .args(&["-c", "netrun rm -f $(netrun ps -aq)"])
        .patience(Duration::from_secs(900))
        .run()
        .ok();
    // What ends is seen for a moment longer.
    host.settle(Duration::from_secs(10));
    host.assert_clean();
}

#[test]
fn restarts_in_a_row() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run", "-d", "--name", "r", "--net", "mynet", ALPINE, "sleep", "1000",
    ])
    .ok();
    for _ in 0..times(100) {
        host.netrun(&["restart", "-t", "0", "r"]).ok();
    }
    host.netrun(&["exec", "r", "ping", "-c", "1", "-w", "5", "10.10.0.1"])
        .ok();
    host.netrun(&["rm", "-f", "r"]).ok();
    host.assert_clean();
}

#[test]
fn a_plugin_that_hangs_is_given_up() {
    if times(10) < 10 {
        // It takes its minute; CI sees one interrupted instead (network.rs).
        return;
    }
    let host = FakeHost::new();
    let script = "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && sleep 1000\nexit 0\n";
    host.write("/mnt/plugins/hang", script);
    host.sh("chmod 755 /mnt/plugins/hang").ok();
    let config = r#"{"cniVersion": "1.0.0", "name": "hang", "plugins": [{"type": "hang"}]}"#;
    host.network("20-hang.conflist", config);
    let args = ["run", "--rm", "--net", "hang", ALPINE, "true"];
    let run = host.netrun_cmd(&args).env("CNI_PATH", "/mnt/plugins");
    run.patience(Duration::from_secs(180))
        .run()
        .fails(125, &["hang", "60"]);
    host.assert_clean();
}
