//! `netrun restart`: stop containers and start them again.

use super::context::Context;
use super::each::{Each, each};
use super::values::{parse, patience};
use crate::engine::announce::{Subject, announce};
use crate::engine::control;
use crate::model::id::ContainerId;
use crate::model::signal::Signal;

const EXAMPLES: &str = "\
Examples:
  netrun restart -t 2 web";

/// Stop containers and start them again
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The signal that asks it to stop, instead of the container's own
    #[arg(short, long, value_name = "SIGNAL", value_parser = parse::<Signal>)]
    pub signal: Option<Signal>,

    /// Seconds until SIGKILL, instead of the container's own; -1 to wait as long as it takes
    #[arg(
        short = 't',
        long,
        alias = "time",
        value_name = "SECONDS",
        value_parser = patience
    )]
    pub timeout: Option<u32>,

    /// The containers' names
    #[arg(value_name = "CONTAINER", required = true, value_parser = parse::<ContainerId>)]
    pub containers: Vec<ContainerId>,
}

/// Restarts the containers, all at once.
pub async fn restart(context: &Context<'_>, args: &Args) -> Each<ContainerId> {
    each(&args.containers, async |id| {
        let signal = args.signal.map(Signal::number);
        let how = (args.timeout, signal);
        control::restart(&context.host, &id, how, context.fault).await?;
        announce(
            &context.host,
            Subject::Container(id.as_str()),
            "restart",
            &[],
        )
        .await;
        Ok(id)
    })
    .await
}
