//! `netrun inspect`: what was typed.

const EXAMPLES: &str = "\
Examples:
  netrun inspect web
  netrun inspect -f '{{.State.Running}}' web
  netrun inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web";

/// Print all that is known of containers or images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How to print: json, or a template such as '{{.State.Running}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Names of containers, or images
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}
