//! Leases: what keeps containerd's garbage collector off an image in the making.
//!
//! Invariant: a lease names the process that holds it and has an expiry, so that whatever happens
//! to that process, what it fetched is collected.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1 as api;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::containerd::{Client, Error, check};
use crate::sys::process;

/// containerd drops a lease at the time that this label gives.
const EXPIRE: &str = "containerd.io/gc.expire";

/// The process that holds the lease, see [`owner`].
const OWNER: &str = "netrun.lease.owner";

/// The longest that a pull is thought to take; containerd's own client has the same.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Held while a lease is being made.
static MAKING: Mutex<()> = Mutex::const_new(());

/// A lease of ours.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    id: String,
}

impl Lease {
    /// Makes a lease. Calls by [`Lease::client`] have no deadline: bodies take as long as they
    /// take.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn acquire(client: &Client) -> Result<Lease, Error> {
        let now = Timestamp::now();
        let expiry = now.saturating_add(LIFETIME).unwrap_or(now);
        let id = format!("netrun-{}-{}", std::process::id(), now.as_nanosecond());
        let labels = [
            (EXPIRE.to_owned(), format!("{expiry:.0}")),
            (OWNER.to_owned(), owner(std::process::id())),
        ];
        let request = api::CreateRequest {
            id: id.clone(),
            labels: HashMap::from(labels),
        };
        make(client, request).await?;
        let client = client.with_deadline(None).with_lease(&id)?;
        Ok(Lease { client, id })
    }

    /// The connection whose calls are made under the lease.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Keeps a piece of content, and all that it refers to, that may have no name any more.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn hold(&self, digest: &str) -> Result<(), Error> {
        let request = api::AddResourceRequest {
            id: self.id.clone(),
            resource: Some(api::Resource {
                id: digest.to_owned(),
                r#type: "content".to_owned(),
            }),
        };
        let operation = format!("hold content {digest}");
        check(&operation, self.client.leases().add_resource(request).await)
    }

    /// Gives the lease up; with `sync` only after what nothing else holds has been collected.
    ///
    /// # Errors
    /// Any refusal by containerd; that it is gone already is none.
    pub async fn release(self, sync: bool) -> Result<(), Error> {
        delete(&self.client, &self.id, sync).await
    }
}

/// Puts a snapshot that is there already under the lease that the calls carry, if they carry one:
/// whoever made it may give up theirs any moment.
///
/// # Errors
/// Any refusal by containerd.
pub async fn hold_snapshot(client: &Client, snapshotter: &str, key: &str) -> Result<(), Error> {
    let Some(lease) = client.lease() else {
        return Ok(());
    };
    let request = api::AddResourceRequest {
        id: lease.to_owned(),
        resource: Some(api::Resource {
            id: key.to_owned(),
            r#type: format!("snapshots/{snapshotter}"),
        }),
    };
    let operation = format!("hold snapshot {key}");
    check(&operation, client.leases().add_resource(request).await)?;
    Ok(())
}

/// Gives up the leases of processes that are gone, waits until what they alone held is collected,
/// and says how many there were.
///
/// # Errors
/// Any refusal by containerd.
pub async fn sweep(client: &Client) -> Result<usize, Error> {
    let request = api::ListRequest {
        filters: vec![format!("labels.\"{OWNER}\"")],
    };
    let answer = check("list the leases", client.leases().list(request).await)?;
    let mut swept = 0;
    for lease in answer.leases {
        if lease.labels.get(OWNER).is_some_and(|owner| !lives(owner)) {
            // Not before its next hundred changes would containerd collect by itself.
            delete(client, &lease.id, true).await?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Waits until containerd has collected what nothing holds, what it could not remove before (from a
/// full disk) included.
///
/// # Errors
/// Any refusal by containerd.
pub async fn collect(client: &Client, snapshotter: &str) -> Result<(), Error> {
    // It says that it is done only when a lease is given up, and looks through a snapshotter's own
    // leftovers only if a snapshot was removed.
    let lease = Lease::acquire(client).await?;
    let made = lease
        .client()
        .prepare_snapshot(snapshotter, &lease.id, "")
        .await;
    let removed = match made {
        Ok(_) => lease.client().remove_snapshot(snapshotter, &lease.id).await,
        Err(error) => Err(error),
    };
    lease.release(true).await.and(removed)
}

/// Gives up this process's own leases and waits until what they alone held is collected: for who
/// drops a pull in the middle.
///
/// # Errors
/// Any refusal by containerd.
pub async fn abandon(client: &Client) -> Result<(), Error> {
    let own = owner(std::process::id());
    let _made = MAKING.lock().await;
    let request = api::ListRequest {
        filters: vec![format!("labels.\"{OWNER}\"==\"{own}\"")],
    };
    let answer = check("list the leases", client.leases().list(request).await)?;
    for lease in answer.leases {
        delete(client, &lease.id, true).await?;
    }
    Ok(())
}

/// Makes a lease, to the end even if whoever waits for it is dropped: containerd would make it all the
/// same, after [`abandon`] has looked for it.
async fn make(client: &Client, request: api::CreateRequest) -> Result<(), Error> {
    let making = MAKING.lock().await;
    let mut leases = client.leases();
    let made = tokio::spawn(async move {
        let made = leases.create(request).await;
        drop(making);
        made
    });
    let made = made.await;
    let ended = |_| Err(tonic::Status::cancelled("the event loop has ended"));
    check("create a lease", made.unwrap_or_else(ended)).map(drop)
}

async fn delete(client: &Client, id: &str, sync: bool) -> Result<(), Error> {
    let request = api::DeleteRequest {
        id: id.to_owned(),
        sync,
    };
    let operation = format!("delete lease {id}");
    match check(&operation, client.leases().delete(request).await) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// A process's name for good: the boot, the pid namespace, the pid, and when it started.
fn owner(pid: u32) -> String {
    let started = process::start_time(pid).map_or(String::new(), |time| time.to_string());
    format!("{}/{pid}/{started}", world())
}

/// Where a pid means what it means here.
fn world() -> String {
    let boot = process::boot_id().unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{boot}/{}", namespace.display())
}

/// Whether the process lives, as far as can be told: one of another pid namespace may.
fn lives(owner: &str) -> bool {
    let mut parts = owner.rsplitn(3, '/');
    let (Some(started), Some(pid), Some(world)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let boot = process::boot_id().unwrap_or_default();
    if !world.starts_with(&boot) {
        return false;
    }
    if world != self::world() {
        return true;
    }
    let now = pid.parse().ok().and_then(process::start_time);
    now.is_some_and(|now| now.to_string() == started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_if_boot_pid_and_start_are_its_own() {
        let own = owner(std::process::id());
        assert!(lives(&own));
        let (rest, started) = own.rsplit_once('/').unwrap();
        assert!(!lives(&format!("{rest}/1{started}")));
        assert!(!lives(&format!("{}/4194305/{started}", world())));
        let boot = process::boot_id().unwrap();
        assert!(!lives(&format!("another-boot/pid:[1]/1/{started}")));
        assert!(
            lives(&format!("{boot}/pid:[1]/1/{started}")),
            "another pid namespace"
        );
        assert!(!lives("rubbish"));
    }
}
