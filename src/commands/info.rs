//! `netrun info`: what was typed.

/// Print what netrun uses and what it found on this host
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// How to print: json, or a template such as '{{.Containers}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}
