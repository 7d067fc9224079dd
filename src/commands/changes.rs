//! What `import --change` and `commit --change` take: a Dockerfile's instructions that say something
//! of an image and run nothing.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::model::class::{Class, Explain};

/// An instruction that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum InvalidChange {
    /// One that is none, or that would have to run something.
    #[error("\"{0}\" is no instruction that can be applied to an image")]
    Instruction(String),
    /// One that an image can have and netrun does not write.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// What follows the instruction is not what it takes.
    #[error("\"{0}\" lacks what the instruction takes")]
    Arguments(String),
}

impl Explain for InvalidChange {
    fn class(&self) -> Class {
        match self {
            Self::Unsupported(_) => Class::Unsupported,
            _ => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR with \
             what they take, such as 'ENV A=b'"
                .to_owned(),
        )
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A list of words: `Cmd`, `Entrypoint`.
    Words(&'static str, Vec<String>),
    /// A text: `User`, `WorkingDir`, `StopSignal`.
    Text(&'static str, String),
    /// Environment variables.
    Env(Vec<(String, String)>),
    /// Labels.
    Labels(Vec<(String, String)>),
    /// Keys of a set: `ExposedPorts`, `Volumes`.
    Set(&'static str, Vec<String>),
}

impl FromStr for Change {
    type Err = InvalidChange;

    fn from_str(text: &str) -> Result<Change, InvalidChange> {
        let (instruction, rest) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text, ""));
        let rest = rest.trim();
        let lacking = || InvalidChange::Arguments(text.to_owned());
        if rest.is_empty() {
            return Err(lacking());
        }
        Ok(match instruction.to_ascii_uppercase().as_str() {
            known @ ("HEALTHCHECK" | "ONBUILD" | "SHELL") => {
                return Err(InvalidChange::Unsupported(known.to_owned()));
            }
            "CMD" => Change::Words("Cmd", command(rest)),
            "ENTRYPOINT" => Change::Words("Entrypoint", command(rest)),
            "USER" => Change::Text("User", rest.to_owned()),
            "WORKDIR" => Change::Text("WorkingDir", rest.to_owned()),
            "STOPSIGNAL" => Change::Text("StopSignal", rest.to_owned()),
            "ENV" => Change::Env(pairs(rest).ok_or_else(lacking)?),
            "LABEL" => Change::Labels(pairs(rest).ok_or_else(lacking)?),
            "VOLUME" => Change::Set("Volumes", list(rest)),
            "EXPOSE" => Change::Set("ExposedPorts", list(rest).iter().map(|p| port(p)).collect()),
            _ => return Err(InvalidChange::Instruction(instruction.to_owned())),
        })
    }
}

/// Writes them into OCI's `config` object, in order. As with docker, an entrypoint without a command
/// leaves no command: the one that is there was for another.
pub fn apply(changes: &[Change], config: &mut Value) {
    for change in changes {
        change.apply(config);
    }
    let has = |wanted: &str| {
        let words = |change: &Change| matches!(change, Change::Words(key, _) if *key == wanted);
        changes.iter().any(words)
    };
    if let (Some(config), true, false) = (config.as_object_mut(), has("Entrypoint"), has("Cmd")) {
        config.remove("Cmd");
    }
}

impl Change {
    /// Writes it into OCI's `config` object.
    fn apply(&self, config: &mut Value) {
        match self {
            Change::Words(key, words) => config[*key] = json!(words),
            Change::Text(key, text) => config[*key] = json!(text),
            Change::Env(pairs) => {
                let env = config["Env"].as_array().cloned().unwrap_or_default();
                let mut env: Vec<String> = env
                    .iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect();
                for (name, value) in pairs {
                    env.retain(|pair| pair.split('=').next() != Some(name));
                    env.push(format!("{name}={value}"));
                }
                config["Env"] = json!(env);
            }
            Change::Labels(pairs) => {
                let labels = object(&mut config["Labels"]);
                labels.extend(pairs.iter().map(|(key, value)| (key.clone(), json!(value))));
            }
            Change::Set(name, keys) => {
                let set = object(&mut config[*name]);
                set.extend(keys.iter().map(|key| (key.clone(), json!({}))));
            }
        }
    }
}

/// The object at a place, made if there is none.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made")
}

/// A JSON list of words, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

/// A JSON list of words, or words.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| words(text))
}

fn port(text: &str) -> String {
    match text.contains('/') {
        true => text.to_owned(),
        false => format!("{text}/tcp"),
    }
}

/// `A=b C="d e"`, or the old form `A b c`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let words = words(text);
    if !words.first()?.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: &String| {
        let (key, value) = word.split_once('=')?;
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    words.iter().map(pair).collect()
}

/// Words parted by blanks; quotes hold one together, a backslash takes a character as it is.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.extend(characters.next());
                begun = true;
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                begun = true;
            }
            (c, None) if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (c, None) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_what_they_are_about() {
        let mut config = json!({"Env": ["A=old", "B=b"], "Cmd": ["x"], "Labels": null});
        for text in [
            "CMD [\"/bin/sh\", \"-l\"]",
            "entrypoint echo hello",
            "ENV A=\"new one\" C=c",
            "ENV D old form",
            "LABEL team=blue",
            "EXPOSE 80 53/udp",
            "VOLUME [\"/data\"]",
            "USER 1000",
            "WORKDIR /srv",
            "STOPSIGNAL SIGINT",
        ] {
            text.parse::<Change>().unwrap().apply(&mut config);
        }
        let expected = json!({
            "Env": ["B=b", "A=new one", "C=c", "D=old form"],
            "Cmd": ["/bin/sh", "-l"],
            "Labels": {"team": "blue"},
            "Entrypoint": ["/bin/sh", "-c", "echo hello"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Volumes": {"/data": {}},
            "User": "1000",
            "WorkingDir": "/srv",
            "StopSignal": "SIGINT",
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn an_entrypoint_takes_the_command_of_another_away() {
        let applied = |texts: &[&str]| {
            let mut config = json!({"Entrypoint": ["a"], "Cmd": ["b"]});
            let changes: Vec<Change> = texts.iter().map(|text| text.parse().unwrap()).collect();
            apply(&changes, &mut config);
            config
        };
        let (entrypoint, command) = ("ENTRYPOINT [\"c\"]", "CMD [\"d\"]");
        assert_eq!(applied(&[entrypoint]), json!({"Entrypoint": ["c"]}));
        let both = json!({"Entrypoint": ["c"], "Cmd": ["d"]});
        assert_eq!(applied(&[command, entrypoint]), both);
        let command_only = json!({"Entrypoint": ["a"], "Cmd": ["d"]});
        assert_eq!(applied(&[command]), command_only);
    }

    #[test]
    fn what_docker_has_beyond_that_is_not_supported_yet() {
        for text in ["HEALTHCHECK CMD true", "onbuild RUN true", "SHELL [\"x\"]"] {
            let error = text.parse::<Change>().unwrap_err();
            assert_eq!(error.class(), Class::Unsupported, "{text}");
        }
    }

    #[test]
    fn what_would_run_or_lacks_something_is_refused() {
        for text in ["RUN x", "COPY a b", "", "CMD", "ENV", "ENV =x", "ENV A"] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
    }
}
