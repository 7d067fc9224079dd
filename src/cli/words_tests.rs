//! The table of command lines: what was typed, and what clap sees.

use clap::CommandFactory;

use super::*;
use crate::cli::grammar::Cli;

/// Arranges the words of a line (parted by single spaces; `''` is the empty word).
fn arranged(line: &str) -> Result<Arranged, NotSupported> {
    let mut root = Cli::command();
    root.build();
    let word = |word: &str| {
        if word == "''" {
            String::new()
        } else {
            word.to_owned()
        }
    };
    let words: Vec<String> = line.split(' ').map(word).collect();
    arrange(&root, &words)
}

/// What was typed, and what clap is given.
const TABLE: &[(&str, &str)] = &[
    // Nothing to move.
    ("run alpine", "run -- alpine"),
    ("run alpine ls", "run -- alpine ls"),
    ("run --rm alpine ls", "run --rm -- alpine ls"),
    ("run", "run"),
    ("run --rm", "run --rm"),
    // A verb below a verb.
    ("volume ls", "volume ls"),
    ("volume ls -q -n ci", "-n ci volume ls -q"),
    ("volume prune -a -f", "volume prune -a -f"),
    ("container ls -a", "ps -a"),
    ("container run alpine ls", "run -- alpine ls"),
    // Options after the image.
    ("run alpine --net x", "run --net x -- alpine"),
    ("run alpine --net=x", "run --net=x -- alpine"),
    (
        "run alpine --network x ip a",
        "run --network x -- alpine ip a",
    ),
    ("run alpine -d", "run -d -- alpine"),
    ("run -d --wait alpine sh", "run -d --wait -- alpine sh"),
    (
        "run alpine --wait=tcp:80 -d sh",
        "run --wait=tcp:80 -d -- alpine sh",
    ),
    ("run alpine -it sh", "run -i -t -- alpine sh"),
    ("run alpine -dit sh -l", "run -d -i -t -- alpine sh -l"),
    ("run alpine -eK=V env", "run -e=K=V -- alpine env"),
    ("run alpine -e=K=V env", "run -e=K=V -- alpine env"),
    ("run alpine -iteK=V env", "run -i -t -e=K=V -- alpine env"),
    (
        "run alpine -itw /tmp pwd",
        "run -i -t -w /tmp -- alpine pwd",
    ),
    (
        "run -e A=1 alpine -e B=2 env",
        "run -e A=1 -e B=2 -- alpine env",
    ),
    (
        "run alpine -v /a:/b --rm -- sh",
        "run -v /a:/b --rm -- alpine sh",
    ),
    (
        "run alpine --cap-add ALL --pull=never",
        "run --cap-add ALL --pull=never -- alpine",
    ),
    (
        "run alpine --namespace ci ls",
        "--namespace ci run -- alpine ls",
    ),
    ("run alpine -d=true", "run -d -- alpine"),
    ("run alpine -itp80:80", "run -i -t -p=80:80 -- alpine"),
    ("run -itP alpine -p 1:2", "run -i -t -P -p 1:2 -- alpine"),
    (
        "create alpine --name x top",
        "create --name x -- alpine top",
    ),
    // The first other word begins the command.
    ("run alpine echo -d", "run -- alpine echo -d"),
    ("run alpine echo --net x", "run -- alpine echo --net x"),
    (
        "run alpine --unknown --net x",
        "run -- alpine --unknown --net x",
    ),
    (
        "run alpine --net x --unknown -d",
        "run --net x -- alpine --unknown -d",
    ),
    ("run alpine -l", "run -- alpine -l"),
    ("run alpine -u root", "run -- alpine -u root"),
    ("run alpine -m 1g", "run -- alpine -m 1g"),
    ("run alpine -la", "run -- alpine -la"),
    ("run alpine -dl", "run -- alpine -dl"),
    ("run alpine -itx", "run -- alpine -itx"),
    ("run alpine -P", "run -- alpine -P"),
    ("run alpine -h", "run -- alpine -h"),
    ("run alpine --help", "run -- alpine --help"),
    ("run alpine --version", "run -- alpine --version"),
    ("run alpine --rmx", "run -- alpine --rmx"),
    ("run alpine --r", "run -- alpine --r"),
    ("run alpine - -d", "run -- alpine - -d"),
    ("run alpine '' -d", "run -- alpine '' -d"),
    ("run alpine sh -c --rm", "run -- alpine sh -c --rm"),
    ("run alpine ls -- -d", "run -- alpine ls -- -d"),
    // After -- nothing is netrun's.
    ("run alpine -- --net x", "run -- alpine --net x"),
    ("run alpine -- -d", "run -- alpine -d"),
    ("run alpine -- -- -d", "run -- alpine -- -d"),
    ("run alpine --", "run -- alpine"),
    ("run -- alpine --net x", "run -- alpine --net x"),
    // Values that look like something else.
    ("run --name run alpine", "run --name run -- alpine"),
    ("run -e -- alpine", "run -e=-- -- alpine"),
    ("run -w -d alpine", "run -w=-d -- alpine"),
    ("run --timeout -1s alpine", "run --timeout=-1s -- alpine"),
    (
        "run --memory-swap -1 alpine",
        "run --memory-swap=-1 -- alpine",
    ),
    ("stop -t -1 web", "stop -t=-1 web"),
    (
        "run --name -x alpine -e -y=1",
        "run --name=-x -e=-y=1 -- alpine",
    ),
    ("exec -w --nope web ls", "exec -w=--nope -- web ls"),
    (
        "run --entrypoint '' alpine",
        "run --entrypoint '' -- alpine",
    ),
    (
        "run --entrypoint= alpine sh",
        "run --entrypoint= -- alpine sh",
    ),
    ("run alpine -e", "run -e -- alpine"),
    ("run alpine --net", "run --net -- alpine"),
    // Switches with a value.
    ("run --rm=true alpine", "run --rm -- alpine"),
    ("run --rm -it --rm=false -t=0 alpine", "run -i -- alpine"),
    ("run alpine --rm=maybe", "run --rm=maybe -- alpine"),
    // General options.
    ("-n ci run alpine -n", "-n ci run -- alpine -n"),
    ("run -n ci alpine", "-n ci run -- alpine"),
    ("--address=/x ps -a", "--address=/x ps -a"),
    ("ps --address /x -aq", "--address /x ps -a -q"),
    ("logs -n 5 web", "logs -n 5 web"),
    ("ps -v", "ps -v"),
    // exec has one side.
    ("exec -it web sh", "exec -i -t -- web sh"),
    ("exec web -it sh", "exec -- web -it sh"),
    ("exec web ls --all", "exec -- web ls --all"),
    ("exec web -- ls", "exec -- web ls"),
    // Verbs without a command may have options anywhere.
    ("rm web -f db", "rm -f web db"),
    ("rm web -- -f", "rm web -- -f"),
    ("stop web -t 3", "stop -t 3 web"),
    // What nobody knows is left for clap.
    ("run --unknown alpine -d", "run --unknown alpine -d"),
    ("frobnicate --net", "frobnicate --net"),
    ("--unknown run alpine", "--unknown run alpine"),
    ("--namespace", "--namespace"),
    ("stop --timeout", "stop --timeout"),
    ("run --name", "run --name"),
    ("rm web --unknown -f", "rm web --unknown -f"),
    ("help run", "help run"),
];

#[test]
fn options_are_taken_from_both_sides_and_the_command_is_untouched() {
    for (typed, expected) in TABLE {
        let arranged = arranged(&format!("netrun {typed}")).unwrap();
        let words = arranged
            .words
            .iter()
            .map(|w| if w.is_empty() { "''" } else { w });
        let words: Vec<&str> = words.collect();
        assert_eq!(words.join(" "), format!("netrun {expected}"), "{typed}");
    }
}

#[test]
fn options_after_the_image_are_reported_as_they_were_typed() {
    let table: [(&str, &[&str]); 5] = [
        ("run --rm alpine", &[]),
        ("run alpine ls -d", &[]),
        ("run alpine -- -d", &[]),
        (
            "run alpine -it --net x -eA=1 env",
            &["-it", "--net x", "-eA=1"],
        ),
        ("run alpine --net", &["--net"]),
    ];
    for (typed, expected) in table {
        let arranged = arranged(&format!("netrun {typed}")).unwrap();
        assert_eq!(arranged.options_after_image, expected, "{typed}");
    }
}

#[test]
fn what_only_docker_has_is_not_supported_yet() {
    let table = [
        ("create -ita stdout alpine", "-a"),
        ("run --link=db alpine", "--link"),
        ("run alpine --gpus all", "--gpus"),
        ("create --cpuset-mems 0 alpine", "--cpuset-mems"),
        ("history --platform linux/arm64 x", "--platform"),
        ("start --checkpoint x web", "--checkpoint"),
    ];
    for (typed, expected) in table {
        let Err(NotSupported::Option { option, .. }) = arranged(&format!("netrun {typed}")) else {
            panic!("{typed} is not refused");
        };
        assert_eq!(option, expected, "{typed}");
    }
    for verb in ["build", "compose", "swarm", "--namespace ci secret"] {
        let refused = arranged(&format!("netrun {verb} x"));
        assert!(matches!(refused, Err(NotSupported::Verb(_))), "{verb}");
    }
}

#[test]
fn no_words_are_no_trouble() {
    let mut root = Cli::command();
    root.build();
    assert_eq!(arrange(&root, &[]).unwrap().words, Vec::<String>::new());
    assert_eq!(arranged("netrun").unwrap().words, ["netrun"]);
}

#[test]
fn the_verb_is_the_first_word_that_is_no_options_value() {
    let mut root = Cli::command();
    root.build();
    for (line, expected) in [
        ("netrun --format json run x", Some("run")),
        ("netrun -nps run", Some("run")),
        ("netrun --namespace", None),
        ("netrun", None),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(verb(&root, &words).as_deref(), expected, "{line}");
    }
}
