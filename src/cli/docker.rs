//! What docker has: its verbs and their options. What of it netrun has is asked of its own grammar.
//!
//! Invariant: the lists are docker's (29) whole, whether netrun has a thing or not; so nothing is
//! struck off when something is built, and the table in `docs/docker.md` is made from them.

use std::borrow::Cow;

use clap::Command;

use super::words::NotSupported;

/// The verbs of docker's command line, those of its plugins that come with it included, and those
/// that are an object and what to do with it.
pub const VERBS: &str = "attach bake build builder buildx checkpoint commit compose config \
    container context cp create debug diff events exec export history image images import info \
    init inspect kill load login logout logs manifest mcp model network node pause plugin port ps \
    pull push rename restart rm rmi run save scout search secret service stack start stats stop \
    swarm system tag top trust unpause update version volume wait";

const CREATE: &str = "--add-host --annotation -a --attach --blkio-weight --blkio-weight-device \
    --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile --cpu-count --cpu-percent \
    --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c --cpu-shares --cpus \
    --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps \
    --device-read-iops --device-write-bps --device-write-iops --disable-content-trust --dns \
    --dns-opt --dns-option --dns-search --domainname --entrypoint -e --env --env-file --expose \
    --gpus --group-add --health-cmd --health-interval --health-retries --health-start-interval \
    --health-start-period --health-timeout -h --hostname --init -i --interactive \
    --io-maxbandwidth --io-maxiops --ip --ip6 --ipc --isolation --kernel-memory -l --label \
    --label-file --link --link-local-ip --log-driver --log-opt --mac-address -m --memory \
    --memory-reservation --memory-swap --memory-swappiness --mount --name --net --net-alias \
    --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid \
    --pids-limit --platform --privileged -p --publish -P --publish-all --pull -q --quiet \
    --read-only --restart --rm --runtime --security-opt --shm-size --stop-signal --stop-timeout \
    --storage-opt --sysctl --tmpfs -t --tty --ulimit --use-api-socket -u --user --userns --uts \
    -v --volume --volume-driver --volumes-from -w --workdir";

/// The options whose empty value (`--name "$NAME"`) is, as with docker, that they were not given.
const UNSET_IF_EMPTY: &str = "cgroup-parent cgroupns cidfile cpuset-cpus detach-keys dns-option domainname \
    health-cmd hostname ip ip6 ipc log-driver mac-address name net pid platform runtime snapshotter \
    stop-signal uts";

/// Whether an option of that long name was not given if its value is empty.
pub fn is_unset_if_empty(name: &str) -> bool {
    UNSET_IF_EMPTY.split_whitespace().any(|known| known == name)
}

/// The options of docker's verbs that netrun may have; those of `create` are `run`'s, too.
const OPTIONS: &[(&str, &str)] = &[
    ("run", "-d --detach --detach-keys --sig-proxy"),
    (
        "start",
        "-a --attach --checkpoint --checkpoint-dir --detach-keys -i --interactive",
    ),
    ("stop", "-s --signal -t --timeout --time"),
    ("restart", "-s --signal -t --timeout --time"),
    ("kill", "-s --signal"),
    ("rm", "-f --force -l --link -v --volumes"),
    (
        "exec",
        "-d --detach --detach-keys -e --env --env-file -i --interactive --privileged -t --tty \
         -u --user -w --workdir",
    ),
    (
        "logs",
        "--details -f --follow --since -n --tail -t --timestamps --until",
    ),
    ("attach", "--detach-keys --no-stdin --sig-proxy"),
    (
        "ps",
        "-a --all -f --filter --format -n --last -l --latest --no-trunc -q --quiet -s --size",
    ),
    ("inspect", "-f --format -s --size --type"),
    (
        "pull",
        "-a --all-tags --disable-content-trust --platform -q --quiet",
    ),
    (
        "images",
        "-a --all --digests -f --filter --format --no-trunc -q --quiet --tree",
    ),
    ("rmi", "-f --force --no-prune --platform"),
    ("info", "-f --format"),
    ("version", "-f --format"),
    ("cp", "-a --archive -L --follow-link -q --quiet"),
    ("export", "-o --output"),
    ("events", "-f --filter --format --since --until"),
    ("stats", "-a --all --format --no-stream --no-trunc"),
    (
        "update",
        "--blkio-weight --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c --cpu-shares \
         --cpus --cpuset-cpus --cpuset-mems --kernel-memory -m --memory --memory-reservation \
         --memory-swap --pids-limit --restart",
    ),
    (
        "push",
        "-a --all-tags --disable-content-trust --platform -q --quiet",
    ),
    ("save", "-o --output --platform"),
    ("load", "-i --input --platform -q --quiet"),
    ("import", "-c --change -m --message --platform"),
    (
        "history",
        "--format -H --human --no-trunc --platform -q --quiet",
    ),
    ("commit", "-a --author -c --change -m --message -p --pause"),
    ("login", "-p --password --password-stdin -u --username"),
    ("search", "-f --filter --format --limit --no-trunc"),
    ("container prune", "--filter -f --force"),
    ("image inspect", "-f --format --platform"),
    ("image prune", "-a --all --filter -f --force"),
    (
        "network connect",
        "--alias --driver-opt --gw-priority --ip --ip6 --link --link-local-ip",
    ),
    (
        "network create",
        "--attachable --aux-address --config-from --config-only -d --driver --gateway --ingress \
         --internal --ip-range --ipam-driver --ipam-opt --ipv4 --ipv6 --label -o --opt --scope \
         --subnet",
    ),
    ("network disconnect", "-f --force"),
    ("network inspect", "-f --format -v --verbose"),
    ("network ls", "-f --filter --format --no-trunc -q --quiet"),
    ("network prune", "--filter -f --force"),
    ("network rm", "-f --force"),
    ("system df", "--format -v --verbose"),
    ("system prune", "-a --all --filter -f --force --volumes"),
    (
        "volume create",
        "--availability -d --driver --group --label --limit-bytes -o --opt --required-bytes \
         --scope --secret --sharing --topology-preferred --topology-required --type",
    ),
    ("volume inspect", "-f --format"),
    ("volume ls", "--cluster -f --filter --format -q --quiet"),
    ("volume prune", "-a --all --filter -f --force"),
    ("volume rm", "-f --force"),
];

/// What docker also calls by an object and what to do with it: the noun, its verb, and the verb that
/// does the same.
const NOUNS: &[(&str, &str, &str)] = &[
    ("container", "ls", "ps"),
    ("container", "list", "ps"),
    ("container", "ps", "ps"),
    ("container", "remove", "rm"),
    ("image", "ls", "images"),
    ("image", "list", "images"),
    ("image", "rm", "rmi"),
    ("image", "remove", "rmi"),
    ("system", "info", "info"),
    ("system", "events", "events"),
];

/// The verbs that docker's `container` and `image` also have under the same names.
const SAME: &[(&str, &str)] = &[
    (
        "container",
        "attach commit cp create diff exec export inspect kill logs pause port rename restart rm \
         run start stats stop top unpause update wait",
    ),
    (
        "image",
        "build history import inspect load pull push save tag",
    ),
];

/// The words from the verb on, without the noun that docker's users may put before it.
pub fn without_noun<'w>(root: &Command, words: &'w [String]) -> Cow<'w, [String]> {
    let [noun, verb, rest @ ..] = words else {
        return Cow::Borrowed(words);
    };
    let ours = root.find_subcommand(noun);
    if ours.is_some_and(|ours| ours.find_subcommand(verb).is_some()) {
        return Cow::Borrowed(words);
    }
    let mut same = verbs_of(noun).filter(|(known, _)| known == verb);
    match same.next() {
        Some((_, same)) => {
            let mut words = vec![same.to_owned()];
            if (noun.as_str(), same) == ("container", "inspect") {
                words.extend(["--type".to_owned(), noun.clone()]);
            }
            words.extend_from_slice(rest);
            Cow::Owned(words)
        }
        None => Cow::Borrowed(words),
    }
}

/// What may be done to an object after docker's fashion (`container ls`), and the verb that does it.
pub fn verbs_of(noun: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let other = NOUNS.iter().filter(move |(known, ..)| *known == noun);
    let same = SAME.iter().filter(move |(known, _)| *known == noun);
    let same = same.flat_map(|(_, verbs)| verbs.split_whitespace());
    let other = other.map(|(_, verb, same)| (*verb, *same));
    other.chain(same.map(|verb| (verb, verb)))
}

/// Whether the program, the first of these words, was called by docker's name (a link).
pub fn is_its_name(words: &[String]) -> bool {
    let name = words.first().map(|program| program.rsplit('/').next());
    name.flatten() == Some("docker")
}

/// The words of a command line; where our name is `docker` (a link), docker's own general options are
/// taken away if they say nothing to us, and refused if they do.
pub fn without_its_options(words: Vec<String>) -> Result<Vec<String>, NotSupported> {
    if !is_its_name(&words) {
        return Ok(words);
    }
    let mut kept: Vec<String> = words[..1].to_vec();
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        match option {
            "-D" | "--debug" => {}
            "-l" | "--log-level" => drop(value.or_else(|| rest.next().cloned())),
            "-H" | "--host" | "-c" | "--context" => {
                let value = value.or_else(|| rest.next().cloned()).unwrap_or_default();
                // There is but one containerd; docker's own socket is as good as its name.
                if value != "default" && !value.starts_with("unix://") {
                    return Err(general(option));
                }
            }
            // docker's word for what is netrun's --docker-config.
            "--config" => {
                kept.push("--docker-config".to_owned());
                kept.extend(value.or_else(|| rest.next().cloned()));
            }
            "--tls" | "--tlscacert" | "--tlscert" | "--tlskey" | "--tlsverify" => {
                return Err(general(option));
            }
            _ => {
                kept.push(word.clone());
                kept.extend(rest.cloned());
                break;
            }
        }
    }
    Ok(kept)
}

fn general(option: &str) -> NotSupported {
    NotSupported::Option {
        verb: "docker".to_owned(),
        option: option.to_owned(),
    }
}

/// Whether docker has this verb.
pub fn has_verb(verb: &str) -> bool {
    VERBS.split_whitespace().any(|known| known == verb)
}

/// Whether docker's verb has that option (with its dashes).
pub fn has_option(verb: &str, option: &str) -> bool {
    options(verb).any(|known| known == option)
}

fn options(verb: &str) -> impl Iterator<Item = &'static str> {
    let shared = matches!(verb, "run" | "create").then_some(CREATE);
    let own = OPTIONS.iter().filter(move |(of, _)| *of == verb);
    let lists = shared.into_iter().chain(own.map(|(_, list)| *list));
    lists.flat_map(str::split_whitespace)
}

/// The page that says what netrun has of docker's verbs and options.
///
/// `root` has been built.
pub fn table(root: &Command) -> String {
    let mut page = String::from(
        "# docker's verbs and options, and what netrun has of them\n\n\
         Made by `netrun generate docker`; a test holds it to the code. What is not there yet is \
         refused with exit code 125, never ignored.\n\n\
         | verb | options that work | not yet |\n|---|---|---|\n",
    );
    let mut missing = Vec::new();
    for verb in VERBS.split_whitespace() {
        let Some(command) = root.find_subcommand(verb) else {
            missing.push(format!("`{verb}`"));
            continue;
        };
        if command.has_subcommands() {
            for (nested, _) in nested(verb) {
                let inner = nested.rsplit(' ').next().unwrap_or_default();
                match command.find_subcommand(inner) {
                    Some(command) => page += &row(nested, command),
                    None => missing.push(format!("`{nested}`")),
                }
            }
        } else {
            page += &row(verb, command);
        }
    }
    page += &format!("\nVerbs that are not there yet: {}.\n", missing.join(", "));
    page
}

/// The verbs of one of docker's objects that do not stand alone, with their options.
fn nested(noun: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    OPTIONS
        .iter()
        .filter(move |(verb, _)| verb.strip_prefix(noun).is_some_and(|r| r.starts_with(' ')))
}

/// A verb, what works of it, and what does not.
fn row(verb: &str, command: &Command) -> String {
    // Of the general options only this one is docker's, too.
    let known = |option: &&str| has(command, option) || *option == "--format";
    let (there, not): (Vec<&str>, Vec<&str>) = options(verb).partition(known);
    let list = |options: Vec<&str>| match options.is_empty() {
        true => String::new(),
        false => format!("`{}`", options.join(" ")),
    };
    format!("| `{verb}` | {} | {} |\n", list(there), list(not))
}

/// Whether a verb of ours has an option (with its dashes).
fn has(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        let long = arg.get_long().into_iter().chain(aliases);
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        let mut long = long.map(|name| format!("--{name}"));
        long.any(|name| name == option) || short.is_some_and(|short| short == option)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::grammar::Cli;

    #[test]
    fn the_page_is_made_from_the_code() {
        let mut root = Cli::command();
        root.build();
        let made = table(&root);
        let written = include_str!("../../docs/docker.md");
        assert!(
            made == written,
            "write it again: netrun generate docker >docs/docker.md"
        );
    }

    #[test]
    fn options_are_known_by_verb() {
        assert!(has_option("run", "--link"));
        assert!(has_option("run", "--sig-proxy") && !has_option("create", "--sig-proxy"));
        assert!(has_option("volume create", "--opt"));
        assert!(has_option("create", "-c") && !has_option("stop", "-c"));
        assert!(!has_option("run", "--pub") && !has_option("run", ""));
        assert!(has_verb("compose") && !has_verb("gc"));
    }

    #[test]
    fn under_dockers_name_its_general_options_say_nothing() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (typed, kept) in [
            (
                "/usr/bin/docker -D --log-level debug ps -D",
                "/usr/bin/docker ps -D",
            ),
            ("docker -H unix:///var/run/docker.sock ps", "docker ps"),
            (
                "docker --context=default run -l a=b x",
                "docker run -l a=b x",
            ),
            (
                "docker --config /x pull a",
                "docker --docker-config /x pull a",
            ),
            (
                "docker --config=/x login",
                "docker --docker-config /x login",
            ),
            ("netrun -D ps", "netrun -D ps"),
        ] {
            assert_eq!(without_its_options(words(typed)).unwrap(), words(kept));
        }
        for refused in ["docker -H tcp://build:2376 ps", "docker --tlsverify ps"] {
            assert!(without_its_options(words(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn nouns_are_taken_away_where_a_verb_says_the_same() {
        let mut root = Cli::command();
        root.build();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (typed, meant) in [
            ("container ls -a", "ps -a"),
            ("container run alpine", "run alpine"),
            ("image remove x", "rmi x"),
            ("image rm x", "image rm x"),
            ("system events", "events"),
            ("container prune", "container prune"),
            ("volume ls", "volume ls"),
            ("ps", "ps"),
        ] {
            assert_eq!(*without_noun(&root, &words(typed)), words(meant), "{typed}");
        }
    }
}
