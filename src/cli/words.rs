//! The order of words: options may stand after the image, general ones after the verb.
//!
//! Invariant: the clap definition alone says which options there are and which take a value; this
//! only moves words, so that clap meets options first, then `--`, then the image and the command.

use clap::{Arg, Command, Id};

use super::docker;

/// The verbs whose options may also stand after their first word; under docker's name there is none.
const TWO_SIDED: [&str; 2] = ["run", "create"];

/// The short options that are netrun's even after the image.
const SHORT_AFTER_IMAGE: &str = "deiptvw";

/// The words in the order that clap reads, and what was moved.
#[derive(Debug, PartialEq, Eq)]
pub struct Arranged {
    /// The program, general options, the verb, its options, `--`, the image, the command.
    pub words: Vec<String>,
    /// The options that stood after the image, each with its value as typed.
    pub options_after_image: Vec<String>,
}

/// docker has this, netrun does not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSupported {
    /// A verb.
    #[error("\"{0}\" is not supported yet")]
    Verb(String),
    /// An option of a verb.
    #[error("the option {option} of \"{verb}\" is not supported yet")]
    Option {
        /// The verb.
        verb: String,
        /// The option with its dashes.
        option: String,
    },
}

/// Puts the words of a command line (the program first) in the order that clap reads.
///
/// `root` has been built. What nobody knows is left where it is, for clap to complain.
pub fn arrange(root: &Command, words: &[String]) -> Result<Arranged, NotSupported> {
    let Some((general, rest)) = general(root, words) else {
        return Ok(untouched(words));
    };
    let mut line = Line {
        general,
        ..Line::default()
    };
    let rest = docker::without_noun(root, rest);
    let [verb, rest @ ..] = &*rest else {
        return Ok(untouched(words));
    };
    let Some(command) = root
        .find_subcommand(verb)
        .filter(|c| c.get_name() != "help")
    else {
        return match docker::has_verb(verb) {
            true => Err(NotSupported::Verb(verb.clone())),
            false => Ok(untouched(words)),
        };
    };
    let Some((path, command, rest)) = within(command, rest)? else {
        return Ok(untouched(words));
    };
    let name = path.join(" ");
    let two_sided = TWO_SIDED.contains(&name.as_str()) && !docker::is_its_name(words);
    let verb = Verb {
        root,
        name,
        command,
        two_sided,
    };
    verb.arrange(&mut line, rest)?;
    let program = words.first().cloned();
    Ok(line.arranged(program, &path))
}

/// A verb: the words that lead to it, its definition, and what follows.
type Inner<'c, 'w> = (Vec<&'c str>, &'c Command, &'w [String]);

/// From a group (`image`) to its verb (`image prune`); nothing if the group stands alone, or before a
/// word that nobody knows.
fn within<'c, 'w>(
    group: &'c Command,
    words: &'w [String],
) -> Result<Option<Inner<'c, 'w>>, NotSupported> {
    let name = group.get_name();
    if !group.has_subcommands() {
        return Ok(Some((vec![name], group, words)));
    }
    let [word, rest @ ..] = words else {
        return Ok(None);
    };
    match group.find_subcommand(word) {
        Some(inner) => Ok(Some((vec![name, inner.get_name()], inner, rest))),
        None if docker::has_option(name, word) => Err(NotSupported::Verb(format!("{name} {word}"))),
        None => Ok(None),
    }
}

/// The verb of a command line, as typed: the first word that is no general option nor its value.
pub fn verb(root: &Command, words: &[String]) -> Option<String> {
    let (_, rest) = general(root, words)?;
    docker::without_noun(root, rest).first().cloned()
}

/// The options before the verb, and the words from the verb on; nothing if an option is unknown.
fn general<'w>(root: &Command, words: &'w [String]) -> Option<(Options, &'w [String])> {
    let mut options = Options::default();
    let mut rest = words.get(1..).unwrap_or_default();
    while let [word, more @ ..] = rest
        && is_option(word)
    {
        let reading = read(root, word, more.first()).ok()?;
        rest = rest.get(reading.width..).unwrap_or_default();
        options.take(reading.options);
    }
    Some((options, rest))
}

fn untouched(words: &[String]) -> Arranged {
    Arranged {
        words: words.to_vec(),
        options_after_image: Vec::new(),
    }
}

/// The parts of a command line, in the order in which they will stand.
#[derive(Default)]
struct Line {
    general: Options,
    options: Options,
    after_image: Vec<String>,
    /// Words that clap shall see as they are: names of objects, `--`, what nobody knows.
    words: Vec<String>,
}

impl Line {
    fn arranged(self, program: Option<String>, verb: &[&str]) -> Arranged {
        let mut words: Vec<String> = program.into_iter().collect();
        words.extend(self.general.into_words());
        words.extend(verb.iter().map(|&word| word.to_owned()));
        words.extend(self.options.into_words());
        words.extend(self.words);
        Arranged {
            words,
            options_after_image: self.after_image,
        }
    }
}

/// A verb in its program.
struct Verb<'a> {
    root: &'a Command,
    /// Its own, after that of the group that it stands in: `volume create`.
    name: String,
    command: &'a Command,
    /// Its options may also stand after its first word.
    two_sided: bool,
}

impl Verb<'_> {
    fn arrange(&self, line: &mut Line, mut rest: &[String]) -> Result<(), NotSupported> {
        let command_follows = self
            .command
            .get_positionals()
            .any(Arg::is_trailing_var_arg_set);
        while let [word, more @ ..] = rest {
            if word == "--" {
                line.words.extend_from_slice(rest);
                break;
            } else if !is_option(word) && command_follows {
                let command = self.command_words(line, more)?;
                line.words.extend(["--".to_owned(), word.clone()]);
                line.words.extend_from_slice(command);
                break;
            } else if !is_option(word) {
                line.words.push(word.clone());
                rest = more;
            } else if let Some(width) = self.option(line, word, more.first())? {
                rest = rest.get(width..).unwrap_or_default();
            } else {
                line.words.extend_from_slice(rest);
                break;
            }
        }
        Ok(())
    }

    /// Takes one option word; gives how many words it was, or nothing if nobody knows it.
    fn option(
        &self,
        line: &mut Line,
        word: &str,
        next: Option<&String>,
    ) -> Result<Option<usize>, NotSupported> {
        let unknown = match read(self.command, word, next) {
            Ok(reading) => {
                line.options.take(reading.options);
                return Ok(Some(reading.width));
            }
            Err(unknown) => unknown,
        };
        if docker::has_option(&self.name, &unknown) {
            let (verb, option) = (self.name.clone(), unknown);
            return Err(NotSupported::Option { verb, option });
        }
        let general = read(self.root, word, next).ok().filter(|reading| {
            let printed = |given: &Given| matches!(given.id.as_str(), "help" | "version");
            !reading.options.iter().any(printed)
        });
        Ok(general.map(|reading| {
            line.general.take(reading.options);
            reading.width
        }))
    }

    /// Takes the options that stand after the image, and gives the command with its arguments.
    fn command_words<'w>(
        &self,
        line: &mut Line,
        mut rest: &'w [String],
    ) -> Result<&'w [String], NotSupported> {
        while let [word, more @ ..] = rest {
            if word == "--" {
                return Ok(more);
            }
            if !self.two_sided || !is_option(word) || !self.is_ours_after_image(word) {
                break;
            }
            let Some(width) = self.option(line, word, more.first())? else {
                break;
            };
            let typed = &rest[..width.min(rest.len())];
            line.after_image.push(typed.join(" "));
            rest = &rest[typed.len()..];
        }
        Ok(rest)
    }

    /// After the image a long option is ours if we know it, but `--help` and `--version` are the
    /// command's; and of the short ones only a few are.
    fn is_ours_after_image(&self, word: &str) -> bool {
        let Some(long) = word.strip_prefix("--") else {
            return self.is_short_after_image(word);
        };
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        let known = [self.command, self.root]
            .into_iter()
            .find_map(|c| by_long(c, name));
        match known {
            Some(arg) => !matches!(arg.get_id().as_str(), "help" | "version"),
            None => docker::has_option(&self.name, &format!("--{name}")),
        }
    }

    fn is_short_after_image(&self, word: &str) -> bool {
        for letter in word.chars().skip(1) {
            if !SHORT_AFTER_IMAGE.contains(letter) {
                // What follows "=" is a value, whoever the option's letter belongs to.
                return letter == '=' && word.chars().nth(1) != Some('=');
            }
            match by_short(self.command, letter) {
                Some(arg) if !takes_value(arg) => {}
                // The rest is its value; or netrun does not have it yet and says so.
                _ => return true,
            }
        }
        true
    }
}

/// Options in the order given, each with its value.
#[derive(Default)]
struct Options(Vec<Given>);

/// One option as it will be handed to clap.
struct Given {
    id: Id,
    /// The option and its value; empty for a switch that is taken back (`--rm=false`).
    words: Vec<String>,
}

impl Options {
    fn take(&mut self, given: Vec<Given>) {
        for given in given {
            if given.words.is_empty() {
                self.0.retain(|earlier| earlier.id != given.id);
            } else {
                self.0.push(given);
            }
        }
    }

    fn into_words(self) -> impl Iterator<Item = String> {
        self.0.into_iter().flat_map(|given| given.words)
    }
}

/// The options of one word, and how many words they take with the value.
struct Reading {
    options: Vec<Given>,
    width: usize,
}

/// Reads one option word as `command` understands it, or gives the option that it does not know.
fn read(command: &Command, word: &str, next: Option<&String>) -> Result<Reading, String> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let option = format!("--{name}");
        return match by_long(command, name) {
            Some(arg) => Ok(finish(Vec::new(), arg, (option, value, next))),
            None => Err(option),
        };
    }
    let mut options = Vec::new();
    for (at, letter) in word[1..].char_indices() {
        let option = format!("-{letter}");
        let arg = by_short(command, letter).ok_or_else(|| option.clone())?;
        let after = &word[1 + at + letter.len_utf8()..];
        if takes_value(arg) || after.starts_with('=') {
            let value = (!after.is_empty()).then(|| after.strip_prefix('=').unwrap_or(after));
            return Ok(finish(options, arg, (option, value, next)));
        }
        options.push(switch(arg, option, None));
    }
    Ok(Reading { options, width: 1 })
}

/// The reading whose last option is this one, with its value in the same word or in the next.
fn finish(
    mut options: Vec<Given>,
    arg: &Arg,
    (option, value, next): (String, Option<&str>, Option<&String>),
) -> Reading {
    if !takes_value(arg) {
        options.push(switch(arg, option, value));
        return Reading { options, width: 1 };
    }
    // One that may go without stands in the same word; else the next is it, dash or not, as with docker.
    let apart = value.is_none() && !arg.is_require_equals_set();
    let next = next.filter(|_| apart).map(String::as_str);
    let width = if apart { 2 } else { 1 };
    if value.or(next) == Some("") && arg.get_long().is_some_and(docker::is_unset_if_empty) {
        return Reading { options, width };
    }
    let mut words = vec![option];
    match value.or(next.filter(|next| next.starts_with('-'))) {
        Some(value) => words[0] += &format!("={value}"),
        None => words.extend(next.map(str::to_owned)),
    }
    let id = arg.get_id().clone();
    options.push(Given { id, words });
    Reading { options, width }
}

/// A switch, taken back if its value says so; a value that is neither is left for clap to refuse.
fn switch(arg: &Arg, option: String, value: Option<&str>) -> Given {
    let words = match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => vec![option],
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Vec::new(),
        Some(other) => vec![format!("{option}={other}")],
    };
    let id = arg.get_id().clone();
    Given { id, words }
}

fn is_option(word: &str) -> bool {
    word.starts_with('-') && word != "-" && word != "--"
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn by_long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || aliases.contains(&name)
    })
}

fn by_short(command: &Command, letter: char) -> Option<&Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_short() == Some(letter))
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
