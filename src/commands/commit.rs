//! `netrun commit`: an image of what a container's files are now.

use super::changes::{Change, apply};
use super::committed;
use super::context::Context;
use super::values::parse;
use crate::containerd::Client;
use crate::engine::hold;
use crate::image::commit::Commit;
use crate::image::{self, Image, ImageError};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::record::Record;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun commit -m 'curl installed' -c 'CMD [\"curl\"]' web team/curl:1";

/// Make an image of a container
///
/// The image says what the container was run with (its command, -e, -w, -u, -l and so on). One that runs is
/// frozen while its files are read, and goes on even if this command is killed.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,

    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,

    /// What the image says besides, as in a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER, WORKDIR, ...
    #[arg(short, long = "change", value_name = "INSTRUCTION", value_parser = parse::<Change>)]
    pub changes: Vec<Change>,

    /// Freeze it while its files are read
    #[arg(
        short,
        long,
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub pause: bool,

    /// The container
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,

    /// The image's name; without one it is known by its id only
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// What a container was made from is gone.
#[derive(Debug, thiserror::Error)]
#[error("the image that container {container} was made from is not here any more: {image}")]
struct NoBase {
    container: ContainerId,
    /// Its id, or its name where nothing else is known.
    image: String,
    name: String,
}

impl Explain for NoBase {
    fn class(&self) -> Class {
        Class::NotFound
    }

    fn hint(&self) -> Option<String> {
        let NoBase {
            container, name, ..
        } = self;
        Some(format!(
            "pull it again (netrun pull {name}) or, if another image has that name now, keep the files \
             only: netrun export {container}"
        ))
    }
}

/// Makes the image.
///
/// # Errors
/// There is no such container; the image that it was made from is not here any more.
pub async fn commit(context: &Context<'_>, args: &Args) -> Result<Image, Failure> {
    let name = args.name.as_deref().map(Reference::parse_new).transpose()?;
    let (container, record) = context.host.container(&args.container).await?;
    let client = context.host.client().await?;
    let base = base(&client, &record).await?;
    let mut configuration = image::commit::configuration(&client, &base).await?;
    let mut config = committed::config(&configuration["config"], &record, &container.spec_value());
    apply(&args.changes, &mut config);
    configuration["config"] = config;
    let commit = Commit {
        snapshotter: record.snapshotter.clone(),
        key: record.id.to_string(),
        base,
        configuration,
        created_by: committed::command(&record).join(" "),
        author: args.author.clone(),
        comment: args.message.clone(),
    };
    let held = match args.pause {
        true => hold::hold(&context.host, &args.container).await?,
        false => None,
    };
    let taken = async {
        if let Some(held) = held {
            held.release().await;
        }
    };
    Ok(image::commit::commit(&client, &commit, name.as_ref(), taken).await?)
}

/// The image that a container was made from, whatever its name stands for now.
async fn base(client: &Client, record: &Record) -> Result<Image, Failure> {
    let name = &record.image;
    let found = match record.image_id.as_str() {
        // Only its name is known, which may stand for another by now.
        "" => match image::named(client, name).await {
            Err(ImageError::NotFound { .. }) => None,
            named => Some(named?).filter(|image| image.chain_id == record.parent),
        },
        id => image::by_id(client, id, name).await?,
    };
    found.ok_or_else(|| {
        let id = Some(&record.image_id).filter(|id| !id.is_empty());
        NoBase {
            container: record.id.clone(),
            image: id.unwrap_or(name).clone(),
            name: name.clone(),
        }
        .into()
    })
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn it_pauses_unless_told_not_to() {
        let paused = |words: &[&str]| {
            let line = ["commit"].iter().chain(words).chain(&["c", "n"]);
            let matches = Args::augment_args(clap::Command::new("commit")).get_matches_from(line);
            Args::from_arg_matches(&matches).unwrap().pause
        };
        assert!(paused(&[]) && paused(&["-p"]) && paused(&["--pause=true"]));
        assert!(!paused(&["--pause=false"]) && !paused(&["-p=false"]));
    }
}
