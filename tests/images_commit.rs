//! `commit` of containers that run: still while they are read, and on again whatever happens.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::{ALPINE, FakeHost, Running, eventually};

/// A host with a container `c` that has 48 MB to read, and runs on.
fn host() -> FakeHost {
    let host = FakeHost::new();
    host.announce_images();
    let work = "head -c 48000000 /dev/urandom >/big; touch /ready; sleep 1000";
    host.netrun(&["run", "-d", "--name", "c", ALPINE, "sh", "-c", work])
        .ok();
    eventually(Duration::from_secs(60), "it is ready", || {
        let ready = host.netrun(&["exec", "c", "test", "-e", "/ready"]);
        (ready.code == 0).then_some(())
    });
    host
}

fn status(host: &FakeHost) -> String {
    let format = ["inspect", "-f", "{{.State.Status}}", "c"];
    host.netrun(&format).ok().text().to_owned()
}

fn wait_for(host: &FakeHost, wanted: &str) {
    eventually(Duration::from_secs(20), wanted, || {
        (status(host) == wanted).then_some(())
    });
}

fn committing(host: &FakeHost) -> Running {
    let running = host.netrun_cmd(&["commit", "c", "made:1"]).spawn();
    wait_for(host, "paused");
    running
}

#[test]
fn a_container_is_frozen_while_it_is_read_unless_that_is_not_wanted() {
    let host = host();
    host.announce("* /tmp/told");
    let events = |pause: &str| {
        // One that comes before the commit shows that they come at all, one behind it that all came.
        let line = format!(
            "netrun events --filter container=c --format '{{{{.Action}}}}' >/tmp/told & watching=$!
            until grep -q exec /tmp/told; do netrun exec c true; done
            netrun commit {pause} c made:1 >/dev/null; netrun kill -s URG c >/dev/null
            until grep -q kill /tmp/told; do sleep 0.05; done
            kill $watching; wait $watching; grep pause /tmp/told"
        );
        let told = host.sh(&line);
        assert_eq!(status(&host), "running");
        told.text().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(events(""), "pause unpause");
    assert_eq!(events("--pause=true"), "pause unpause");
    assert_eq!(events("--pause=false"), "");
    let run = host.netrun(&["run", "--rm", "made:1", "test", "-s", "/big"]);
    run.ok();
    // Who has frozen it lets it go on.
    host.netrun(&["pause", "c"]).ok();
    host.netrun(&["commit", "c", "made:2"]).ok();
    assert_eq!(status(&host), "paused");
    host.netrun(&["unpause", "c"]).ok();
    host.netrun(&["kill", "c"]).ok();
    host.netrun(&["commit", "c", "made:3"]).ok();
    host.netrun(&["rm", "c"]).ok();
}

#[test]
fn it_goes_on_whoever_dies() {
    let host = host();
    // Two at once: the second does not let it go on while the first still reads.
    let both = [
        committing(&host),
        host.netrun_cmd(&["commit", "c", "made:2"]).spawn(),
    ];
    for commit in both {
        commit.wait().ok();
    }
    wait_for(&host, "running");
    host.netrun(&["rmi", "made:1", "made:2"]).ok();
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let commit = committing(&host);
        commit.signal(signal);
        let ended = commit.wait();
        assert_ne!(ended.code, 0, "{ended}");
        wait_for(&host, "running");
        host.netrun(&["image", "inspect", "made:1"]).fails(3, &[]);
    }
    let commit = committing(&host);
    host.sh("pkill -9 -f '[n]etrun supervise'; sleep 0.2").ok();
    commit.signal(Signal::SIGKILL);
    drop(commit);
    // The next command of any kind has a new supervisor look after it.
    host.netrun(&["ps"]).ok();
    wait_for(&host, "running");
    host.netrun(&["exec", "c", "true"]).ok();
    let commit = committing(&host);
    host.netrun(&["rm", "-f", "c"]).ok();
    drop(commit.wait());
    let _ = host.netrun(&["rmi", "-f", "made:1"]);
    host.netrun(&["gc"]).ok();
    // containerd goes on reading for a while after whoever asked is gone, and unmounts then.
    let left = host.settle(Duration::from_secs(60));
    assert!(left.is_empty(), "{left:#?}");
}
