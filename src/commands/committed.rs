//! What the image of a container says: what its image says, and what it was run with.
//!
//! Invariant: nothing of netrun's own and nothing that every container gets by itself is in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::spec::automatic_env;
use crate::model::record::Record;
use crate::model::scope::LABEL;

/// What follows the entrypoint in a container's command.
pub fn command(record: &Record) -> &[String] {
    let words = &record.process.command;
    words.get(record.asked.entrypoint..).unwrap_or_default()
}

/// OCI's `config` object of a container, docker's additions included; `of_image` is its image's.
pub fn config(of_image: &Value, record: &Record, spec: &Value) -> Value {
    let process = &record.process;
    let entrypoint = process.command.get(..record.asked.entrypoint);
    let mut config = of_image.as_object().cloned().unwrap_or_default();
    for (key, value) in [
        ("Env", json!(env(of_image, record, spec))),
        ("Cmd", json!(command(record))),
        ("Entrypoint", json!(entrypoint)),
        ("WorkingDir", workdir(of_image, spec)),
        ("User", json!(process.user)),
        ("Labels", labels(of_image, record)),
        ("ExposedPorts", keys(record.exposed.iter().cloned())),
        ("Volumes", volumes(of_image, record)),
        ("StopSignal", stop_signal(of_image, record)),
        ("Healthcheck", health(of_image, record)),
    ] {
        config.insert(key.to_owned(), value);
    }
    config.retain(|_, value| !is_nothing(value));
    Value::Object(config)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

fn env<'a>(of_image: &Value, record: &Record, spec: &'a Value) -> Vec<&'a str> {
    let automatic = automatic_env(&record.names.hostname, record.process.terminal);
    let list = |value: &'a Value| value.as_array().into_iter().flatten();
    let words = list(&spec["process"]["env"]).filter_map(Value::as_str);
    let own = of_image["Env"].as_array();
    let of_image = |word: &str| own.is_some_and(|own| own.iter().any(|one| one == word));
    words
        .filter(|word| of_image(word) || !automatic.iter().any(|one| one == word))
        .collect()
}

/// Without one containers begin in `/`, which is not worth saying.
fn workdir(of_image: &Value, spec: &Value) -> Value {
    let directory = &spec["process"]["cwd"];
    match directory == "/" && is_nothing(&of_image["WorkingDir"]) {
        true => Value::Null,
        false => directory.clone(),
    }
}

fn labels(of_image: &Value, record: &Record) -> Value {
    let mut labels = of_image["Labels"].as_object().cloned().unwrap_or_default();
    // An image belongs to no scope.
    let own: BTreeMap<_, _> = record.labels.iter().filter(|(k, _)| *k != LABEL).collect();
    labels.extend(own.into_iter().map(|(k, v)| (k.clone(), json!(v))));
    Value::Object(labels)
}

/// The image's, mounted over or not, and the container's that have no name.
fn volumes(of_image: &Value, record: &Record) -> Value {
    let of_image = of_image["Volumes"].as_object().into_iter().flatten();
    let anonymous = record.mounts.iter().filter(|mount| {
        let volume = mount.volume.as_ref();
        volume.is_some_and(|volume| volume.anonymous)
    });
    let at = anonymous.map(|mount| mount.destination.display().to_string());
    keys(of_image.map(|(at, _)| at.clone()).chain(at))
}

/// Go's set: an object of empty objects.
fn keys(names: impl Iterator<Item = String>) -> Value {
    let keys: Map<String, Value> = names.map(|name| (name, json!({}))).collect();
    Value::Object(keys)
}

fn stop_signal(of_image: &Value, record: &Record) -> Value {
    match record.process.stop_signal.as_str() {
        "SIGTERM" if is_nothing(&of_image["StopSignal"]) => Value::Null,
        signal => json!(signal),
    }
}

/// That an image's check was not wanted is docker's check `NONE`.
fn health(of_image: &Value, record: &Record) -> Value {
    match &record.health {
        Some(check) => check.document(),
        None if is_nothing(&of_image["Healthcheck"]) => Value::Null,
        None => json!({"Test": ["NONE"]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;

    fn record() -> Record {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        record.mounts.clear();
        record.labels.clear();
        record
    }

    #[test]
    fn what_every_container_has_is_not_said() {
        let spec = json!({"process": {"cwd": "/", "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=web"]}});
        let mut record = record();
        record.labels.insert(LABEL.to_owned(), "job".to_owned());
        record.asked.entrypoint = 1;
        let expected = json!({"Entrypoint": ["sh"], "Cmd": ["-c", "echo hello; sleep 1000"]});
        assert_eq!(config(&Value::Null, &record, &spec), expected);
        let given = json!({"process": {"cwd": "/", "env": ["HOSTNAME=other"]}});
        let said = config(&Value::Null, &record, &given);
        assert_eq!(said["Env"], json!(["HOSTNAME=other"]));
    }

    #[test]
    fn what_the_image_says_is_kept_unless_the_container_was_run_otherwise() {
        let of_image = json!({
            "Env": ["HOSTNAME=web"], "Entrypoint": ["old"], "User": "worker", "WorkingDir": "/srv",
            "Labels": {"maker": "m", "job": "1"}, "Volumes": {"/v": {}}, "StopSignal": "SIGINT",
            "Shell": ["/bin/ash", "-c"], "Healthcheck": {"Test": ["CMD", "true"]}, "OnBuild": null,
        });
        let spec = json!({"process": {"cwd": "/", "env": ["HOSTNAME=web", "A=b"]}});
        let mut record = record();
        record.labels.insert("job".to_owned(), "2".to_owned());
        record.exposed = vec!["80/tcp".to_owned()];
        let expected = json!({
            "Env": ["HOSTNAME=web", "A=b"], "Cmd": ["sh", "-c", "echo hello; sleep 1000"], "WorkingDir": "/",
            "Labels": {"maker": "m", "job": "2"}, "Volumes": {"/v": {}}, "StopSignal": "SIGTERM",
            "ExposedPorts": {"80/tcp": {}}, "Shell": ["/bin/ash", "-c"], "Healthcheck": {"Test": ["NONE"]},
        });
        assert_eq!(config(&of_image, &record, &spec), expected);
    }
}
