//! `netrun ps`: what was typed.

const EXAMPLES: &str = "\
Examples:
  netrun ps -a
  netrun ps --filter label=job=42 -q
  netrun ps --format '{{.Names}}\\t{{.Status}}'
  netrun ps --format json";

/// List containers
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Those that do not run, too
    #[arg(short, long)]
    pub all: bool,

    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// Only those to which this applies: name=, id=, label=, status=, network=, ancestor=
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    pub filters: Vec<String>,

    /// How to print: table, json, or a template such as '{{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
}
