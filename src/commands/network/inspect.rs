//! `netrun network inspect` and `exists`: everything about a network.

use std::path::PathBuf;

use crate::commands::context::Context;
use crate::commands::each::Each;
use crate::model::class::Failure;
use crate::network::cache::CachedAttachment;
use crate::network::pool::{Pool, Used};
use crate::network::{
    Chain, NetworkConfigList, config, default, firewall, manage, plugin, release,
};

const EXAMPLES: &str = "\
Examples:
  netrun network inspect lan
  netrun network inspect -f '{{(index .IPAM.Config 0).Subnet}}' lan";

/// Show everything about networks
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How to print: json, or a template such as '{{.Driver}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// The networks' names
    #[arg(value_name = "NETWORK", required = true)]
    pub networks: Vec<String>,
}

/// Tell by the exit code whether there is a network: 0, or 3 if there is none
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun network exists lan || netrun network create lan")]
pub struct ExistsArgs {
    /// Its name
    #[arg(value_name = "NETWORK")]
    pub network: String,
}

/// What there is to know about a network.
#[derive(Debug)]
pub struct Inspected {
    /// Its configuration.
    pub list: NetworkConfigList,
    /// Who is attached.
    pub attached: Vec<CachedAttachment>,
    /// Its addresses, if `host-local` gives them, and those that are given.
    pub pool: Option<(Pool, Vec<Used>)>,
    /// Its plugins, in order.
    pub plugins: Vec<PluginFound>,
    /// What an administrator could add to the packet filter, which drops its traffic now.
    pub advice: Vec<String>,
}

/// A plugin of a chain.
#[derive(Debug)]
pub struct PluginFound {
    /// Its type.
    pub plugin: String,
    /// Its program, if there is one.
    pub path: Option<PathBuf>,
    /// The versions of the specification that it speaks.
    pub speaks: Vec<String>,
    /// Its own version, where it tells.
    pub version: Option<String>,
}

/// Looks at the networks, each by itself.
pub async fn inspect(context: &Context<'_>, args: &Args) -> Each<Inspected> {
    let mut all = Vec::new();
    for name in &args.networks {
        all.push(one(context, name).await);
    }
    all
}

/// Looks at one network.
///
/// # Errors
/// There is no such network, or its file is broken.
pub async fn one(context: &Context<'_>, name: &str) -> Result<Inspected, Failure> {
    let dir = &context.settings.cni_conf_dir;
    let list = config::load(dir, default::meant(dir, name))?;
    let name = list.name();
    let pool = Pool::of(&list).map(|pool| {
        let used = pool.used();
        (pool, used)
    });
    // Where the packet filter cannot be read, there is nothing to advise.
    let advice = firewall::advice(&list).await.unwrap_or_default();
    Ok(Inspected {
        attached: manage::attached(name),
        plugins: plugins(context, &list).await,
        list,
        pool,
        advice,
    })
}

async fn plugins(context: &Context<'_>, list: &NetworkConfigList) -> Vec<PluginFound> {
    let dirs = &context.settings.cni_path;
    let chain = Chain::new(list.clone(), dirs.clone());
    // A plugin that cannot be asked speaks nothing that we know of.
    let versions = chain.version().await.unwrap_or_default();
    let mut all = Vec::new();
    for one in list.plugins() {
        let plugin = one.plugin_type().to_owned();
        let path = plugin::find(&plugin, dirs).ok();
        let speaks = versions.iter().find(|known| known.plugin == plugin);
        let version = match &path {
            Some(path) => release::release(path).await,
            None => None,
        };
        all.push(PluginFound {
            speaks: speaks
                .map(|known| known.supported.clone())
                .unwrap_or_default(),
            plugin,
            path,
            version,
        });
    }
    all
}

/// Whether there is a network of that name.
pub fn exists(context: &Context<'_>, args: &ExistsArgs) -> bool {
    let dir = &context.settings.cni_conf_dir;
    config::load(dir, default::meant(dir, &args.network)).is_ok()
}
