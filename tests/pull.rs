//! Pull: references, digests, mirrors, layers, what is left by a pull that did not end.

use std::fs;
use std::time::Duration;

use nix::sys::signal;
use serde_json::Value;

use crate::host::{ALPINE, FakeHost, eventually};

/// The digest that a tag of the test registry has.
fn digest(host: &FakeHost, repository: &str, tag: &str) -> String {
    let link = format!(
        "/mnt/storage/docker/registry/v2/repositories/library/{repository}/_manifests/tags/{tag}/current/link"
    );
    host.read(&link)
}

/// A document of the registry.
fn document(host: &FakeHost, digest: &str) -> Value {
    serde_json::from_slice(&fs::read(host.registry_blob(digest)).unwrap()).unwrap()
}

/// The first layer of this machine's manifest.
fn first_layer(host: &FakeHost, repository: &str, tag: &str) -> String {
    let index = document(host, &digest(host, repository, tag));
    let manifest = document(host, index["manifests"][1]["digest"].as_str().unwrap());
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn by_tag_by_digest_and_by_any_spelling() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let digest = digest(&host, "alpine", "3.14");
    for reference in [
        "alpine:3.14".to_owned(),
        "alpine".to_owned(),
        "library/alpine:3.14".to_owned(),
        "docker.io/library/alpine:3.14".to_owned(),
        "docker.io/alpine:3.14".to_owned(),
        format!("alpine@{digest}"),
        format!("alpine:3.14@{digest}"),
        "127.0.0.1:5000/library/alpine:3.14".to_owned(),
    ] {
        host.netrun(&["pull", &reference]).ok();
        let run = host
            .netrun(&["run", "--rm", "--pull", "never", &reference, "echo", "ran"])
            .ok();
        assert_eq!(run.text(), "ran", "{reference}");
    }
    let names = host.ctr(&["image", "ls", "-q"]).ok();
    assert!(
        names.lines().contains(&"docker.io/library/alpine:3.14"),
        "{names}"
    );
    assert!(
        names.lines().contains(&"docker.io/library/alpine:latest"),
        "{names}"
    );
}

#[test]
fn every_kind_of_layer_unpacks() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let run = [
        "run",
        "--rm",
        "--entrypoint",
        "cat",
        "featured:1",
        "zstd",
        "/srv/plain",
    ];
    assert_eq!(
        host.netrun(&run).ok().text(),
        "from a zstd layer\nfrom a plain layer"
    );
    let look = "cat /data/five; ls /data /data/old";
    let run = host
        .netrun(&["run", "--rm", "layers:1", "sh", "-c", look])
        .ok();
    assert_eq!(
        run.text(),
        "six\n/data:\nfive\nold\nthree\n\n/data/old:\nfresh"
    );
}

#[test]
fn ctr_uses_what_we_pulled_and_we_what_ctr_fetched() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["pull", "layers:1"]).ok();
    host.stop_registry();
    host.ctr(&[
        "run",
        "--rm",
        "docker.io/library/layers:1",
        "c",
        "cat",
        "/data/five",
    ])
    .ok();
    let check = host
        .ctr(&["image", "check", "name==docker.io/library/layers:1"])
        .ok();
    assert!(
        check.stdout.contains("complete") && check.stdout.contains("true"),
        "{check}"
    );
    host.start_registry();
    // Without unpacking it.
    let fetch = [
        "content",
        "fetch",
        "--hosts-dir",
        "/etc/containerd/certs.d",
        "docker.io/library/featured:1",
    ];
    host.ctr(&fetch).ok();
    host.stop_registry();
    let run = ["run", "--rm", "--entrypoint", "cat", "featured:1", "zstd"];
    assert_eq!(host.netrun(&run).ok().text(), "from a zstd layer");
}

#[test]
fn always_missing_never() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["run", "--rm", "--pull", "never", ALPINE, "true"])
        .fails(125, &["alpine"]);
    host.assert_clean();
    host.netrun(&["run", "--rm", "--pull", "missing", ALPINE, "true"])
        .ok();
    // The tag moves; only `always` sees it.
    let tags = "/mnt/storage/docker/registry/v2/repositories/library";
    let layers = digest(&host, "layers", "1");
    host.sh(&format!("cp -r {tags}/layers/_layers {tags}/layers/_manifests {tags}/alpine/; \
        rm -f {tags}/alpine/_manifests/tags/3.14/current/link; mkdir -p {tags}/alpine/_manifests/tags/3.14/current; \
        printf %s {layers} >{tags}/alpine/_manifests/tags/3.14/current/link")).ok();
    assert_ne!(host.netrun(&["run", "--rm", ALPINE, "ls", "/data"]).code, 0);
    host.netrun(&["run", "--rm", "--pull", "always", ALPINE, "ls", "/data"])
        .ok();
    host.stop_registry();
    host.netrun(&["run", "--rm", ALPINE, "true"]).ok();
    host.netrun(&["run", "--rm", "--pull", "always", ALPINE, "true"])
        .fails(125, &["127.0.0.1:5000"]);
    host.netrun(&["run", "--rm", "--pull", "sometimes", ALPINE, "true"])
        .fails(125, &["sometimes"]);
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let host = FakeHost::with_registry();
    let layer = first_layer(&host, "alpine", "3.14");
    let blob = host.registry_blob(&layer);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    // A fresh file: the storage is shared with other hosts by its content only.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    host.netrun(&["pull", ALPINE]).fails(1, &[&layer[..20]]);
    host.netrun(&["run", "--rm", ALPINE, "true"])
        .fails(125, &[&layer[..20]]);
    let left = host.settle(Duration::from_secs(10));
    assert!(left.is_empty(), "{left:#?}");
    let absent = format!("alpine@sha256:{}", "1".repeat(64));
    host.netrun(&["pull", &absent]).fails(3, &["1111"]);
}

#[test]
fn an_unknown_image_and_a_registry_that_refuses() {
    let host = FakeHost::with_registry();
    host.netrun(&["pull", "nowhere:1"]).fails(3, &["nowhere"]);
    host.netrun(&["run", "--rm", "nowhere:1", "true"])
        .fails(125, &["nowhere"]);
    host.netrun(&["pull", "alpine:9.99"]).fails(3, &["9.99"]);
    host.netrun(&["run", "127.0.0.1:4999/x:1"])
        .fails(125, &["127.0.0.1:4999"]);
    for bad in [
        "UPPER:1",
        "a:b:c",
        "-x",
        "alpine@sha256:short",
        "alpine:",
        "",
    ] {
        host.netrun(&["run", "--rm", "--", bad, "true"])
            .fails(125, &[]);
    }
    host.stop_registry();
    host.sh("sed -i /mnt/registry.yml -e '$aauth: {htpasswd: {realm: private, path: /mnt/passwords}}'; : >/mnt/passwords").ok();
    host.assert_clean();
}

#[test]
fn an_interrupted_pull_leaves_nothing_that_stays() {
    let host = FakeHost::with_registry();
    host.announce_images();
    for (delay, signal) in [
        (5, signal::SIGINT),
        (20, signal::SIGTERM),
        (10, signal::SIGKILL),
        (60, signal::SIGKILL),
    ] {
        let pull = host.netrun_cmd(&["pull", "layers:1"]).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        pull.try_signal(signal);
        drop(pull);
    }
    host.netrun(&["gc"]).ok();
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["run", "--rm", "layers:1", "cat", "/data/five"])
        .ok();
    host.netrun(&["rmi", "layers:1"]).ok();
    let left = host.settle(Duration::from_secs(10));
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_pull_that_is_broken_off_lets_go_at_once() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let leases = || host.ctr(&["leases", "ls", "-q"]).ok();
    let none = leases().text().to_owned();
    for (line, signal, code) in [
        (&["pull", "layers:1"][..], signal::SIGINT, 130),
        (&["run", "--rm", "layers:1", "true"], signal::SIGTERM, 143),
        (&["create", "layers:1"], signal::SIGHUP, 129),
    ] {
        host.sh("iptables -A INPUT -p tcp --dport 5000 -j DROP")
            .ok();
        let pull = host.netrun_cmd(line).spawn();
        eventually(Duration::from_secs(10), "there is a lease", || {
            (leases().text() != none).then_some(())
        });
        pull.signal(signal);
        pull.wait().fails(code, &[]);
        assert_eq!(leases().text(), none, "{line:?}");
        host.sh("iptables -F INPUT").ok();
    }
}

#[test]
fn two_pulls_of_one_image_share_the_work() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            host.netrun_cmd(&["run", "--rm", "layers:1", "true"])
                .spawn()
        })
        .collect();
    for pull in pulls {
        pull.wait().ok();
    }
}

#[test]
fn progress_goes_to_stderr_and_quiet_is_quiet() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let run = host.netrun(&["run", "--rm", ALPINE, "echo", "only"]).ok();
    assert_eq!(run.stdout, "only\n");
    assert!(!run.stderr.is_empty(), "plain lines of progress");
    assert!(
        !run.stderr.contains('\x1b') && !run.stderr.contains('\r'),
        "{run}"
    );
    host.netrun(&["rmi", ALPINE]).ok();
    let run = host
        .netrun(&["run", "-q", "--rm", ALPINE, "echo", "only"])
        .ok();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("only\n", ""));
    host.netrun(&["rmi", ALPINE]).ok();
    let mut bars = host.netrun_cmd(&["pull", ALPINE]).terminal();
    let bars = bars.wait().ok();
    assert!(
        bars.stdout.contains('\x1b') || bars.stdout.contains('\r'),
        "bars on a terminal: {bars}"
    );
}

#[test]
fn images_and_rmi() {
    let host = FakeHost::with_registry();
    host.netrun(&["pull", ALPINE]).ok();
    host.netrun(&["pull", "layers:1"]).ok();
    let table = host.netrun(&["images"]).ok();
    assert!(
        table
            .lines()
            .iter()
            .any(|line| line.contains("alpine") && line.contains("3.14")),
        "{table}"
    );
    assert_eq!(table.lines().len(), 3, "{table}");
    let json = host.netrun(&["images", "--format", "json"]).ok();
    assert!(json.stdout.contains("alpine"), "{json}");
    assert_eq!(host.netrun(&["images", "-q"]).ok().lines().len(), 2);
    // One in use stays, unless forced.
    host.netrun(&["create", "--name", "user", ALPINE]).ok();
    host.netrun(&["rmi", ALPINE]).fails(4, &["user"]);
    host.netrun(&["rm", "user"]).ok();
    host.netrun(&["rmi", ALPINE, "layers:1"]).ok();
    host.netrun(&["rmi", ALPINE]).fails(3, &["alpine"]);
    assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "");
    // containerd collects the content in its own time.
    let left = host.settle(Duration::from_secs(20));
    assert!(left.is_empty(), "{left:#?}");
}
