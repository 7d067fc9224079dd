//! What may follow the words of an unfinished command line: verbs, options, and the names of what there is.
//!
//! Invariant: it never fails and never writes to the terminal; what cannot be known is not proposed.
//! Which argument takes whose name is told by the argument's own value name.

use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::docker;
use super::grammar::Cli;
use crate::commands::context::Context;
use crate::engine::paths::STATE;
use crate::engine::scope_end;
use crate::engine::volumes::Store;
use crate::image;
use crate::model::reference::Reference;

/// Print what may follow an unfinished command line
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// The words so far, the unfinished one last
    #[arg(
        value_name = "WORD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub words: Vec<String>,
}

/// One proposal: the word, and what it is.
type Proposal = (String, String);

/// Lines of proposals for the last word.
pub async fn complete(context: &Context<'_>, words: &[String]) -> String {
    let mut root = Cli::command();
    root.build();
    let (unfinished, before) = match words {
        [before @ .., last] => (last.as_str(), before),
        [] => ("", words),
    };
    let (place, head, unfinished) = within_a_word(find(&root, before), &root, unfinished);
    let mut proposals = match &place {
        Place::Value(arg) => values(context, arg).await,
        Place::Word(command, _) if unfinished.starts_with('-') => options(command, &root),
        Place::Word(command, _) if command.has_subcommands() => verbs(command, &root),
        Place::Word(command, position) => words_of(context, command, *position).await,
        Place::Foreign => Vec::new(),
    };
    proposals.retain(|(word, _)| word.starts_with(unfinished));
    proposals.sort();
    proposals.dedup();
    let lines = proposals
        .into_iter()
        .map(|(word, about)| format!("{head}{word}\t{about}\n"));
    lines.collect()
}

/// Where the end of an unfinished word stands, what is before it, and the end: of `--net=my` the
/// option's value is unfinished.
fn within_a_word<'a, 'w>(
    place: Place<'a>,
    root: &'a Command,
    word: &'w str,
) -> (Place<'a>, &'w str, &'w str) {
    if let (Place::Word(command, _), Some(at)) = (&place, word.find('='))
        && word.starts_with("--")
        && let Some(arg) = option(command, word).or_else(|| option(root, word))
    {
        let (head, value) = word.split_at(at + 1);
        return (Place::Value(arg), head, value);
    }
    (place, "", word)
}

/// Where the unfinished word stands.
enum Place<'a> {
    /// It is the value of this option.
    Value(&'a Arg),
    /// It is an option, a verb, or the argument with this number.
    Word(&'a Command, usize),
    /// It is a word of the container's command.
    Foreign,
}

fn find<'a>(root: &'a Command, before: &[String]) -> Place<'a> {
    let mut command = root;
    let mut position = 0;
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            return Place::Foreign;
        }
        if word.starts_with('-') && word != "-" {
            let arg = option(command, word).or_else(|| option(root, word));
            let apart = arg.filter(|arg| arg.get_action().takes_values() && !word.contains('='));
            if let Some(arg) = apart
                && words.next().is_none()
            {
                return Place::Value(arg);
            }
        } else if let Some(verb) = verb_of(root, command, word) {
            command = verb;
        } else {
            position += 1;
        }
    }
    // Behind the image, or the container of an exec, the words are the container's.
    let last = command.get_positionals().last();
    let foreign = last.is_some_and(|arg| arg.is_trailing_var_arg_set()) && position > 0;
    match foreign {
        true => Place::Foreign,
        false => Place::Word(command, position),
    }
}

/// The verb that a word is, also docker's way: `container rm`.
fn verb_of<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a Command> {
    let nouns = || {
        let mut verbs = docker::verbs_of(command.get_name());
        let (_, same) = verbs.find(|(verb, _)| *verb == word)?;
        root.find_subcommand(same)
    };
    let group = command.has_subcommands();
    let own = command.find_subcommand(word);
    own.or_else(|| group.then(nouns).flatten())
}

/// The option that a word is; of several letters the last one.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut args = command.get_arguments();
    match word.strip_prefix("--") {
        Some(long) => {
            let name = long.split('=').next();
            args.find(|arg| {
                let aliases = arg.get_all_aliases().unwrap_or_default();
                arg.get_long() == name || aliases.iter().any(|alias| Some(*alias) == name)
            })
        }
        None => args.find(|arg| arg.get_short() == word.chars().last()),
    }
}

fn options(command: &Command, root: &Command) -> Vec<Proposal> {
    let all = command.get_arguments().chain(root.get_arguments());
    let shown = all.filter(|arg| !arg.is_hide_set());
    let named = shown.filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg))));
    named.collect()
}

fn about(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

/// The verbs that may stand there.
fn verbs(command: &Command, root: &Command) -> Vec<Proposal> {
    let about = |verb: &Command| verb.get_about().map(ToString::to_string);
    let own = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let own = own.map(|verb| (verb.get_name().to_owned(), about(verb).unwrap_or_default()));
    let dockers = docker::verbs_of(command.get_name()).filter_map(|(verb, same)| {
        let own = command.find_subcommand(verb).is_some();
        let same = root.find_subcommand(same).filter(|_| !own)?;
        Some((verb.to_owned(), about(same).unwrap_or_default()))
    });
    own.chain(dockers).collect()
}

/// The names that the argument takes.
async fn words_of(context: &Context<'_>, command: &Command, position: usize) -> Vec<Proposal> {
    // What is to be made has no name yet.
    if command.get_name() == "create"
        && !command.get_positionals().any(Arg::is_trailing_var_arg_set)
    {
        return Vec::new();
    }
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    match positionals.get(position).or(positionals.last()) {
        Some(arg) => values(context, arg).await,
        None => Vec::new(),
    }
}

/// The values of an argument: those that the grammar lists, or the names of what there is.
async fn values(context: &Context<'_>, arg: &Arg) -> Vec<Proposal> {
    let listed = arg.get_possible_values();
    if !listed.is_empty() {
        let proposal = |value: &clap::builder::PossibleValue| {
            let help = value.get_help().map(ToString::to_string);
            (value.get_name().to_owned(), help.unwrap_or_default())
        };
        return listed.iter().map(proposal).collect();
    }
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map(ToString::to_string).unwrap_or_default();
    match name.split([':', '[']).find(|part| !part.is_empty()) {
        Some("CONTAINER") => containers(context),
        Some("IMAGE") => images(context).await,
        Some("VOLUME") => volumes(context),
        Some("SOURCE" | "DESTINATION") if arg.is_positional() => {
            followed_by_colon(containers(context))
        }
        Some("SOURCE") => followed_by_colon(volumes(context)),
        Some("MODE") => modes(context, arg),
        Some("NETWORK") => networks(context),
        Some("SCOPE") => scopes(context).await,
        Some("NAME") if arg.get_long().is_none() => {
            let mut all = containers(context);
            all.extend(images(context).await);
            all
        }
        _ => Vec::new(),
    }
}

fn proposals(names: impl IntoIterator<Item = String>, kind: &str) -> Vec<Proposal> {
    names
        .into_iter()
        .map(|name| (name, kind.to_owned()))
        .collect()
}

/// What a path follows.
fn followed_by_colon(mut names: Vec<Proposal>) -> Vec<Proposal> {
    names.iter_mut().for_each(|(name, _)| name.push(':'));
    names
}

/// Whose namespace it can be.
fn modes(context: &Context<'_>, arg: &Arg) -> Vec<Proposal> {
    let known: &[&str] = match arg.get_long() {
        Some("ipc") => &["host", "none", "private", "shareable"],
        _ => &["host", "private"],
    };
    let mut all = proposals(known.iter().map(|&mode| mode.to_owned()), "mode");
    if matches!(arg.get_long(), Some("pid" | "ipc")) {
        all.extend(of_containers(context));
    }
    all
}

/// `container:NAME` of each container.
fn of_containers(context: &Context<'_>) -> Vec<Proposal> {
    let mut all = containers(context);
    all.iter_mut()
        .for_each(|(name, _)| name.insert_str(0, "container:"));
    all
}

/// Each container has a directory: containerd need not be asked.
fn containers(context: &Context<'_>) -> Vec<Proposal> {
    let directory = Path::new(STATE).join(context.settings.namespace.as_str());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    proposals(names.filter(|name| !name.starts_with('.')), "container")
}

fn volumes(context: &Context<'_>) -> Vec<Proposal> {
    let volumes = Store::new(&context.settings.namespace).list();
    let names = volumes.unwrap_or_default().into_iter();
    proposals(names.map(|volume| volume.name.to_string()), "volume")
}

async fn images(context: &Context<'_>) -> Vec<Proposal> {
    let Ok(client) = context.host.client().await else {
        return Vec::new();
    };
    let images = image::list(&client, &context.settings.snapshotter)
        .await
        .unwrap_or_default();
    let names = images.into_iter().map(|image| {
        let reference = Reference::parse(&image.name);
        reference.map_or(image.name, |reference| reference.familiar())
    });
    proposals(names, "image")
}

async fn scopes(context: &Context<'_>) -> Vec<Proposal> {
    let all = scope_end::all(&context.host, &context.settings.cni_conf_dir).await;
    let names = all.unwrap_or_default().into_keys();
    proposals(names.map(|name| name.to_string()), "scope")
}

/// The names of the networks, from their files.
fn networks(context: &Context<'_>) -> Vec<Proposal> {
    let entries = fs::read_dir(&context.settings.cni_conf_dir)
        .into_iter()
        .flatten();
    let texts = entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path()).ok());
    let names = texts.filter_map(|text| {
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(json["name"].as_str()?.to_owned())
    });
    let usual = ["none", "host"].map(str::to_owned);
    let mut all = proposals(names.chain(usual), "network");
    all.extend(of_containers(context));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: &str) -> String {
        let mut root = Cli::command();
        root.build();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match find(&root, &words) {
            Place::Value(arg) => format!("value of {}", arg.get_id()),
            Place::Word(command, position) => format!("{} {position}", command.get_name()),
            Place::Foreign => "foreign".to_owned(),
        }
    }

    #[test]
    fn the_place_of_the_unfinished_word_is_found() {
        for (line, expected) in [
            ("", "netrun 0"),
            ("run", "run 0"),
            ("run --rm -it", "run 0"),
            ("run --net", "value of networks"),
            ("run --net=x", "run 0"),
            ("run alpine", "foreign"),
            ("exec -it web", "foreign"),
            ("rm web", "rm 1"),
            ("volume rm", "rm 0"),
            ("-n ci ps", "ps 0"),
            ("run -- alpine", "foreign"),
            ("container", "container 0"),
            ("container rm web", "rm 1"),
            ("container ls", "ps 0"),
            ("image ls", "ls 0"),
            ("image history", "history 0"),
        ] {
            assert_eq!(place(line), expected, "{line}");
        }
    }

    #[test]
    fn a_value_may_stand_in_the_options_own_word() {
        let mut root = Cli::command();
        root.build();
        let before = ["run".to_owned()];
        for (word, head, value) in [
            ("--net=my", "--net=", "my"),
            ("--pid=container:w", "--pid=", "container:w"),
            ("--frob=x", "", "--frob=x"),
            ("web=x", "", "web=x"),
        ] {
            let (_, found, rest) = within_a_word(find(&root, &before), &root, word);
            assert_eq!((found, rest), (head, value), "{word}");
        }
    }
}
