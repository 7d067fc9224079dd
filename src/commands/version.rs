//! `netrun version`: what was typed.

/// Print the versions of netrun, containerd and the runtime
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// How to print: json, or a template such as '{{.Client.Version}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}
