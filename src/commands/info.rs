//! `netrun info`: what netrun uses, and what it found on this host.
//!
//! Invariant: what cannot be found out keeps nothing else from being told.

use std::path::PathBuf;

use super::context::Context;
use crate::containerd::ServerVersion;
use crate::engine::claim::Supervision;
use crate::engine::recover;
use crate::engine::view::{self, Seen};
use crate::image;
use crate::model::class::Failure;
use crate::network::config::{self, Scan};
use crate::sys::facts::{CgroupMode, FactsError, HostFacts, Wanted, kernel_release};
use crate::sys::process;
use crate::sys::usage::memory_of_the_host;

/// Print what netrun uses and what it found on this host
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun info\n  netrun info -f '{{.CgroupVersion}}'")]
pub struct Args {
    /// How to print: json, or a template such as '{{.Containers}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// What was found.
#[derive(Debug)]
pub struct Info {
    /// What containerd says, or why it says nothing.
    pub server: Result<Server, Failure>,
    /// runc's version; nothing if there is none on the search path.
    pub runc: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// The host's name, as far as known.
    pub hostname: String,
    /// What the host calls its system (os-release), as far as known.
    pub system: String,
    /// The memory that the host has, in bytes.
    pub memory: u64,
    /// How cgroups are mounted.
    pub cgroups: Result<CgroupMode, FactsError>,
    /// The directories of CNI plugins that exist, in order.
    pub plugin_dirs: Vec<PathBuf>,
    /// The networks, and the files that are broken.
    pub networks: Scan,
    /// How many supervisors live.
    pub supervisors_alive: usize,
    /// How many have died with something left of them.
    pub supervisors_dead: usize,
}

/// What containerd says of itself and of the namespace.
#[derive(Debug)]
pub struct Server {
    /// Its version.
    pub version: ServerVersion,
    /// The containers.
    pub seen: Seen,
    /// How many images there are.
    pub images: usize,
}

/// Looks around.
pub async fn info(context: &Context<'_>) -> Info {
    let facts = HostFacts::read(Wanted::default());
    let plugin_dirs = context.settings.cni_path.iter();
    let supervised = recover::supervised(&context.settings.address);
    let count = |wanted| {
        let all = supervised.iter();
        all.filter(|(_, _, supervision)| *supervision == wanted)
            .count()
    };
    Info {
        server: server(context).await,
        runc: process::runc_version(),
        kernel: kernel_release(),
        system: system(),
        memory: memory_of_the_host(),
        hostname: facts
            .as_ref()
            .map_or_else(|_| String::new(), |facts| facts.hostname.clone()),
        cgroups: facts.map(|facts| facts.cgroups),
        plugin_dirs: plugin_dirs.filter(|dir| dir.is_dir()).cloned().collect(),
        networks: config::scan(&context.settings.cni_conf_dir),
        supervisors_alive: count(Supervision::Alive),
        supervisors_dead: count(Supervision::Dead),
    }
}

async fn server(context: &Context<'_>) -> Result<Server, Failure> {
    let client = context.host.client().await?;
    Ok(Server {
        version: client.server_version().await?,
        seen: view::list(&context.host).await?,
        images: image::list(&client, &context.settings.snapshotter)
            .await?
            .len(),
    })
}

/// `PRETTY_NAME` of os-release.
fn system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let mut lines = text.lines();
    let name = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}
