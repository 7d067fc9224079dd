//! What scripts use: results as data, completions, man pages, the name `docker`.

use crate::host::{ALPINE, FakeHost};

#[test]
fn results_are_data() {
    let host = FakeHost::new();
    host.mynet();
    host.announce("* /tmp/*");
    let run = [
        "run",
        "-d",
        "--name",
        "my-db",
        "--net",
        "mynet",
        "--format",
        "json",
        "--env-out",
        "/tmp/env",
        ALPINE,
        "sleep",
        "1000",
    ];
    let shown = host.netrun(&run).ok().json();
    assert_eq!(shown["Name"], "my-db");
    assert_eq!(shown["Netns"], "/run/netns/netrun-my-db");
    assert!(shown["Pid"].as_u64().unwrap() > 1);
    let address = shown["IPAddress"].as_str().unwrap();
    assert!(address.starts_with("10.10."), "{shown}");
    assert_eq!(shown["Networks"]["mynet"]["IPAddress"], address);
    let mac = &shown["Networks"]["mynet"]["MacAddress"];
    assert_eq!(&shown["MacAddress"], mac);
    assert_eq!(mac.as_str().unwrap().len(), 17, "{shown}");
    assert!(
        shown["Timings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["Step"] == "start")
    );
    let sourced = host
        .sh(". /tmp/env; echo $MY_DB_ID $MY_DB_IP $MY_DB_NETNS")
        .ok();
    assert_eq!(
        sourced.text(),
        format!("my-db {address} /run/netns/netrun-my-db")
    );
    host.netrun(&["rm", "-f", "my-db"]).ok();
    let template = [
        "run", "-d", "--name", "t", "--net", "none", "--format", "{{.ID}}", ALPINE, "true",
    ];
    assert_eq!(host.netrun(&template).ok().text(), "t");
    host.netrun(&["rm", "-f", "t"]).ok();
    let wrong = [
        "run",
        "-d",
        "--format",
        "{{.Nothing}}",
        ALPINE,
        "sleep",
        "9",
    ];
    host.netrun(&wrong).fails(125, &["Nothing", "IPAddress"]);
    assert_eq!(host.netrun(&["ps", "-aq"]).ok().text(), "");
    host.netrun(&["run", "--format", "{{.ID}}", ALPINE, "true"])
        .fails(125, &["--detach"]);
    host.finish();
}

#[test]
fn shells_are_told_what_may_follow() {
    let host = FakeHost::new();
    host.mynet();
    host.netrun(&["create", "--name", "web-1", "-v", "data:/d", ALPINE, "true"])
        .ok();
    let complete = |words: &[&str]| {
        let output = host.netrun(&[&["complete", "--"], words].concat()).ok();
        let first = |line: &str| line.split('\t').next().unwrap().to_owned();
        output.stdout.lines().map(first).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["exe"]), ["exec"]);
    assert_eq!(complete(&["rm", "we"]), ["web-1"]);
    assert_eq!(complete(&["exec", "-it", ""]), ["web-1"]);
    assert!(complete(&["run", "--rm", "alp"]).contains(&"alpine:3.14".to_owned()));
    assert_eq!(complete(&["run", "--net", "my"]), ["mynet"]);
    assert_eq!(complete(&["volume", "rm", ""]), ["data"]);
    assert_eq!(complete(&["cp", "we"]), ["web-1:"]);
    assert!(complete(&["run", "--vol"]).contains(&"--volumes-from".to_owned()));
    assert!(complete(&["run", "alpine", "--"]).is_empty());
    assert_eq!(complete(&["run", "-v", "da"]), ["data:"]);
    assert_eq!(complete(&["run", "--net=my"]), ["--net=mynet"]);
    let pid = complete(&["run", "--pid", "container:"]);
    assert_eq!(pid, ["container:web-1"]);
    assert_eq!(complete(&["container", "rm", "we"]), ["web-1"]);
    assert!(complete(&["container", "re"]).contains(&"restart".to_owned()));
    assert!(complete(&["volume", "create", ""]).is_empty());
    host.announce("* /tmp/*");
    host.sh(
        "mkdir /tmp/man; netrun generate man /tmp/man; grep -q 'volumes.*from' /tmp/man/netrun-run.1",
    )
    .ok();
    host.netrun(&["rm", "web-1"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
    host.finish();
}

#[test]
fn dockers_name_and_dockers_lines() {
    let host = FakeHost::new();
    host.announce("* /tmp/*");
    host.sh("mkdir /tmp/bin; ln -s $(command -v netrun) /tmp/bin/docker")
        .ok();
    let docker = |line: &str| host.sh(&format!("PATH=/tmp/bin:$PATH; {line}"));
    docker("docker -D --log-level debug run -d --name web -e A=1 -l x=y alpine:3.14 sleep 1000")
        .ok();
    assert_eq!(docker("docker container ls -q").ok().text(), "web");
    assert_eq!(docker("docker ps -aqf name=web").ok().text(), "web");
    let inspect = "docker container inspect -f '{{.State.Running}}' web";
    assert_eq!(docker(inspect).ok().text(), "true");
    docker("docker exec web sh -c 'echo hi >/tmp/x' && docker cp web:/tmp/x /tmp/x").ok();
    assert_eq!(host.read("/tmp/x"), "hi\n");
    docker("docker -H tcp://build:2376 ps").fails(125, &["-H"]);
    docker("docker compose up").fails(125, &["compose"]);
    docker("docker container rm -fv web").ok();
    docker("docker system prune -f").ok();
    assert!(docker("docker --version").ok().text().starts_with("netrun"));
    host.finish();
}

/// What is typed in each shell before a Tab, and the line that it becomes.
const COMPLETED: [(&str, &str); 9] = [
    ("netrun rm we", "netrun rm web-1"),
    ("netrun exec -it we", "netrun exec -it web-1"),
    ("netrun run --net=my", "netrun run --net=mynet"),
    ("netrun run --rm --net my", "netrun run --rm --net mynet"),
    ("netrun volume rm da", "netrun volume rm data"),
    ("netrun rmi alpine:3", "netrun rmi alpine:3.14"),
    ("netrun run -it alp", "netrun run -it alpine:3.14"),
    ("netrun cp we", "netrun cp web-1:"),
    ("docker rm we", "docker rm web-1"),
];

/// The shells themselves, on a terminal, with the scripts that they are given.
#[test]
fn shells_complete_names() {
    let host = FakeHost::new();
    host.mynet();
    for made in ["* /tmp/*", "* /root/*"] {
        host.announce(made);
    }
    host.sh("mkdir /tmp/bin; ln -s $(command -v netrun) /tmp/bin/docker")
        .ok();
    let create = ["create", "--name", "web-1", "-v", "data:/d", ALPINE, "true"];
    host.netrun(&create).ok();
    for shell in ["bash", "zsh", "fish"] {
        let there = host.sh(&format!("command -v {shell}"));
        assert_eq!(there.code, 0, "apt-get install -y {shell}");
    }
    let zsh = "autoload -U compinit; compinit -D";
    for (shell, options, first) in [
        ("bash", ["--norc", "-i"], "true"),
        ("zsh", ["-f", "-i"], zsh),
    ] {
        let mut terminal = host.cmd(shell).args(&options).terminal();
        let load = format!("PATH=/tmp/bin:$PATH; {first}; . <(netrun completion {shell})");
        terminal.send(&format!("{load}; echo is-$((1 + 1))-there\r"));
        terminal.expect("is-2-there");
        for (typed, becomes) in COMPLETED {
            // Tab, to the beginning of the line, and see what there is.
            terminal.send(&format!("{typed}\t\x01echo it is \r"));
            terminal.expect(&format!("it is {becomes}\r\n"));
        }
        terminal.send("exit\r");
        terminal.wait();
    }
    for (typed, becomes) in COMPLETED {
        let last = becomes.rsplit(' ').next();
        let load = "set PATH /tmp/bin $PATH; netrun completion fish | source";
        let script = format!("{load}; complete -C '{typed}'");
        let fish = ["--no-config", "-c", &script];
        let fish = host.cmd("fish").args(&fish).run().ok();
        let mut words = fish.stdout.lines().map(|line| line.split('\t').next());
        assert!(words.any(|word| word == last), "{typed}: {fish}");
    }
    host.netrun(&["rm", "web-1"]).ok();
    host.netrun(&["volume", "rm", "data"]).ok();
    host.finish();
}
