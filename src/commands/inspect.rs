//! `netrun inspect`: all that is known of an object.
//!
//! Invariant: as with docker, a name is a container's before it is an image's, a network's, a volume's.

use clap::ValueEnum;

use super::context::Context;
use super::each::{Each, each};
use super::image_name::{self, Named};
use super::network::inspect::{self, Inspected};
use super::size::{self, Size};
use crate::engine::error::Error;
use crate::engine::view::{self, View};
use crate::engine::volumes::{Store, Volume};
use crate::image;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::{ContainerId, VolumeName};
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun inspect web
  netrun inspect -f '{{.State.Running}}' web
  netrun inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web";

/// Print all that is known of containers, images, networks or volumes
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How to print: json, or a template such as '{{.State.Running}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Only this kind of objects: container, image, network or volume
    #[arg(
        long = "type",
        value_name = "KIND",
        value_enum,
        hide_possible_values = true
    )]
    pub kind: Option<Kind>,

    /// What a container has written takes so many bytes: SizeRw, and SizeRootFs with its image
    #[arg(short, long)]
    pub size: bool,

    /// Names of containers, images, networks or volumes
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

/// The kinds of objects, in the order in which a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Container, Kind::Image, Kind::Network, Kind::Volume];

    fn name(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Image => "image",
            Kind::Network => "network",
            Kind::Volume => "volume",
        }
    }

    /// The verb that lists them.
    fn list(self) -> &'static str {
        match self {
            Kind::Container => "ps -a",
            Kind::Image => "images",
            Kind::Network => "network ls",
            Kind::Volume => "volume ls",
        }
    }
}

/// Nothing has the name.
#[derive(Debug, thiserror::Error)]
enum NoSuchObject {
    /// Of no kind.
    #[error("there is no container, image, network or volume \"{0}\"")]
    Any(String),
    /// Of the one kind that was asked for.
    #[error("there is no {} \"{name}\"", kind.name())]
    Kind {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
    },
}

impl Explain for NoSuchObject {
    fn class(&self) -> Class {
        Class::NotFound
    }

    fn hint(&self) -> Option<String> {
        let verb = match self {
            Self::Kind { kind, .. } => kind.list(),
            Self::Any(_) => {
                let hint = "netrun ps -a lists all containers, netrun images all images";
                return Some(hint.to_owned());
            }
        };
        Some(format!("netrun {verb} lists them"))
    }
}

/// What a name stands for.
#[derive(Debug)]
pub enum Object {
    /// A container, and what it takes, if that was asked for.
    Container(Box<View>, Option<Size>),
    /// An image.
    Image(Box<Named>),
    /// A network.
    Network(Box<Inspected>),
    /// A volume.
    Volume(Volume),
}

/// Finds the objects: of each name a container, else an image, a network, a volume.
pub async fn inspect(context: &Context<'_>, args: &Args) -> Each<Object> {
    each(&args.names, async |name| find(context, args, name).await).await
}

async fn find(context: &Context<'_>, args: &Args, name: String) -> Result<Object, Failure> {
    for kind in Kind::ALL {
        if args.kind.is_some_and(|wanted| wanted != kind) {
            continue;
        }
        let found = match kind {
            Kind::Container => container(context, &name, args.size).await?,
            Kind::Image => image(context, &name).await?.map(Object::Image),
            Kind::Network => network(context, &name).await?.map(Object::Network),
            Kind::Volume => volume(context, &name)?.map(Object::Volume),
        };
        if let Some(object) = found {
            return Ok(object);
        }
    }
    Err(match args.kind {
        Some(kind) => NoSuchObject::Kind { kind, name },
        None => NoSuchObject::Any(name),
    }
    .into())
}

async fn container(
    context: &Context<'_>,
    name: &str,
    with_size: bool,
) -> Result<Option<Object>, Failure> {
    let Ok(id) = name.parse::<ContainerId>() else {
        return Ok(None);
    };
    let view = match view::one(&context.host, &id).await {
        Err(Error::NoSuchContainer { .. }) => return Ok(None),
        outcome => outcome?,
    };
    let size = match with_size {
        true => Some(size::of(context, &view.record).await?),
        false => None,
    };
    Ok(Some(Object::Container(Box::new(view), size)))
}

async fn image(context: &Context<'_>, name: &str) -> Result<Option<Box<Named>>, Failure> {
    if let Ok(reference) = Reference::parse(name)
        && reference.digest().is_none()
        && !image_name::may_be_id(name)
    {
        // A short word is rather a network's name than the beginning of an id.
        let client = context.host.client().await?;
        match image::named(&client, &reference.to_string()).await {
            Err(error) if error.class() == Class::NotFound => return Ok(None),
            named => drop(named?),
        }
    }
    match image_name::load_named(context, name).await {
        Ok(image) => Ok(Some(Box::new(image))),
        // It may still be something else's name.
        Err(error) if matches!(error.class(), Class::NotFound | Class::InvalidInput) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn network(context: &Context<'_>, name: &str) -> Result<Option<Box<Inspected>>, Failure> {
    match inspect::one(context, name).await {
        Ok(network) => Ok(Some(Box::new(network))),
        Err(error) if error.class() == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn volume(context: &Context<'_>, name: &str) -> Result<Option<Volume>, Failure> {
    let Ok(name) = name.parse::<VolumeName>() else {
        return Ok(None);
    };
    Ok(Store::new(&context.settings.namespace).find(&name)?)
}
