//! `netrun rmi`: what was typed.

const EXAMPLES: &str = "\
Examples:
  netrun rmi alpine:3.14";

/// Remove images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Even if a container uses it, and do not mind if it does not exist
    #[arg(short, long)]
    pub force: bool,

    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}
