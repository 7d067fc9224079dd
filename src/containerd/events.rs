//! What containerd tells of what happens to containers and images.

use std::collections::BTreeMap;

use containerd_client::events as api;
use containerd_client::services::v1::{PublishRequest, SubscribeRequest};
use containerd_client::types::Envelope;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use prost::Message;
use tonic::Streaming;

use super::{Client, Error, check};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A container was made.
    Created(String),
    /// A container is gone.
    Deleted(String),
    /// Its process began.
    Started(String),
    /// A process of it ended: the container, the exec (empty for the first process), the status.
    Exited(String, String, u32),
    /// The kernel killed for lack of memory in it.
    OutOfMemory(String),
    /// It was frozen.
    Paused(String),
    /// It goes on.
    Resumed(String),
    /// A further process was added to it.
    ExecAdded(String, String),
    /// A further process of it began.
    ExecStarted(String, String),
    /// An image got a name.
    ImageCreated(String),
    /// A name of an image stands for something else.
    ImageUpdated(String),
    /// A name of an image is gone.
    ImageDeleted(String),
    /// Somebody told of something else.
    Told(Told),
}

/// Something that containerd passes on without having seen it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Of what kind its subject is: a word.
    pub kind: String,
    /// What happened, docker's word; more may stand behind a colon.
    pub action: String,
    /// The subject.
    pub id: String,
    /// What else there is to know.
    pub attributes: BTreeMap<String, String>,
}

/// Before kind and action in the topics of [`Told`].
const OURS: &str = "/netrun/";

/// The kind of event that carries [`Told`]: one that containerd has itself, or `ctr events` would end
/// at it.
const CARRIER: &str = "containerd.events.ContainerUpdate";

/// The events of images, as far as they are alike: containerd.events.ImageCreate, -Update, -Delete.
#[derive(Clone, PartialEq, Message)]
struct ImageEvent {
    #[prost(string, tag = "1")]
    name: String,
}

/// What happens from now on.
pub struct Events {
    /// containerd answers no sooner than it has something to tell.
    opening: Option<Opening>,
    stream: Option<Streaming<Envelope>>,
}

type Opening = LocalBoxFuture<'static, Result<Streaming<Envelope>, Error>>;

impl Client {
    /// Listens to what happens in the namespace, from the first call of [`Events::next`] on.
    pub fn events(&self, namespace: &str) -> Events {
        let request = SubscribeRequest {
            filters: vec![format!("namespace=={namespace}")],
        };
        let mut events = self.with_deadline(None).events_api();
        let opening = async move { check("listen to events", events.subscribe(request).await) };
        Events {
            opening: Some(opening.boxed_local()),
            stream: None,
        }
    }
}

impl Client {
    /// Tells everybody who listens in the namespace.
    ///
    /// # Errors
    /// containerd refuses.
    pub async fn tell(&self, told: &Told) -> Result<(), Error> {
        let word = told.action.split(':').next().unwrap_or_default();
        let carrier = api::ContainerUpdate {
            id: told.id.clone(),
            image: told.action.clone(),
            labels: told.attributes.clone().into_iter().collect(),
            ..Default::default()
        };
        let request = PublishRequest {
            topic: format!("{OURS}{}/{word}", told.kind),
            event: Some(prost_types::Any {
                type_url: CARRIER.to_owned(),
                value: carrier.encode_to_vec(),
            }),
        };
        let published = self.events_api().publish(request).await;
        check("publish an event", published).map(drop)
    }
}

impl Events {
    /// The next thing that happens; nothing if containerd ends. What is cancelled loses nothing.
    ///
    /// # Errors
    /// containerd refuses, or the connection broke.
    pub async fn next(&mut self) -> Result<Option<Happened>, Error> {
        loop {
            if let Some(opening) = &mut self.opening {
                self.stream = Some(opening.await?);
                self.opening = None;
            }
            let Some(stream) = &mut self.stream else {
                return Ok(None);
            };
            let message = stream.message().await;
            let Some(envelope) = message.map_err(|s| Error::call("listen to events", s))? else {
                return Ok(None);
            };
            let at = envelope.timestamp;
            let at = at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok());
            if let Some(what) = understood(&envelope) {
                let at = at.unwrap_or_else(Timestamp::now);
                return Ok(Some(Happened { at, what }));
            }
        }
    }
}

/// What an event says; nothing if it is of no interest, or malformed.
fn understood(envelope: &Envelope) -> Option<Happening> {
    let bytes = envelope.event.as_ref()?.value.as_slice();
    Some(match envelope.topic.as_str() {
        "/containers/create" => Happening::Created(api::ContainerCreate::decode(bytes).ok()?.id),
        "/containers/delete" => Happening::Deleted(api::ContainerDelete::decode(bytes).ok()?.id),
        "/tasks/start" => Happening::Started(api::TaskStart::decode(bytes).ok()?.container_id),
        "/tasks/exit" => {
            let exit = api::TaskExit::decode(bytes).ok()?;
            let exec = match exit.id == exit.container_id {
                true => String::new(),
                false => exit.id,
            };
            Happening::Exited(exit.container_id, exec, exit.exit_status)
        }
        "/tasks/oom" => Happening::OutOfMemory(api::TaskOom::decode(bytes).ok()?.container_id),
        "/tasks/paused" => Happening::Paused(api::TaskPaused::decode(bytes).ok()?.container_id),
        "/tasks/resumed" => Happening::Resumed(api::TaskResumed::decode(bytes).ok()?.container_id),
        "/tasks/exec-added" => {
            let added = api::TaskExecAdded::decode(bytes).ok()?;
            Happening::ExecAdded(added.container_id, added.exec_id)
        }
        "/tasks/exec-started" => {
            let started = api::TaskExecStarted::decode(bytes).ok()?;
            Happening::ExecStarted(started.container_id, started.exec_id)
        }
        "/images/create" => Happening::ImageCreated(ImageEvent::decode(bytes).ok()?.name),
        "/images/update" => Happening::ImageUpdated(ImageEvent::decode(bytes).ok()?.name),
        "/images/delete" => Happening::ImageDeleted(ImageEvent::decode(bytes).ok()?.name),
        topic => {
            let (kind, _) = topic.strip_prefix(OURS)?.split_once('/')?;
            let carrier = api::ContainerUpdate::decode(bytes).ok()?;
            Happening::Told(Told {
                kind: kind.to_owned(),
                action: carrier.image,
                id: carrier.id,
                attributes: carrier.labels.into_iter().collect(),
            })
        }
    })
}
