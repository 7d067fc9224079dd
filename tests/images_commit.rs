//! `commit`: of containers that run, still while they are read, and on again whatever happens; of the
//! image that the container was made from, with what it was run with.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

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

#[test]
fn a_commit_is_of_the_containers_own_image_whatever_its_name_stands_for() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["pull", "--all-platforms", ALPINE]).ok();
    host.netrun(&["pull", "layers:1"]).ok();
    let asked = |format: &str, name: &str| {
        let line = ["image", "inspect", "-f", format, name];
        host.netrun(&line).ok().text().to_owned()
    };
    let manifest = asked("{{.Manifest}}", ALPINE);
    let other = match asked("{{.Architecture}}", ALPINE).as_str() {
        "amd64" => "arm64",
        _ => "amd64",
    };
    host.netrun(&["run", "--name", "own", ALPINE, "touch", "/new"])
        .ok();
    let platform = format!("linux/{other}");
    host.netrun(&[
        "create",
        "--platform",
        &platform,
        "--name",
        "foreign",
        ALPINE,
    ])
    .ok();
    host.netrun(&["commit", "foreign", "foreign:1"]).ok();
    assert_eq!(asked("{{.Architecture}}", "foreign:1"), other);
    let is_own = |name: &str| {
        host.netrun(&["commit", "own", name]).ok();
        assert_eq!(asked("{{len .RootFS.Layers}}", name), "2", "{name}");
        assert_eq!(asked("{{.Config.Cmd}}", name), "[touch /new]", "{name}");
        let look = ["run", "--rm", name, "sh", "-c", "ls -d /new /data"];
        assert_eq!(host.netrun(&look).text(), "/new", "{name}");
    };
    // Its name stands for another image now, and it has a further one.
    host.netrun(&["tag", ALPINE, "kept:1"]).ok();
    host.netrun(&["tag", "layers:1", ALPINE]).ok();
    is_own("named:1");
    // It has no name any more, but it is here.
    let root = "containerd.io/gc.root=test";
    host.ctr(&["content", "label", &manifest, root]).ok();
    host.netrun(&["rmi", "-f", "kept:1"]).ok();
    is_own("nameless:1");
    host.netrun(&["save", "-o", "/mnt/whole.tar", "nameless:1"])
        .ok();
    host.ctr(&["content", "label", &manifest, "containerd.io/gc.root="])
        .ok();
    host.netrun(&["rmi", "layers:1", "nameless:1"]).ok();
    let gone = host.netrun(&["commit", "own", "gone:1"]);
    let said = ["container own was made from is not here any more: sha256:"];
    gone.fails(3, &[said[0], "netrun pull", "netrun export own"]);
    host.netrun(&["rm", "own", "foreign"]).ok();
}

#[test]
fn a_commit_says_what_the_container_was_run_with() {
    let host = FakeHost::new();
    host.announce_images();
    let line = "netrun create --name c -t -e FOO=bar -w /tmp -u 1000 --entrypoint sh -l who=me --expose 80 -p 8099:81 \
        --scope job -v /data --health-cmd true --stop-signal INT alpine:3.14 -c 'echo $FOO'";
    host.sh(line).ok();
    host.netrun(&["commit", "-c", "ENV MORE=1", "c", "c:1"])
        .ok();
    let inspect = ["image", "inspect", "-f", "{{json .Config}}"];
    let config = |name: &str| host.netrun(&[&inspect[..], &[name]].concat()).ok().json();
    let said = config("c:1");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (key, expected) in [
        ("Env", json!([path, "FOO=bar", "MORE=1"])),
        ("Entrypoint", json!(["sh"])),
        ("Cmd", json!(["-c", "echo $FOO"])),
        ("WorkingDir", json!("/tmp")),
        ("User", json!("1000")),
        ("Labels", json!({"who": "me"})),
        ("ExposedPorts", json!({"80/tcp": {}, "81/tcp": {}})),
        ("Volumes", json!({"/data": {}})),
        ("StopSignal", json!("SIGINT")),
    ] {
        assert_eq!(said[key], expected, "{key}");
    }
    assert_eq!(said["Healthcheck"]["Test"], json!(["CMD-SHELL", "true"]));
    let run = host.netrun(&["run", "--rm", "c:1", "-c", "echo $FOO $(id -u) $(pwd)"]);
    assert_eq!(run.ok().text(), "bar 1000 /tmp");
    let history = ["history", "--no-trunc", "--format", "{{.CreatedBy}}", "c:1"];
    assert_eq!(host.netrun(&history).ok().lines()[0], "-c echo $FOO");
    let entrypoint = "ENTRYPOINT [\"id\", \"-u\"]";
    host.netrun(&["commit", "-c", entrypoint, "c", "c:2"]).ok();
    assert_eq!(host.netrun(&["run", "--rm", "c:2"]).ok().text(), "1000");
    host.netrun(&["scope", "end", "job"]).ok();
}
