//! Whole specs against what docker documents: one complete spec, then what each option changes.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capability, LinuxDevice};
use serde_json::{Value, json};

use super::*;
use crate::model::class::Class;
use crate::model::isolation::Shared;
use crate::model::record::{MountKind, MountPoint};
use crate::sys::facts::{BY_NUMBER, CgroupMode, Controllers};

/// Everything that a request borrows, at its most ordinary.
struct Fixture {
    id: ContainerId,
    namespace: Namespace,
    image: ImageConfiguration,
    entrypoint: Option<Vec<String>>,
    command: Vec<String>,
    env: Vec<String>,
    user: User,
    limits: Limits,
    extras: Extras,
    netns: Netns,
    etc_files: EtcFiles,
    host: HostFacts,
}

impl Fixture {
    fn new() -> Self {
        Self {
            id: "web".parse().unwrap(),
            namespace: "default".parse().unwrap(),
            image: image(json!({ "Cmd": ["/bin/sh"] })),
            entrypoint: None,
            command: Vec::new(),
            env: Vec::new(),
            user: User {
                uid: 0,
                gid: 0,
                additional_gids: vec![0, 10],
            },
            limits: Limits::default(),
            extras: Extras::default(),
            netns: Netns::Path("/run/netns/netrun-web".into()),
            etc_files: EtcFiles {
                hosts: "/state/hosts".into(),
                hostname: "/state/hostname".into(),
                resolv_conf: "/state/resolv.conf".into(),
            },
            host: HostFacts {
                cgroups: CgroupMode::V2,
                kernel: (6, 1),
                arch: "x86_64",
                hostname: "machine".to_owned(),
                bounding: BY_NUMBER.to_vec(),
                seccomp: true,
                lacking: Vec::new(),
                thermal_cpus: vec![0, 1],
                devices: Vec::new(),
                limits: None,
            },
        }
    }

    fn request(&self) -> SpecRequest<'_> {
        SpecRequest {
            id: &self.id,
            namespace: &self.namespace,
            image: &self.image,
            entrypoint: self.entrypoint.as_deref(),
            command: &self.command,
            env: &self.env,
            workdir: None,
            user: &self.user,
            hostname: None,
            terminal: false,
            privileged: false,
            cap_add: &[],
            cap_drop: &[],
            read_only: false,
            limits: &self.limits,
            extras: &self.extras,
            netns: &self.netns,
            etc_files: &self.etc_files,
            host: &self.host,
        }
    }

    fn limited(names: &[&str], swap: bool) -> Self {
        let mut fixture = Self::new();
        fixture.host.limits = Some(Controllers {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            swap,
            cpus: 4,
        });
        fixture
    }
}

fn image(config: Value) -> ImageConfiguration {
    serde_json::from_value(json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [] },
        "history": [],
    }))
    .unwrap()
}

fn bind(source: &str, destination: &str, access: &str, propagation: &str) -> MountPoint {
    MountPoint {
        kind: MountKind::Bind,
        source: source.into(),
        destination: destination.into(),
        options: ["rbind", access, propagation].map(str::to_owned).into(),
        volume: None,
        image: None,
    }
}

fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn json_of(request: &SpecRequest<'_>) -> Value {
    serde_json::to_value(spec(request).unwrap()).unwrap()
}

/// The options of the mount at a place; nothing if there is none.
fn options<'a>(spec: &'a Value, destination: &str) -> Option<Vec<&'a str>> {
    let mounts = spec["mounts"].as_array().unwrap();
    let mount = mounts
        .iter()
        .find(|mount| mount["destination"] == destination)?;
    let options = mount["options"].as_array().unwrap();
    Some(options.iter().map(|one| one.as_str().unwrap()).collect())
}

/// Capability sets have no order of their own; the seccomp profile has tests of its own.
fn without_sets(mut spec: Value) -> Value {
    spec["process"]["capabilities"] = Value::Null;
    spec["linux"]["seccomp"] = Value::Null;
    spec
}

#[test]
fn the_ordinary_spec_is_dockers() {
    let expected: Value = serde_json::from_str(include_str!("ordinary.json")).unwrap();
    let fixture = Fixture::new();
    let spec = json_of(&fixture.request());
    assert_eq!(spec["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(without_sets(spec), expected);
}

#[test]
fn entrypoint_and_command_follow_docker() {
    let both = json!({ "Entrypoint": ["/entry", "-x"], "Cmd": ["default"] });
    let command_only = json!({ "Cmd": ["default"] });
    for (config, entrypoint, command, expected) in [
        (&both, None, "", "/entry -x default"),
        (&both, None, "given one", "/entry -x given one"),
        (&both, Some("/mine"), "", "/mine"),
        (&both, Some("/mine"), "given", "/mine given"),
        (&command_only, None, "", "default"),
        (&command_only, None, "given", "given"),
        (&command_only, Some("/mine"), "", "/mine"),
    ] {
        let entrypoint = entrypoint.map(words);
        let resolved = resolved_command(
            &image(config.clone()),
            entrypoint.as_deref(),
            &words(command),
        );
        assert_eq!(resolved.unwrap(), words(expected));
    }
    let cleared = [String::new()];
    let both = image(both);
    let given = resolved_command(&both, Some(&cleared), &words("given"));
    assert_eq!(given.unwrap(), ["given"]);
    for cleared in [&cleared[..], &[]] {
        let nothing = resolved_command(&both, Some(cleared), &[]).unwrap_err();
        assert!(matches!(nothing, SpecError::NothingToRun));
        assert_eq!(nothing.class(), Class::InvalidInput);
    }
    assert!(resolved_command(&image(json!({})), None, &[]).is_err());
}

#[test]
fn later_variables_win_in_place() {
    let mut fixture = Fixture::new();
    fixture.image = image(json!({ "Cmd": ["x"], "Env": ["PATH=/image", "A=1", "B=2", "E="] }));
    fixture.env = words("B=3 C=4 A HOSTNAME=mine C=5=6 UNSET");
    fixture.extras.window = Some((101, 33));
    let request = SpecRequest {
        terminal: true,
        ..fixture.request()
    };
    let spec = json_of(&request);
    assert_eq!(spec["process"]["terminal"], true);
    let size = json!({ "width": 101, "height": 33 });
    assert_eq!(spec["process"]["consoleSize"], size);
    assert_eq!(
        spec["process"]["env"],
        json!([
            "PATH=/image",
            "HOSTNAME=mine",
            "TERM=xterm",
            "B=3",
            "E=",
            "C=5=6"
        ])
    );
    for nameless in ["", "=x"] {
        fixture.env = vec![nameless.to_owned()];
        let error = super::spec(&fixture.request()).unwrap_err();
        assert!(matches!(error, SpecError::NamelessEnv { .. }), "{nameless}");
    }
}

#[test]
fn the_working_directory_is_absolute() {
    let mut fixture = Fixture::new();
    fixture.image = image(json!({ "Cmd": ["x"], "WorkingDir": "/app" }));
    assert_eq!(json_of(&fixture.request())["process"]["cwd"], "/app");
    let at = |workdir| SpecRequest {
        workdir: Some(workdir),
        ..fixture.request()
    };
    assert_eq!(json_of(&at("/tmp"))["process"]["cwd"], "/tmp");
    assert!(matches!(
        spec(&at("tmp")),
        Err(SpecError::RelativeWorkdir { .. })
    ));
}

#[test]
fn the_hosts_network_keeps_a_uts_namespace_with_the_hosts_name() {
    let mut fixture = Fixture::new();
    fixture.netns = Netns::Host;
    let spec = json_of(&fixture.request());
    assert_eq!(spec["hostname"], "machine");
    assert_eq!(spec["process"]["env"][1], "HOSTNAME=machine");
    assert_eq!(spec["linux"]["sysctl"], Value::Null);
    assert_eq!(
        spec["linux"]["namespaces"],
        json!([
            { "type": "mount" }, { "type": "uts" }, { "type": "pid" }, { "type": "ipc" },
            { "type": "cgroup" },
        ])
    );
    let named = SpecRequest {
        hostname: Some("mine"),
        ..fixture.request()
    };
    assert_eq!(json_of(&named)["hostname"], "mine");
}

#[test]
fn cgroup_v1_and_hybrid_share_the_hosts_cgroup_namespace() {
    for mode in [CgroupMode::V1, CgroupMode::Hybrid] {
        let mut fixture = Fixture::new();
        fixture.host.cgroups = mode;
        let spec = json_of(&fixture.request());
        let namespaces = spec["linux"]["namespaces"].as_array().unwrap();
        assert_eq!(namespaces.len(), 5, "{mode:?}");
        assert!(!namespaces.contains(&json!({ "type": "cgroup" })));
    }
}

#[test]
fn a_privileged_container_has_what_the_host_has() {
    let mut fixture = Fixture::new();
    fixture.host.bounding = vec![Capability::Chown, Capability::SysAdmin];
    let mut device = LinuxDevice::default();
    device.set_path("/dev/fuse".into());
    fixture.host.devices = vec![device];
    let request = SpecRequest {
        privileged: true,
        ..fixture.request()
    };
    let spec = json_of(&request);
    let linux = &spec["linux"];
    for gone in ["seccomp", "maskedPaths", "readonlyPaths"] {
        assert_eq!(linux[gone], Value::Null, "{gone}");
    }
    assert_eq!(
        linux["resources"]["devices"],
        json!([{ "allow": true, "access": "rwm" }])
    );
    assert_eq!(linux["devices"][0]["path"], "/dev/fuse");
    assert!(options(&spec, "/sys").unwrap().contains(&"rw"));
    assert!(!options(&spec, "/sys").unwrap().contains(&"ro"));
    assert!(options(&spec, "/sys/fs/cgroup").unwrap().contains(&"rw"));
    let effective: BTreeSet<&str> = spec["process"]["capabilities"]["effective"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(effective, BTreeSet::from(["CAP_CHOWN", "CAP_SYS_ADMIN"]));
}

#[test]
fn an_old_kernel_is_not_asked_for_a_newer_sysctl() {
    let mut fixture = Fixture::new();
    fixture.host.kernel = (4, 10);
    let spec = json_of(&fixture.request());
    assert_eq!(
        spec["linux"]["sysctl"],
        json!({ "net.ipv4.ping_group_range": "0 2147483647" })
    );
}

#[test]
fn a_kernel_without_seccomp_gets_no_profile() {
    let mut fixture = Fixture::new();
    fixture.host.seccomp = false;
    let spec = json_of(&fixture.request());
    assert_eq!(spec["linux"]["seccomp"], Value::Null);
}

#[test]
fn the_profile_follows_the_capabilities() {
    let fixture = Fixture::new();
    let allows_mount = |cap_add: &[String]| {
        let request = SpecRequest {
            cap_add,
            ..fixture.request()
        };
        json_of(&request)["linux"]["seccomp"]
            .to_string()
            .contains("\"mount\"")
    };
    assert!(!allows_mount(&[]));
    assert!(allows_mount(&words("SYS_ADMIN")));
}

#[test]
fn a_read_only_root_makes_the_files_of_names_read_only() {
    let mut fixture = Fixture::new();
    fixture.extras.mounts = vec![bind("/srv", "/data", "rw", "rprivate")];
    let request = SpecRequest {
        read_only: true,
        ..fixture.request()
    };
    let spec = json_of(&request);
    assert_eq!(spec["root"]["readonly"], true);
    assert_eq!(options(&spec, "/etc/hosts").unwrap()[1], "ro");
    assert_eq!(options(&spec, "/data").unwrap()[1], "rw");
    assert!(!options(&spec, "/dev/shm").unwrap().contains(&"ro"));
}

#[test]
fn binds_replace_defaults_and_lie_in_order_of_depth() {
    let mut fixture = Fixture::new();
    fixture.extras.mounts = vec![
        bind("/a", "/data/deep/er", "ro", "rprivate"),
        bind("/b", "/data", "rw", "rprivate"),
        bind("/c", "/etc/hosts", "rw", "rprivate"),
        bind("/d", "/dev", "rw", "rprivate"),
    ];
    let spec = json_of(&fixture.request());
    let mounts = spec["mounts"].as_array().unwrap();
    let places: Vec<&str> = mounts
        .iter()
        .map(|mount| mount["destination"].as_str().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "/proc",
            "/sys",
            "/sys/fs/cgroup",
            "/data",
            "/dev",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts",
            "/data/deep/er",
        ]
    );
    assert_eq!(
        options(&spec, "/data/deep/er").unwrap(),
        ["rbind", "ro", "rprivate"]
    );
    assert_eq!(mounts[7]["source"], "/c");

    let again = bind("/e", "/data", "rw", "rprivate");
    fixture.extras.mounts.push(again);
    let error = super::spec(&fixture.request()).unwrap_err();
    assert_eq!(error.to_string(), "two mounts have the destination /data");
}

#[test]
fn shared_binds_need_a_root_that_lets_them_pass() {
    for (options, expected) in [
        ("ro", Value::Null),
        ("rprivate", Value::Null),
        ("rslave", json!("rslave")),
        ("slave", json!("rslave")),
        ("rshared", json!("shared")),
        ("shared", json!("shared")),
    ] {
        let mut fixture = Fixture::new();
        fixture.extras.mounts = vec![bind("/a", "/b", "rw", options)];
        let spec = json_of(&fixture.request());
        assert_eq!(spec["linux"]["rootfsPropagation"], expected, "{options}");
    }
}

#[test]
fn limits_are_dockers() {
    let fixture = Fixture::limited(&["cpu", "memory", "pids"], true);
    let request = SpecRequest {
        limits: &Limits {
            memory: Some(64 << 20),
            cpus: Some(1.5),
            pids: Some(100),
            ..Limits::default()
        },
        ..fixture.request()
    };
    let resources = &json_of(&request)["linux"]["resources"];
    assert_eq!(
        resources["memory"],
        json!({ "limit": 64 << 20, "swap": 128 << 20 })
    );
    assert_eq!(
        resources["cpu"],
        json!({ "quota": 150_000, "period": 100_000 })
    );
    assert_eq!(resources["pids"], json!({ "limit": 100 }));

    let without_swap = Fixture::limited(&["memory"], false);
    let request = SpecRequest {
        limits: &Limits {
            memory: Some(64 << 20),
            pids: Some(-1),
            ..Limits::default()
        },
        ..without_swap.request()
    };
    let resources = &json_of(&request)["linux"]["resources"];
    assert_eq!(resources["memory"], json!({ "limit": 64 << 20 }));
    assert_eq!(resources["pids"], Value::Null);
}

#[test]
fn docker_goes_on_without_some_limits() {
    let bare = Fixture::limited(&["freezer"], false);
    let limits = Limits {
        memory: Some(64 << 20),
        memory_swap: Some(-1),
        memory_reservation: Some(32 << 20),
        cpu_shares: Some(512),
        cpuset: Some("0".to_owned()),
        pids: Some(1),
        ..Limits::default()
    };
    let request = SpecRequest {
        limits: &limits,
        ..bare.request()
    };
    let resources = &json_of(&request)["linux"]["resources"];
    for kind in ["memory", "cpu", "pids"] {
        assert_eq!(resources[kind], Value::Null, "{kind}");
    }
    let warnings = limits.warnings(&bare.host).join("\n");
    for flag in [
        "--memory;",
        "--memory-swap;",
        "--memory-reservation;",
        "--cpu-shares;",
        "--cpuset-cpus;",
        "--pids-limit;",
    ] {
        assert!(warnings.contains(flag), "{flag} in {warnings}");
    }
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let refused = |fixture: &Fixture, limits: Limits| {
        let request = SpecRequest {
            limits: &limits,
            ..fixture.request()
        };
        spec(&request).unwrap_err()
    };
    let memory = |bytes| Limits {
        memory: Some(bytes),
        ..Limits::default()
    };
    let cpus = |cpus| Limits {
        cpus: Some(cpus),
        ..Limits::default()
    };
    let bare = Fixture::limited(&["freezer"], false);
    let error = refused(&bare, cpus(1.0));
    assert!(matches!(error, SpecError::NoController { .. }));
    assert_eq!(error.class(), Class::Unsupported);
    let able = Fixture::limited(&["cpu", "memory", "pids"], true);
    for limits in [
        memory((6 << 20) - 1),
        cpus(0.0),
        cpus(0.009),
        cpus(-1.0),
        cpus(f64::NAN),
    ] {
        let error = refused(&able, limits);
        assert!(matches!(error, SpecError::LimitTooSmall { .. }));
        assert_eq!(error.class(), Class::InvalidInput);
    }
    let error = refused(&able, cpus(4.01));
    assert_eq!(
        error.to_string(),
        "--cpus 4.01 is more than this host has, which is 4"
    );
    assert_eq!(error.class(), Class::InvalidInput);
}

#[test]
fn an_exec_changes_what_it_says_and_nothing_else() {
    let mut fixture = Fixture::new();
    fixture.env = words("A=1");
    let container = spec(&fixture.request()).unwrap().process().clone().unwrap();
    let command = words("ls -l");
    let plain = ExecRequest {
        command: &command,
        env: &[],
        workdir: None,
        user: None,
        terminal: false,
        window: Some((101, 33)),
        privileged: None,
    };
    let all = ExecRequest {
        privileged: Some(&BY_NUMBER),
        ..plain
    };
    let process = exec_process(&container, &all).unwrap();
    let sets = process.capabilities().as_ref().unwrap();
    assert_eq!(sets.effective().as_ref().unwrap().len(), BY_NUMBER.len());
    let mut expected = container.clone();
    expected.set_args(Some(command.clone()));
    assert_eq!(exec_process(&container, &plain).unwrap(), expected);

    let env = words("A=2");
    let user = User {
        uid: 5,
        gid: 6,
        additional_gids: vec![6],
    };
    let request = ExecRequest {
        env: &env,
        workdir: Some("/tmp"),
        user: Some(&user),
        terminal: true,
        ..plain
    };
    let process = exec_process(&container, &request).unwrap();
    let env = process.env().as_deref().unwrap();
    assert_eq!(env[1..], ["HOSTNAME=web", "A=2", "TERM=xterm"]);
    assert_eq!(process.terminal(), Some(true));
    let size = process.console_size().unwrap();
    assert_eq!((size.width(), size.height()), (101, 33));
    assert_eq!(process.cwd().to_str(), Some("/tmp"));
    assert_eq!((process.user().uid(), process.user().gid()), (5, 6));
    let sets = process.capabilities().as_ref().unwrap();
    assert_eq!(sets.bounding().as_ref().unwrap().len(), 14);
    assert_eq!(*sets.effective(), None);

    for bad in [
        ExecRequest {
            command: &[],
            ..plain
        },
        ExecRequest {
            workdir: Some("tmp"),
            ..plain
        },
    ] {
        assert!(exec_process(&container, &bad).is_err());
    }
}

#[path = "extras_tests.rs"]
mod extras;
