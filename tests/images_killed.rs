//! Commands about images that end in the middle: by SIGKILL, by Ctrl-C.

use std::hash::{BuildHasher, RandomState};
use std::io::{Write, pipe};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::scripted::Reply;
use crate::host::{Cmd, FakeHost, eventually};

/// How often each is killed.
const TIMES: u32 = 10;

#[test]
fn killed_at_any_moment_nothing_stays_that_the_next_does_not_use() {
    let host = FakeHost::with_registry();
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["save", "-o", "/mnt/layers.tar", "layers:1"])
        .ok();
    let load = ["load", "-i", "/mnt/layers.tar"];
    let forget = |name: &str| drop(host.netrun(&["rmi", "-f", "layers:1", name]));
    for (kind, line) in [
        ("pull", &["pull", "layers:1"][..]),
        ("load", &load),
        ("push", &["push"]),
    ] {
        let push = |round: u32| format!("127.0.0.1:5000/killed/r{round}:1");
        let prepared = |round: u32| -> Cmd<'_> {
            if kind != "push" {
                return host.netrun_cmd(line);
            }
            // What came from an archive is in no repository yet that a blob could be taken over from.
            host.netrun(&load).ok();
            host.netrun(&["tag", "layers:1", &push(round)]).ok();
            host.netrun_cmd(&["push", &push(round)])
        };
        forget("none:1");
        let whole = prepared(0).run().ok().took;
        forget(&push(0));
        for round in 1..=TIMES {
            let command = prepared(round);
            let share = RandomState::new().hash_one(round) % 1000;
            let moment = whole.mul_f64(f64::from(u32::try_from(share).unwrap()) / 1000.0);
            let running = command.spawn();
            std::thread::sleep(moment);
            running.try_signal(Signal::SIGKILL);
            drop(running);
            forget(&push(round));
            host.netrun(&["gc"]).ok();
            let left = host.settle(Duration::from_secs(10));
            assert!(
                left.is_empty(),
                "{kind} after {moment:?} of {whole:?}: {left:#?}"
            );
        }
    }
    // The next succeed.
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["tag", "layers:1", "127.0.0.1:5000/killed/r1:1"])
        .ok();
    host.netrun(&["push", "127.0.0.1:5000/killed/r1:1"]).ok();
    host.netrun(&["rmi", "layers:1", "127.0.0.1:5000/killed/r1:1"])
        .ok();
    host.netrun(&load).ok();
    host.netrun(&["rmi", "layers:1"]).ok();
}

#[test]
fn what_a_killed_pull_had_fetched_is_used_by_the_next() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let registry = host.scripted("127.0.0.1:5100", |request, good| {
        let (_, digest) = request.target.split_once("/blobs/")?;
        let whole = good.answer(request);
        let large = good.blob(digest)?.len() > 500_000;
        Some(if large {
            whole.trickle(20_000, Duration::from_millis(40))
        } else {
            whole
        })
    });
    let pull = ["pull", "127.0.0.1:5100/library/layers:1"];
    let killed = host.netrun_cmd(&pull).spawn();
    // Three at a time; the other two lines pass the large one by.
    eventually(Duration::from_secs(20), "small layers have come", || {
        let there = host.ctr(&["content", "ls", "-q"]).ok();
        (there.lines().len() >= 6).then_some(())
    });
    killed.signal(Signal::SIGKILL);
    drop(killed);
    let before = registry.requests().len();
    host.netrun(&pull).ok();
    let later = registry.requests().split_off(before);
    let blobs = later.iter().filter(|request| request.is("GET", "/blobs/"));
    assert!(
        blobs.count() <= 3,
        "what had come is not asked for again: {later:#?}"
    );
    assert_eq!(host.ctr(&["leases", "ls", "-q"]).ok().text(), "");
}

/// What the other one had brought was in its hands alone.
#[test]
fn a_pull_beside_one_that_is_given_up_is_whole() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let _slow = host.scripted("127.0.0.1:5100", |request, good| {
        let (_, digest) = request.target.split_once("/blobs/")?;
        let bytes = good.blob(digest)?;
        let slow = Duration::from_millis(100);
        (bytes.len() > 500_000).then(|| Reply::new(200, bytes).trickle(20_000, slow))
    });
    let image = "127.0.0.1:5100/library/layers:1";
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let first = host.netrun_cmd(&["pull", image]).spawn();
        eventually(Duration::from_secs(20), "something has come", || {
            let there = host.ctr(&["content", "ls", "-q"]).ok();
            (there.lines().len() >= 4).then_some(())
        });
        let second = host.netrun_cmd(&["pull", image]).spawn();
        eventually(Duration::from_secs(20), "the second is on its way", || {
            let leases = host.ctr(&["leases", "ls", "-q"]).ok();
            (leases.lines().len() == 2).then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
        first.signal(signal);
        let _ = first.wait();
        host.netrun(&["gc"]).ok();
        second.wait().ok();
        host.netrun(&["run", "--rm", "--pull", "never", image, "true"])
            .ok();
        host.netrun(&["rmi", image]).ok();
    }
}

/// The base is unpacked at once, by the first; what goes on top of it comes slowly, to both.
#[test]
fn a_pull_holds_the_layers_that_another_one_has_unpacked() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let _slow = host.scripted("127.0.0.1:5100", |request, good| {
        let (_, digest) = request.target.split_once("/blobs/")?;
        let bytes = good.blob(digest)?;
        let on_top = bytes.len() < 500_000 && !bytes.starts_with(b"{");
        on_top.then(|| Reply::new(200, bytes).trickle(5, Duration::from_millis(100)))
    });
    let image = "127.0.0.1:5100/library/layers:1";
    let first = host.netrun_cmd(&["pull", image]).spawn();
    eventually(Duration::from_secs(20), "the base is unpacked", || {
        let snapshots = host.ctr(&["snapshots", "ls"]).ok();
        snapshots.stdout.contains("Committed").then_some(())
    });
    let second = host.netrun_cmd(&["pull", image]).spawn();
    eventually(Duration::from_secs(20), "the second is on its way", || {
        let leases = host.ctr(&["leases", "ls", "-q"]).ok();
        (leases.lines().len() == 2).then_some(())
    });
    std::thread::sleep(Duration::from_millis(500));
    first.signal(Signal::SIGKILL);
    let _ = first.wait();
    host.netrun(&["gc"]).ok();
    second.wait().ok();
    host.netrun(&["run", "--rm", "--pull", "never", image, "true"])
        .ok();
}

/// Without `gc`, without another command.
#[test]
fn what_is_interrupted_gives_up_its_lease_by_itself() {
    let host = FakeHost::with_registry();
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["save", "-o", "/mnt/layers.tar", "layers:1"])
        .ok();
    host.netrun(&["rmi", "layers:1"]).ok();
    let _slow = host.scripted("127.0.0.1:5100", |request, good| {
        let (_, digest) = request.target.split_once("/blobs/")?;
        let bytes = good.blob(digest)?;
        Some(Reply::new(200, bytes).trickle(20_000, Duration::from_millis(100)))
    });
    let archive = std::fs::read(host.path("/mnt/layers.tar")).unwrap();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for line in [
            &["pull", "127.0.0.1:5100/library/layers:1"][..],
            &["load"],
            &["import", "-", "some:1"],
        ] {
            let (reader, mut writer) = pipe().unwrap();
            let running = host.netrun_cmd(line).spawn_with(Stdio::from(reader));
            let half = archive[..archive.len() / 2].to_vec();
            let feeder = std::thread::spawn(move || {
                // A pull does not read it.
                let _ = writer.write_all(&half);
                writer
            });
            eventually(Duration::from_secs(20), "something comes", || {
                let active = host.ctr(&["content", "active"]).ok();
                active.stdout.lines().nth(1).map(drop)
            });
            running.signal(signal);
            let ended = running.wait().code(code);
            drop(feeder.join());
            let left = host.settle(Duration::from_secs(5));
            assert!(left.is_empty(), "{ended}: {left:#?}");
        }
    }
}

#[test]
fn whoever_clears_up_after_a_job_takes_what_its_killed_pull_held() {
    let host = FakeHost::with_registry();
    let _slow = host.scripted("127.0.0.1:5100", |request, good| {
        let (_, digest) = request.target.split_once("/blobs/")?;
        let bytes = good.blob(digest)?;
        Some(Reply::new(200, bytes).trickle(20_000, Duration::from_millis(100)))
    });
    let pull = ["pull", "127.0.0.1:5100/library/layers:1"];
    for line in [
        &["rm", "-f", "nobody"][..],
        &["network", "rm", "-f", "none"],
        &["volume", "rm", "-f", "none"],
        &["container", "prune", "-f"],
        &["scope", "end", "none"],
    ] {
        let running = host.netrun_cmd(&pull).spawn();
        eventually(Duration::from_secs(20), "something comes", || {
            let active = host.ctr(&["content", "active"]).ok();
            active.stdout.lines().nth(1).map(drop)
        });
        running.signal(Signal::SIGKILL);
        running.wait().code(137);
        host.netrun(line).ok();
        let left = host.settle(Duration::from_secs(5));
        assert!(left.is_empty(), "after {line:?}: {left:#?}");
    }
    // Right at the beginning, its lease may be in the making.
    for moment in 0..40 {
        let running = host.netrun_cmd(&pull).spawn();
        std::thread::sleep(Duration::from_millis(2 * moment));
        running.signal(Signal::SIGTERM);
        let _ = running.wait();
    }
    let left = host.settle(Duration::from_secs(5));
    assert!(left.is_empty(), "{left:#?}");
    host.finish();
}
