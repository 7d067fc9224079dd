//! `ps` and `inspect`: what is told of containers, in which form.

use crate::host::{ALPINE, FakeHost};

fn three() -> FakeHost {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "up",
        "--net",
        "mynet",
        "-l",
        "tier=front",
        ALPINE,
        "sleep",
        "1000",
    ])
    .ok();
    host.netrun(&["run", "--name", "done", ALPINE, "sh", "-c", "exit 3"])
        .code(3);
    host.netrun(&["create", "--name", "made", ALPINE, "true"])
        .ok();
    host
}

fn end(host: FakeHost) {
    host.netrun(&["rm", "-f", "up", "done", "made"]).ok();
    host.finish();
}

#[test]
fn the_table() {
    let host = three();
    let table = host.netrun(&["ps"]).ok();
    assert_eq!(table.lines().len(), 2, "{table}");
    let row = table.lines()[1];
    for word in ["up", "alpine:3.14", "mynet", "10.10.0.2"] {
        assert!(row.contains(word), "{word} in {table}");
    }
    let all = host.netrun(&["ps", "-a"]).ok();
    assert_eq!(all.lines().len(), 4, "{all}");
    assert!(
        all.stdout.contains('3'),
        "the status of the ended one: {all}"
    );
    let mut ids = host
        .netrun(&["ps", "-aq"])
        .ok()
        .lines()
        .iter()
        .map(|&id| id.to_owned())
        .collect::<Vec<_>>();
    ids.sort();
    assert_eq!(ids, ["done", "made", "up"]);
    end(host);
}

#[test]
fn filters() {
    let host = three();
    for (filters, found) in [
        (&["status=running"][..], &["up"][..]),
        (&["status=exited"], &["done"]),
        (&["status=created"], &["made"]),
        (&["name=do"], &["done"]),
        (&["label=tier=front"], &["up"]),
        (&["exited=3"], &["done"]),
        (&["network=mynet"], &["up"]),
        (&["ancestor=alpine:3.14", "name=m"], &["made"]),
        (&["status=running", "status=created"], &["made", "up"]),
    ] {
        let given = filters.iter().flat_map(|&filter| ["--filter", filter]);
        let args: Vec<&str> = ["ps", "-aq"].into_iter().chain(given).collect();
        let mut ids = host
            .netrun(&args)
            .ok()
            .lines()
            .iter()
            .map(|&id| id.to_owned())
            .collect::<Vec<_>>();
        ids.sort();
        assert_eq!(ids, found, "{filters:?}");
    }
    host.netrun(&["ps", "--filter", "colour=red"])
        .fails(2, &["colour"]);
    host.netrun(&["ps", "--filter", "status"])
        .fails(2, &["status"]);
    end(host);
}

#[test]
fn formats() {
    let host = three();
    let ps = |format: &str| host.netrun(&["ps", "--format", format]).ok().stdout;
    assert_eq!(ps("{{.Names}}"), "up\n");
    assert_eq!(
        ps("{{.Names}} {{.Image}} {{.State}}"),
        "up docker.io/library/alpine:3.14 running\n".replace(
            "docker.io/library/",
            ps("{{.Image}}").strip_suffix("alpine:3.14\n").unwrap()
        )
    );
    assert_eq!(ps("{{json .Names}}"), "\"up\"\n");
    let table = ps("table {{.Names}}\t{{.Status}}");
    assert!(
        table.lines().next().unwrap().starts_with("NAMES") && table.lines().count() == 2,
        "{table}"
    );
    let line: serde_json::Value = serde_json::from_str(ps("json").lines().next().unwrap()).unwrap();
    assert!(line.to_string().contains("\"up\""), "{line}");
    let whole: serde_json::Value = serde_json::from_str(&ps("{{json .}}")).unwrap();
    assert!(whole.is_object(), "{whole}");
    host.netrun(&["ps", "--format", "{{.Nonsense}}"])
        .fails(2, &["Nonsense"]);
    host.netrun(&["ps", "--format", "{{.Names"]).fails(2, &[]);
    end(host);
}

#[test]
fn inspect_is_one_document() {
    let host = three();
    let inspect = |format: &str, name: &str| {
        host.netrun(&["inspect", "--format", format, name])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(inspect("{{.State.Running}}", "up"), "true");
    assert_eq!(
        inspect("{{.State.Running}} {{.State.ExitCode}}", "done"),
        "false 3"
    );
    assert_eq!(inspect("{{json .State.Status}}", "made"), "\"created\"");
    let pid = inspect("{{.State.Pid}}", "up");
    assert_eq!(host.sh("pgrep -x sleep").ok().text(), pid);
    let document = host.netrun(&["inspect", "up"]).ok().json();
    let text = document.to_string();
    for word in [
        "ociVersion",
        "10.10.0.2",
        "/run/netns/netrun-up",
        "mynet",
        "tier",
        "docker.io/library/alpine:3.14",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    host.netrun(&["inspect", "up", "done"]).ok().json();
    end(host);
}

#[test]
fn foreign_containers_are_no_concern_of_ours() {
    let host = FakeHost::new();
    host.ctr(&[
        "run",
        "-d",
        "docker.io/library/alpine:3.14",
        "theirs",
        "sleep",
        "1000",
    ])
    .ok();
    host.netrun(&["ps", "-a"]).ok();
    host.netrun(&["gc"]).ok();
    assert!(host.ctr(&["task", "ls"]).ok().stdout.contains("theirs"));
    host.sh(
        "ctr task kill -s SIGKILL theirs; sleep 0.3; ctr task rm theirs; ctr container rm theirs",
    )
    .ok();
}
