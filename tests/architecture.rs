//! The map in src/lib.rs as a test: which room may use which, and the rules that every file keeps.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use, beside itself and `model`.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "commands",
            "engine",
            "image",
            "network",
            "containerd",
            "sys",
        ],
    ),
    (
        "commands",
        &["engine", "image", "network", "containerd", "sys"],
    ),
    ("engine", &["image", "network", "containerd", "sys"]),
    ("image", &["containerd", "sys"]),
    ("network", &["sys"]),
    ("containerd", &[]),
    ("sys", &[]),
    ("model", &[]),
];

const ROOMS: &[&str] = &[
    "cli",
    "commands",
    "engine",
    "image",
    "network",
    "containerd",
    "sys",
    "model",
];

/// A file has at most so many lines without its tests.
const MAX_LINES: usize = 400;

struct Source {
    path: PathBuf,
    /// Without the module of tests at its end.
    text: String,
    room: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    assert!(found.len() > 8);
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let whole = fs::read_to_string(&path).unwrap();
    let tests = ["mod ", "pub mod ", "pub(crate) mod "]
        .iter()
        .filter_map(|start| whole.find(&format!("\n#[cfg(test)]\n{start}")));
    let text = match tests.min() {
        // `mod tests;` of a file of its own stands at the top, and the product goes on behind it.
        Some(at)
            if !whole[at..]
                .lines()
                .nth(2)
                .is_some_and(|line| line.ends_with(';')) =>
        {
            whole[..at].to_owned()
        }
        _ => whole,
    };
    let inner = path.strip_prefix(root).unwrap().to_owned();
    let first = inner.iter().next().unwrap().to_string_lossy();
    let room = first.trim_end_matches(".rs").to_owned();
    Source {
        path: inner,
        text,
        room,
    }
}

/// The lines that are code: no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn is_test(source: &Source) -> bool {
    source
        .path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

/// The rooms that a text names by `crate::ROOM`, `crate::{ROOM, ..}` or `netrun::ROOM`.
fn used(text: &str) -> BTreeSet<&str> {
    let whole: String = code(text).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for start in ["crate::", "netrun::"] {
        for (at, _) in whole.match_indices(start) {
            let rest = &whole[at + start.len()..];
            let named = match rest.strip_prefix('{') {
                Some(list) => list.split_once("};").map_or(list, |(list, _)| list),
                None => rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap(),
            };
            for &room in ROOMS {
                let mut words = named.split(|c: char| !c.is_alphanumeric() && c != '_');
                if words.any(|word| word == room) {
                    used.insert(room);
                }
            }
        }
    }
    used
}

/// The sources that are the product, not its tests.
fn product() -> impl Iterator<Item = Source> {
    sources().into_iter().filter(|source| !is_test(source))
}

#[test]
fn arrows_point_down_only() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.room != "lib" && !is_test(source))
    {
        let allowed = ARROWS.iter().find(|(room, _)| *room == source.room);
        let Some((room, allowed)) = allowed else {
            panic!("{} is in no room of src/lib.rs", source.path.display());
        };
        for other in used(&source.text) {
            if other != *room && other != "model" && !allowed.contains(&other) {
                wrong.push(format!("{} uses {other}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the room of networks uses of others: it could be a crate of its own.
const NETWORK_USES: &[&str] = &[
    "base64",
    "futures_util",
    "ipnet",
    "nix",
    "proptest",
    "serde",
    "serde_json",
    "sha2",
    "std",
    "tokio",
    "super",
    "crate::model::class",
    "crate::model::mac",
    "crate::network",
    "crate::sys::lock",
    "crate::sys::netlink",
    "crate::sys::netns",
    "crate::sys::nftables",
    "crate::sys::routes",
];

#[test]
fn the_network_room_could_be_a_crate_of_its_own() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room == "network") {
        let lines = code(&source.text).map(str::trim_start);
        let used = lines.filter_map(|line| line.strip_prefix("use "));
        for path in used {
            let known = |own: &&str| {
                let rest = path.strip_prefix(*own);
                rest.is_some_and(|rest| rest.starts_with("::") || rest == ";")
            };
            if !NETWORK_USES.iter().any(known) {
                wrong.push(format!("{} uses {path}", source.path.display()));
            }
        }
        for word in ["containerd", "clap"] {
            for line in code(&source.text).filter(|line| line.contains(&format!("{word}::"))) {
                wrong.push(format!("{}: {}", source.path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", source.path.display()));
        }
        let lines = source.text.lines().count();
        if lines > MAX_LINES && !is_test(&source) {
            wrong.push(format!("{} has {lines} lines", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The only files that may hold `unsafe`: what the kernel gives as a bare descriptor becomes an
/// owned one there.
const UNSAFE: &[&str] = &["sys/pidfd.rs", "sys/channel.rs", "sys/ready.rs"];

fn opens_unsafe(line: &str) -> bool {
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
        .iter()
        .any(|word| line.contains(word))
}

#[test]
fn unsafe_stands_in_few_places_each_with_its_reason() {
    let mut wrong = Vec::new();
    for source in sources() {
        let path = source.path.to_string_lossy().into_owned();
        let blocks = code(&source.text).filter(|line| opens_unsafe(line)).count();
        if blocks > 0 && !UNSAFE.contains(&path.as_str()) {
            wrong.push(format!("{path} holds unsafe"));
        }
        if blocks > source.text.matches("SAFETY:").count() {
            wrong.push(format!(
                "{path}: an unsafe block without its SAFETY: reason"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that print, and words that ask what a standard stream is.
const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!"];
const STREAMS: &[&str] = &["stdout()", "stderr()", "is_terminal()"];

#[test]
fn only_cli_prints_and_nothing_ends_the_process() {
    let mut wrong = Vec::new();
    for source in product() {
        let path = source.path.display().to_string();
        // A process asks for its output as `child.stdout()`; that is no stream of ours.
        let own =
            |line: &str, word: &str| line.contains(word) && !line.contains(&format!(".{word}"));
        for line in code(&source.text).filter(|_| source.room != "cli") {
            let streams = path != "sys/terminal.rs" && STREAMS.iter().any(|word| own(line, word));
            if streams || PRINTS.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{path} prints: {}", line.trim()));
            }
        }
        let forbidden = [
            "process::exit(",
            ".unwrap()",
            "#[allow(",
            "todo!(",
            "unimplemented!(",
        ];
        for line in code(&source.text) {
            if forbidden.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_drawers_and_no_error_that_carries_anothers_text() {
    let mut wrong = Vec::new();
    for source in product() {
        let path = source.path.display().to_string();
        let stem = source
            .path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if ["util", "utils", "helper", "helpers", "misc", "common"].contains(&stem.as_str()) {
            wrong.push(format!("{path} is a drawer"));
        }
        for line in code(&source.text) {
            let flat: String = line.split_whitespace().collect();
            let texted = flat.contains("map_err(") && flat.contains(".to_string()");
            if texted || flat.contains("Other(String)") {
                wrong.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readers_of_sources_see_what_they_look_for() {
    assert_eq!(
        used("use crate::{cli::x, sys};\nuse crate::model::id;"),
        BTreeSet::from(["cli", "model", "sys"])
    );
    assert_eq!(
        used("// crate::cli\nlet x = crate::engine::y();"),
        BTreeSet::from(["engine"])
    );
}
