//! What netrun does and containerd cannot see, told to whoever listens to containerd's events.
//!
//! Invariant: nobody waits long for it, and nothing fails for it: an event that could not be told was
//! only news.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::host::Host;
use crate::containerd::Told;

/// How long an event may take to be told.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A container.
    Container(&'a str),
    /// A name of an image.
    Image(&'a str),
    /// A network.
    Network(&'a str),
    /// A volume.
    Volume(&'a str),
}

/// Tells that something happened, in docker's words, with docker's attributes.
pub async fn announce(host: &Host, of: Subject<'_>, action: &str, attributes: &[(&str, &str)]) {
    let (kind, id) = match of {
        Subject::Container(id) => ("container", id),
        Subject::Image(name) => ("image", name),
        Subject::Network(name) => ("network", name),
        Subject::Volume(name) => ("volume", name),
    };
    let attributes = attributes.iter();
    let told = Told {
        kind: kind.to_owned(),
        action: action.to_owned(),
        id: id.to_owned(),
        attributes: attributes
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    };
    let tell = async {
        if let Ok(client) = host.client().await {
            let _ = client.tell(&told).await;
        }
    };
    let _ = timeout(PATIENCE, tell).await;
}
