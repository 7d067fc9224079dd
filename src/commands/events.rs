//! `netrun events`: what happens to containers and images, as docker tells it.
//!
//! Invariant: containerd keeps nothing of what has happened, so this tells only what happens from now
//! on; an event of a container that is gone knows what was known when it was seen last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use jiff::Timestamp;

use super::context::Context;
use super::values::parse;
use crate::containerd::{Events, Happened, Happening, Told};
use crate::engine::error::Error;
use crate::engine::host::record_of;
use crate::model::class::{Class, Explain, Failure};
use crate::model::reference::Reference;
use crate::model::time::Moment;

const EXAMPLES: &str = "\
Examples:
  netrun events
  netrun events --filter container=web --filter event=die --format '{{.Actor.Attributes.exitCode}}'
  netrun events --format json";

/// Print what happens to containers and images, from now on
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only those to which this applies: type=, event=, container=, image=, network=, volume=, label=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<EventFilter>)]
    pub filters: Vec<EventFilter>,

    /// End at that time
    #[arg(long, value_name = "TIME", value_parser = parse::<Moment>)]
    pub until: Option<Moment>,

    /// How to print: json, or a template such as '{{.Action}} {{.Actor.ID}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// What events can be filtered by.
const KEYS: [&str; 7] = [
    "type",
    "event",
    "container",
    "image",
    "network",
    "volume",
    "label",
];

/// A text that is no filter of events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no filter of events")]
pub struct InvalidEventFilter(String);

impl Explain for InvalidEventFilter {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write type=, event=, container=, image=, network=, volume= or label=KEY[=VALUE]"
                .to_owned(),
        )
    }
}

/// One filter: the key and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    key: &'static str,
    value: String,
}

impl FromStr for EventFilter {
    type Err = InvalidEventFilter;

    fn from_str(text: &str) -> Result<Self, InvalidEventFilter> {
        let invalid = || InvalidEventFilter(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        let known = KEYS.into_iter().find(|known| *known == key);
        match known.filter(|_| !value.is_empty()) {
            Some(key) => Ok(Self {
                key,
                value: value.to_owned(),
            }),
            None => Err(invalid()),
        }
    }
}

/// Something that happened, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// `container`, `image`, `network` or `volume`.
    pub kind: &'static str,
    /// `start`, `die`, ...
    pub action: String,
    /// Whose.
    pub id: String,
    /// What is known of it: its image, its name, its labels, how it ended.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    fn passes(&self, filters: &[EventFilter]) -> bool {
        let one_of_each_key = |filter: &EventFilter| {
            let mut same = filters.iter().filter(|other| other.key == filter.key);
            match filter.key {
                "label" => self.matches(filter),
                _ => same.any(|other| self.matches(other)),
            }
        };
        filters.iter().all(one_of_each_key)
    }

    fn matches(&self, filter: &EventFilter) -> bool {
        let value = filter.value.as_str();
        match filter.key {
            "type" => self.kind == value,
            // An exec's action has its command behind a colon, as docker has it.
            "event" => self.action.split(':').next() == Some(value),
            kind @ ("container" | "network" | "volume") => self.kind == kind && self.id == value,
            "image" => {
                let image = match self.kind {
                    "image" => Some(&self.id),
                    _ => self.attributes.get("image"),
                };
                image.is_some_and(|image| image == value)
            }
            _ => match value.split_once('=') {
                Some((key, wanted)) => self.attributes.get(key).is_some_and(|v| v == wanted),
                None => self.attributes.contains_key(value),
            },
        }
    }
}

/// What happens from now on.
pub struct Watching<'a> {
    context: &'a Context<'a>,
    args: &'a Args,
    events: Events,
    /// What was known of each container when it was seen last.
    seen: HashMap<String, BTreeMap<String, String>>,
    /// Names that are being given by `tag`.
    tagging: HashSet<String>,
    until: Option<Timestamp>,
}

/// Begins to listen.
///
/// # Errors
/// containerd cannot be reached.
pub async fn events<'a>(context: &'a Context<'a>, args: &'a Args) -> Result<Watching<'a>, Failure> {
    let client = context.host.client().await?;
    let namespace = context.settings.namespace.as_str();
    let events = client.events(namespace);
    let mut seen = HashMap::new();
    for container in client.list_containers().await.map_err(Error::from)? {
        if let Ok(record) = record_of(&container) {
            seen.insert(container.id, attributes(&record));
        }
    }
    let now = Timestamp::now();
    Ok(Watching {
        context,
        args,
        events,
        seen,
        tagging: HashSet::new(),
        until: args.until.map(|moment| moment.resolve(now)),
    })
}

fn attributes(record: &crate::model::record::Record) -> BTreeMap<String, String> {
    let mut attributes = record.labels.clone();
    attributes.insert("image".to_owned(), familiar(&record.image));
    attributes.insert("name".to_owned(), record.id.to_string());
    attributes
}

fn familiar(image: &str) -> String {
    let reference = Reference::parse(image).ok();
    reference.map_or_else(|| image.to_owned(), |reference| reference.familiar())
}

impl Watching<'_> {
    /// The next event that is wanted; nothing once there will be none.
    ///
    /// # Errors
    /// The connection to containerd broke.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            let happened = tokio::select! {
                happened = self.events.next() => happened.map_err(Error::from)?,
                () = reached(self.until) => None,
            };
            let Some(happened) = happened else {
                return Ok(None);
            };
            let event = self.told(happened).await;
            if let Some(event) = event.filter(|event| event.passes(&self.args.filters)) {
                return Ok(Some(event));
            }
        }
    }

    /// An event in docker's words; nothing if it is of somebody else's container.
    async fn told(&mut self, Happened { at, what }: Happened) -> Option<Event> {
        let mut further = BTreeMap::new();
        let mut exec = |exec: String| {
            further.insert("execID".to_owned(), exec);
        };
        let (action, id) = match what {
            Happening::Told(told) => return self.of_told(at, told).await,
            Happening::ImageCreated(name) => {
                let tagged = self.tagging.remove(&name);
                return Some(of_image(at, if tagged { "tag" } else { "pull" }, &name));
            }
            Happening::ImageUpdated(name) => {
                self.tagging.remove(&name);
                return Some(of_image(at, "tag", &name));
            }
            Happening::ImageDeleted(name) => return Some(of_image(at, "untag", &name)),
            Happening::Created(id) => ("create", id),
            Happening::Deleted(id) => ("destroy", id),
            Happening::Started(id) => ("start", id),
            Happening::OutOfMemory(id) => ("oom", id),
            Happening::Paused(id) => ("pause", id),
            Happening::Resumed(id) => ("unpause", id),
            Happening::ExecAdded(id, name) => {
                exec(name);
                ("exec_create", id)
            }
            Happening::ExecStarted(id, name) => {
                exec(name);
                ("exec_start", id)
            }
            Happening::Exited(id, name, status) => {
                let action = if name.is_empty() { "die" } else { "exec_die" };
                if !name.is_empty() {
                    exec(name);
                }
                further.insert("exitCode".to_owned(), status.to_string());
                (action, id)
            }
        };
        let mut attributes = self.known(&id, action).await?;
        attributes.extend(further);
        Some(Event {
            at,
            kind: "container",
            action: action.to_owned(),
            id,
            attributes,
        })
    }

    /// What netrun itself told: of containers that are ours, of networks and volumes.
    async fn of_told(&mut self, at: Timestamp, told: Told) -> Option<Event> {
        let (kind, mut attributes) = match told.kind.as_str() {
            "container" => ("container", self.known(&told.id, &told.action).await?),
            "network" => ("network", [("name".to_owned(), told.id.clone())].into()),
            "volume" => ("volume", BTreeMap::new()),
            "image" if told.action == "tag" => {
                // containerd tells of it next.
                self.tagging.insert(told.id);
                return None;
            }
            "image" => ("image", [("name".to_owned(), told.id.clone())].into()),
            _ => return None,
        };
        attributes.extend(told.attributes);
        Some(Event {
            at,
            kind,
            action: told.action,
            id: told.id,
            attributes,
        })
    }

    async fn known(&mut self, id: &str, action: &str) -> Option<BTreeMap<String, String>> {
        if action == "destroy" {
            return self.seen.remove(id);
        }
        if let Some(known) = self.seen.get(id) {
            return Some(known.clone());
        }
        let name = id.parse().ok()?;
        let record = self.context.host.record(&name).await.ok()?;
        let known = attributes(&record);
        self.seen.insert(id.to_owned(), known.clone());
        Some(known)
    }
}

fn of_image(at: Timestamp, action: &str, name: &str) -> Event {
    let id = familiar(name);
    Event {
        at,
        kind: "image",
        action: action.to_owned(),
        attributes: [("name".to_owned(), id.clone())].into(),
        id,
    }
}

/// Waits until that moment; for ever if there is none.
async fn reached(moment: Option<Timestamp>) {
    match moment {
        Some(moment) => {
            let left = moment.duration_since(Timestamp::now());
            tokio::time::sleep(left.try_into().unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_key_are_alternatives_labels_are_not() {
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            kind: "container",
            action: "die".to_owned(),
            id: "web".to_owned(),
            attributes: [("image", "alpine:3.14"), ("job", "42")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let passes = |texts: &[&str]| {
            let filters: Vec<EventFilter> = texts.iter().map(|t| t.parse().unwrap()).collect();
            event.passes(&filters)
        };
        assert!(passes(&[]));
        assert!(passes(&["type=container", "event=start", "event=die"]));
        assert!(passes(&[
            "container=web",
            "image=alpine:3.14",
            "label=job=42"
        ]));
        assert!(!passes(&["label=job=42", "label=tier"]));
        assert!(!passes(&["type=image"]) && !passes(&["container=we"]));
        for bad in ["", "type", "type=", "colour=red"] {
            assert!(bad.parse::<EventFilter>().is_err(), "{bad}");
        }
    }
}
