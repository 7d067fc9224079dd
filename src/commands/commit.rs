//! `netrun commit`: an image of what a container's files are now.

use serde_json::{Value, json};

use super::changes::Change;
use super::context::Context;
use super::values::parse;
use crate::engine::hold;
use crate::image::commit::Commit;
use crate::image::{self, Image};
use crate::model::class::Failure;
use crate::model::id::ContainerId;
use crate::model::reference::Reference;

const EXAMPLES: &str = "\
Examples:
  netrun commit -m 'curl installed' -c 'CMD [\"curl\"]' web team/curl:1";

/// Make an image of a container
///
/// One that runs is frozen while its files are read, and goes on even if this command is killed.
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

/// Makes the image.
///
/// # Errors
/// There is no such container; the image that it was made from is not here any more.
pub async fn commit(context: &Context<'_>, args: &Args) -> Result<Image, Failure> {
    let name = args.name.as_deref().map(Reference::parse_new).transpose()?;
    let (_, record) = context.host.container(&args.container).await?;
    let client = context.host.client().await?;
    let base = image::named(&client, &record.image).await?;
    let mut config = base
        .config
        .config()
        .as_ref()
        .map_or(json!({}), |config| json!(config));
    for change in &args.changes {
        change.apply(&mut config);
    }
    let commit = Commit {
        snapshotter: record.snapshotter.clone(),
        key: record.id.to_string(),
        base,
        config: without_nulls(config),
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

fn without_nulls(mut config: Value) -> Value {
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    config
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
