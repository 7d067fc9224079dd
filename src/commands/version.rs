//! `netrun version`: which netrun, containerd and runc this is.
//!
//! Invariant: that containerd cannot be reached is told, and is no failure.

use super::context::Context;
use crate::containerd::ServerVersion;
use crate::engine::error::Error;
use crate::sys::process;

/// Print the versions of netrun, containerd and the runtime
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun version\n  netrun version -f '{{.Server.Version}}'")]
pub struct Args {
    /// How to print: json, or a template such as '{{.Client.Version}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// netrun's own version.
pub const CLIENT: &str = env!("CARGO_PKG_VERSION");

/// The versions.
#[derive(Debug)]
pub struct Versions {
    /// containerd's, or why it is not known.
    pub server: Result<ServerVersion, Error>,
    /// runc's; nothing if there is none on the search path.
    pub runc: Option<String>,
}

/// Asks for the versions.
pub async fn version(context: &Context<'_>) -> Versions {
    Versions {
        server: server(context).await,
        runc: process::runc_version(),
    }
}

async fn server(context: &Context<'_>) -> Result<ServerVersion, Error> {
    let client = context.host.client().await?;
    Ok(client.server_version().await?)
}
