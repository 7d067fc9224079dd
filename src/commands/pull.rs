//! `netrun pull`: what was typed.

const EXAMPLES: &str = "\
Examples:
  netrun pull alpine:3.14
  netrun pull -q registry.example:5000/team/app@sha256:...";

/// Fetch an image from its registry
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show no progress, only the image's name
    #[arg(short, long)]
    pub quiet: bool,

    /// The snapshotter to unpack it for [env: CONTAINERD_SNAPSHOTTER]
    #[arg(long, value_name = "NAME")]
    pub snapshotter: Option<String>,

    /// The image, such as alpine:3.14
    #[arg(value_name = "IMAGE")]
    pub image: String,
}
