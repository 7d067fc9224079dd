//! Scopes: what belongs to one, and that nothing of it stays when it is ended, or its process is.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::{ALPINE, FakeHost, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// A container in the scope `job` that runs until it is ended.
fn service(host: &FakeHost, options: &[&str]) {
    let args = [
        &["run", "-d", "--scope", "job", "--net", "scope:"],
        options,
        &[ALPINE, "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"],
    ];
    host.netrun(&args.concat()).ok();
}

fn scopes(host: &FakeHost) -> String {
    let listed = host.netrun(&["scope", "ls", "-q"]).ok();
    listed.text().to_owned()
}

#[test]
fn all_of_it_goes_together_and_nothing_else() {
    let host = FakeHost::new();
    host.netrun(&["network", "create", "--scope", "job", "more"])
        .ok();
    host.netrun(&["volume", "create", "--scope", "job", "data"])
        .ok();
    host.netrun(&["volume", "create", "other"]).ok();
    service(
        &host,
        &[
            "--name",
            "db",
            "--net",
            "more",
            "-v",
            "data:/data",
            "-v",
            "/anonymous",
        ],
    );
    service(
        &host,
        &[
            "--name",
            "web",
            "--net-alias",
            "front",
            "-v",
            "other:/other",
        ],
    );
    host.netrun(&["create", "--scope", "job", "--name", "idle", ALPINE, "true"])
        .ok();
    host.netrun(&["run", "-d", "--name", "beside", ALPINE, "sleep", "1000"])
        .ok();
    let seen = "{{.Name}} {{.Containers}} {{.Networks}} {{.Volumes}}";
    let seen = host.netrun(&["scope", "ls", "--format", seen]).ok();
    assert_eq!(seen.text(), "job idle,web,db more,scope-job data");
    let labelled = ["ps", "-aq", "--filter", "label=netrun.scope=job"];
    assert_eq!(host.netrun(&labelled).ok().text().lines().count(), 3);
    // They know each other's names on the scope's network.
    for name in ["db", "web", "front"] {
        let ping = ["ping", "-c", "1", "-W", "2", name];
        let run = ["run", "--rm", "--scope", "job", "--net", "scope:", ALPINE];
        host.netrun(&[&run[..], &ping].concat()).ok();
    }
    assert_eq!(scopes(&host), "job");
    for words in [&["scope", "end", "j"][..], &["run", "--scope", ""]] {
        let proposed = host.netrun(&[&["complete"], words].concat()).ok();
        assert_eq!(proposed.text(), "job\tscope");
    }
    let ended = host.netrun(&["scope", "end", "job"]).ok();
    assert_eq!(ended.text(), "job");
    assert!(ended.took < Duration::from_secs(8), "{ended}");
    assert_eq!(scopes(&host), "");
    let again = host.netrun(&["scope", "end", "job"]).ok();
    assert!(again.stderr.contains("nothing of scope \"job\""), "{again}");
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "beside");
    assert_eq!(host.netrun(&["volume", "ls", "-q"]).ok().text(), "other");
    host.netrun(&["rm", "-f", "beside"]).ok();
    host.netrun(&["volume", "rm", "other"]).ok();
    host.finish();
}

#[test]
fn what_others_use_stays_and_is_told() {
    let host = FakeHost::new();
    host.netrun(&["volume", "create", "--scope", "job", "data"])
        .ok();
    service(&host, &["--name", "a"]);
    let guest = [
        "run",
        "-d",
        "--name",
        "guest",
        "--net",
        "scope-job",
        "-v",
        "data:/data",
    ];
    host.netrun(&[&guest[..], &[ALPINE, "sleep", "1000"]].concat())
        .ok();
    host.netrun(&["scope", "end", "job"])
        .fails(4, &["scope-job", "data", "guest"]);
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "guest");
    host.netrun(&["rm", "-f", "guest"]).ok();
    host.netrun(&["scope", "end", "job"]).ok();
    // The network of a scope that there is not.
    let alone = ["run", "--rm", "--net", "scope:", ALPINE, "true"];
    host.netrun(&alone).fails(125, &["--scope"]);
    host.netrun(&["run", "--rm", "--scope", "a/b", ALPINE, "true"])
        .fails(125, &["a-b"]);
    host.netrun(&["scope", "create", "x"]).ok();
    host.netrun(&["scope", "create", "x"])
        .fails(4, &["netrun scope end x"]);
    host.netrun(&["scope", "create", "y", "--bind-pid", "4194999"])
        .fails(3, &["4194999"]);
    host.netrun(&["scope", "end", "x"]).ok();
    host.finish();
}

#[test]
fn an_end_that_is_killed_is_finished_by_the_next() {
    let host = FakeHost::new();
    for after in [5, 20, 60, 120, 200, 300, 450, 700] {
        host.netrun(&["volume", "create", "--scope", "job", "data"])
            .ok();
        service(&host, &["--name", "a", "--restart", "always"]);
        service(&host, &["--name", "b", "-v", "data:/data"]);
        let end = format!("timeout -s KILL 0.{after:03} netrun scope end job; true");
        host.sh(&end).ok();
        // Upkeep beside it does no harm.
        host.netrun(&["gc"]).ok();
        host.netrun(&["scope", "end", "job"]).ok();
        let left = host.settle(PATIENCE);
        assert!(left.is_empty(), "killed after {after} ms: {left:#?}");
    }
    host.finish();
}

#[test]
fn ends_and_runs_at_the_same_time() {
    let host = FakeHost::new();
    let line = "for i in 1 2 3 4 5 6; do
            netrun run -d --scope job --net scope: --name c$i alpine:3.14 sleep 1000 >/dev/null 2>&1 &
        done
        for i in 1 2 3; do sleep 0.1; netrun scope end job 2>/tmp/end & done
        wait; netrun scope end job";
    host.announce("* /tmp/end");
    host.sh(line).ok();
    assert_eq!(scopes(&host), "");
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    host.finish();
}

/// A shell that makes a scope with a network, a volume and two containers, and waits for its end.
const JOB: &str = "netrun scope create job --bind-pid parent
    netrun volume create --scope job data
    netrun run -d --scope job --net scope: --name db --stop-timeout 1 -v data:/data alpine:3.14 sleep 1000
    netrun run -d --scope job --net scope: --name web --stop-timeout 1 --restart always alpine:3.14 sleep 1000
    netrun create --scope job --name idle alpine:3.14 true
    echo up; exec sleep 1000";

#[test]
fn a_scope_ends_with_its_process_however_that_ends() {
    let host = FakeHost::new();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let job = host.sh_cmd(JOB).spawn();
        job.expect("up");
        let bound = host.netrun(&["scope", "ls", "--format", "{{.Name}} {{.Pid}}"]);
        let bound = bound.ok().text().to_owned();
        assert!(bound.strip_prefix("job ").unwrap().parse::<u32>().is_ok());
        job.signal(signal);
        let _ = job.wait();
        let left = host.settle(PATIENCE);
        assert!(left.is_empty(), "after {signal}: {left:#?}");
    }
    host.finish();
}

#[test]
fn where_no_container_runs_the_next_command_ends_it() {
    let host = FakeHost::new();
    let line = "netrun scope create job --bind-pid parent
        netrun network create --scope job lan
        netrun run --rm --scope job --net scope: alpine:3.14 true
        netrun create --scope job --name idle alpine:3.14 true; :";
    for next in ["gc", "ps"] {
        host.sh(line).ok();
        host.netrun(&[next]).ok();
        host.assert_clean();
    }
    // One that came when it was over, and that whose supervisor died with the job.
    let job = host.sh_cmd(JOB).spawn();
    job.expect("up");
    host.sh("pkill -9 -f '[n]etrun supervise'; true").ok();
    job.signal(Signal::SIGKILL);
    let _ = job.wait();
    host.netrun(&["ps"]).ok();
    eventually(PATIENCE, "all is gone", || {
        host.changes().is_empty().then_some(())
    });
    host.finish();
}
