//! `netrun inspect`: all that is known of an object.

use super::context::Context;
use super::each::{Each, each};
use crate::engine::error::Error;
use crate::engine::view::{self, View};
use crate::image::{self, Image};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun inspect web
  netrun inspect -f '{{.State.Running}}' web
  netrun inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web";

/// Print all that is known of containers or images
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How to print: json, or a template such as '{{.State.Running}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Names of containers, or images
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

/// Neither a container nor an image has the name.
#[derive(Debug, thiserror::Error)]
#[error("there is no container and no image \"{0}\"")]
struct NoSuchObject(String);

impl Explain for NoSuchObject {
    fn class(&self) -> Class {
        Class::NotFound
    }

    fn hint(&self) -> Option<String> {
        Some("netrun ps -a lists all containers, netrun images all images".to_owned())
    }
}

/// What a name stands for.
#[derive(Debug)]
pub enum Object {
    /// A container.
    Container(Box<View>),
    /// An image.
    Image(Box<Image>),
}

/// Finds the objects: a container, else an image of the name.
pub async fn inspect(context: &Context<'_>, args: &Args) -> Each<Object> {
    each(&args.names, async |name| find(context, name).await).await
}

async fn find(context: &Context<'_>, name: String) -> Result<Object, Failure> {
    if let Ok(id) = name.parse::<ContainerId>() {
        match view::one(&context.host, &id).await {
            Err(Error::NoSuchContainer { .. }) => {}
            outcome => return Ok(Object::Container(Box::new(outcome?))),
        }
    }
    let client = context.host.client().await?;
    let image = match Reference::parse(&name) {
        Ok(reference) => image::local(&client, &reference).await?,
        Err(_) => None,
    };
    match image {
        Some(image) => Ok(Object::Image(Box::new(image))),
        None => Err(NoSuchObject(name).into()),
    }
}
