//! Jobs written for docker, in the commands that GitHub's and GitLab's runners give, word for word with
//! netrun under docker's name: to their ends, and cancelled at random moments.
//!
//! What is needed after a cancelled job is what the runner does with docker, too, and no more: it removes
//! by the job's label what it has made for longer than one command. `netrun gc` is not needed: nothing of
//! what a killed command had half made outlives the next netrun command. Volumes without a name are another
//! thing: GitHub's runner removes containers without `-v`, so those of the images' VOLUME stay, with docker
//! as here, until `docker volume prune`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{SIGKILL, SIGTERM, Signal, killpg};
use nix::unistd::Pid;

use crate::host::{FakeHost, Output};

/// How long a job may take on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// How often each job is cancelled: ten times for both together, or for each.
fn times() -> u32 {
    match std::env::var_os("NETRUN_TEST_LONG") {
        Some(_) => 10,
        None => 5,
    }
}

/// A job that ran, or was told to stop: the script's name, and what it is told.
struct Job<'h> {
    host: &'h FakeHost,
    script: &'static str,
}

impl Job<'_> {
    fn line(&self, words: &str) -> String {
        let path = "/tmp/bin:$PATH";
        format!("PATH={path} exec setsid bash /tmp/{} {words}", self.script)
    }

    fn run(&self, words: &str) -> Output {
        self.host.sh_cmd(&self.line(words)).patience(LONG).run()
    }

    /// Starts it; after `moment` its whole process group is asked to end, and killed a little later.
    fn cancelled(&self, id: &str, moment: Duration, grace: Duration) -> Output {
        let mut running = self.host.sh_cmd(&self.line(id)).spawn();
        let group = Pid::from_raw(running.pid());
        let signal = |signal: Signal| {
            // It may have come to its end by itself.
            let _ = killpg(group, signal);
        };
        let asked = Instant::now() + moment;
        while Instant::now() < asked && !running.ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(SIGTERM);
        std::thread::sleep(grace);
        signal(SIGKILL);
        running.wait()
    }
}

fn host() -> FakeHost {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.announce("* /tmp/*");
    host.sh("mkdir /tmp/bin; ln -s $(command -v netrun) /tmp/bin/docker")
        .ok();
    host.write("/tmp/github.sh", include_str!("jobs/github.sh"));
    host.write("/tmp/gitlab.sh", include_str!("jobs/gitlab.sh"));
    host
}

/// Removes the volumes without a name, which no runner does.
fn prune_volumes(host: &FakeHost) {
    host.netrun(&["volume", "prune", "--force"]).ok();
}

#[test]
fn a_github_job_to_its_end() {
    let host = host();
    let script = "github.sh";
    let output = Job {
        host: &host,
        script,
    }
    .run("1")
    .ok();
    for said in [
        "ID=alpine",
        "is healthy",
        "the site of the job",
        "hello world",
        " * Ready to accept connections tcp",
    ] {
        assert!(output.stdout.contains(said), "{said} in {output}");
    }
    assert!(
        output.stdout.ends_with("\nJob completed: success\n"),
        "{output}"
    );
    prune_volumes(&host);
    host.finish();
}

#[test]
fn a_gitlab_job_to_its_end() {
    let host = host();
    let script = "gitlab.sh";
    let output = Job {
        host: &host,
        script,
    }
    .run("1")
    .ok();
    for said in ["+PONG", "Welcome to nginx!", "project/Makefile", "\n4\n"] {
        assert!(output.stdout.contains(said), "{said} in {output}");
    }
    assert!(output.stdout.ends_with("\nJob succeeded\n"), "{output}");
    host.assert_clean();
}

/// A number below 1 that the seed and the turn decide.
fn random(seed: u64, turn: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, turn).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// NETRUN_TEST_SEED repeats a run.
#[expect(
    clippy::print_stdout,
    reason = "shown if the test fails, and only then"
)]
fn cancelled_again_and_again(script: &'static str) {
    let host = host();
    let job = Job {
        host: &host,
        script,
    };
    let seed = std::env::var("NETRUN_TEST_SEED").ok();
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = seed.map_or(since.as_nanos() as u64, |seed| seed.parse().unwrap());
    println!("NETRUN_TEST_SEED={seed}");
    let whole = job.run("whole").ok().took;
    prune_volumes(&host);
    for turn in 0..times() {
        let moment = whole.mul_f64(random(seed, turn));
        let grace = Duration::from_millis(500).mul_f64(random(seed, 1000 + turn));
        println!("{turn}: TERM after {moment:?} of {whole:?}, KILL after {grace:?} more");
        let id = format!("job-{turn}");
        println!("{}", job.cancelled(&id, moment, grace));
        println!("{}", job.run(&format!("{id} stop")).ok());
        prune_volumes(&host);
        let left = host.settle(Duration::from_secs(15));
        assert!(
            left.is_empty(),
            "left after turn {turn}:\n{}",
            left.join("\n")
        );
    }
}

#[test]
fn a_github_job_cancelled_at_random_moments() {
    cancelled_again_and_again("github.sh");
}

#[test]
fn a_gitlab_job_cancelled_at_random_moments() {
    cancelled_again_and_again("gitlab.sh");
}
