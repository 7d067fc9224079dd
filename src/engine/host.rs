//! The host as the engine works with it: containerd in one namespace, connected only while needed.
//!
//! Invariant: an idle supervisor holds no connection.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::address::elsewhere;
use super::error::Error;
use super::paths::Paths;
use crate::containerd::{Client, Container};
use crate::model::id::{ContainerId, Namespace};
use crate::model::record::{EXTENSION, MAX_BYTES, Record, VERSION};

/// containerd in one namespace.
#[derive(Debug)]
pub struct Host {
    /// containerd's socket.
    pub address: PathBuf,
    /// The namespace.
    pub namespace: Namespace,
    client: RefCell<Option<Client>>,
    connected: Notify,
}

impl Host {
    /// Names the place; connects to nothing.
    pub fn new(address: PathBuf, namespace: Namespace) -> Host {
        Host {
            address,
            namespace,
            client: RefCell::default(),
            connected: Notify::new(),
        }
    }

    /// The connection, made if there is none.
    ///
    /// # Errors
    /// Class `Unavailable` or `Denied` if containerd cannot be reached.
    pub async fn client(&self) -> Result<Client, Error> {
        let held = self.client.borrow().clone();
        if let Some(client) = held {
            return Ok(client);
        }
        let client = Client::connect(&self.address, self.namespace.as_str()).await?;
        *self.client.borrow_mut() = Some(client.clone());
        self.connected.notify_one();
        Ok(client)
    }

    /// Where the things of a container lie.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] if they are another containerd's.
    pub fn paths(&self, id: &ContainerId) -> Result<Paths, Error> {
        let paths = Paths::new(&self.namespace, id);
        match elsewhere(&paths, &self.address) {
            None => Ok(paths),
            Some(address) => Err(Error::Elsewhere {
                id: id.clone(),
                address,
            }),
        }
    }

    /// Lets the connection go; calls under way keep theirs.
    pub fn release(&self) {
        self.client.borrow_mut().take();
    }

    /// Lets every connection go that is made from now on, when it has lasted so long. Never ends.
    pub async fn keep_released(&self, after: Duration) {
        loop {
            self.connected.notified().await;
            sleep(after).await;
            self.release();
        }
    }

    /// Reads the record of a container of ours.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], [`Error::Foreign`], [`Error::Record`].
    pub async fn record(&self, id: &ContainerId) -> Result<Record, Error> {
        Ok(self.container(id).await?.1)
    }

    /// Reads a container of ours with all that containerd knows of it.
    ///
    /// # Errors
    /// As [`Host::record`].
    pub async fn container(&self, id: &ContainerId) -> Result<(Container, Record), Error> {
        let container = match self.client().await?.container(id.as_str()).await {
            Err(error) if error.is_not_found() => {
                return Err(Error::NoSuchContainer { id: id.to_string() });
            }
            outcome => outcome?,
        };
        let record = record_of(&container)?;
        Ok((container, record))
    }

    /// Writes the record of a container that exists.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], or containerd's refusal.
    pub async fn update(&self, record: &Record) -> Result<(), Error> {
        let client = self.client().await?;
        client
            .update_extension(record.id.as_str(), EXTENSION, encode(record)?)
            .await?;
        Ok(())
    }
}

/// A container's record, if it is one of ours.
///
/// # Errors
/// [`Error::Foreign`] if there is none, [`Error::Record`] if it cannot be read.
pub fn record_of(container: &Container) -> Result<Record, Error> {
    let id = || container.id.clone();
    let Some(json) = container.extensions.get(EXTENSION) else {
        return Err(Error::Foreign { id: id() });
    };
    let unreadable = |source| Error::Record { id: id(), source };
    let record: Record = serde_json::from_slice(json).map_err(unreadable)?;
    if record.version > VERSION {
        let message = format!(
            "it has version {}, this netrun knows {VERSION}",
            record.version
        );
        return Err(unreadable(serde::de::Error::custom(message)));
    }
    Ok(record)
}

/// A record as containerd keeps it.
///
/// # Errors
/// [`Error::RecordTooLarge`].
pub fn encode(record: &Record) -> Result<Vec<u8>, Error> {
    let unwritable = |source| Error::Record {
        id: record.id.to_string(),
        source,
    };
    let json = serde_json::to_vec(record).map_err(unwritable)?;
    match json.len() {
        bytes if bytes > MAX_BYTES => Err(Error::RecordTooLarge {
            id: record.id.clone(),
            bytes,
            max: MAX_BYTES,
        }),
        _ => Ok(json),
    }
}
