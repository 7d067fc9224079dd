//! `netrun inspect`: a container, an image, a network or a volume as one document in docker's form.
//!
//! Invariant: `Record`, `Spec` and `Attachments` are netrun's own and say everything; the other
//! fields are docker's names for parts of the same.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, History};
use serde_json::{Map, Value, json};

use super::exact_time;
use super::host_config::{host_config, mount};
use super::network_settings::network_settings;
use super::{networks, volumes};
use crate::cli::format::{Format, TemplateError, documents};
use crate::commands::image_name::Named;
use crate::commands::inspect::Object;
use crate::commands::size::Size;
use crate::engine::paths::Paths;
use crate::engine::view::{Status, View};
use crate::image::Image;
use crate::model::health::{HealthCheck, nanoseconds};
use crate::model::id::Namespace;
use crate::model::record::{Attachment, FOR_EVER, LogDriver, Record};
use crate::model::reference::Reference;
use crate::network::CniResult;

/// How docker writes the time of what has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The documents as they are printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    objects: &[Object],
    namespace: &Namespace,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    let document = |object: &Object| match object {
        Object::Container(view, size) => sized(container(view), *size),
        Object::Image(image) => self::image(image),
        Object::Network(network) => networks::document(network),
        Object::Volume(volume) => volumes::document(volume, namespace),
    };
    let found: Vec<Value> = objects.iter().map(document).collect();
    documents(format, &found)
}

/// What the image says, docker's own additions included.
fn image_config(image: &Image) -> Value {
    // What it does not say is nothing, as in Go, and not unknown.
    let mut config = json!({
        "User": "", "ExposedPorts": null, "Env": null, "Entrypoint": null, "Cmd": null, "Volumes": null,
        "WorkingDir": "", "Labels": null, "StopSignal": "", "OnBuild": null, "Shell": null,
        "Healthcheck": null,
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut config, json!(image.config.config())) {
        all.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    }
    if !image.docker.shell.is_empty() {
        config["Shell"] = json!(image.docker.shell);
    }
    if let (Value::Object(config), Some(check)) = (&mut config, &image.docker.healthcheck) {
        let check = json!({
            "Test": check.test,
            "Interval": nanoseconds(check.interval),
            "Timeout": nanoseconds(check.timeout),
            "StartPeriod": nanoseconds(check.start_period),
            "StartInterval": nanoseconds(check.start_interval),
            "Retries": check.retries,
        });
        config.insert("Healthcheck".to_owned(), check);
    }
    config
}

/// With what it takes, under docker's names; without, if that was not asked for.
fn sized(mut container: Value, size: Option<Size>) -> Value {
    if let Some(size) = size {
        container["SizeRw"] = json!(size.own);
        container["SizeRootFs"] = json!(size.whole);
    }
    container
}

fn container(view: &View) -> Value {
    let record = &view.record;
    let spec: Value = serde_json::from_slice(&view.spec).unwrap_or_default();
    let paths = Paths::new(&record.namespace, &record.id);
    let words = &record.process.command;
    json!({
        "Id": record.id,
        "Name": record.id,
        "Created": exact_time(record.created),
        "Path": words.first(),
        "Args": words.get(1..).unwrap_or_default(),
        "State": state(view),
        "Image": match record.image_id.as_str() {
            "" => &record.image,
            id => id,
        },
        "RestartCount": record.restarts,
        "Driver": record.snapshotter,
        "GraphDriver": {"Name": record.snapshotter, "Data": null},
        "Platform": "linux",
        "AppArmorProfile": spec["process"]["apparmorProfile"].as_str().unwrap_or_default(),
        "MountLabel": "",
        "ProcessLabel": "",
        "ExecIDs": null,
        "LogPath": match record.log.driver {
            LogDriver::Local => Some(paths.log()),
            LogDriver::JsonFile => Some(paths.json_log()),
            LogDriver::None => None,
        },
        "HostnamePath": paths.hostname(),
        "HostsPath": paths.hosts(),
        "ResolvConfPath": paths.resolv_conf(),
        "Config": config(view, &spec),
        "HostConfig": host_config(view, &spec),
        "Mounts": record.mounts.iter().map(mount).collect::<Vec<_>>(),
        "NetworkSettings": network_settings(view),
        "Attachments": attachments(view),
        "Record": record,
        "Spec": spec,
    })
}

fn state(view: &View) -> Value {
    let state = &view.state;
    let exit = state.exit.as_ref();
    json!({
        "Status": state.status.name(),
        // docker counts one that waits to be started again among them.
        "Running": state.status.is_live() || state.status == Status::Restarting,
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": exit.is_some_and(|exit| exit.out_of_memory),
        "Dead": false,
        "Pid": state.pid,
        "ExitCode": exit.map_or(0, |exit| exit.status),
        "Error": exit.and_then(|exit| exit.reason.clone()).unwrap_or_default(),
        "StartedAt": state.started.map_or(NEVER.to_owned(), exact_time),
        "Health": view.health(),
        "FinishedAt": exit.map_or(NEVER.to_owned(), |exit| exact_time(exit.at)),
    })
}

fn config(view: &View, spec: &Value) -> Value {
    let record = &view.record;
    let process = &record.process;
    let entrypoint = record.asked.entrypoint;
    json!({
        "Hostname": record.names.hostname,
        "User": process.user,
        // docker's are those of the one who starts it; here whoever comes is attached.
        "AttachStdin": process.stdin && !process.stdin_stays,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": process.terminal,
        "OpenStdin": process.stdin,
        "StdinOnce": process.stdin && !process.stdin_stays,
        "Healthcheck": record.health.as_ref().map(HealthCheck::document),
        "Volumes": volumes_of(record),
        "Env": spec["process"]["env"],
        "Cmd": words_or_null(process.command.get(entrypoint..)),
        "Entrypoint": words_or_null(process.command.get(..entrypoint)),
        "Image": Reference::parse(&record.image).map_or(record.image.clone(), |image| image.familiar()),
        "Domainname": record.names.domain.clone().unwrap_or_default(),
        "ExposedPorts": exposed(record),
        "WorkingDir": spec["process"]["cwd"],
        "Labels": record.labels,
        "StopSignal": process.stop_signal,
        "StopTimeout": match process.stop_timeout {
            FOR_EVER => json!(-1),
            seconds => json!(seconds),
        },
    })
}

/// docker has null where there are none.
fn words_or_null(words: Option<&[String]>) -> Value {
    match words.unwrap_or_default() {
        [] => Value::Null,
        words => json!(words),
    }
}

/// As docker has them: where its anonymous volumes are, as the keys of an object.
fn volumes_of(record: &Record) -> Value {
    let anonymous = record.mounts.iter().filter(|mount| {
        let volume = mount.volume.as_ref();
        volume.is_some_and(|volume| volume.anonymous)
    });
    let at = anonymous.map(|mount| (mount.destination.display().to_string(), json!({})));
    object_or_null(at.collect())
}

fn object_or_null(object: Map<String, Value>) -> Value {
    match object.is_empty() {
        true => Value::Null,
        false => Value::Object(object),
    }
}

/// As docker has them: the keys of an object; nothing if there are none.
fn exposed(record: &Record) -> Value {
    let ports = record.exposed.iter();
    object_or_null(ports.map(|port| (port.clone(), json!({}))).collect())
}

fn attachments(view: &View) -> Vec<Value> {
    let document = |(attachment, result): (&Attachment, Option<CniResult>)| {
        json!({
            "Network": attachment.network,
            "Interface": attachment.ifname,
            "Source": attachment.source,
            "Result": result.map(|result| result.to_value()),
        })
    };
    let attachments = view.record.network.attachments.iter();
    attachments.zip(view.results()).map(document).collect()
}

/// What the last step of an image's history says.
fn last_step(image: &Image, field: fn(&History) -> &Option<String>) -> String {
    let steps = image.config.history().as_ref();
    let last = steps.and_then(|steps| steps.last());
    last.and_then(|step| field(step).clone())
        .unwrap_or_default()
}

fn image(Named { image, names }: &Named) -> Value {
    let size = image.layers.iter().map(Descriptor::size).sum::<u64>();
    let (mut tags, mut digests) = (Vec::new(), BTreeSet::new());
    for (name, digest) in names {
        // Other programs give names that are no references, and nobody would type.
        let reference = Reference::parse(name).ok();
        let Some(reference) = reference.filter(|reference| reference.to_string() == *name) else {
            continue;
        };
        tags.extend(reference.tag().map(|_| reference.familiar()));
        digests.insert(format!("{}@{digest}", reference.familiar_repository()));
    }
    json!({
        "Id": image.config_digest,
        "Name": image.name,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Parent": "",
        "Comment": last_step(image, History::comment),
        "Created": image.config.created(),
        "Author": image.config.author().as_deref().unwrap_or_default(),
        "Architecture": image.config.architecture(),
        "Variant": image.config.variant(),
        "Os": image.config.os(),
        "Size": size,
        "VirtualSize": size,
        "Config": image_config(image),
        // Nobody writes down when a name was given: docker's word for never.
        "Metadata": {"LastTagTime": NEVER},
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Target": image.target,
        "Manifest": image.manifest_digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::format::{Row, Template};
    use crate::engine::view::sample;
    use crate::model::record::Exit;

    fn rendered(status: Status, template: &str) -> String {
        let mut record = sample::record("web", "2026-01-01T12:00:00Z");
        if status != Status::Created {
            record.started = Some(record.created);
        }
        record.exit = (status == Status::Exited).then_some(Exit::new(3, record.created));
        let document = container(&sample::view(record, status));
        let template = Template::parse(template).unwrap();
        template.render(&Row::from(document)).unwrap()
    }

    #[test]
    fn usual_templates_work() {
        for (template, expected) in [
            ("{{.Id}} {{.Name}} {{.Config.Image}}", "web web alpine:3.14"),
            (
                "{{.State.Running}} {{.State.Pid}} {{.State.Status}}",
                "true 42 running",
            ),
            (
                "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                "10.10.0.2",
            ),
            ("{{.NetworkSettings.IPAddress}}", "10.10.0.2"),
            ("{{.Path}} {{index .Args 0}} {{len .Config.Cmd}}", "sh -c 3"),
            (
                "{{join .Config.Env \",\"}} {{.Config.Labels.job}}",
                "A=b 42",
            ),
            (
                "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.ReadonlyRootfs}}",
                "1024 1500000000 true",
            ),
            (
                "{{.HostConfig.Privileged}} {{index .HostConfig.Binds 0}}",
                "false /srv/site:/site:ro",
            ),
            (
                "{{range .Mounts}}{{.Source}}:{{.Destination}} {{.RW}} {{.Propagation}}{{end}}",
                "/srv/site:/site false rprivate",
            ),
            ("{{.LogPath}}", "/var/lib/netrun/default/web/log"),
            ("{{.State.FinishedAt}}", NEVER),
            (
                "{{.Record.process.stop_timeout}} {{.Spec.process.cwd}}",
                "10 /",
            ),
            ("{{(index .Attachments 0).Interface}}", "eth0"),
            (
                "{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}",
                "",
            ),
        ] {
            assert_eq!(rendered(Status::Running, template), expected, "{template}");
        }
    }

    #[test]
    fn the_state_tells_whether_and_how_it_ended() {
        let template =
            "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.StartedAt}}";
        let ended = rendered(Status::Exited, template);
        assert_eq!(ended, "exited 3 false 2026-01-01T12:00:00.000000000Z");
        let created = rendered(Status::Created, template);
        assert_eq!(created, format!("created 0 false {NEVER}"));
        let result = rendered(Status::Exited, "{{(index .Attachments 0).Result}}");
        assert_eq!(result, "<nil>");
    }
}
