//! Networks as containers use them: who has which, and the clean-up after those that are gone.
//!
//! Invariant: a network counts as used as long as a record names it, whether its container runs or
//! not: the container would start on it.

use std::path::Path;

use super::announce::{Subject, announce};
use super::error::Error;
use super::host::Host;
use super::view::{self, View};
use crate::network::create::kept;
use crate::network::manage::{self, ManageError};
use crate::network::{NetworkConfigList, ask};

/// The containers of the namespace that have a network, the newest first.
///
/// # Errors
/// containerd cannot be reached.
pub async fn users(host: &Host, network: &str) -> Result<Vec<View>, Error> {
    let mut views = view::list(host).await?.own;
    views.retain(|view| {
        let mut attachments = view.record.network.attachments.iter();
        attachments.any(|one| one.network == network)
    });
    Ok(views)
}

/// Removes a network of ours that nobody uses.
///
/// # Errors
/// See [`ManageError`].
pub async fn remove(host: &Host, dir: &Path, list: &NetworkConfigList) -> Result<(), ManageError> {
    // What is attached is seen without containerd as well.
    let containers = async || users_anywhere(host, list.name()).await.unwrap_or_default();
    manage::remove(dir, list, containers).await?;
    tell(host, list, "destroy").await;
    Ok(())
}

/// Tells what became of a network of ours.
pub async fn tell(host: &Host, list: &NetworkConfigList, action: &str) {
    let driver = kept(list, "driver").and_then(|driver| driver.as_str());
    let attributes = driver.map(|driver| ("type", driver));
    announce(
        host,
        Subject::Network(list.name()),
        action,
        attributes.as_slice(),
    )
    .await;
}

/// The containers of all namespaces that have a network, in the words of
/// [`crate::network::ask::holder`].
async fn users_anywhere(host: &Host, network: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for name in host.client().await?.list_namespaces().await? {
        // What is no name for a namespace of ours has no container of ours.
        let Ok(namespace) = name.parse() else {
            continue;
        };
        let there = Host::new(host.address.clone(), namespace);
        for view in users(&there, network).await? {
            let netns = view.record.id.netns_name(&there.namespace);
            found.push(ask::holder_of(&netns));
        }
    }
    Ok(found)
}
