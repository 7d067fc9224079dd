//! `netrun images`: what was typed.

const EXAMPLES: &str = "\
Examples:
  netrun images
  netrun images --format '{{.Repository}}:{{.Tag}}\\t{{.Size}}'";

/// List images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only their digests
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print: table, json, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
}
