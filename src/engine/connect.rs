//! Attaching networks to, and detaching them from, a container that is there.
//!
//! Invariant: an attachment stands in the record before it is made, and until it is gone; the way
//! down waits until a change is done.

use serde_json::Value;

use super::attachment;
use super::error::Error;
use super::host::Host;
use super::launch::Job;
use super::neighbours;
use super::paths::Paths;
use super::plan::free_ifname;
use super::ports;
use super::protocol::Request;
use super::reach;
use super::steps::Step;
use super::supervisor::Supervisor;
use crate::model::id::ContainerId;
use crate::model::port::PORTS;
use crate::model::record::{Attachment, NetworkMode, Record};
use crate::network::CniResult;
use crate::sys::lock::Lock;

/// Attaches a network to a container: at once if it runs, else from its next start on. An attachment
/// without an interface's name is given a free one.
///
/// # Errors
/// It is attached already, has no network of its own, or ADD fails; nothing has changed then.
pub async fn connect(host: &Host, id: &ContainerId, attachment: Attachment) -> Result<(), Error> {
    let request = Request::Connect {
        attachment: Box::new(attachment.clone()),
        again: false,
    };
    if reach::ask(host, id, &request).await?.is_some() {
        return Ok(());
    }
    change_stopped(host, id, |record| {
        let attachment = fitted(record, attachment)?;
        record.network.attachments.push(attachment);
        Ok(())
    })
    .await
}

/// Detaches a network from a container.
///
/// # Errors
/// It is not attached, or something is left behind.
pub async fn disconnect(host: &Host, id: &ContainerId, network: &str) -> Result<(), Error> {
    let request = Request::Disconnect {
        network: network.to_owned(),
        again: false,
    };
    if reach::ask(host, id, &request).await?.is_some() {
        return Ok(());
    }
    change_stopped(host, id, |record| {
        let index = index_of(record, network)?;
        record.network.attachments.remove(index);
        Ok(())
    })
    .await
}

/// Changes the record of a container that does not run.
///
/// # Errors
/// There is no such container, or what `change` says.
pub(super) async fn change_stopped(
    host: &Host,
    id: &ContainerId,
    change: impl FnOnce(&mut Record) -> Result<(), Error>,
) -> Result<(), Error> {
    // A lock would be made for one that there is not.
    host.record(id).await?;
    let paths = Paths::new(&host.namespace, id);
    let taken = Lock::exclusive(&paths.lock).await;
    let _lock = taken.map_err(Error::file("lock", &paths.lock))?;
    let mut record = host.record(id).await?;
    change(&mut record)?;
    host.update(&record).await
}

/// Whether a container can be attached to a network: it is not yet.
///
/// # Errors
/// It is.
pub fn check_new(record: &Record, network: &str) -> Result<(), Error> {
    match index_of(record, network) {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::Attached {
            id: record.id.clone(),
            network: network.to_owned(),
        }),
    }
}

fn index_of(record: &Record, network: &str) -> Result<usize, Error> {
    let mut attachments = record.network.attachments.iter();
    let found = attachments.position(|one| one.network == network);
    found.ok_or_else(|| Error::NotAttached {
        id: record.id.clone(),
        network: network.to_owned(),
    })
}

/// The attachment as it fits beside those that there are. Ports that nobody publishes, since their
/// network was disconnected, it publishes if it can.
fn fitted(record: &Record, mut attachment: Attachment) -> Result<Attachment, Error> {
    let taken = |network: &str| Error::Attached {
        id: record.id.clone(),
        network: network.to_owned(),
    };
    let own = &record.network.attachments;
    if !matches!(record.network.mode, NetworkMode::Own(_)) {
        return Err(Error::WrongState {
            id: record.id.clone(),
            state: "has no network of its own",
            hint: "",
        });
    }
    let used: Vec<&str> = own.iter().map(|one| one.ifname.as_str()).collect();
    if attachment.ifname.is_empty() {
        attachment.ifname = free_ifname(0, &used);
    }
    let same =
        |one: &&Attachment| one.network == attachment.network || one.ifname == attachment.ifname;
    if let Some(one) = own.iter().find(same) {
        return Err(taken(&one.network));
    }
    let unpublished = !record.network.ports.is_empty() && record.network.published().is_empty();
    if unpublished && attachment::declares(&attachment, PORTS) {
        let none_yet = Value::Array(Vec::new());
        attachment
            .capability_args
            .insert(PORTS.to_owned(), none_yet);
    }
    Ok(attachment)
}

/// [`connect`], by the supervisor of a running container; `again` if one that died may have done it.
///
/// # Errors
/// As [`connect`].
pub async fn attach(
    supervisor: &Supervisor,
    attachment: Attachment,
    again: bool,
) -> Result<(), Error> {
    let _changing = supervisor.publishing.lock().await;
    check_alive(supervisor)?;
    let job = job(supervisor);
    let mut record = supervisor.record.borrow().clone();
    if again && index_of(&record, &attachment.network).is_ok() {
        return Ok(());
    }
    let attachment = fitted(&record, attachment)?;
    let publishes = attachment.capability_args.contains_key(PORTS);
    record.network.attachments.push(attachment);
    let mut held = None;
    if publishes {
        let reserve = ports::reserve(job.host, &mut record);
        held = Some(job.steps.run(Step::Ports, reserve).await?);
    }
    keep(supervisor, &record).await?;
    let made = make(job, &mut record).await;
    keep(supervisor, &record).await?;
    made?;
    if let Some(held) = held {
        supervisor.running.ports.replace(held);
    }
    Ok(())
}

/// Makes the last attachment of the record; one that cannot be made is undone and taken out of it. What
/// cannot be undone stays there, for `disconnect` and the way down.
async fn make(job: Job<'_>, record: &mut Record) -> Result<(), Error> {
    let Some(mut attachment) = record.network.attachments.pop() else {
        return Ok(());
    };
    let add = attachment::add(record, &attachment);
    let added = job
        .steps
        .run_on(Step::Attach, &attachment.network, add)
        .await;
    // ADD has undone what it did, if it failed.
    let result = added?;
    attachment.result = Some(result.to_value());
    record.network.attachments.push(attachment.clone());
    let finished = async {
        let names = announce(job, record, &attachment, &result);
        job.steps.run(Step::Names, names).await?;
        attachment::order_routes(record).await
    };
    let Err(error) = finished.await else {
        return Ok(());
    };
    if take_away(job, record, &attachment, true).await.is_ok() {
        record.network.attachments.pop();
    }
    Err(error)
}

/// Takes an attachment away, its names first.
async fn take_away(
    job: Job<'_>,
    record: &Record,
    attachment: &Attachment,
    thorough: bool,
) -> Result<(), Error> {
    let silence = silence(job, record, attachment);
    let silenced = job.steps.run(Step::NamesRemove, silence).await;
    let del = attachment::del(record, attachment, thorough);
    let gone = job
        .steps
        .run_on(Step::Detach, &attachment.network, del)
        .await;
    silenced.and(gone)
}

/// Lets the container and the others of a network know of each other.
async fn announce(
    job: Job<'_>,
    record: &Record,
    attachment: &Attachment,
    result: &CniResult,
) -> Result<(), Error> {
    let names = neighbours::lock().await?;
    let entry = neighbours::entry(record, attachment, result, false);
    let mut lines = vec![neighbours::entry(record, attachment, result, true)];
    lines.extend(names.join(record, &attachment.network, &entry)?);
    names.rewrite(job.paths, &lines, &[]);
    Ok(())
}

/// Lets them forget each other.
async fn silence(job: Job<'_>, record: &Record, attachment: &Attachment) -> Result<(), Error> {
    let names = neighbours::lock().await?;
    let network = &attachment.network;
    let mut lines = names.of_others(record, network);
    let result = attachment.result.clone().unwrap_or_default();
    if let Ok(result) = CniResult::from_value(result, "") {
        lines.push(neighbours::entry(record, attachment, &result, true));
    }
    names.leave(&record.namespace, &record.id, network)?;
    names.rewrite(job.paths, &[], &lines);
    Ok(())
}

/// [`disconnect`], by the supervisor of a running container; `again` if one that died may have done it.
///
/// # Errors
/// As [`disconnect`].
pub async fn detach(supervisor: &Supervisor, network: &str, again: bool) -> Result<(), Error> {
    let _changing = supervisor.publishing.lock().await;
    check_alive(supervisor)?;
    let job = job(supervisor);
    let mut record = supervisor.record.borrow().clone();
    let index = match index_of(&record, network) {
        Err(_) if again => return Ok(()),
        found => found?,
    };
    let attachment = record.network.attachments[index].clone();
    take_away(job, &record, &attachment, false).await?;
    let published = attachment.capability_args.contains_key(PORTS);
    record.network.attachments.remove(index);
    // It has its routes either way, with higher metrics than they need.
    let _ = attachment::order_routes(&record).await;
    keep(supervisor, &record).await?;
    if published {
        drop::<ports::Reservation>(supervisor.running.ports.take());
    }
    Ok(())
}

/// Finishes what a supervisor that died was about: an attachment that was not made to its end, or was
/// being taken away, goes; one that is there is known to the others.
///
/// What cannot be finished stays in the record, for `disconnect` and the way down.
pub async fn settle(job: Job<'_>, record: &mut Record) {
    for index in (0..record.network.attachments.len()).rev() {
        let attachment = record.network.attachments[index].clone();
        let network = attachment.network.as_str();
        let known = neighbours::is_known_on(record, network);
        // The result is the last thing written of an attachment, and the names are the first to go.
        let made = match attachment.result {
            Some(_) if known => continue,
            Some(_) => None,
            None => attachment::cached_result(record, &attachment),
        };
        let made = made.and_then(|value| CniResult::from_value(value, "").ok());
        if let Some(result) = made {
            record.network.attachments[index].result = Some(result.to_value());
            let names = announce(job, record, &attachment, &result);
            let _ = job.steps.run(Step::Names, names).await;
            continue;
        }
        if take_away(job, record, &attachment, true).await.is_ok() {
            record.network.attachments.remove(index);
        }
    }
    let _ = attachment::order_routes(record).await;
}

fn check_alive(supervisor: &Supervisor) -> Result<(), Error> {
    match supervisor.going_down.get() {
        true => Err(Error::not_running(&supervisor.id())),
        false => Ok(()),
    }
}

fn job(supervisor: &Supervisor) -> Job<'_> {
    Job {
        host: &supervisor.host,
        steps: &supervisor.steps,
        paths: &supervisor.paths,
    }
}

/// Writes the record, for the supervisor and for whoever comes after it.
///
/// # Errors
/// containerd cannot be reached.
pub(super) async fn keep(supervisor: &Supervisor, record: &Record) -> Result<(), Error> {
    supervisor.record.replace(record.clone());
    supervisor.host.update(record).await
}
