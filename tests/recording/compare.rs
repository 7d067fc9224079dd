//! Two runtimes play the same scenario with plugins that write everything down; what they did is
//! compared, call by call.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::host::{FakeHost, glob, unpacked};

/// The namespace that all scenarios act on.
pub const NETNS: &str = "/var/run/netns/testing";

/// What may differ in every scenario, and why.
const EVERYWHERE: &[(&str, &str)] = &[(
    "*/by-*: nothing is true",
    "S7: what a plugin says and nobody specified is kept and handed on; libcni's types drop it",
)];

/// The plugins: one script under several names.
const PLUGINS: &str = "/mnt/plugins";

/// One command of a scenario.
#[derive(Clone)]
pub struct Step {
    title: String,
    words: Vec<String>,
    env: Vec<(String, String)>,
    before: String,
    netruns: Vec<String>,
}

/// `VERB NET` on the namespace.
pub fn step(verb: &str, network: &str) -> Step {
    Step {
        title: verb.to_owned(),
        words: [verb, network, NETNS].map(str::to_owned).to_vec(),
        env: Vec::new(),
        before: String::new(),
        netruns: Vec::new(),
    }
}

impl Step {
    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Step {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A word that only netrun needs to do the same.
    pub fn more_for_netrun(mut self, word: &str) -> Step {
        self.netruns.push(word.to_owned());
        self
    }

    /// Does something before, and says so in the step's title.
    pub fn after(mut self, title: &str, line: &str) -> Step {
        self.title = format!("{} {title}", self.title);
        self.before = line.to_owned();
        self
    }
}

/// A runtime, and what it did in one step.
struct Act {
    title: String,
    code: i32,
    printed: Value,
    calls: Vec<Value>,
    cache: BTreeMap<String, Value>,
}

/// Plays a scenario on one runtime after the other, each on fresh records and an empty cache, and
/// asserts that they did the same, except for `differences`: a pattern of what differs, and why
/// netrun does it. What is listed and does not differ is wrong as well.
#[track_caller]
pub fn same(files: &[(&str, Value)], steps: &[Step], differences: &[(&str, &str)]) {
    let host = FakeHost::bare();
    host.write("/mnt/recorder", include_str!("../host/recorder.sh"));
    host.sh(&format!(
        "mkdir -p {PLUGINS} && chmod 755 /mnt/recorder && ip netns add testing
         for name in a b c d e single; do ln -s /mnt/recorder {PLUGINS}/$name; done"
    ))
    .ok();
    let cnitool = unpacked("cnitool/cnitool").display().to_string();
    let reference = play(&host, &[&cnitool], files, steps);
    let ours = play(&host, &["netrun", "cni"], files, steps);
    host.sh("rm -rf /var/lib/cni && ip netns del testing").ok();
    check(&compare(&reference, &ours), differences);
    host.finish();
}

#[track_caller]
fn check(found: &[String], expected: &[(&str, &str)]) {
    let unexplained = found.iter().filter(|line| {
        let mut known = expected.iter().chain(EVERYWHERE);
        !known.any(|(pattern, _)| glob::matches(pattern, line))
    });
    let unexplained: Vec<&str> = unexplained.map(String::as_str).collect();
    let stale = expected.iter().filter(|(pattern, _)| {
        let mut lines = found.iter();
        !lines.any(|line| glob::matches(pattern, line))
    });
    let stale: Vec<&str> = stale.map(|(pattern, _)| *pattern).collect();
    assert!(
        unexplained.is_empty() && stale.is_empty(),
        "unexplained:\n{}\n\nexpected and not there:\n{}",
        unexplained.join("\n"),
        stale.join("\n")
    );
}

fn play(host: &FakeHost, tool: &[&str], files: &[(&str, Value)], steps: &[Step]) -> Vec<Act> {
    host.sh("rm -rf /var/lib/cni /mnt/net.d; mkdir /mnt/net.d")
        .ok();
    for (name, config) in files {
        host.write(&format!("/mnt/net.d/{name}"), &config.to_string());
    }
    steps.iter().map(|step| act(host, tool, step)).collect()
}

fn act(host: &FakeHost, tool: &[&str], step: &Step) -> Act {
    host.sh("rm -rf /mnt/records").ok();
    host.sh(&step.before).ok();
    let mut words: Vec<&str> = tool[1..].to_vec();
    words.extend(step.words.iter().map(String::as_str));
    if tool[0] == "netrun" {
        words.extend(step.netruns.iter().map(String::as_str));
    }
    let mut command = host.cmd(tool[0]).args(&words);
    for (name, value) in [("CNI_PATH", PLUGINS), ("NETCONFPATH", "/mnt/net.d")] {
        command = command.env(name, value);
    }
    for (name, value) in &step.env {
        command = command.env(name, value);
    }
    let output = command.run();
    Act {
        title: step.title.clone(),
        code: output.code,
        printed: serde_json::from_str(&output.stdout).unwrap_or(json!(output.stdout)),
        calls: documents(host, "/mnt/records").into_values().collect(),
        cache: documents(host, "/var/lib/cni/results"),
    }
}

/// Every file of a directory as JSON, sorted by name.
fn documents(host: &FakeHost, directory: &str) -> BTreeMap<String, Value> {
    let entries = fs::read_dir(host.path(directory)).into_iter().flatten();
    let document = |path: &std::path::Path| {
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    let named = entries.map(|entry| {
        let entry = entry.unwrap();
        (
            entry.file_name().into_string().unwrap(),
            document(&entry.path()),
        )
    });
    named.collect()
}

/// One line for each difference.
fn compare(reference: &[Act], ours: &[Act]) -> Vec<String> {
    let mut lines = Vec::new();
    for (a, b) in reference.iter().zip(ours) {
        let mut step = Vec::new();
        differ("status", &json!(a.code), &json!(b.code), &mut step);
        differ("prints", &a.printed, &b.printed, &mut step);
        differ("keeps", &json!(a.cache), &json!(b.cache), &mut step);
        calls(&a.calls, &b.calls, &mut step);
        lines.extend(step.into_iter().map(|line| format!("{}: {line}", a.title)));
    }
    lines
}

/// Who is called with what: `DEL a`.
fn name(call: &Value) -> String {
    let word = |key: &str| call[key].as_str().unwrap().to_owned();
    format!("{} {}", word("verb"), word("plugin"))
}

/// Calls of the same name in the same order are compared; the others are told.
fn calls(reference: &[Value], ours: &[Value], lines: &mut Vec<String>) {
    match (reference, ours) {
        ([a, rest @ ..], [b, more @ ..]) if name(a) == name(b) => {
            differ(&name(a), a, b, lines);
            calls(rest, more, lines);
        }
        (_, [b, more @ ..]) if !reference.iter().any(|a| name(a) == name(b)) => {
            lines.push(format!("netrun alone calls {}", name(b)));
            calls(reference, more, lines);
        }
        ([a, rest @ ..], _) => {
            lines.push(format!("cnitool alone calls {}", name(a)));
            calls(rest, ours, lines);
        }
        ([], [b, more @ ..]) => {
            lines.push(format!("netrun alone calls {}", name(b)));
            calls(reference, more, lines);
        }
        ([], []) => {}
    }
}

/// Where two documents differ: `ADD a/stdin/prevResult/dns: {} is nothing`.
fn differ(at: &str, a: &Value, b: &Value, lines: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(&format!("{at}/{key}"), a, b, lines),
                    (Some(a), None) => lines.push(format!("{at}/{key}: {a} is nothing")),
                    (None, Some(b)) => lines.push(format!("{at}/{key}: nothing is {b}")),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}/{index}"), a, b, lines);
            }
        }
        (a, b) if a != b => lines.push(format!("{at}: {a} is {b}")),
        _ => {}
    }
}

#[test]
fn what_differs_is_told_with_its_place() {
    let call = |verb: &str, plugin: &str, stdin: Value| json!({"verb": verb, "plugin": plugin, "stdin": stdin});
    let act = |code, calls: Vec<Value>| Act {
        title: "add".to_owned(),
        code,
        printed: json!({"a": [1, {"b": 2}]}),
        calls,
        cache: BTreeMap::new(),
    };
    let one = act(
        0,
        vec![
            call("ADD", "a", json!({"x": 1})),
            call("ADD", "b", json!(1)),
        ],
    );
    let other = act(
        1,
        vec![
            call("ADD", "a", json!({"y": 2})),
            call("DEL", "a", json!(1)),
        ],
    );
    let expected = [
        "add: status: 0 is 1",
        "add: ADD a/stdin/x: 1 is nothing",
        "add: ADD a/stdin/y: nothing is 2",
        "add: netrun alone calls DEL a",
        "add: cnitool alone calls ADD b",
    ];
    assert_eq!(compare(&[one], &[other]), expected);
    check(&["a b".to_owned()], &[("a *", "why")]);
}

#[test]
#[should_panic(expected = "expected and not there:\nc")]
fn what_is_listed_must_differ() {
    check(&[], &[("c", "why")]);
}
