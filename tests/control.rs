//! Commands that meet a container while it comes up, goes down, or has lost its supervisor.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, eventually};

fn sleeper(host: &FakeHost, name: &str) {
    host.netrun(&["run", "-d", "--name", name, ALPINE, "sleep", "1000"])
        .ok();
}

/// The record of `c` as containerd keeps it.
fn record(host: &FakeHost) -> String {
    let line = "ctr container info c | jq -r '.Extensions[\"netrun.record\"].value // .Extensions[\"netrun.record\"].Value' | base64 -d";
    host.sh(line).stdout
}

#[test]
fn a_shim_that_says_nothing_delays_the_end_and_does_not_hide_it() {
    let host = FakeHost::new();
    sleeper(&host, "c");
    let shim = host.sh("pgrep -f '[c]ontainerd-shim.*-id c'").ok();
    host.sh(&format!(
        "kill -STOP {}; pkill -9 -f '^sleep [1]000'",
        shim.text()
    ))
    .ok();
    let told = "the record says how it ended";
    eventually(Duration::from_secs(25), told, || {
        record(&host).contains("did not say").then_some(())
    });
    host.sh(&format!("kill -CONT {}", shim.text())).ok();
    // The shim may have been told to delete what it had not seen end: then gc finishes it, and by
    // now containerd knows the status.
    host.netrun(&["gc"]).ok();
    let status = host.waited("c");
    assert!([255, 137].contains(&status), "{status}");
    host.netrun(&["rm", "c"]).ok();
    host.assert_clean();
}
