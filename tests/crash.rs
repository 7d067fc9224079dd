//! The crash matrix: at every named step, before and after it, the supervisor or the client is
//! killed or the step fails; then `netrun gc` leaves nothing, and the same run succeeds at once.
//!
//! The steps are what `netrun steps` lists, so a new one cannot be forgotten here.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::host::{ALPINE, FakeHost};

/// A line of commands, each of which is hit.
struct Line {
    commands: &'static str,
    /// What stands after `gc`.
    stands: Stands,
}

/// What may stand when a line was broken off and `gc` has run.
#[derive(Clone, Copy, PartialEq)]
enum Stands {
    Nothing,
    /// Nothing, or a container that runs.
    Running,
    /// Nothing, or a container that runs or can be started.
    Whole,
}

/// The lines between them pass through every step.
const LINES: &[Line] = &[
    Line {
        commands: "netrun run --rm --name c --net mynet alpine:3.14 echo ran",
        stands: Stands::Nothing,
    },
    Line {
        commands: "netrun run -d --name c --net mynet:alias=d -p 8080:80 -u guest alpine:3.14 sleep 1000",
        stands: Stands::Running,
    },
    Line {
        commands: "netrun create --name c --net mynet -u guest alpine:3.14 sleep 1000 && netrun start c",
        stands: Stands::Whole,
    },
    Line {
        commands: "netrun run -d --name c --net mynet alpine:3.14 sleep 1000 && netrun stop -t 0 c && netrun rm c",
        stands: Stands::Whole,
    },
];

/// Every step with `before` and `after`; CI does a twelfth of them.
fn points(host: &FakeHost) -> Vec<String> {
    let steps = host.netrun(&["steps"]).ok();
    assert!(steps.lines().len() >= 8, "{steps}");
    let mut points = Vec::new();
    for step in steps.lines() {
        points.extend(["before", "after"].map(|when| format!("{step}:{when}")));
    }
    points
}

fn long() -> bool {
    std::env::var_os("NETRUN_TEST_LONG").is_some()
}

/// How long what goes on in the background after `gc` may take: a live supervisor whose client was
/// killed is busy with the way down, and `gc` does not wait for who is busy.
const BACKGROUND: Duration = Duration::from_secs(5);

/// One case: what went wrong, or nothing.
fn trouble(host: &FakeHost, line: &Line, failpoint: &str) -> Option<String> {
    let crashed = host
        .cmd("sh")
        .args(&["-c", line.commands])
        .env("NETRUN_FAILPOINT", failpoint)
        .run();
    let mut report = String::new();
    swept(host, &mut report);
    if line.stands == Stands::Nothing {
        let left = host.settle(BACKGROUND);
        if !left.is_empty() {
            let _ = writeln!(report, "left after gc:\n{}", left.join("\n"));
        }
    } else {
        not_half_made(host, line.stands, &mut report);
        // The way down has steps too, at which this container's supervisor may be hit.
        removed(host, &mut report);
    }
    let again = host.sh(line.commands);
    if again.code != 0 {
        let _ = writeln!(report, "the same line failed: {again}");
    }
    removed(host, &mut report);
    (!report.is_empty()).then(|| format!("== {failpoint}\n{crashed}\n{report}"))
}

fn swept(host: &FakeHost, report: &mut String) {
    let gc = host.netrun(&["gc"]);
    if gc.code != 0 {
        let _ = writeln!(report, "gc failed: {gc}");
    }
}

/// What stands after `gc` is either nothing or whole.
fn not_half_made(host: &FakeHost, stands: Stands, report: &mut String) {
    let deadline = Instant::now() + BACKGROUND;
    loop {
        let exists = host.ctr(&["container", "info", "c"]).code == 0;
        if !exists || host.netrun(&["exec", "c", "true"]).code == 0 {
            return;
        }
        if stands == Stands::Whole && host.netrun(&["start", "c"]).code == 0 {
            return;
        }
        if Instant::now() > deadline {
            let _ = writeln!(report, "a half-made container stays after gc");
            return;
        }
    }
}

/// Removes the container; where that fails or something stays, `gc` and a second attempt finish it.
fn removed(host: &FakeHost, report: &mut String) {
    let mut removed = host.netrun(&["rm", "-f", "c"]);
    if removed.code != 0 || !host.settle(Duration::from_secs(1)).is_empty() {
        swept(host, report);
        removed = host.netrun(&["rm", "-f", "c"]);
    }
    let left = host.settle(BACKGROUND);
    if removed.code != 0 || !left.is_empty() {
        let _ = writeln!(report, "left after gc and {removed}\n{}", left.join("\n"));
    }
}

/// Walks through this share of all points (every `of`-th, beginning with the `part`-th).
fn walk(fault: &str, part: usize) {
    let host = FakeHost::new();
    host.mynet_with_ports();
    let all = points(&host);
    let stride = if long() { 1 } else { 12 };
    let mut troubles = Vec::new();
    let mut fired = 0;
    for (number, line) in LINES.iter().enumerate() {
        for point in all.iter().skip((part + number) % stride).step_by(stride) {
            let failpoint = format!("{point}:{fault}");
            fired += 1;
            troubles.extend(trouble(&host, line, &failpoint));
        }
    }
    assert!(fired > 0);
    assert!(
        troubles.is_empty(),
        "{} of {fired}:\n{}",
        troubles.len(),
        troubles.join("\n")
    );
}

#[test]
fn the_supervisor_is_killed() {
    walk("kill-supervisor", 1);
}

#[test]
fn the_client_is_killed() {
    walk("kill-cli", 4);
}

#[test]
fn the_step_fails() {
    walk("error", 7);
}

#[test]
fn a_client_killed_at_any_moment() {
    let host = FakeHost::new();
    host.mynet();
    let count = if long() { 60 } else { 8 };
    for number in 0..count {
        let name = format!("k{number}");
        let args = [
            "run", "--name", &name, "--net", "mynet", ALPINE, "sleep", "1000",
        ];
        let run = host.netrun_cmd(&args).spawn();
        std::thread::sleep(Duration::from_millis(300 * number / count));
        drop(run);
    }
    for _ in 0..2 {
        host.netrun(&["gc"]).ok();
    }
    host.sh("netrun rm -f $(netrun ps -aq) || [ -z \"$(netrun ps -aq)\" ]")
        .ok();
    let left = host.settle(Duration::from_secs(20));
    assert!(left.is_empty(), "{}", left.join("\n"));
}
