//! containerd's content store: reading documents, writing what was fetched.
//!
//! Invariant: content is written under the digest that is expected of it, which containerd
//! verifies at the commit; what does not fit is aborted, so that nobody continues it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use containerd_client::services::v1 as api;
use futures_util::{Stream, StreamExt};
use oci_spec::image::Descriptor;
use prost_types::FieldMask;
use tokio::sync::mpsc;

use super::manifest::{MAX_DOCUMENT, ingest_kind};
use crate::containerd::{Client, Error, check};
use crate::model::class::{Class, Explain};

/// How much is sent to containerd in one message.
const MESSAGE: usize = 1 << 20;

/// How often we look how far another client is that writes the same content.
const RECHECK: Duration = Duration::from_millis(50);

/// Labels by key.
pub type Labels = Vec<(String, String)>;

/// Reads a whole piece of content; for documents, not for layers.
///
/// # Errors
/// Class `NotFound` if it is not there; [`Error::TooLarge`].
pub async fn read(client: &Client, digest: &str) -> Result<Vec<u8>, Error> {
    let operation = format!("read content {digest}");
    let request = api::ReadContentRequest {
        digest: digest.to_owned(),
        ..api::ReadContentRequest::default()
    };
    let mut stream = check(&operation, client.content().read(request).await)?;
    let mut bytes = Vec::new();
    while let Some(part) = next(&operation, &mut stream).await? {
        bytes.extend_from_slice(&part.data);
        if bytes.len() > MAX_DOCUMENT {
            return Err(Error::TooLarge(digest.to_owned(), MAX_DOCUMENT));
        }
    }
    Ok(bytes)
}

/// The bytes of a piece of content as they come.
///
/// # Errors
/// Class `NotFound` if it is not there; the stream fails when containerd does.
pub async fn stream(
    client: &Client,
    digest: &str,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
    let operation = format!("read content {digest}");
    let request = api::ReadContentRequest {
        digest: digest.to_owned(),
        ..api::ReadContentRequest::default()
    };
    let stream = check(&operation, client.content().read(request).await)?;
    Ok(stream.map(move |part| {
        let part = check(&operation, part.map(tonic::Response::new))?;
        Ok(part.data.into())
    }))
}

/// The size of a piece of content, bytes; nothing if it is not there.
///
/// # Errors
/// Any other refusal by containerd.
pub async fn size(client: &Client, digest: &str) -> Result<Option<u64>, Error> {
    match info(client, digest).await {
        Ok(info) => Ok(Some(u64::try_from(info.size).unwrap_or(0))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Stores a document, or labels it if it is there already.
///
/// # Errors
/// Any refusal by containerd.
pub async fn store(
    client: &Client,
    descriptor: &Descriptor,
    bytes: &[u8],
    labels: Labels,
) -> Result<(), Error> {
    match open(client, descriptor, &|_| {}).await? {
        None => label(client, descriptor.digest().as_ref(), &labels).await,
        Some(writer) => writer.put(bytes, labels).await,
    }
}

/// Adds labels to content that is there.
///
/// # Errors
/// Class `NotFound` if it is not there.
pub async fn label(client: &Client, digest: &str, labels: &Labels) -> Result<(), Error> {
    if labels.is_empty() {
        return Ok(());
    }
    let paths = labels.iter().map(|(key, _)| format!("labels.{key}"));
    let request = api::UpdateRequest {
        update_mask: Some(FieldMask {
            paths: paths.collect(),
        }),
        info: Some(api::Info {
            digest: digest.to_owned(),
            labels: labels.iter().cloned().collect(),
            ..api::Info::default()
        }),
    };
    let operation = format!("label content {digest}");
    check(&operation, client.content().update(request).await)?;
    Ok(())
}

/// The labels of a piece of content.
///
/// # Errors
/// Class `NotFound` if it is not there.
pub async fn labels(client: &Client, digest: &str) -> Result<HashMap<String, String>, Error> {
    Ok(info(client, digest).await?.labels)
}

async fn info(client: &Client, digest: &str) -> Result<api::Info, Error> {
    let operation = format!("inspect content {digest}");
    let request = api::InfoRequest {
        digest: digest.to_owned(),
    };
    let answer = check(&operation, client.content().info(request).await)?;
    Ok(answer.info.unwrap_or_default())
}

/// A piece of content being written; nobody else can write it meanwhile.
pub struct Writer {
    client: Client,
    requests: mpsc::Sender<api::WriteContentRequest>,
    answers: tonic::Streaming<api::WriteContentResponse>,
    reference: String,
    digest: String,
    size: u64,
    offset: u64,
    pending: BytesMut,
}

/// Begins to write the content that `descriptor` describes, or goes on where somebody stopped.
/// While another client writes it, waits for that one, and tells how far it is. Nothing if it is
/// there already; if the calls carry a lease, the lease holds it now.
///
/// # Errors
/// Any refusal by containerd.
pub async fn open(
    client: &Client,
    descriptor: &Descriptor,
    others: &dyn Fn(u64),
) -> Result<Option<Writer>, Error> {
    let kind = ingest_kind(descriptor.media_type().as_ref());
    let reference = format!("{kind}-{}", descriptor.digest());
    loop {
        wait_while_it_grows(client, &reference, others).await?;
        match try_open(client, &reference, descriptor).await {
            Ok(writer) => return Ok(Some(writer)),
            Err(error) if error.already_exists() => return Ok(None),
            // Either another client has just begun to write it, or containerd is gone: the next
            // look at it tells.
            Err(error) if error.class() == Class::Unavailable => {}
            Err(error) => return Err(error),
        }
    }
}

/// Begins to write content whose size and digest are not known yet. `reference` is nobody else's.
///
/// # Errors
/// Any refusal by containerd.
pub async fn open_unknown(client: &Client, reference: &str) -> Result<Writer, Error> {
    begin(client, reference, String::new(), 0).await
}

async fn try_open(
    client: &Client,
    reference: &str,
    descriptor: &Descriptor,
) -> Result<Writer, Error> {
    let digest = descriptor.digest().to_string();
    begin(client, reference, digest, descriptor.size()).await
}

/// No digest and no size where they are not known yet.
async fn begin(
    client: &Client,
    reference: &str,
    digest: String,
    size: u64,
) -> Result<Writer, Error> {
    let operation = format!("write content {digest}");
    let (requests, mut receiver) = mpsc::channel(1);
    let stat = api::WriteContentRequest {
        action: api::WriteAction::Stat.into(),
        r#ref: reference.to_owned(),
        total: i64::try_from(size).unwrap_or(i64::MAX),
        expected: digest.clone(),
        ..api::WriteContentRequest::default()
    };
    // The channel is empty and its other end is in our hands: this cannot fail.
    drop(requests.try_send(stat));
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let mut answers = check(&operation, client.content().write(stream).await)?;
    let status = next(&operation, &mut answers).await?;
    let status = status.ok_or(Error::Incomplete { what: "a status" })?;
    Ok(Writer {
        client: client.clone(),
        requests,
        answers,
        reference: reference.to_owned(),
        digest,
        size,
        offset: u64::try_from(status.offset).unwrap_or(0),
        pending: BytesMut::new(),
    })
}

/// Waits as long as somebody else is writing. containerd would answer an attempt to write too by
/// retrying on its side, with pauses that grow up to half a second.
async fn wait_while_it_grows(
    client: &Client,
    reference: &str,
    others: &dyn Fn(u64),
) -> Result<(), Error> {
    let mut before = None;
    loop {
        let request = api::StatusRequest {
            r#ref: reference.to_owned(),
        };
        let operation = format!("ask for the status of {reference}");
        let answer = match check(&operation, client.content().status(request).await) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = answer.status.map(|status| status.offset);
        // It stands still: whoever began it is gone, or as slow as we would be.
        if now == before {
            return Ok(());
        }
        before = now;
        others(
            now.and_then(|offset| u64::try_from(offset).ok())
                .unwrap_or(0),
        );
        tokio::time::sleep(RECHECK).await;
    }
}

impl Writer {
    /// How many bytes containerd has and need not get again.
    pub fn offset(&self) -> u64 {
        self.offset + self.pending.len() as u64
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.pending.extend_from_slice(&bytes);
        while self.pending.len() >= MESSAGE {
            let data = self.pending.split_to(MESSAGE).freeze();
            self.send(api::WriteAction::Write, data, Labels::new())
                .await?;
        }
        Ok(())
    }

    /// Sends what was appended and waits here, so that whoever goes on later need not get it again.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let data = std::mem::take(&mut self.pending).freeze();
        match data.is_empty() {
            true => Ok(()),
            false => {
                self.send(api::WriteAction::Write, data, Labels::new())
                    .await
            }
        }
    }

    /// Writes what is missing of a document, and commits it.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub async fn put(mut self, bytes: &[u8], labels: Labels) -> Result<(), Error> {
        let begun = usize::try_from(self.offset()).unwrap_or(0);
        let rest = bytes.get(begun..).unwrap_or_default();
        self.append(Bytes::copy_from_slice(rest)).await?;
        self.commit(labels).await
    }

    /// As [`Writer::commit`], for content that was not known when it was begun.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub async fn commit_as(mut self, descriptor: &Descriptor, labels: Labels) -> Result<(), Error> {
        self.flush().await?;
        self.digest = descriptor.digest().to_string();
        self.size = descriptor.size();
        self.commit(labels).await
    }

    /// Makes it content, with these labels. Somebody else having done so meanwhile is success.
    ///
    /// # Errors
    /// Class `WrongState` if it is not what its digest and size promise: then it is gone.
    pub async fn commit(mut self, labels: Labels) -> Result<(), Error> {
        let data = std::mem::take(&mut self.pending).freeze();
        match self.send(api::WriteAction::Commit, data, labels).await {
            Err(error) if error.already_exists() => Ok(()),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Throws away what was written. It is done on the way out of a failure that is reported, so
    /// its own failure is not: the lease takes the rest.
    pub async fn abort(self) {
        let Writer {
            client,
            requests,
            answers,
            reference,
            digest,
            ..
        } = self;
        // The reference is locked until the stream has ended.
        drop((requests, answers));
        let operation = format!("abort writing content {digest}");
        for _ in 0..5 {
            let request = api::AbortRequest {
                r#ref: reference.clone(),
            };
            match check(&operation, client.content().abort(request).await) {
                Err(error) if error.class() == Class::Unavailable => {
                    tokio::time::sleep(RECHECK).await;
                }
                _ => return,
            }
        }
    }

    async fn send(
        &mut self,
        action: api::WriteAction,
        data: Bytes,
        labels: Labels,
    ) -> Result<(), Error> {
        let operation = format!("write content {}", self.digest);
        let length = data.len() as u64;
        let request = api::WriteContentRequest {
            action: action.into(),
            r#ref: self.reference.clone(),
            total: i64::try_from(self.size).unwrap_or(i64::MAX),
            expected: self.digest.clone(),
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            data: data.into(),
            labels: labels.into_iter().collect(),
        };
        // A closed channel means that the call has failed; its answer says why.
        drop(self.requests.send(request).await);
        let answer = next(&operation, &mut self.answers).await?;
        answer.ok_or(Error::Incomplete { what: "a status" })?;
        self.offset += length;
        Ok(())
    }
}

async fn next<T>(operation: &str, stream: &mut tonic::Streaming<T>) -> Result<Option<T>, Error> {
    let message = stream.message().await;
    check(operation, message.map(tonic::Response::new))
}
