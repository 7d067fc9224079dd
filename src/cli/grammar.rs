//! The verbs and options as clap knows them, and the way from words to typed arguments.
//!
//! Invariant: every word is used or refused; none is ignored.

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::docker;
use super::exit::Family;
use super::further::Further;
use super::usage::UsageError;
use super::words;
use crate::commands::settings::GlobalArgs;
use crate::commands::{
    attach, cni, commit, create, exec, gc, history, image_inspect, image_mount, image_prune,
    images, import, info, inspect, kill, load, login, logs, netns, network, port, prune, ps, pull,
    push, restart, rm, rmi, run, save, start, steps, stop, system_df, tag, version, wait,
};

const AFTER_HELP: &str = "\
The options above may also stand after the verb, where the verb has none of that name.
Their defaults are in /etc/netrun/netrun.toml, which NETRUN_CONFIG replaces by another file.

Try it:
  netrun run --rm -it alpine:3.14 sh";

/// Run containers of containerd with CNI networks, and leave nothing behind
#[derive(Debug, Parser)]
#[command(
    name = "netrun",
    version,
    disable_version_flag = true,
    args_override_self = true,
    arg_required_else_help = true,
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Cli {
    /// What every verb has.
    #[command(flatten)]
    pub global: GlobalArgs,

    /// Print the version
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const IMAGE_EXAMPLES: &str = "\
Examples:
  netrun image ls
  netrun image inspect alpine:3.14
  netrun image prune -af --filter until=24h";

const SYSTEM_EXAMPLES: &str = "\
Examples:
  netrun system df
  netrun system prune -f";

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Verb {
    Run(run::Args),
    Create(create::Args),
    Start(start::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    Restart(restart::Args),
    Rm(rm::Args),
    Exec(exec::Args),
    Logs(logs::Args),
    Attach(attach::Args),
    Wait(wait::Args),
    Network(network::Args),
    Port(port::Args),
    Ps(ps::Args),
    Inspect(inspect::Args),
    Pull(pull::Args),
    Login(login::Args),
    Logout(login::LogoutArgs),
    Push(push::Args),
    Images(images::Args),
    Tag(tag::Args),
    History(history::Args),
    Save(save::Args),
    Load(load::Args),
    Import(import::Args),
    Commit(commit::Args),
    Rmi(rmi::Args),
    /// Look at images, and remove those that nothing uses
    #[command(subcommand, after_help = IMAGE_EXAMPLES)]
    Image(ImageVerb),
    /// Look at the whole
    #[command(subcommand, after_help = SYSTEM_EXAMPLES)]
    System(SystemVerb),
    Version(version::Args),
    Info(info::Args),
    Cni(cni::Args),
    Netns(netns::Args),
    Gc(gc::Args),
    #[command(flatten)]
    Further(Further),
    #[command(hide = true)]
    Steps(steps::Args),
}

/// What to do with images; the verbs that also stand alone are the same.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum ImageVerb {
    Ls(images::Args),
    Inspect(image_inspect::Args),
    History(history::Args),
    Tag(tag::Args),
    Rm(rmi::Args),
    Prune(image_prune::Args),
    Pull(pull::Args),
    Push(push::Args),
    Save(save::Args),
    Load(load::Args),
    Import(import::Args),
    Mount(image_mount::Args),
    Unmount(image_mount::UnmountArgs),
}

/// What to ask of the whole.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum SystemVerb {
    Df(system_df::Args),
    Info(info::Args),
    Prune(prune::SystemPruneArgs),
}

impl Verb {
    /// A verb of a group as the one that stands alone, where there is one.
    fn flat(self) -> Verb {
        match self {
            Self::Image(ImageVerb::Ls(args)) => Self::Images(args),
            Self::Image(ImageVerb::History(args)) => Self::History(args),
            Self::Image(ImageVerb::Tag(args)) => Self::Tag(args),
            Self::Image(ImageVerb::Rm(args)) => Self::Rmi(args),
            Self::Image(ImageVerb::Pull(args)) => Self::Pull(args),
            Self::Image(ImageVerb::Push(args)) => Self::Push(args),
            Self::Image(ImageVerb::Save(args)) => Self::Save(args),
            Self::Image(ImageVerb::Load(args)) => Self::Load(args),
            Self::Image(ImageVerb::Import(args)) => Self::Import(args),
            Self::System(SystemVerb::Info(args)) => Self::Info(args),
            other => other,
        }
    }

    /// Which exit codes it has. docker's `wait` prints the statuses, but has none of them itself.
    pub fn family(&self, as_docker: bool) -> Family {
        match self {
            Self::Wait(_) if as_docker => Family::Object,
            Self::Exec(_) => Family::Exec,
            Self::Run(_) | Self::Wait(_) => Family::Process,
            Self::Cni(_) => Family::Cnitool,
            Self::Netns(netns::Args {
                verb: netns::Verb::Exec(_),
            }) => Family::Process,
            _ => Family::Object,
        }
    }

    /// Whether its exit code is the status of a process, unless it fails.
    pub fn gives_status(&self) -> bool {
        match self {
            Self::Start(args) => args.attach || args.interactive,
            Self::Run(_) | Self::Exec(_) | Self::Attach(_) => true,
            _ => false,
        }
    }

    /// The table that docker prints, whose columns scripts count: other ones than ours.
    fn dockers_table(&self) -> Option<&'static str> {
        match self {
            Self::Ps(args) if args.quiet => None,
            Self::Ps(args) if args.size => Some(
                "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}",
            ),
            Self::Ps(_) => Some(
                "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
            ),
            Self::Network(network::Args {
                verb: network::Verb::Ls(args),
            }) if !args.quiet => Some("table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"),
            Self::Further(Further::Stats(_)) => Some(
                "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
            ),
            _ => None,
        }
    }

    /// The `--format` that stood among its own options.
    fn format(&self) -> Option<&String> {
        match self {
            Self::Network(args) => args.verb.format(),
            Self::Run(args) => args.format.as_ref(),
            Self::Ps(args) => args.format.as_ref(),
            Self::Images(args) => args.format.as_ref(),
            Self::Inspect(args) => args.format.as_ref(),
            Self::History(args) => args.format.as_ref(),
            Self::Image(ImageVerb::Inspect(args)) => args.format.as_ref(),
            Self::System(SystemVerb::Df(args)) => args.format.as_ref(),
            Self::Version(args) => args.format.as_ref(),
            Self::Info(args) => args.format.as_ref(),
            Self::Netns(netns::Args {
                verb: netns::Verb::Ls(args),
            }) => args.format.as_ref(),
            Self::Further(verb) => verb.format(),
            _ => None,
        }
    }
}

/// Parses the words of a command line, the program's name first.
pub fn parse(words: &[String]) -> Result<Cli, UsageError> {
    let mut command = narrowed(Cli::command(), words);
    command.build();
    let arranged = words::arrange(&command, words)?;
    let matches = command.try_get_matches_from_mut(&arranged.words)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    cli.verb = cli.verb.flat();
    cli.global.as_docker = docker::is_its_name(words);
    if let Verb::Run(run::Args { container, .. }) | Verb::Create(create::Args { container }) =
        &mut cli.verb
    {
        container.options_after_image = arranged.options_after_image;
    }
    // Each verb's own --format hides the general one, which then stood before the verb.
    cli.global.format = cli.verb.format().cloned().or(cli.global.format);
    if cli.global.as_docker
        && matches!(
            cli.global.format.as_deref().map(str::trim),
            None | Some("table" | "")
        )
    {
        let dockers = cli.verb.dockers_table().map(str::to_owned);
        cli.global.format = dockers.or(cli.global.format);
    }
    Ok(cli)
}

/// The grammar with the names alone of the verbs that are not asked for: to build all of it takes longer
/// than everything else that a command does before it speaks to anybody.
fn narrowed(root: Command, words: &[String]) -> Command {
    let verb = words::verb(&root, words);
    let verb = verb.and_then(|verb| root.find_subcommand(verb));
    let Some(asked) = verb.map(|verb| verb.get_name().to_owned()) else {
        return root;
    };
    root.mut_subcommands(|verb| match verb.get_name() == asked {
        true => verb,
        false => Command::new(verb.get_name().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::network_choice::{NamedNetwork, NetworkChoice};

    fn parse_line(line: &str) -> Result<Cli, UsageError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    fn run(line: &str) -> run::Args {
        match parse_line(line).unwrap().verb {
            Verb::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_verb_has_an_example() {
        fn check(command: &clap::Command, above: bool) {
            let help = command.get_after_help().map(ToString::to_string);
            let has = help.is_some_and(|help| help.contains("Examples:"));
            let verbs = command.get_subcommands();
            let shown = |verb: &&clap::Command| !verb.is_hide_set() && verb.get_name() != "help";
            let shown: Vec<_> = verbs.filter(shown).collect();
            let leaf = shown.is_empty();
            let name = command.get_name();
            assert!(has || above && leaf, "{name} has no example");
            shown.into_iter().for_each(|verb| check(verb, has));
        }
        for verb in Cli::command().get_subcommands() {
            if !verb.is_hide_set() {
                check(verb, false);
            }
        }
    }

    #[test]
    fn the_grammar_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_a_summary_and_every_option_says_what_it_does() {
        let mut root = Cli::command();
        root.build();
        let nested = |verb: &clap::Command| verb.get_subcommands().cloned().collect::<Vec<_>>();
        let verbs = nested(&root);
        for verb in verbs
            .iter()
            .chain(&verbs.iter().flat_map(nested).collect::<Vec<_>>())
        {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for arg in verb.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    verb.get_name(),
                    arg.get_id()
                );
            }
        }
    }

    #[test]
    fn options_reach_their_fields_from_both_sides_of_the_image() {
        let args = run("netrun run -it --name a --net x alpine --net=none -e K=V -w /w env -d");
        assert!(args.container.interactive && args.container.tty && !args.detach);
        assert_eq!(args.container.name.unwrap().as_str(), "a");
        let x = NamedNetwork {
            name: "x".to_owned(),
            ..NamedNetwork::default()
        };
        let networks = [NetworkChoice::Named(x), NetworkChoice::None];
        assert_eq!(args.container.networks, networks);
        assert_eq!(args.container.env[0].name, "K");
        assert_eq!(args.container.workdir.as_deref(), Some("/w"));
        assert_eq!(args.container.image, "alpine");
        assert_eq!(args.container.command, ["env", "-d"]);
        let after = ["--net=none", "-e K=V", "-w /w"];
        assert_eq!(args.container.options_after_image, after);
    }

    #[test]
    fn a_session_is_dockers() {
        let args = run("netrun run -a stdout --attach STDERR --sig-proxy=false alpine");
        assert_eq!(args.streams.len(), 2);
        assert!(!args.proxy.sig_proxy);
        let usual = run("netrun run --sig-proxy alpine");
        assert!(usual.proxy.sig_proxy && usual.streams.is_empty());
        assert!(run("netrun run alpine --sig-proxy=0 sh").container.command == ["sh"]);
        assert!(parse_line("netrun run -a paper alpine").is_err());
        assert!(parse_line("netrun run --sig-proxy=perhaps alpine").is_err());
    }

    #[test]
    fn hostname_has_dockers_short_form() {
        let args = run("netrun run -h box -m 64m --pids-limit -1 alpine");
        assert_eq!(args.container.hostname.as_ref().unwrap().as_str(), "box");
        assert_eq!(args.container.pids_limit, Some(-1));
        assert_eq!(args.container.memory.unwrap().0, 64 << 20);
    }

    #[test]
    fn an_option_given_twice_counts_once_and_a_switch_can_be_taken_back() {
        let args = run("netrun run --workdir /a -w /b --rm=true -it -t=false -d --detach=0 alpine");
        assert_eq!(args.container.workdir.as_deref(), Some("/b"));
        assert!(args.container.rm && args.container.interactive);
        assert!(!args.container.tty && !args.detach);
        assert!(parse_line("netrun run --rm=perhaps alpine").is_err());
    }

    #[test]
    fn general_options_may_stand_on_both_sides_of_the_verb() {
        for line in [
            "netrun -n ci --format json ps",
            "netrun ps --namespace ci --format json",
            "netrun --format table -n x ps --namespace=ci --format=json",
        ] {
            let global = parse_line(line).unwrap().global;
            assert_eq!(global.namespace.unwrap().as_str(), "ci", "{line}");
            assert_eq!(global.format.as_deref(), Some("json"), "{line}");
        }
        let cli = parse_line("netrun logs -n 5 web -n 7").unwrap();
        assert_eq!(cli.global.namespace, None);
        let cli = parse_line("netrun inspect -f {{.Id}} web").unwrap();
        assert_eq!(cli.global.format.as_deref(), Some("{{.Id}}"));
    }

    #[test]
    fn malformed_values_are_refused() {
        for line in [
            "run --name a/b alpine",
            "run -m 1x alpine",
            "run --cpus none alpine",
            "run --pull sometimes alpine",
            "run --stop-signal SIGFOO alpine",
            "run --stop-timeout soon alpine",
            "run --pids-limit many alpine",
            "run --dns somewhere alpine",
            "run --add-host db alpine",
            "run -v a alpine",
            "run -e =x alpine",
            "run -l =x alpine",
            "run --net , alpine",
            "run",
            "kill -s SIGFOO web",
            "stop -t soon web",
            "stop",
            "logs --tail few web",
            "logs --since long-ago web",
            "exec web",
            "--namespace a/b ps",
        ] {
            let result = parse_line(&format!("netrun {line}"));
            assert!(result.is_err(), "{line}");
        }
    }
}
