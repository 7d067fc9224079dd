//! One attachment of a record, as the network room wants it.
//!
//! Invariant: what ADD was given stands in the record, and DEL is given the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join;
use serde_json::Value;
use tokio::time::sleep;

use super::error::Error;
use super::report::Report;
use crate::model::id::ContainerId;
use crate::model::record::{Attachment, Record};
use crate::network::ask::Asked;
use crate::network::attach::AttachError;
use crate::network::firewall;
use crate::network::manage::{self, ManageError};
use crate::network::sweep::{Sweep, Swept};
use crate::network::{Chain, CniResult, NetworkConfigList, RuntimeConf};
use crate::sys::netns;
use crate::sys::pidfd::PidFd;
use crate::sys::process::{self, with_environment};
use crate::sys::routes;

/// How often, and how long apart, plugins without a supervisor are looked for until they are killed.
const PLUGIN_TRIES: u32 = 60;
const PLUGIN_PAUSE: Duration = Duration::from_millis(50);

/// SIGKILL.
const KILL: i32 = 9;

/// How often, and how long apart, what DEL left is swept until it is clean.
const SWEEP_TRIES: u32 = 4;
const SWEEP_PAUSE: Duration = Duration::from_millis(150);

/// Runs ADD.
///
/// # Errors
/// [`Error::Attach`]; what was done is undone then.
pub async fn add(record: &Record, attachment: &Attachment) -> Result<CniResult, Error> {
    let failed = |source| attach_error(&record.id, attachment, source);
    let chain = chain(attachment).map_err(failed)?;
    let conf = runtime_conf(record, attachment, netns_path(record));
    // It was free when the container was made; somebody may have come since.
    let asked = Asked::of(&attachment.args, &attachment.capability_args);
    if !asked.ips.is_empty() || asked.mac.is_some() {
        let free = asked.check(chain.list(), chain.cache());
        free.map_err(|error| failed(Report::of(&error)))?;
    }
    // What a packet filter still drops afterwards is told by `network inspect`.
    let dir = attachment.source.parent().unwrap_or(Path::new("/"));
    let settle = firewall::settle_for_attachment(dir, chain.list());
    let (added, settled) = join(chain.add(&conf), settle).await;
    let result = added.map_err(|error| match error {
        AttachError::Gone { network } => Error::NetworkGone { network },
        error => failed(Report::of(&error)),
    })?;
    match settled {
        Err(source) if firewall::is_essential(chain.list()) => {
            // Whoever gives this attachment up must find nothing of it; a DEL that fails is repeated
            // by the way down.
            let _ = chain.del(&conf, Some(&result.to_value())).await;
            let name = attachment.network.clone();
            Err(failed(Report::of(&ManageError::Rules { name, source })))
        }
        _ => Ok(result),
    }
}

/// Gives the default routes to the attachment that is to have them, and puts the others' behind it.
///
/// # Errors
/// The kernel's refusal.
pub async fn order_routes(record: &Record) -> Result<(), Error> {
    let mut attachments: Vec<&Attachment> = record.network.attachments.iter().collect();
    let (Some(path), false) = (record.network.mode.netns(), attachments.is_empty()) else {
        return Ok(());
    };
    attachments.sort_by_key(|one| std::cmp::Reverse(one.gateway_priority));
    let order: Vec<String> = attachments.iter().map(|one| one.ifname.clone()).collect();
    let ordered = netns::within(Some(path), move || routes::prefer(&order)).await;
    ordered.map_err(|source| Error::Netns {
        action: "order the default routes of",
        path: path.to_owned(),
        source,
    })
}

fn attach_error(id: &ContainerId, attachment: &Attachment, source: Report) -> Error {
    Error::Attach {
        id: id.clone(),
        network: attachment.network.clone(),
        source,
    }
}

/// Runs DEL, with the namespace's path if it is still there. Where DEL failed, cannot reach what
/// lived in the namespace, or may have been broken off before (`thorough`), what it left is swept.
///
/// # Errors
/// [`Error::Detach`] if something of the attachment is still there.
pub async fn del(record: &Record, attachment: &Attachment, thorough: bool) -> Result<(), Error> {
    let failed = |source| Error::Detach {
        id: record.id.clone(),
        network: attachment.network.clone(),
        source,
    };
    let chain = chain(attachment).map_err(failed)?;
    let netns = netns_path(record).filter(|path| netns::exists(path));
    let reachable = netns.is_some();
    let conf = runtime_conf(record, attachment, netns);
    if thorough {
        end_plugins(&conf.container_id).await;
    }
    let mut sweep = Sweep {
        list: chain.list(),
        container_id: &conf.container_id,
        ifname: &conf.ifname,
        result: attachment.result.as_ref(),
        reserved: &[],
    };
    let reserved = match sweep.result {
        Some(_) => Vec::new(),
        None => sweep.reserved(),
    };
    sweep.reserved = &reserved;
    let del = chain.del(&conf, attachment.result.as_ref());
    let plain = reachable && !thorough;
    let (outcome, ahead) = match plain {
        true => join(del, sweep.ahead()).await,
        false => (del.await, Ok(())),
    };
    if outcome.is_ok() && ahead.is_ok() && plain {
        return abandon(chain.list(), failed).await;
    }
    let swept = sweep_patiently(&sweep).await;
    match (outcome, swept.failures.first()) {
        (Err(error), Some(_)) => Err(failed(Report::of(&error))),
        (Ok(()), Some(failure)) => Err(failed(Report::of(failure))),
        // A plugin may have failed, but nothing of the attachment is left.
        (_, None) => {
            chain.forget(&conf);
            abandon(chain.list(), failed).await
        }
    }
}

/// The last one who leaves a network that was removed under him takes away what it left.
async fn abandon(
    list: &NetworkConfigList,
    failed: impl FnOnce(Report) -> Error,
) -> Result<(), Error> {
    let done = manage::abandon(list).await;
    done.map_err(|error| failed(Report::of(&error)))
}

/// The plugins of a supervisor that was killed go on without it: what they are about to make would
/// come after the DEL that is to take it away.
async fn end_plugins(container_id: &str) {
    let plugins = || with_environment("CNI_CONTAINERID", container_id);
    for _ in 0..PLUGIN_TRIES {
        if plugins().is_empty() {
            return;
        }
        sleep(PLUGIN_PAUSE).await;
    }
    for pid in plugins() {
        // One that has ended in between needs no signal.
        if let Ok(plugin) = PidFd::open(pid) {
            let _ = plugin.signal(KILL);
        }
    }
}

/// Sweeps until it is clean. The plugins of a supervisor that was killed may still be at work, and
/// take away under our hands what we found.
async fn sweep_patiently(sweep: &Sweep<'_>) -> Swept {
    for _ in 1..SWEEP_TRIES {
        let swept = sweep.run().await;
        if swept.failures.is_empty() {
            return swept;
        }
        sleep(SWEEP_PAUSE).await;
    }
    sweep.run().await
}

/// Whether a namespace of the container's name can be ours: we made one since the machine was booted.
pub fn made_netns(record: &Record) -> bool {
    // Who cannot know what boot this is must take it for the one.
    let here = |boot_id: String| boot_id == record.boot_id;
    !record.boot_id.is_empty() && process::boot_id().map_or(true, here)
}

/// Whether the network may still hold something of this attachment.
pub fn may_be_attached(record: &Record, attachment: &Attachment) -> bool {
    let cached = || {
        let cni_id = record.id.cni_id(&record.namespace);
        chain(attachment).is_ok_and(|chain| {
            let found = chain
                .cache()
                .load(&attachment.network, &cni_id, &attachment.ifname);
            found.is_some()
        })
    };
    let named =
        || made_netns(record) && netns_path(record).is_some_and(|path| netns::exists(&path));
    // A run that was never brought down cleanly may have died anywhere in its ADD.
    let unfinished = !record.boot_id.is_empty() && record.exit.is_none();
    unfinished || named() || cached()
}

/// The result of an attachment as the plugins' own cache has it.
pub fn cached_result(record: &Record, attachment: &Attachment) -> Option<Value> {
    let (chain, cni_id) = (chain(attachment).ok()?, record.id.cni_id(&record.namespace));
    let cache = chain.cache();
    cache
        .load(&attachment.network, &cni_id, &attachment.ifname)?
        .result
}

/// Whether anything of a run, or of a container half-made, may be left: it was begun and never ended,
/// or its network is there.
pub fn is_unfinished(record: &Record) -> bool {
    let begun = !record.boot_id.is_empty();
    let attached = || {
        let mut attachments = record.network.attachments.iter();
        attachments.any(|attached| may_be_attached(record, attached))
    };
    record.provisional || begun && (record.exit.is_none() || record.auto_remove || attached())
}

/// Whether any of an attachment's plugins declares a capability.
pub fn declares(attachment: &Attachment, capability: &str) -> bool {
    chain(attachment).is_ok_and(|chain| chain.list().declares(capability))
}

fn chain(attachment: &Attachment) -> Result<Chain, Report> {
    let parsed = NetworkConfigList::parse(&attachment.config, &attachment.source);
    let list = parsed.map_err(|error| Report::of(&error))?;
    Ok(Chain::new(list, attachment.plugin_dirs.clone()))
}

fn netns_path(record: &Record) -> Option<PathBuf> {
    record.network.mode.netns().map(Path::to_owned)
}

fn runtime_conf(record: &Record, attachment: &Attachment, netns: Option<PathBuf>) -> RuntimeConf {
    RuntimeConf {
        container_id: record.id.cni_id(&record.namespace),
        netns: netns.as_deref().unwrap_or(Path::new("")).to_owned(),
        ifname: attachment.ifname.clone(),
        args: attachment.args.clone(),
        capability_args: attachment.capability_args.clone(),
    }
}
