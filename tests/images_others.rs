//! What others make of netrun's images, and netrun of theirs: ctr in the same containerd, and what
//! nerdctl needs there; podman and skopeo by registry and by archive.

use std::collections::BTreeMap;

use crate::host::{ALPINE, FakeHost, Output};

const FULL: &str = "docker.io/library/alpine:3.14";

type Labels = BTreeMap<String, String>;

/// The labels of all content, by digest.
fn labels(host: &FakeHost) -> BTreeMap<String, Labels> {
    let listed = host.ctr(&["content", "ls"]).ok();
    // A value may hold commas, too.
    let pairs = |text: &str| {
        let mut labels: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), labels.last_mut()) {
                (Some((key, value)), _) => labels.push((key.to_owned(), value.to_owned())),
                (None, Some((_, value))) => *value += &format!(",{part}"),
                (None, None) => {}
            }
        }
        labels.into_iter().collect()
    };
    let lines = listed.stdout.lines().skip(1);
    let lines = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), pairs(words[words.len() - 1]))
    });
    lines.collect()
}

fn content(host: &FakeHost, digest: &str) -> serde_json::Value {
    host.ctr(&["content", "get", digest]).ok().json()
}

/// What the garbage collector and nerdctl follow from an image's name to its files: the labels of
/// containerd's own client, the chain's snapshot among them.
#[track_caller]
fn is_whole_for_nerdctl(host: &FakeHost, name: &str, source: Option<(&str, &str)>) {
    let listed = host.ctr(&["image", "ls", &format!("name=={name}")]).ok();
    let mut digest = listed.lines()[1]
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    let labels = labels(host);
    let key = |what: &str| format!("containerd.io/gc.ref.content.{what}");
    let mut document = content(host, &digest);
    if let Some(manifests) = document["manifests"].as_array() {
        let mut of_ours = manifests
            .iter()
            .filter_map(|child| child["digest"].as_str());
        digest = of_ours
            .rfind(|child| labels.contains_key(*child))
            .unwrap()
            .to_owned();
        let kept = labels
            .values()
            .any(|kept| kept.values().any(|to| *to == digest));
        assert!(kept, "{name}: {labels:#?}");
        document = content(host, &digest);
    }
    let config = document["config"]["digest"].as_str().unwrap();
    assert_eq!(labels[&digest][&key("config")], config, "{name}");
    for (number, layer) in document["layers"].as_array().unwrap().iter().enumerate() {
        let layer = layer["digest"].as_str().unwrap();
        assert_eq!(
            labels[&digest][&key(&format!("l.{number}"))],
            layer,
            "{name}"
        );
        assert!(
            labels[layer].contains_key("containerd.io/uncompressed"),
            "{name}"
        );
        if let Some((registry, repository)) = source {
            let key = format!("containerd.io/distribution.source.{registry}");
            assert!(
                labels[layer][&key].split(',').any(|one| one == repository),
                "{name}"
            );
        }
    }
    let chain = &labels[config]["containerd.io/gc.ref.snapshot.overlayfs"];
    let snapshot = host.ctr(&["snapshot", "info", chain]).ok();
    assert!(snapshot.stdout.contains("Committed"), "{name}: {snapshot}");
    let check = host.ctr(&["image", "check", &format!("name=={name}")]).ok();
    assert!(
        check.stdout.contains("complete") && check.stdout.contains("true"),
        "{check}"
    );
}

#[test]
fn ctr_and_nerdctl_find_all_they_need_of_what_netrun_stored() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.announce("* other*");
    // What ctr leaves of a namespace in which it has run something.
    host.announce("cgroup */other");
    host.announce("dir */other");
    // Of an index ctr pushes all or nothing.
    host.netrun(&["pull", "--all-platforms", ALPINE]).ok();
    is_whole_for_nerdctl(&host, FULL, Some(("docker.io", "library/alpine")));
    host.netrun(&["run", "--name", "c", ALPINE, "touch", "/new"])
        .ok();
    host.netrun(&["commit", "c", "committed:1"]).ok();
    host.netrun(&["export", "-o", "/mnt/files.tar", "c"]).ok();
    host.netrun(&["rm", "c"]).ok();
    host.netrun(&["import", "/mnt/files.tar", "imported:1"])
        .ok();
    host.netrun(&["save", "-o", "/mnt/all.tar", ALPINE, "committed:1"])
        .ok();
    host.netrun(&["rmi", ALPINE, "committed:1"]).ok();
    host.netrun(&["load", "-i", "/mnt/all.tar"]).ok();
    for name in ["alpine:3.14", "committed:1", "imported:1"] {
        let full = format!("docker.io/library/{name}");
        is_whole_for_nerdctl(&host, &full, None);
        let run = host.ctr(&["run", "--rm", &full, "c", "/bin/cat", "/etc/alpine-release"]);
        assert_eq!(run.ok().text(), "3.14.10", "{name}");
        let archive = format!("/mnt/ctr-{name}.tar");
        host.ctr(&["image", "export", &archive, &full]).ok();
        host.ctr(&["-n", "other", "image", "import", &archive]).ok();
        let there = format!("ctr -n other run --rm {full} c /bin/cat /etc/alpine-release");
        assert_eq!(host.sh(&there).ok().text(), "3.14.10", "{name}");
        let to = format!("127.0.0.1:5000/by-ctr/{name}");
        host.ctr(&["image", "tag", &full, &to]).ok();
        let push = ["image", "push", "--plain-http", &to];
        host.ctr(&push).ok();
        host.ctr(&["image", "rm", "--sync", &to, &full]).ok();
        host.ctr(&["-n", "other", "image", "rm", "--sync", &full])
            .ok();
        host.netrun(&["image", "inspect", &full]).fails(3, &[name]);
        host.netrun(&["pull", &to]).ok();
        is_whole_for_nerdctl(
            &host,
            &to,
            Some(("127.0.0.1:5000", &to[15..to.rfind(':').unwrap()])),
        );
    }
}

/// Prints what a file of the image says, without pulling it.
const LOOK: [&str; 7] = [
    "run",
    "--rm",
    "--pull",
    "never",
    ALPINE,
    "cat",
    "/etc/alpine-release",
];

/// ctr, asked for alpine.
fn ctr_gets(host: &FakeHost, words: &[&str]) {
    let hosts = ["--hosts-dir", "/etc/containerd/certs.d", FULL];
    host.ctr(&[words, &hosts].concat()).ok();
}

/// Whatever is done to an image, done to alpine, which is gone then.
#[track_caller]
fn is_used_and_removed(host: &FakeHost, how: &str) {
    assert_eq!(host.netrun(&LOOK).ok().text(), "3.14.10", "{how}");
    is_whole_for_nerdctl(host, FULL, None);
    host.netrun(&["history", ALPINE]).ok();
    let format = ["images", "--format", "{{.Size}} {{.Unpacked}}", ALPINE];
    let listed = host.netrun(&format).ok();
    assert!(!listed.text().contains(" 0B"), "{how}: {listed}");
    host.netrun(&["save", "-o", "/mnt/saved.tar", ALPINE]).ok();
    let to = "127.0.0.1:5000/by-netrun/alpine:1";
    host.netrun(&["tag", ALPINE, to]).ok();
    host.netrun(&["push", to]).ok();
    host.netrun(&["rmi", ALPINE, to]).ok();
    assert_eq!(labels(host).len(), 0, "{how}");
}

#[test]
fn netrun_uses_what_ctr_has_whole_or_not_unpacked_or_not() {
    let host = FakeHost::with_registry();
    host.announce_images();
    for words in [
        &["image", "pull"][..],
        &["image", "pull", "--all-platforms"],
        &["content", "fetch"],
        &["content", "fetch", "--all-platforms"],
    ] {
        ctr_gets(&host, words);
        is_used_and_removed(&host, &words.join(" "));
    }
    for more in [&[][..], &["--no-unpack"]] {
        host.ctr(&[&["image", "import"], more, &["/mnt/saved.tar"]].concat())
            .ok();
        is_used_and_removed(&host, "imported");
    }
    // Only the documents: what is missing is said, and fetched.
    ctr_gets(&host, &["content", "fetch", "--metadata-only"]);
    for line in [&LOOK[..], &["save", "-o", "/mnt/none.tar", ALPINE]] {
        let code = if line[0] == "run" { 125 } else { 3 };
        host.netrun(line)
            .fails(code, &["is missing", "netrun pull"]);
    }
    assert!(!host.path("/mnt/none.tar").exists());
    host.netrun(&["pull", ALPINE]).ok();
    is_used_and_removed(&host, "completed");
    // What ctr removes is gone for netrun, too.
    host.netrun(&["pull", ALPINE]).ok();
    host.ctr(&["image", "rm", "--sync", FULL]).ok();
    host.netrun(&LOOK).fails(125, &["not here"]);
    assert_eq!(labels(&host).len(), 0);
}

/// podman with a storage of its own.
fn podman(host: &FakeHost, line: &str) -> Output {
    let own = "--root /mnt/podman --runroot /mnt/podman-run --storage-driver vfs";
    let script = format!(
        "export TMPDIR=/mnt; podman() {{ command podman {own} \"$@\"; }}; set -o pipefail; {line}"
    );
    host.cmd("bash").args(&["-c", &script]).run()
}

#[test]
fn podman_and_skopeo_pull_what_netrun_pushed_and_the_reverse() {
    let host = FakeHost::with_registry();
    host.announce_images();
    for pattern in ["* /tmp/*", "* /run/*", "* /var/lib/*", "* /etc/containers*"] {
        host.announce(pattern);
    }
    host.announce("file /etc/cni/net.d/cni.lock");
    let at = |name: &str| format!("127.0.0.1:5000/{name}");
    let skopeo = |words: &[&str]| {
        let common = ["--insecure-policy", "--tmpdir", "/mnt"];
        host.cmd("skopeo").args(&common).args(words).run().ok()
    };
    host.netrun(&["pull", ALPINE]).ok();
    host.netrun(&["run", "--name", "c", ALPINE, "touch", "/new"])
        .ok();
    host.netrun(&["commit", "c", &at("ours/committed:1")]).ok();
    host.netrun(&["rm", "c"]).ok();
    host.netrun(&["tag", ALPINE, &at("ours/alpine:1")]).ok();
    for name in ["ours/alpine:1", "ours/committed:1"] {
        let pushed = host.netrun(&["push", &at(name)]).ok();
        let (_, digest) = pushed.text().split_once('@').unwrap();
        let told = skopeo(&[
            "inspect",
            "--tls-verify=false",
            &format!("docker://{}", at(name)),
        ])
        .json();
        assert_eq!(told["Digest"], digest);
        podman(
            &host,
            &format!("podman pull -q --tls-verify=false {}", at(name)),
        )
        .ok();
    }
    // podman's, with gzip and with zstd.
    for format in ["gzip", "zstd"] {
        let to = at(&format!("theirs/{format}:1"));
        let push = format!(
            "podman push -q --tls-verify=false --compression-format {format} {} {to}",
            at("ours/committed:1")
        );
        podman(&host, &push).ok();
        host.netrun(&["pull", &to]).ok();
        host.netrun(&["run", "--rm", &to, "test", "-e", "/new"])
            .ok();
    }
}

#[test]
fn archives_go_through_pipes_to_podman_and_back_packed_and_several_at_once() {
    let host = FakeHost::with_registry();
    host.announce_images();
    for pattern in ["* /tmp/*", "* /run/*", "* /var/lib/*", "* /etc/containers*"] {
        host.announce(pattern);
    }
    host.announce("file /etc/cni/net.d/cni.lock");
    host.netrun(&["pull", ALPINE, "layers:1"]).ok();
    host.netrun(&["tag", ALPINE, "second/name:2"]).ok();
    let images = "alpine:3.14 layers:1 second/name:2";
    for pack in ["cat", "gzip", "zstd -q"] {
        // Ours, to podman, whose release here cannot read packed ones, not even its own.
        let save = match pack {
            "cat" => format!("netrun save {images}"),
            "gzip" => format!("netrun save --compress gzip {images} | gzip -d"),
            _ => format!("netrun save --compress zstd {images} | zstd -dq"),
        };
        podman(&host, &format!("{save} | podman load -q")).ok();
        let names = podman(&host, "podman images --format '{{.Repository}}:{{.Tag}}'").ok();
        for name in images.split(' ') {
            assert!(names.stdout.contains(name), "{pack}: {names}");
        }
        // podman's, several in one, to us.
        host.netrun(&["rmi", "-f", ALPINE, "layers:1", "second/name:2"])
            .ok();
        let all = names.stdout.replace('\n', " ");
        let loaded = podman(
            &host,
            &format!("podman save -q -m {all} | {pack} | netrun load -q"),
        )
        .ok();
        assert_eq!(loaded.lines().len(), 3, "{pack}: {loaded}");
        let run = host.netrun(&[
            "run",
            "--rm",
            "--pull",
            "never",
            "layers:1",
            "cat",
            "/data/five",
        ]);
        assert_eq!(run.ok().text(), "six", "{pack}");
        podman(&host, "podman rmi -f -a").ok();
    }
    // A layout with two of them, each by its tag, as a directory that tar has packed.
    let layout = "
        for name in alpine:3.14 layers:1; do
            netrun save -o /mnt/one.tar $name &&
            skopeo --insecure-policy --tmpdir /mnt copy docker-archive:/mnt/one.tar oci:/mnt/layout:docker.io/library/$name || exit 1
        done
        netrun rmi alpine:3.14 layers:1; tar -C /mnt/layout -cz . | netrun load -q";
    let loaded = host.sh(layout).ok();
    assert!(
        loaded.stdout.contains("alpine:3.14") && loaded.stdout.contains("layers:1"),
        "{loaded}"
    );
}
