//! `netrun stats`: how much of the host containers use.
//!
//! Invariant: what is told of a CPU is told of the time between two looks; the first table has two.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::context::Context;
use super::values::parse;
use crate::engine::error::Error;
use crate::engine::view::{self, View};
use crate::model::class::Failure;
use crate::model::id::ContainerId;
use crate::sys::usage::{Usage, usage};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Show how much of the host containers use, again and again
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun stats --no-stream\n  netrun stats web --format '{{.CPUPerc}} {{.MemUsage}}'"
)]
pub struct Args {
    /// Those that do not run, too
    #[arg(short, long)]
    pub all: bool,

    /// Once
    #[arg(long)]
    pub no_stream: bool,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,

    /// How to print: table, json, or a template such as '{{.Name}} {{.CPUPerc}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// The containers' names; all that run, if none is named
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// What a container uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name.
    pub id: ContainerId,
    /// What it uses; nothing if it does not run.
    pub usage: Option<Usage>,
    /// How much of one CPU it had since the last look, in hundredths.
    pub cpu: f64,
}

/// Looks at containers again and again.
pub struct Looking<'a> {
    context: &'a Context<'a>,
    args: &'a Args,
    before: HashMap<ContainerId, (Instant, u64)>,
}

/// Begins to look.
///
/// # Errors
/// A container that was named does not exist.
pub async fn stats<'a>(context: &'a Context<'a>, args: &'a Args) -> Result<Looking<'a>, Failure> {
    let mut looking = Looking {
        context,
        args,
        before: HashMap::new(),
    };
    looking.look().await?;
    Ok(looking)
}

impl Looking<'_> {
    /// What the containers use, a moment after the last look.
    ///
    /// # Errors
    /// containerd cannot be reached, or a container that was named is gone.
    pub async fn next(&mut self) -> Result<Vec<Sample>, Failure> {
        sleep(INTERVAL).await;
        self.look().await
    }

    async fn look(&mut self) -> Result<Vec<Sample>, Failure> {
        let views = self.views().await?;
        let mut samples = Vec::new();
        for view in views {
            let id = view.record.id;
            let now = Instant::now();
            let used = match view.state.pid {
                0 => None,
                pid => usage(pid),
            };
            let cpu = used.map_or(0.0, |used| self.share(&id, now, used.cpu));
            samples.push(Sample {
                id,
                usage: used,
                cpu,
            });
        }
        Ok(samples)
    }

    /// How much of one CPU since the last look, in hundredths.
    fn share(&mut self, id: &ContainerId, now: Instant, cpu: u64) -> f64 {
        let before = self.before.insert(id.clone(), (now, cpu));
        let Some((then, earlier)) = before else {
            return 0.0;
        };
        let passed = now.duration_since(then).as_nanos().max(1) as f64;
        // A container that was started anew counts from zero.
        cpu.saturating_sub(earlier) as f64 / passed * 100.0
    }

    async fn views(&self) -> Result<Vec<View>, Failure> {
        let host = &self.context.host;
        if self.args.containers.is_empty() {
            let mut own = view::list(host).await?.own;
            own.retain(|view| self.args.all || view.state.status.is_live());
            return Ok(own);
        }
        let mut views = Vec::new();
        for id in &self.args.containers {
            views.push(view::one(host, id).await.map_err(|error: Error| error)?);
        }
        Ok(views)
    }
}
