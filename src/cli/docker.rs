//! What docker has and netrun does not have yet: verbs, and options of the verbs that both have.
//!
//! Invariant: nothing here is known to netrun's own grammar; what is built is struck off this list.

/// The verbs of docker's command line, those of its plugins that come with it included.
pub const VERBS: [&str; 34] = [
    "bake",
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "compose",
    "config",
    "container",
    "context",
    "cp",
    "debug",
    "diff",
    "events",
    "export",
    "init",
    "manifest",
    "mcp",
    "model",
    "node",
    "pause",
    "plugin",
    "rename",
    "scout",
    "search",
    "secret",
    "service",
    "stack",
    "stats",
    "swarm",
    "top",
    "trust",
    "unpause",
    "update",
    "volume",
];

const CREATE: &str = "--annotation -a --attach --blkio-weight --blkio-weight-device --cgroup-parent --cgroupns \
    --cpu-count --cpu-percent --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c \
    --cpu-shares --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps \
    --device-read-iops --device-write-bps --device-write-iops --disable-content-trust \
    --domainname --env-file --expose --gpus --group-add --init --io-maxbandwidth \
    --io-maxiops --ipc --isolation --kernel-memory --label-file --link --link-local-ip \
    --log-driver --log-opt --memory-reservation --memory-swap --memory-swappiness --mount \
    --oom-kill-disable --oom-score-adj --pid --platform --security-opt --shm-size \
    --storage-opt --sysctl --tmpfs --ulimit --use-api-socket --userns --uts --volume-driver \
    --volumes-from";

const RUN: &str = "--detach-keys --sig-proxy";

/// Whether docker's verb has that option (with its dashes), and netrun's does not.
pub fn has_option(verb: &str, option: &str) -> bool {
    options(verb).any(|known| known == option)
}

fn options(verb: &str) -> impl Iterator<Item = &'static str> {
    let lists: [&str; 2] = match verb {
        "run" => [CREATE, RUN],
        "create" => [CREATE, ""],
        "start" => ["--checkpoint --checkpoint-dir --detach-keys", ""],
        "rm" => ["-l --link", ""],
        "exec" => ["--detach-keys --env-file --privileged", ""],
        "logs" => ["--details", ""],
        "attach" => ["--detach-keys --sig-proxy", ""],
        "ps" => ["-n --last -l --latest -s --size", ""],
        "inspect" => ["-s --size --type", ""],
        "pull" => ["-a --all-tags --disable-content-trust", ""],
        "images" => ["--tree", ""],
        "push" => ["-a --all-tags --disable-content-trust --platform", ""],
        "save" | "load" => ["--platform", ""],
        "history" => ["-H --human --platform", ""],
        "commit" => ["-p --pause", ""],
        "image" => ["build", ""],
        "system" => ["dial-stdio events prune", ""],
        "system df" => ["-v --verbose", ""],
        "rmi" => ["--no-prune --platform", ""],
        _ => ["", ""],
    };
    lists.into_iter().flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::grammar::Cli;

    #[test]
    fn what_netrun_has_is_not_on_the_list() {
        let mut root = Cli::command();
        root.build();
        for verb in root.get_subcommands() {
            assert!(!VERBS.contains(&verb.get_name()), "{}", verb.get_name());
            for arg in verb.get_arguments() {
                let long = arg.get_long_and_visible_aliases().unwrap_or_default();
                let long = long.into_iter().map(|name| format!("--{name}"));
                let short = arg.get_short().map(|letter| format!("-{letter}"));
                for option in long.chain(short) {
                    assert!(!has_option(verb.get_name(), &option), "{option}");
                }
            }
        }
    }

    #[test]
    fn options_are_known_by_verb() {
        assert!(has_option("run", "--link"));
        assert!(has_option("run", "--sig-proxy") && !has_option("create", "--sig-proxy"));
        assert!(has_option("create", "-c") && !has_option("stop", "-c"));
        assert!(!has_option("run", "--pub") && !has_option("run", ""));
    }
}
