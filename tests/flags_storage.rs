//! What is mounted in a container: `-v`, `--mount`, `--tmpfs`, `--volumes-from`, `VOLUME`, and the
//! volumes themselves.

use crate::host::{ALPINE, FakeHost};

/// Runs a shell line in an alpine container with these options; its output.
#[track_caller]
fn inside(host: &FakeHost, options: &[&str], line: &str) -> String {
    let args = [&["run", "--rm"], options, &[ALPINE, "sh", "-c", line]].concat();
    host.netrun(&args).ok().text().to_owned()
}

/// The options of a mount in a container.
const MOUNT_OF: &str = "grep \" $1 \" /proc/mounts | cut -d' ' -f4";

fn mounted(place: &str) -> String {
    format!("set -- {place}; {MOUNT_OF}")
}

#[test]
fn paths_of_the_host() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    host.write("/tmp/site/index", "hello");
    host.write("/tmp/one-file", "single");
    host.sh("mount --make-shared /tmp").ok();
    let options = [
        "-v",
        "/tmp/site:/rw",
        "-v",
        "/tmp/site:/ro:ro",
        "-v",
        "/tmp/one-file:/etc/motd",
        "-v",
        "/tmp/made/by/us:/made",
        "--mount",
        "type=bind,source=/tmp/site,target=/long,readonly",
        "--mount",
        "type=bind,src=/tmp/site,dst=/slave,bind-propagation=rslave",
        "-v",
        "/tmp/site:/recursive:rro",
    ];
    let line = "cat /rw/index /etc/motd; echo
        touch /rw/new; for d in /ro /long /recursive; do touch $d/x 2>/dev/null || echo refused; done
        ls -d /made; grep -c ' /slave .*master:' /proc/self/mountinfo";
    let seen = inside(&host, &options, line);
    assert_eq!(seen, "hellosingle\nrefused\nrefused\nrefused\n/made\n1");
    assert!(host.path("/tmp/site/new").exists());
    assert!(host.path("/tmp/made/by/us").is_dir());
    for (option, value, words) in [
        (
            "--mount",
            "type=bind,source=/tmp/none,target=/x",
            "/tmp/none",
        ),
        ("-v", "/proc/version/x:/x", "/proc/version/x"),
        ("-v", "/a:/b:perhaps", "perhaps"),
        ("-v", "a/b:/c", "./a/b"),
        ("--mount", "type=socket,target=/x", "socket"),
    ] {
        host.netrun(&["run", "--rm", option, value, ALPINE, "true"])
            .fails(125, &[words]);
    }
    assert!(!host.path("/tmp/none").exists());
    let twice = [
        "run", "--rm", "-v", "/tmp:/x", "--tmpfs", "/x", ALPINE, "true",
    ];
    host.netrun(&twice).fails(125, &["/x"]);
}

#[test]
fn memory_has_the_options_that_were_asked_for() {
    let host = FakeHost::new();
    let options = [
        "--tmpfs",
        "/plain",
        "--tmpfs",
        "/own:size=1m,mode=700,exec",
        "--mount",
        "type=tmpfs,target=/long,tmpfs-size=2m,tmpfs-mode=1770",
        "--shm-size",
        "8m",
    ];
    let line = format!(
        "{}; {}; {}; {}; stat -c %a /own /long",
        mounted("/plain"),
        mounted("/own"),
        mounted("/long"),
        mounted("/dev/shm")
    );
    let seen = inside(&host, &options, &line);
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].contains("noexec"), "{seen}");
    assert!(
        lines[1].contains("size=1024k") && !lines[1].contains("noexec"),
        "{seen}"
    );
    assert!(lines[2].contains("size=2048k"), "{seen}");
    assert!(lines[3].contains("size=8192k"), "{seen}");
    let usual = inside(&host, &["--shm-size", "0"], &mounted("/dev/shm"));
    assert!(usual.contains("size=65536k"), "{usual}");
    assert_eq!(lines[4..], ["700", "1770"]);
}

#[test]
fn volumes_outlive_containers_unless_they_have_no_name() {
    let host = FakeHost::new();
    let first =
        "echo kept >/data/x; stat -c %a /srv/tmp; touch /anonymous/x; ls /filled | head -n1";
    let options = [
        "-v",
        "data:/data",
        "-v",
        "/anonymous",
        "-v",
        "tmp:/srv/tmp",
        "-v",
        "filled:/etc",
        "-v",
        "bare:/bin/x:nocopy",
        "-v",
        "filled:/filled:ro",
    ];
    let seen = inside(&host, &options, first);
    assert_eq!(seen, "755\nalpine-release");
    let names = host.netrun(&["volume", "ls", "-q"]).ok();
    assert_eq!(names.lines(), ["bare", "data", "filled", "tmp"]);
    assert_eq!(inside(&host, &["-v", "data:/d"], "cat /d/x"), "kept");
    // A container that stays keeps its volumes from going.
    let run = [
        "create", "--name", "user", "-v", "data:/d", "-v", "/own", ALPINE, "true",
    ];
    host.netrun(&run).ok();
    host.netrun(&["volume", "rm", "data"]).fails(4, &["user"]);
    let mounts = host
        .netrun(&[
            "inspect",
            "-f",
            "{{range .Mounts}}{{.Type}} {{.Destination}} {{end}}",
            "user",
        ])
        .ok();
    assert_eq!(mounts.text(), "volume /d volume /own");
    host.netrun(&["rm", "-v", "user"]).ok();
    host.netrun(&["volume", "rm", "data", "tmp", "filled", "bare"])
        .ok();
    host.netrun(&["volume", "rm", "data"]).fails(3, &["data"]);
    host.finish();
}

#[test]
fn others_volumes_and_the_images() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    host.write("/tmp/bound/x", "bound\n");
    let owner = [
        "create",
        "--name",
        "owner",
        "-v",
        "shared:/shared",
        "-v",
        "/tmp/bound:/bound",
        "--tmpfs",
        "/memory",
        ALPINE,
        "true",
    ];
    host.netrun(&owner).ok();
    let line = "echo from-b >/shared/y; cat /bound/x; ls -d /memory 2>/dev/null || echo none";
    assert_eq!(
        inside(&host, &["--volumes-from", "owner"], line),
        "bound\nnone"
    );
    let line = "cat /shared/y; touch /shared/z 2>/dev/null || echo refused";
    let read_only = inside(&host, &["--volumes-from", "owner:ro"], line);
    assert_eq!(read_only, "from-b\nrefused");
    for (given, word) in [
        ("nobody", "nobody"),
        ("owner:perhaps", "perhaps"),
        ("a/b", "a/b"),
    ] {
        host.netrun(&["run", "--rm", "--volumes-from", given, ALPINE, "true"])
            .fails(125, &[word]);
    }
    host.netrun(&["rm", "owner"]).ok();
    host.netrun(&["volume", "rm", "shared"]).ok();
    host.finish();
}

#[test]
fn the_verbs_of_volumes() {
    let host = FakeHost::new();
    let volume = |args: &[&str]| host.netrun(&[&["volume"], args].concat());
    assert_eq!(volume(&["create", "a", "-l", "k=v"]).ok().text(), "a");
    assert_eq!(volume(&["create", "a"]).ok().text(), "a");
    let anonymous = volume(&["create"]).ok().text().to_owned();
    assert_eq!(anonymous.len(), 64);
    let shown = volume(&["inspect", "a"]).ok().json();
    assert_eq!(shown[0]["Name"], "a");
    assert_eq!(shown[0]["Driver"], "local");
    assert_eq!(shown[0]["Labels"]["k"], "v");
    let mountpoint = shown[0]["Mountpoint"].as_str().unwrap();
    assert!(host.path(mountpoint).is_dir());
    let format = [
        "ls",
        "--format",
        "{{.Name}} {{.Driver}}",
        "--filter",
        "label=k=v",
    ];
    assert_eq!(volume(&format).ok().text(), "a local");
    assert_eq!(
        volume(&["ls", "-q", "--filter", "name=^a$"]).ok().text(),
        "a"
    );
    volume(&["inspect", "none"]).fails(3, &["none"]);
    volume(&["create", "a/b"]).fails(2, &["a/b"]);
    host.netrun(&["create", "--name", "c", "-v", "used:/u", ALPINE])
        .ok();
    let dangling = volume(&["ls", "-q", "--filter", "dangling=false"]).ok();
    assert_eq!(dangling.text(), "used");
    // Without -a only those without a name of their own go.
    let pruned = |args: &[&str]| volume(args).ok().text().to_owned();
    volume(&["prune"]).fails(2, &["-f"]);
    let title = "Deleted Volumes:";
    assert_eq!(pruned(&["prune", "-f"]), format!("{title}\n{anonymous}"));
    assert_eq!(pruned(&["prune", "-f", "-a"]), format!("{title}\na"));
    assert_eq!(volume(&["ls", "-q"]).ok().text(), "used");
    host.netrun(&["rm", "c"]).ok();
    volume(&["rm", "-f", "used", "never"]).ok();
    host.finish();
}

#[test]
fn the_files_of_an_image() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let mount = "type=image,source=layers:1,target=/tools";
    let line = "ls /tools | wc -l; touch /tools/x 2>/dev/null || echo refused";
    // It is pulled as the container's own would be.
    host.netrun(&[
        "run", "--rm", "--pull", "never", "--mount", mount, ALPINE, "true",
    ])
    .fails(125, &[]);
    let seen = inside(&host, &["--mount", mount], line);
    let (count, refused) = seen.split_once('\n').unwrap();
    assert!(count.trim().parse::<u32>().unwrap() > 0, "{seen}");
    assert_eq!(refused, "refused");
    let alone = format!("type=image,source={ALPINE},target=/one");
    let run = ["run", "-d", "--name", "m", "--mount", mount, "--mount"];
    host.netrun(&[&run[..], &[&alone, ALPINE, "sleep", "1000"]].concat())
        .ok();
    let shown = "{{range .Mounts}}{{.Type}} {{.Source}} {{.RW}} {{end}}";
    let shown = host.netrun(&["inspect", "-f", shown, "m"]).ok();
    let expected =
        "image docker.io/library/layers:1 false image docker.io/library/alpine:3.14 false";
    assert_eq!(shown.text(), expected);
    // It stays while the container is there, whatever becomes of the image.
    host.netrun(&["rmi", "-f", "layers:1"]).ok();
    host.netrun(&["restart", "-t", "0", "m"]).ok();
    let there = ["exec", "m", "sh", "-c", "ls /tools/* /one/bin/sh | wc -l"];
    assert_ne!(host.netrun(&there).ok().text(), "0");
    let others = inside(&host, &["--volumes-from", "m"], "ls -d /tools || true");
    assert_eq!(others, "");
    // Whatever breaks off, nothing stays.
    host.netrun(&["rm", "-f", "m"]).ok();
    for step in ["images", "task"] {
        let run = ["run", "--rm", "--mount", &alone, ALPINE, "true"];
        let fault = format!("{step}:after:kill-supervisor");
        let broken = host.netrun_cmd(&run).env("NETRUN_FAILPOINT", &fault);
        assert_ne!(broken.run().code, 0);
        host.netrun(&["gc"]).ok();
        let left = host.settle(std::time::Duration::from_secs(5));
        assert!(left.is_empty(), "{step}: {left:#?}");
    }
    host.finish();
}
