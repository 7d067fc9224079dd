//! `netrun info`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{in_one_line, paragraph, this_machine};
use crate::cli::format::{Format, TemplateError, documents};
use crate::commands::info::{Info, Server};
use crate::commands::settings::Settings;
use crate::commands::version::CLIENT;
use crate::engine::paths;
use crate::engine::view::Status;
use crate::model::record::LogDriver;
use crate::sys::facts::CgroupMode;

/// What was found, as it is printed.
///
/// # Errors
/// The template names a field that there is not.
pub fn show(
    info: &Info,
    settings: &Settings,
    format: Option<&Format>,
) -> Result<String, TemplateError> {
    match format {
        None | Some(Format::Table) => Ok(text(info, settings)),
        Some(Format::Json) => Ok(format!("{}\n", document(info, settings))),
        template => documents(template, &[document(info, settings)]),
    }
}

fn document(info: &Info, settings: &Settings) -> Value {
    let server = info.server.as_ref().ok();
    let containers = |status| server.map_or(0, |server| count(server, status));
    let (os, arch) = this_machine();
    let networks = info.networks.networks.iter();
    let broken = info.networks.broken.iter();
    let broken = broken.map(|file| in_one_line(&file.error));
    json!({
        "ClientVersion": CLIENT,
        "ServerVersion": server.map(|server| &server.version.version),
        "ServerErrors": info.server.as_ref().err().map(|error| [in_one_line(error.as_ref())]),
        "Address": settings.address,
        "Namespace": settings.namespace,
        "Driver": settings.snapshotter,
        "DefaultRuntime": settings.runtime,
        "RuncVersion": info.runc,
        "Containers": server.map_or(0, |server| server.seen.own.len()),
        "ContainersCreated": containers(Status::Created),
        "ContainersRunning": containers(Status::Running),
        "ContainersPaused": containers(Status::Paused),
        "ContainersStopped": containers(Status::Exited),
        "ContainersForeign": server.map_or(0, |server| server.seen.foreign.len()),
        "ContainersForeignRunning": server.map_or(0, foreign_running),
        "ContainersUnreadable": server.map_or(0, |server| server.seen.unreadable.len()),
        "Images": server.map_or(0, |server| server.images),
        "Name": info.hostname,
        "NCPU": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "CgroupDriver": "cgroupfs",
        "Swarm": {"LocalNodeState": "inactive"},
        "DockerRootDir": paths::STATE,
        "OperatingSystem": info.system,
        "MemTotal": info.memory,
        "LoggingDriver": LogDriver::default().name(),
        "OSType": os,
        "Architecture": arch,
        "KernelVersion": info.kernel,
        "CgroupVersion": info.cgroups.as_ref().ok().map(cgroup_version),
        "PluginDirs": info.plugin_dirs,
        "NetworkDir": settings.cni_conf_dir,
        "Networks": networks.map(|network| network.name()).collect::<Vec<_>>(),
        "BrokenNetworkFiles": broken.collect::<Vec<_>>(),
        "SupervisorsAlive": info.supervisors_alive,
        "SupervisorsDead": info.supervisors_dead,
        "StateDir": paths::STATE,
        "RunDir": paths::RUN,
    })
}

fn count(server: &Server, status: Status) -> usize {
    let own = server.seen.own.iter();
    own.filter(|view| view.state.status == status).count()
}

fn foreign_running(server: &Server) -> usize {
    let foreign = server.seen.foreign.iter();
    foreign.filter(|(_, runs)| *runs).count()
}

/// docker's word; in a hybrid the controllers are of version 1.
fn cgroup_version(mode: &CgroupMode) -> &'static str {
    match mode {
        CgroupMode::V1 | CgroupMode::Hybrid => "1",
        CgroupMode::V2 => "2",
    }
}

fn cgroups(info: &Info) -> String {
    match &info.cgroups {
        Ok(CgroupMode::Hybrid) => "version 1, with an empty version 2 beside".to_owned(),
        Ok(mode) => format!("version {}", cgroup_version(mode)),
        Err(error) => in_one_line(error),
    }
}

fn text(info: &Info, settings: &Settings) -> String {
    let address = settings.address.display().to_string();
    let mut containerd = vec![
        ("Address", address),
        ("Namespace", settings.namespace.to_string()),
        ("Snapshotter", settings.snapshotter.clone()),
        ("Runtime", settings.runtime.clone()),
    ];
    let containers = match &info.server {
        Ok(server) => {
            containerd.insert(0, ("Version", server.version.version.clone()));
            containerd.push(("Images", server.images.to_string()));
            paragraph("Containers", &containers(server))
        }
        // The error itself is told after all this.
        Err(_) => "Containers\n not known\n".to_owned(),
    };
    let host = [
        ("Kernel", info.kernel.clone()),
        ("Architecture", this_machine().1),
        ("Cgroups", cgroups(info)),
        (
            "runc",
            info.runc.clone().unwrap_or_else(|| "not found".to_owned()),
        ),
        ("State", paths::STATE.to_owned()),
        ("Sockets and locks", paths::RUN.to_owned()),
        ("Supervisors", supervisors(info)),
    ];
    let parts = [
        paragraph("containerd", &containerd),
        containers,
        paragraph("Networks", &networks(info, settings)),
        paragraph("Host", &host),
    ];
    format!("netrun {CLIENT}\n\n{}", parts.join("\n"))
}

fn containers(server: &Server) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("Created", count(server, Status::Created).to_string()),
        ("Running", count(server, Status::Running).to_string()),
        ("Paused", count(server, Status::Paused).to_string()),
        ("Exited", count(server, Status::Exited).to_string()),
    ];
    let (foreign, running) = (server.seen.foreign.len(), foreign_running(server));
    lines.push((
        "Not netrun's",
        format!("{foreign}, {running} of them running"),
    ));
    for error in &server.seen.unreadable {
        lines.push(("Unreadable", in_one_line(error)));
    }
    lines
}

fn networks(info: &Info, settings: &Settings) -> Vec<(&'static str, String)> {
    let names = info.networks.networks.iter();
    let names: Vec<&str> = names.map(|network| network.name()).collect();
    let mut lines = vec![
        ("Directory", settings.cni_conf_dir.display().to_string()),
        ("Names", or_none(&names.join(", "))),
        ("Plugins", or_none(&joined(&info.plugin_dirs))),
    ];
    for file in &info.networks.broken {
        lines.push(("Broken", in_one_line(&file.error)));
    }
    lines
}

fn supervisors(info: &Info) -> String {
    let dead = match info.supervisors_dead {
        0 => String::new(),
        dead => format!(", {dead} dead (netrun gc finishes what they left)"),
    };
    format!("{} alive{dead}", info.supervisors_alive)
}

fn joined(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(", ")
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::settings::GlobalArgs;
    use crate::containerd::{Container, ServerVersion};
    use crate::engine::error::Error;
    use crate::engine::view::{Seen, sample};
    use crate::network::config::Scan;

    fn info(server: Result<Server, Error>) -> Info {
        Info {
            server: server.map_err(Into::into),
            runc: None,
            kernel: "6.1.0".to_owned(),
            hostname: "box".to_owned(),
            system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            memory: 1 << 30,
            cgroups: Ok(CgroupMode::Hybrid),
            plugin_dirs: vec!["/opt/cni/bin".into()],
            networks: Scan::default(),
            supervisors_alive: 2,
            supervisors_dead: 1,
        }
    }

    fn shown(server: Result<Server, Error>, format: Option<&str>) -> String {
        let format: Option<Format> = format.map(|text| text.parse().unwrap());
        let settings = Settings::resolve(&GlobalArgs::default()).unwrap();
        show(&info(server), &settings, format.as_ref()).unwrap()
    }

    fn server() -> Server {
        let record = sample::record("web", "2026-01-01T12:00:00Z");
        let foreign = |runs| (Container::default(), runs);
        Server {
            version: ServerVersion {
                version: "1.6.20".to_owned(),
                revision: String::new(),
            },
            seen: Seen {
                own: vec![sample::view(record, Status::Running)],
                foreign: vec![foreign(true), foreign(false)],
                unreadable: Vec::new(),
            },
            images: 3,
        }
    }

    #[test]
    fn containers_are_counted_by_state_and_maker() {
        let template = "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} \
            {{.ContainersForeign}} {{.ContainersForeignRunning}} {{.Images}} {{.CgroupVersion}}";
        assert_eq!(shown(Ok(server()), Some(template)), "1 1 0 2 1 3 1\n");
        let text = shown(Ok(server()), None);
        assert!(
            text.contains(" Not netrun's: 2, 1 of them running\n"),
            "{text}"
        );
        assert!(text.contains("2 alive, 1 dead"), "{text}");
    }

    #[test]
    fn without_containerd_the_rest_is_told() {
        let gone = || Error::NoSuchContainer { id: "x".to_owned() };
        let template = "{{.Containers}} {{.KernelVersion}} {{index .ServerErrors 0}}";
        let expected = "0 6.1.0 there is no container \"x\"\n";
        assert_eq!(shown(Err(gone()), Some(template)), expected);
        assert!(shown(Err(gone()), None).contains("not known"));
    }
}
