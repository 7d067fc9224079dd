//! `netrun logs`: what a container has written.

use std::str::FromStr;

use jiff::Timestamp;

use super::context::Context;
use super::values::parse;
use crate::engine::logs::{Logs, Wanted};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::time::Moment;

const EXAMPLES: &str = "\
Examples:
  netrun logs -f web
  netrun logs --since 10m -t web
  netrun logs --tail 100 web 2>errors";

/// Print what a container has written, stdout and stderr apart
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,

    /// Only so many lines from the end, or all
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        value_parser = parse::<Tail>
    )]
    pub tail: Tail,

    /// Only what was written since then: 10m, 2026-01-31T10:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse::<Moment>)]
    pub since: Option<Moment>,

    /// Only what was written until then
    #[arg(long, value_name = "TIME", value_parser = parse::<Moment>)]
    pub until: Option<Moment>,

    /// Begin each line with the time of its writing
    #[arg(short, long)]
    pub timestamps: bool,

    /// Begin each line with what --log-opt labels and env would say: nothing here, but docker's blank
    #[arg(long)]
    pub details: bool,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// How many lines from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Every line.
    All,
    /// The last so many.
    Lines(u64),
}

/// A text that is no number of lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no number of lines")]
pub struct InvalidTail(String);

impl Explain for InvalidTail {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write a number, or all".to_owned())
    }
}

impl FromStr for Tail {
    type Err = InvalidTail;

    fn from_str(text: &str) -> Result<Self, InvalidTail> {
        match text {
            "all" => Ok(Self::All),
            // docker's other word for it.
            negative if negative.parse::<i64>().is_ok_and(|lines| lines < 0) => Ok(Self::All),
            number => number
                .parse()
                .map(Self::Lines)
                .map_err(|_| InvalidTail(text.to_owned())),
        }
    }
}

/// Opens the log of a container.
///
/// # Errors
/// There is no such container, or its log cannot be read.
pub async fn logs<'a>(context: &'a Context<'_>, args: &Args) -> Result<Logs<'a>, Failure> {
    let now = Timestamp::now();
    let wanted = Wanted {
        follow: args.follow,
        tail: match args.tail {
            Tail::All => None,
            Tail::Lines(count) => Some(count),
        },
        since: args.since.map(|moment| moment.resolve(now)),
        until: args.until.map(|moment| moment.resolve(now)),
    };
    Ok(Logs::open(&context.host, &args.container, wanted).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_a_number_or_all() {
        assert_eq!("all".parse(), Ok(Tail::All));
        assert_eq!("-1".parse(), Ok(Tail::All));
        assert_eq!("0".parse(), Ok(Tail::Lines(0)));
        for text in ["", "-", "1.5", "many"] {
            assert_eq!(text.parse::<Tail>(), Err(InvalidTail(text.to_owned())));
        }
    }
}
