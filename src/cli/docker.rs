//! What docker has: its verbs and their options. What of it netrun has is asked of its own grammar.
//!
//! Invariant: the lists are docker's (29) whole, whether netrun has a thing or not; so nothing is
//! struck off when something is built, and the table in `docs/docker.md` is made from them.

use clap::Command;

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
];

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
        let known = |option: &&str| has(command, option) || has(root, option);
        let (there, not): (Vec<&str>, Vec<&str>) = options(verb).partition(known);
        let list = |options: Vec<&str>| match options.is_empty() {
            true => String::new(),
            false => format!("`{}`", options.join(" ")),
        };
        page += &format!("| `{verb}` | {} | {} |\n", list(there), list(not));
    }
    page += &format!("\nVerbs that are not there yet: {}.\n", missing.join(", "));
    page
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
        assert!(has_option("run", "--publish"));
        assert!(has_option("run", "--sig-proxy") && !has_option("create", "--sig-proxy"));
        assert!(has_option("create", "-p") && !has_option("stop", "-p"));
        assert!(!has_option("run", "--pub") && !has_option("run", ""));
        assert!(has_verb("compose") && !has_verb("gc"));
    }
}
