//! `netrun logs`: what containers said, kept for later.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, eventually};

fn ran(host: &FakeHost, name: &str, line: &str) {
    host.netrun(&["run", "-d", "--name", name, ALPINE, "sh", "-c", line])
        .ok();
    let _ = host.waited(name);
}

#[test]
fn streams_are_kept_apart_and_in_order() {
    let host = FakeHost::new();
    ran(
        &host,
        "l",
        "echo o1; echo e1 >&2; echo o2; printf unfinished",
    );
    let logs = host.netrun(&["logs", "l"]).ok();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("o1\no2\nunfinished", "e1\n")
    );
    host.netrun(&["rm", "l"]).ok();
    assert_eq!(
        host.netrun(&[
            "run",
            "--name",
            "f",
            ALPINE,
            "sh",
            "-c",
            "echo fore; echo ground >&2"
        ])
        .ok()
        .text(),
        "fore"
    );
    let logs = host.netrun(&["logs", "f"]).ok();
    assert_eq!((logs.text(), logs.stderr.trim()), ("fore", "ground"));
    host.netrun(&["rm", "f"]).ok();
}

#[test]
fn the_last_line_of_a_short_life_is_there() {
    let host = FakeHost::new();
    for number in 0..5 {
        let name = format!("s{number}");
        ran(&host, &name, "seq 1 2000");
        let logs = host.netrun(&["logs", &name]).ok();
        assert_eq!(logs.lines().last(), Some(&"2000"));
        assert_eq!(logs.lines().len(), 2000);
        host.netrun(&["rm", &name]).ok();
    }
}

#[test]
fn tail_since_until_and_times() {
    let host = FakeHost::new();
    ran(&host, "t", "seq 1 10; sleep 1.2; seq 11 20");
    let tail = |count: &str| host.netrun(&["logs", "--tail", count, "t"]).ok().stdout;
    assert_eq!(tail("3"), "18\n19\n20\n");
    assert_eq!(tail("0"), "");
    assert_eq!(tail("all").lines().count(), 20);
    assert_eq!(tail("1000").lines().count(), 20);
    let stamped = host.netrun(&["logs", "-t", "t"]).ok();
    let stamps: Vec<(&str, &str)> = stamped
        .stdout
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    assert_eq!(
        stamps.iter().map(|(_, text)| *text).collect::<Vec<_>>(),
        (1..=20).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    for (stamp, _) in &stamps {
        let parts: Vec<char> = stamp.chars().collect();
        assert!(
            parts.len() >= 20 && parts[4] == '-' && parts[10] == 'T' && stamp.ends_with('Z'),
            "RFC 3339: {stamp}"
        );
    }
    assert!(stamps.is_sorted_by_key(|(stamp, _)| *stamp));
    let since = host.netrun(&["logs", "--since", stamps[10].0, "t"]).ok();
    assert_eq!(since.lines().first(), Some(&"11"));
    let until = host.netrun(&["logs", "--until", stamps[9].0, "t"]).ok();
    assert_eq!(until.lines().first(), Some(&"1"));
    assert!(!until.lines().contains(&"11"), "{until}");
    assert_eq!(
        host.netrun(&["logs", "--since", "1h", "t"])
            .ok()
            .lines()
            .len(),
        20
    );
    assert_eq!(
        host.netrun(&["logs", "--until", "1h", "t"])
            .ok()
            .lines()
            .len(),
        0
    );
    for bad in [
        &["--tail", "few"][..],
        &["--since", "yesteryear"],
        &["--until", "x"],
    ] {
        host.netrun(&[&["logs"], bad, &["t"]].concat())
            .fails(2, &[bad[1]]);
    }
    host.netrun(&["rm", "t"]).ok();
}

#[test]
fn following_ends_at_the_exit() {
    let host = FakeHost::new();
    let line = "for n in 1 2 3 4 5; do echo $n; sleep 0.2; done; printf last";
    host.netrun(&["run", "-d", "--name", "f", ALPINE, "sh", "-c", line])
        .ok();
    let follow = host.netrun_cmd(&["logs", "-f", "f"]).spawn();
    follow.expect("2\n");
    assert_eq!(follow.wait().ok().stdout, "1\n2\n3\n4\n5\nlast");
    // Of one that has ended it is what there is.
    assert_eq!(
        host.netrun(&["logs", "--follow", "--tail", "1", "f"])
            .ok()
            .stdout,
        "last"
    );
    host.netrun(&["rm", "f"]).ok();
}

#[test]
fn following_goes_on_over_a_restart_of_nothing_but_time() {
    let host = FakeHost::new();
    host.netrun(&[
        "run",
        "-d",
        "--name",
        "f",
        ALPINE,
        "sh",
        "-c",
        "echo up; sleep 1000",
    ])
    .ok();
    let follow = host.netrun_cmd(&["logs", "-f", "f"]).spawn();
    follow.expect("up");
    host.netrun(&["rm", "-f", "f"]).ok();
    let ended = follow.wait_for(Duration::from_secs(10));
    assert_eq!(ended.text(), "up");
}

#[test]
fn much_output_is_kept_whole_and_the_file_is_private() {
    let host = FakeHost::new();
    host.netrun(&["run", "-d", "--name", "m", ALPINE, "seq", "1", "300000"])
        .ok();
    let follow = host.netrun(&["logs", "-f", "m"]).ok();
    let expected: Vec<String> = (1..=300_000).map(|n| n.to_string()).collect();
    assert!(follow.lines() == expected, "{} lines", follow.lines().len());
    let open = host
        .sh("find /var/lib/netrun /run/netrun -type f -perm /077 -path '*log*'")
        .ok();
    assert_eq!(open.text(), "");
    eventually(Duration::from_secs(5), "it has ended", || {
        (host.netrun(&["rm", "m"]).code == 0).then_some(())
    });
}

#[test]
fn a_log_does_not_grow_without_end() {
    let host = FakeHost::new();
    // 60 MB; 2 x 16 MiB are kept.
    let line = "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 60000000; echo; echo the end";
    ran(&host, "g", line);
    let kept = host
        .sh("du -sk --apparent-size /var/lib/netrun/default/g | cut -f1")
        .ok();
    let kept: u64 = kept.text().parse().unwrap();
    assert!((14_000..40_000).contains(&kept), "{kept} KiB");
    let logs = host.netrun(&["logs", "--tail", "1", "g"]).ok();
    assert_eq!(logs.text(), "the end");
    host.netrun(&["rm", "g"]).ok();
}
