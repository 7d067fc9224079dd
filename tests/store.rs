//! The local store: names, archives, pushes, and what others make of them.

use std::time::Duration;

use serde_json::Value;

use crate::host::{ALPINE, FakeHost};

/// A host with a registry, and `layers:1` pulled.
fn with_layers() -> FakeHost {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["pull", "layers:1"]).ok();
    host
}

/// The file of `layers:1` that its last layer changes.
fn runs(host: &FakeHost, image: &str) {
    let run = ["run", "--rm", "--pull", "never", image, "cat", "/data/five"];
    assert_eq!(host.netrun(&run).ok().text(), "six", "{image}");
}

#[test]
fn images_go_through_archives_however_packed_and_by_pipes() {
    let host = with_layers();
    host.netrun(&["pull", ALPINE]).ok();
    let digest = |name: &str| {
        let format = ["images", "--digests", "--format", "{{.Digest}}", name];
        host.netrun(&format).ok().text().to_owned()
    };
    let before = digest("layers:1");
    for (number, packing) in ["", "--compress=gzip", "--compress=zstd"]
        .iter()
        .enumerate()
    {
        let file = format!("/mnt/{number}.tar");
        let mut save = vec!["save", "-o", &file, "layers:1", ALPINE];
        save.extend((!packing.is_empty()).then_some(*packing));
        host.netrun(&save).ok();
        host.netrun(&["rmi", "layers:1", ALPINE]).ok();
        let loaded = host.netrun(&["load", "-i", &file]).ok();
        assert_eq!(
            loaded.text(),
            "Loaded image: layers:1\nLoaded image: alpine:3.14"
        );
        runs(&host, "layers:1");
        assert_eq!(digest("layers:1"), before, "the index is kept");
    }
    // What is there already is neither sent nor unpacked again.
    let again = host.netrun(&["load", "-i", "/mnt/0.tar"]).ok();
    assert!(!again.stderr.contains("fetched"), "{again}");
    host.sh("netrun save layers:1 >/mnt/pipe.tar; netrun rmi layers:1; netrun load </mnt/pipe.tar")
        .ok();
    runs(&host, "layers:1");
    host.netrun(&["save", "-o", "/mnt/none.tar", "nothing:1"])
        .fails(3, &["nothing"]);
    host.netrun(&["save", "-o", "/nowhere/x.tar", ALPINE])
        .fails(3, &["/nowhere/x.tar"]);
    host.netrun(&["load", "-i", "/mnt/none.tar"])
        .fails(3, &["/mnt/none.tar"]);
    let mut terminal = host.netrun_cmd(&["save", ALPINE]).terminal();
    assert_eq!(terminal.wait().code, 2);
}

#[test]
fn skopeo_podman_and_ctr_read_what_we_save_and_we_what_they_save() {
    let host = FakeHost::with_registry();
    host.announce_images();
    // One of docker's media types and gzip, which all of them know.
    host.netrun(&["pull", ALPINE]).ok();
    let runs = |name: &str| {
        let run = [
            "run",
            "--rm",
            "--pull",
            "never",
            name,
            "cat",
            "/etc/alpine-release",
        ];
        assert_eq!(host.netrun(&run).ok().text(), "3.14.10", "{name}");
    };
    host.announce("* /tmp/*");
    host.announce("* /run/*");
    host.announce("* /var/lib/*");
    host.announce("* /etc/containers*");
    host.announce("file /etc/cni/net.d/cni.lock");
    host.netrun(&["save", "-o", "/mnt/ours.tar", "alpine:3.14"])
        .ok();
    // ctr, in another namespace of containerd.
    host.announce("* other*");
    host.ctr(&["-n", "other", "image", "import", "/mnt/ours.tar"])
        .ok();
    let listed = host.ctr(&["-n", "other", "image", "ls", "-q"]).ok();
    assert_eq!(listed.text(), "docker.io/library/alpine:3.14");
    host.ctr(&[
        "image",
        "export",
        "/mnt/ctr.tar",
        "docker.io/library/alpine:3.14",
    ])
    .ok();
    // skopeo, which reads both forms of the one archive and checks every digest.
    let skopeo = |from: &str, to: &str| {
        let copy = ["--insecure-policy", "--tmpdir", "/mnt", "copy", from, to];
        host.cmd("skopeo").args(&copy).run().ok();
    };
    // It knows a layout's image by OCI's media types only, as layers:1 has them.
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["save", "-o", "/mnt/oci.tar", "layers:1"])
        .ok();
    host.netrun(&["rmi", "layers:1"]).ok();
    skopeo(
        "oci-archive:/mnt/oci.tar:1",
        "oci-archive:/mnt/skopeo-copy.tar:layers:1",
    );
    skopeo(
        "docker-archive:/mnt/ours.tar",
        "docker-archive:/mnt/skopeo-docker.tar:alpine:3.14",
    );
    skopeo(
        "docker-archive:/mnt/ours.tar",
        "oci-archive:/mnt/skopeo-oci.tar:alpine:3.14",
    );
    host.netrun(&["load", "-i", "/mnt/skopeo-copy.tar"]).ok();
    self::runs(&host, "layers:1");
    skopeo(
        "docker-archive:/mnt/ours.tar",
        "oci-archive:/mnt/unnamed.tar",
    );
    // podman, whose storage is its own.
    let podman = |args: &[&str]| {
        let own = [
            "--root",
            "/mnt/podman",
            "--runroot",
            "/mnt/podman-run",
            "--storage-driver",
            "vfs",
        ];
        host.cmd("podman")
            .args(&own)
            .args(args)
            .env("TMPDIR", "/mnt")
            .run()
            .ok()
    };
    let loaded = podman(&["load", "-i", "/mnt/ours.tar"]);
    assert!(loaded.stdout.contains("alpine:3.14"), "{loaded}");
    for (file, format) in [
        ("podman-docker", "docker-archive"),
        ("podman-oci", "oci-archive"),
    ] {
        podman(&[
            "save",
            "--format",
            format,
            "-o",
            &format!("/mnt/{file}.tar"),
            "docker.io/library/alpine:3.14",
        ]);
    }
    host.netrun(&["rmi", "alpine:3.14"]).ok();
    for file in [
        "ctr",
        "skopeo-docker",
        "skopeo-oci",
        "podman-docker",
        "podman-oci",
    ] {
        let file = format!("/mnt/{file}.tar");
        let loaded = host.netrun(&["load", "-i", &file]).ok();
        assert_eq!(loaded.text(), "Loaded image: alpine:3.14", "{file}");
        runs("alpine:3.14");
        host.netrun(&["rmi", "alpine:3.14"]).ok();
    }
    let loaded = host.netrun(&["load", "-i", "/mnt/unnamed.tar"]).ok();
    runs(loaded.text().strip_prefix("Loaded image ID: ").unwrap());
    host.netrun(&["load", "-i", "/mnt/unnamed.tar", "--name", "given:1"])
        .ok();
    runs("given:1");
    // The same, unpacked.
    host.sh("mkdir /mnt/layout && tar -C /mnt/layout -xf /mnt/skopeo-oci.tar")
        .ok();
    let loaded = host.netrun(&["load", "-i", "/mnt/layout"]).ok();
    assert_eq!(loaded.text(), "Loaded image: alpine:3.14");
    runs("alpine:3.14");
}

#[test]
fn images_are_called_by_id_and_by_digest_and_need_no_name() {
    let host = with_layers();
    let asked = |format: &str, name: &str| {
        let line = ["image", "inspect", "-f", format, name];
        host.netrun(&line).ok().text().to_owned()
    };
    let id = asked("{{.Id}}", "layers:1");
    let digest = asked("{{index .RepoDigests 0}}", "layers:1");
    for name in [&id, &id[7..19], &digest, &digest.replace('@', ":1@")] {
        runs(&host, name);
        let inspected = host.netrun(&["inspect", "-f", "{{.Id}}", name]).ok();
        assert_eq!(inspected.text(), id, "{name}");
    }
    host.netrun(&["tag", &id, "other:2"]).ok();
    for name in ["other:2", &id] {
        let both = asked("{{.RepoTags}} {{len .RepoDigests}}", name);
        assert_eq!(both, "[layers:1 other:2] 2");
    }
    host.netrun(&["rmi", "other:2"]).ok();
    // What an image does not say is nothing, and no unknown field.
    let format = "{{.Config.User}}|{{json .Config.Volumes}}|{{.Author}}|{{.Comment}}|{{.Size}}";
    assert!(asked(format, "layers:1").starts_with("|null|||"));
    host.netrun(&["create", "--name", "c", "layers:1"]).ok();
    let made = host.netrun(&["commit", "-m", "why", "c"]).ok();
    runs(&host, made.text());
    assert_eq!(asked("{{.Comment}}", made.text()), "why");
    host.netrun(&["rm", "c"]).ok();
    host.sh("mkdir -p /mnt/root/bin && cp /bin/busybox /mnt/root/bin/sh && tar -C /mnt/root -cf /mnt/root.tar .")
        .ok();
    let import = ["import", "-m", "by hand", "/mnt/root.tar"];
    let imported = host.netrun(&import).ok();
    let format = ["history", "--format", "{{.Comment}}", imported.text()];
    assert_eq!(host.netrun(&format).ok().text(), "by hand");
    let listed = ["images", "-f", "dangling=true", "--format"];
    let named = [&listed[..], &["{{.Repository}}:{{.Tag}}"]].concat();
    let named = host.netrun(&named).ok();
    assert_eq!(named.text(), "<none>:<none>\n<none>:<none>");
    host.netrun(&["tag", imported.text(), "named:1"]).ok();
    host.netrun(&["image", "prune", "-f"]).ok();
    let left = host.netrun(&["images", "--format", "{{.Repository}}"]).ok();
    assert_eq!(left.text(), "layers\nnamed");
    let sizes = ["history", "-H=false", "--format", "{{.Size}}", "named:1"];
    assert!(host.netrun(&sizes).ok().text().parse::<u64>().unwrap() > 100_000);
    host.netrun(&["rmi", &digest]).ok();
    host.netrun(&["rmi", &digest]).fails(3, &["layers@sha256:"]);
}

#[test]
fn archives_that_are_none_are_refused_and_leave_nothing() {
    let host = FakeHost::with_registry();
    host.announce("namespace other");
    let sixty_four = "0".repeat(64);
    let load = |name: &str, script: &str| {
        host.sh(&format!(
            "mkdir -p /mnt/{name} && cd /mnt/{name} && {script} && tar cf ../{name}.tar *"
        ))
        .ok();
        host.netrun(&["load", "-i", &format!("/mnt/{name}.tar")])
    };
    load("empty", "echo hi >file").fails(2, &["no image", "netrun import"]);
    load("bad", "echo '{' >index.json").fails(2, &["malformed index.json"]);
    let entry = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["../../etc/passwd"]}]"#;
    load(
        "escape",
        &format!("echo '{entry}' >manifest.json; echo '{{}}' >c.json"),
    )
    .fails(2, &["lacks ../../etc/passwd"]);
    let wrong = format!("mkdir -p blobs/sha256; echo lie >blobs/sha256/{sixty_four}");
    load("wrong", &wrong).fails(4, &["cannot move the content"]);
    load("many", "head -c 9000000 /dev/zero >index.json").fails(2, &["too large"]);
    host.sh("head -c 100000 /dev/urandom >/mnt/noise.tar").ok();
    host.netrun(&["load", "-i", "/mnt/noise.tar"])
        .fails(2, &["cannot read /mnt/noise.tar", "no tar"]);
    host.sh("printf '\\375\\067\\172\\130\\132\\000rest' >/mnt/some.xz; mkdir /mnt/none")
        .ok();
    host.netrun(&["load", "-i", "/mnt/some.xz"])
        .fails(2, &["packed by xz", "xz -dc /mnt/some.xz | netrun load"]);
    host.netrun(&["load", "-i", "/mnt/none"])
        .fails(2, &["cannot read /mnt/none", "directory"]);
    host.sh("head -c 700 /mnt/wrong.tar >/mnt/cut.tar").ok();
    host.netrun(&["load", "-i", "/mnt/cut.tar"]).fails(2, &[]);
    let left = host.settle(Duration::from_secs(20));
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn names_tags_history_and_documents() {
    let host = with_layers();
    host.netrun(&["tag", "layers:1", "localhost:5000/mine:2"])
        .ok();
    let names = host.netrun(&["images", "--format", "{{.Name}}"]).ok();
    assert_eq!(
        names.lines(),
        ["docker.io/library/layers:1", "localhost:5000/mine:2"]
    );
    host.netrun(&["tag", "nothing:1", "x:1"])
        .fails(3, &["nothing"]);
    host.netrun(&["tag", "layers:1", "A B"]).fails(2, &["A B"]);
    let document = host
        .netrun(&["image", "inspect", "localhost:5000/mine:2"])
        .ok()
        .json();
    let id = document[0]["Id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sha256:"), "{document}");
    let history = host.netrun(&["history", "--no-trunc", &id[7..19]]).ok();
    assert!(
        history.stdout.contains("make-image") && history.stdout.contains(&id),
        "{history}"
    );
    host.netrun(&["image", "history", "layers:1", "--format", "{{.Size}}"])
        .ok();
    let filter = |text: &str| {
        host.netrun(&["images", "-q", "--no-trunc", "--filter", text])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(filter("reference=localhost:5000/*"), id);
    assert_eq!(filter("dangling=true"), "");
    host.netrun(&["images", "--filter", "colour=red"])
        .fails(2, &["filters are"]);
    let sizes = host
        .netrun(&["images", "--format", "{{.Size}} {{.Unpacked}}", "layers"])
        .ok();
    let sizes: Vec<&str> = sizes.text().split(' ').collect();
    assert!(
        sizes.len() == 2 && sizes[0] != sizes[1] && sizes[1].ends_with("MB"),
        "{sizes:?}"
    );
    host.netrun(&["volume", "create", "kept"]).ok();
    host.sh("head -c 1000000 /dev/zero >/var/lib/netrun/volumes/default/kept/_data/file")
        .ok();
    let volumes = [
        "system",
        "df",
        "--format",
        "{{.Type}} {{.TotalCount}} {{.Size}}",
    ];
    let volumes = host.netrun(&volumes).ok();
    assert!(
        volumes.lines()[2].starts_with("Local Volumes 1 1"),
        "{volumes}"
    );
    host.netrun(&["volume", "rm", "kept"]).ok();
    let df = host.netrun(&["system", "df"]).ok();
    assert!(
        df.lines()[1].starts_with("Images") && df.lines()[1].contains("(100%)"),
        "{df}"
    );
    host.netrun(&["create", "--name", "user", "layers:1"]).ok();
    host.netrun(&["image", "prune"]).fails(2, &["-f"]);
    assert!(
        host.netrun(&["image", "prune", "-f"])
            .ok()
            .text()
            .ends_with("0B")
    );
    let pruned = host.netrun(&["image", "prune", "-a", "-f"]).ok();
    assert_eq!(
        pruned.text(),
        "Untagged: localhost:5000/mine:2\nTotal reclaimed space: 0B"
    );
    host.netrun(&["rm", "user"]).ok();
    host.netrun(&["image", "prune", "-a", "-f", "--filter", "until=2h"])
        .ok();
    assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "");
    host.netrun(&["image", "scan"]).fails(2, &[]);
    host.netrun(&["image", "build"])
        .fails(125, &["build", "not supported yet"]);
}

#[test]
fn a_push_keeps_the_index_and_mounts_what_the_registry_has() {
    let host = with_layers();
    let digest = |image: &str| {
        let format = ["images", "--digests", "--format", "{{.Digest}}", image];
        host.netrun(&format).ok().text().to_owned()
    };
    let whole = digest("layers:1");
    let to = "127.0.0.1:5000/team/layers:1";
    host.netrun(&["tag", "layers:1", to]).ok();
    // Of the index only this machine's part is here.
    let reduced = host.netrun(&["push", to]).ok();
    assert!(
        reduced.stderr.contains("--all-platforms") && !reduced.stdout.contains(&whole),
        "{reduced}"
    );
    host.netrun(&["pull", "--all-platforms", "127.0.0.1:5000/library/layers:1"])
        .ok();
    let pushed = host.netrun(&["push", to]).ok();
    assert_eq!(pushed.text(), format!("{to}@{whole}"));
    let said = &pushed.stderr;
    assert!(
        said.contains(": pushed (") && !said.contains("fetched"),
        "{pushed}"
    );
    // Into another repository of the same registry nothing is sent.
    let other = "127.0.0.1:5000/other/layers:2";
    host.netrun(&["tag", "layers:1", other]).ok();
    let before = host.read_registry_log();
    host.netrun(&["push", other]).ok();
    let log = host.read_registry_log()[before.len()..].to_owned();
    assert!(!log.contains("PUT /v2/other/layers/blobs"), "{log}");
    host.netrun(&[
        "rmi",
        "layers:1",
        to,
        other,
        "127.0.0.1:5000/library/layers:1",
    ])
    .ok();
    let pulled = host.netrun(&["pull", "-q", other]).ok();
    assert_eq!(pulled.text(), other);
    assert_eq!(digest(other), whole);
    runs(&host, other);
    host.ctr(&["image", "pull", "--plain-http", to]).ok();
    host.netrun(&["push", "127.0.0.1:5000/none:1"])
        .fails(3, &["none:1"]);
    host.netrun(&["tag", other, "127.0.0.1:4999/x:1"]).ok();
    host.netrun(&["push", "127.0.0.1:4999/x:1"])
        .fails(6, &["127.0.0.1:4999"]);
}

#[test]
fn a_push_tells_how_far_it_is() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["pull", ALPINE]).ok();
    host.netrun(&["tag", ALPINE, "127.0.0.1:5000/slow/alpine:1"])
        .ok();
    // A second or two for its one layer.
    host.sh("tc qdisc add dev lo root tbf rate 4mbit burst 128kb latency 10s")
        .ok();
    let args = ["push", "--progress", "json", "127.0.0.1:5000/slow/alpine:1"];
    let pushed = host.netrun(&args).ok();
    host.sh("tc qdisc del dev lo root").ok();
    let told: Vec<(String, u64)> = pushed
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["size"].as_u64() > Some(100_000))
        .map(|event| {
            let state = event["state"].as_str().unwrap().to_owned();
            (state, event["bytes"].as_u64().unwrap())
        })
        .collect();
    let (last, before) = told.split_last().unwrap();
    assert_eq!(last.0, "pushed", "{told:?}");
    assert!(before.iter().all(|(state, _)| state == "pushing"));
    assert!(before.iter().any(|(_, bytes)| *bytes > 0), "{told:?}");
    assert!(before.is_sorted_by_key(|(_, bytes)| *bytes), "{told:?}");
}

#[test]
fn an_image_gets_no_name_that_passes_for_another_image() {
    let host = FakeHost::new();
    host.netrun(&["create", "--name", "c", ALPINE]).ok();
    let format = ["image", "inspect", "-f", "{{.Target.digest}}", ALPINE];
    let digest = host.netrun(&format).ok().text().to_owned();
    let (pinned, id) = (format!("q@{digest}"), "sha256:8e50");
    for (name, why) in [
        (&pinned[..], "cannot be given"),
        (id, "by its id"),
        ("", "it is empty"),
    ] {
        for line in [
            &["tag", "featured:1", name][..],
            &["commit", "c", name],
            &["import", "/dev/null", name],
            &["load", "-i", "/dev/null", "--name", name],
        ] {
            // An empty --name is none.
            if !line.ends_with(&["--name", ""]) {
                host.netrun(line).fails(2, &[why]);
            }
        }
    }
    host.netrun(&["run", "--rm", "--pull", "never", &pinned])
        .fails(125, &["not here"]);
    host.netrun(&["rm", "c"]).ok();
}

#[test]
fn imports_and_commits_are_images_like_others() {
    let host = with_layers();
    let made = "set -e; mkdir -p /mnt/root/bin; cp /bin/busybox /mnt/root/bin/sh; tar -C /mnt/root -c . >/mnt/root.tar; gzip -k /mnt/root.tar; zstd -q /mnt/root.tar";
    host.sh(made).ok();
    for (number, file) in ["root.tar", "root.tar.gz", "root.tar.zst"]
        .iter()
        .enumerate()
    {
        let name = format!("mine:{number}");
        let import = [
            "import",
            "-c",
            "CMD [\"/bin/sh\", \"-c\", \"echo $COLOUR\"]",
            "-c",
            "ENV COLOUR=blue",
        ];
        host.netrun_cmd(&import)
            .args(&[&format!("/mnt/{file}"), &name])
            .run()
            .ok();
        assert_eq!(host.netrun(&["run", "--rm", &name]).ok().text(), "blue");
    }
    host.sh("netrun import - piped:1 </mnt/root.tar.gz").ok();
    host.netrun(&["run", "--rm", "piped:1", "/bin/sh", "-c", "true"])
        .ok();
    host.netrun(&["import", "-c", "RUN x", "/mnt/root.tar", "x:1"])
        .fails(2, &["RUN"]);
}

#[test]
fn a_commit_is_what_the_containers_files_are() {
    let host = with_layers();
    let change = "echo mine >/data/five; rm /data/three; ln -s five /data/six";
    host.netrun(&["run", "--name", "changed", "layers:1", "sh", "-c", change])
        .ok();
    let commit = [
        "commit",
        "-m",
        "why",
        "-a",
        "me",
        "-c",
        "LABEL k=v",
        "changed",
        "committed:1",
    ];
    host.netrun(&commit).ok();
    host.netrun(&["rm", "changed"]).ok();
    let look = "cat /data/six; ls /data";
    let run = host
        .netrun(&["run", "--rm", "committed:1", "sh", "-c", look])
        .ok();
    assert_eq!(run.text(), "mine\nfive\nold\nsix");
    let history = host
        .netrun(&["history", "committed:1", "--format", "{{.Comment}}"])
        .ok();
    assert_eq!(history.lines()[0], "why");
    let label = "label=k=v";
    assert_eq!(
        host.netrun(&["images", "-q", "--filter", label])
            .ok()
            .lines()
            .len(),
        1
    );
    host.netrun(&["commit", "nobody", "x:1"])
        .fails(3, &["nobody"]);
    host.netrun(&["save", "-o", "/mnt/committed.tar", "committed:1"])
        .ok();
    host.netrun(&["rmi", "committed:1", "layers:1"]).ok();
    host.netrun(&["load", "-i", "/mnt/committed.tar"]).ok();
    let run = host
        .netrun(&["run", "--rm", "committed:1", "cat", "/data/six"])
        .ok();
    assert_eq!(run.text(), "mine");
}

#[test]
fn an_images_files_are_mounted_and_given_back() {
    let host = with_layers();
    host.sh("mkdir /tmp/at").ok();
    host.announce("dir /tmp/at");
    host.netrun(&["image", "mount", "layers:1", "/tmp/at"]).ok();
    assert_eq!(host.read("/tmp/at/data/five"), "six\n");
    assert_ne!(host.sh("echo x >/tmp/at/data/five").code, 0, "read only");
    host.netrun(&["image", "unmount", "/tmp/at"]).ok();
    host.netrun(&["image", "unmount", "/tmp/at"])
        .fails(3, &["/tmp/at"]);
    host.netrun(&["image", "mount", "layers:1", "/tmp/nowhere"])
        .fails(3, &["/tmp/nowhere"]);
    // One unmounted by hand is swept by the next.
    host.netrun(&["image", "mount", "layers:1", "/tmp/at"]).ok();
    host.sh("umount /tmp/at").ok();
    host.netrun(&["image", "mount", "layers:1", "/tmp/at"]).ok();
    host.netrun(&["image", "unmount", "/tmp/at"]).ok();
}
