//! The verbs of `netrun cni` carried out.
//!
//! Invariant: what was added is found again by the same words, be it by cnitool or by netrun; its
//! configuration and arguments are then the kept ones, whatever became of the file.

use std::env;
use std::path::{Path, PathBuf};

use super::error::CniError;
use super::{Args, Attachment, Gc, Verb};
use crate::commands::settings::{GlobalArgs, Settings};
use crate::model::class::Failure;
use crate::network::cache::{self, Cache, CachedAttachment};
use crate::network::verbs::PluginVersions;
use crate::network::{Chain, CniResult, NetworkConfigList, RuntimeConf, cnitool, config};
use crate::sys::netns;

/// What there is to show.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing: it is done.
    Done,
    /// The result of ADD.
    Added(CniResult),
    /// What GC detached.
    Detached(Vec<CachedAttachment>),
    /// GC is switched off in the network's file.
    GcDisabled(PathBuf),
    /// The versions that netrun speaks.
    OwnVersions,
    /// The versions that a network's plugins speak.
    Versions(Vec<PluginVersions>),
}

/// Carries out a verb. `stderr` is told what plugins say on theirs: type and text.
///
/// # Errors
/// The settings or the network cannot be known, or a plugin fails.
pub async fn act(
    global: &GlobalArgs,
    args: &Args,
    stderr: fn(&str, &str),
) -> Result<Outcome, Failure> {
    let tool = Tool {
        settings: Settings::resolve(global)?,
        stderr,
    };
    match &args.verb {
        Verb::Add(attachment) => tool.add(attachment).await.map(Outcome::Added),
        Verb::Check(attachment) => tool.check(attachment).await.map(|()| Outcome::Done),
        Verb::Del(attachment) => tool.del(attachment).await.map(|()| Outcome::Done),
        Verb::Gc(gc) => tool.gc(gc).await,
        Verb::Status(on) => {
            tool.network(&on.network)?.status().await?;
            Ok(Outcome::Done)
        }
        Verb::Version(of) => match &of.network {
            Some(network) => Ok(Outcome::Versions(tool.network(network)?.version().await?)),
            None => Ok(Outcome::OwnVersions),
        },
    }
}

struct Tool {
    settings: Settings,
    stderr: fn(&str, &str),
}

impl Tool {
    async fn add(&self, words: &Attachment) -> Result<CniResult, Failure> {
        let chain = self.network(&words.network)?;
        let conf = runtime_conf(words)?;
        // ADD over an interface that is there would fail, and be undone with a DEL that takes away
        // the interface that was there.
        if let Some(held) = chain.cache().find_in_netns(&conf.netns, &conf.ifname) {
            let (netns, held) = (conf.netns, Box::new(held));
            return Err(CniError::Taken { netns, held }.into());
        }
        if netns::exists(&conf.netns) && !netns::is_network(&conf.netns) {
            return Err(CniError::NotNetwork(conf.netns).into());
        }
        Ok(chain.add(&conf).await?)
    }

    async fn check(&self, words: &Attachment) -> Result<(), Failure> {
        let (chain, conf) = self.attached(words)?;
        Ok(chain.check(&conf, None).await?)
    }

    async fn del(&self, words: &Attachment) -> Result<(), Failure> {
        let (chain, conf) = self.attached(words)?;
        Ok(chain.del_and_sweep(&conf).await?)
    }

    async fn gc(&self, gc: &Gc) -> Result<Outcome, Failure> {
        let chain = self.network(&gc.on.network)?;
        if chain.list().gc_disabled() {
            return Ok(Outcome::GcDisabled(chain.list().source().to_owned()));
        }
        let unwanted = |one: &CachedAttachment| {
            gc.detach_all || gc.detach.contains(&one.container_id) || is_abandoned(one)
        };
        Ok(Outcome::Detached(chain.gc(unwanted).await?))
    }

    /// A network of the directory.
    fn network(&self, name: &str) -> Result<Chain, Failure> {
        Ok(self.chain(config::load(&self.settings.cni_conf_dir, name)?))
    }

    fn chain(&self, list: NetworkConfigList) -> Chain {
        Chain::new(list, self.settings.cni_path.clone()).with_stderr(self.stderr)
    }

    /// An attachment that may have been made, with the configuration that it was made with.
    fn attached(&self, words: &Attachment) -> Result<(Chain, RuntimeConf), Failure> {
        let conf = runtime_conf(words)?;
        let Some(kept) = kept(words, &conf) else {
            return Ok((self.network(&words.network)?, conf));
        };
        let chain = match kept.config() {
            Some(list) => self.chain(list),
            None => self.network(&words.network)?,
        };
        let conf = RuntimeConf {
            container_id: kept.container_id,
            ..conf
        };
        Ok((chain, conf))
    }
}

/// The attachment that the words mean: by its container id, else, unless that was typed, by the
/// namespace's name.
fn kept(words: &Attachment, conf: &RuntimeConf) -> Option<CachedAttachment> {
    let cache = Cache::new(cache::DEFAULT_DIR);
    let by_netns = || {
        let found = cache.find_in_netns(&conf.netns, &conf.ifname);
        found.filter(|one| one.network_name == words.network && words.cni_id.is_none())
    };
    let by_id = cache.load(&words.network, &conf.container_id, &conf.ifname);
    by_id.or_else(by_netns)
}

/// Whether an attachment was made by path, here or by cnitool, to a namespace that is gone.
fn is_abandoned(one: &CachedAttachment) -> bool {
    let netns = Path::new(&one.netns);
    one.container_id == cnitool::container_id(netns) && !netns::exists(netns)
}

fn runtime_conf(words: &Attachment) -> Result<RuntimeConf, Failure> {
    let netns = cnitool::absolute(&words.netns).map_err(|source| CniError::Path {
        path: words.netns.clone(),
        source,
    })?;
    let container_id = match &words.cni_id {
        Some(id) => id.clone(),
        None => cnitool::container_id(&netns),
    };
    let ifname = match &words.ifname {
        Some(name) => name.clone(),
        // As with cnitool a variable that is set to nothing is a name, and a wrong one.
        None => variable(cnitool::IFNAME)?.unwrap_or_else(|| cnitool::DEFAULT_IFNAME.to_owned()),
    };
    let args = variable(cnitool::ARGS)?.unwrap_or_default();
    let capability_args = variable(cnitool::CAPABILITY_ARGS)?.unwrap_or_default();
    Ok(RuntimeConf {
        container_id,
        netns,
        ifname,
        args: cnitool::parse_args(&args)?,
        capability_args: cnitool::parse_capability_args(&capability_args)?,
    })
}

fn variable(name: &'static str) -> Result<Option<String>, CniError> {
    let text = |value: std::ffi::OsString| value.into_string();
    let value = env::var_os(name).map(text).transpose();
    value.map_err(|_| CniError::NotText(name))
}
