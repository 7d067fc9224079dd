//! What each of the less usual wishes changes in a spec.

use super::*;
use crate::model::isolation::{Sharing, Sysctl};
use crate::model::ulimit::Ulimit;

/// The spec where only these wishes differ from the ordinary.
fn with(change: impl FnOnce(&mut Extras)) -> Value {
    let mut fixture = Fixture::limited(&["cpu", "memory", "pids", "cpuset"], true);
    change(&mut fixture.extras);
    json_of(&fixture.request())
}

fn refused(change: impl FnOnce(&mut Fixture)) -> SpecError {
    let mut fixture = Fixture::limited(&["cpu", "memory"], true);
    change(&mut fixture);
    spec(&fixture.request()).unwrap_err()
}

fn namespaces(spec: &Value) -> Vec<&str> {
    let all = spec["linux"]["namespaces"].as_array().unwrap();
    all.iter().map(|n| n["type"].as_str().unwrap()).collect()
}

#[test]
fn namespaces_are_shared_where_asked() {
    let all = ["mount", "uts", "pid", "ipc", "network", "cgroup"];
    assert_eq!(namespaces(&with(|_| {})), all);
    let hosts = with(|extras| {
        extras.pid = Shared::Host;
        extras.ipc = Shared::Host;
        extras.uts = Some(Sharing::Host);
        extras.cgroupns = Some(Sharing::Host);
        extras.shm = Shm::Bind("/dev/shm".into());
    });
    assert_eq!(namespaces(&hosts), ["mount", "network"]);
    assert_eq!(hosts["hostname"], Value::Null);
    assert_eq!(options(&hosts, "/dev/shm").unwrap()[0], "rbind");
    // Whose it will be is only known at the start.
    let joined = with(|extras| extras.pid = Shared::Container("db".parse().unwrap()));
    assert_eq!(namespaces(&joined), all);
    let error = {
        let mut fixture = Fixture::new();
        fixture.extras.uts = Some(Sharing::Host);
        let request = SpecRequest {
            hostname: Some("own"),
            ..fixture.request()
        };
        spec(&request).unwrap_err()
    };
    assert!(matches!(error, SpecError::HostsNames { .. }));
}

#[test]
fn shared_memory_has_a_size_or_is_not_there() {
    let size = with(|extras| extras.shm = Shm::Own(1 << 20));
    assert!(
        options(&size, "/dev/shm")
            .unwrap()
            .contains(&"size=1048576")
    );
    assert_eq!(options(&with(|e| e.shm = Shm::None), "/dev/shm"), None);
}

#[test]
fn an_init_is_the_parent_of_the_command() {
    let spec = with(|extras| extras.init = Some("/usr/bin/tini-static".into()));
    let args = json!([INIT, "--", "/bin/sh"]);
    assert_eq!(spec["process"]["args"], args);
    assert_eq!(options(&spec, INIT).unwrap(), ["bind", "ro", "rprivate"]);
}

#[test]
fn security_options_change_filters_and_masks() {
    let plain = with(|_| {});
    assert_eq!(plain["process"]["noNewPrivileges"], false);
    let off = with(|extras| {
        extras.seccomp = Seccomp::Off;
        extras.no_new_privileges = true;
        extras.unmasked = true;
        extras.apparmor = Some("mine".to_owned());
    });
    assert_eq!(off["linux"]["seccomp"], Value::Null);
    assert_eq!(off["process"]["noNewPrivileges"], true);
    assert_eq!(off["process"]["apparmorProfile"], "mine");
    assert_eq!(off["linux"]["maskedPaths"], Value::Null);
    assert_eq!(off["linux"]["readonlyPaths"], Value::Null);
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}"#;
    let own = with(|extras| extras.seccomp = Seccomp::Profile(text.to_owned()));
    assert_eq!(own["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ALLOW");
    let bad = refused(|f| f.extras.seccomp = Seccomp::Profile("{}".to_owned()));
    assert!(matches!(bad, SpecError::SeccompProfile(_)));
    let none = refused(|f| {
        f.host.seccomp = false;
        f.extras.seccomp = Seccomp::Profile(text.to_owned());
    });
    assert_eq!(none.class(), Class::Unsupported);
}

#[test]
fn devices_are_nodes_and_rules() {
    let mut node = LinuxDevice::default();
    node.set_path("/dev/x".into()).set_major(10).set_minor(200);
    let spec = with(|extras| {
        extras.devices = vec![(node.clone(), "r".to_owned())];
        extras.device_rules = vec!["b 8:* rw".parse().unwrap()];
    });
    assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/x");
    let rules = spec["linux"]["resources"]["devices"].as_array().unwrap();
    let last: Vec<&Value> = rules.iter().rev().take(2).collect();
    let by_rule = json!({"allow": true, "type": "b", "major": 8, "access": "rw"});
    assert_eq!(*last[0], by_rule);
    assert_eq!(last[1]["access"], "r");
    assert_eq!(with(|_| {})["linux"]["devices"], Value::Null);
}

#[test]
fn the_process_has_its_limits_and_its_mask() {
    let spec = with(|extras| {
        let core = Ulimit {
            name: "RLIMIT_CORE".to_owned(),
            soft: 1,
            hard: u64::MAX,
        };
        extras.ulimits = vec![core];
        extras.umask = Some(0o27);
        extras.oom_score_adj = Some(500);
        extras.annotations.insert("a".to_owned(), "b".to_owned());
        extras.cgroup_parent = Some("/jobs".into());
    });
    let rlimits = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": u64::MAX}]);
    assert_eq!(spec["process"]["rlimits"], rlimits);
    assert_eq!(spec["process"]["user"]["umask"], 0o27);
    assert_eq!(spec["process"]["oomScoreAdj"], 500);
    assert_eq!(spec["annotations"], json!({"a": "b"}));
    assert_eq!(spec["linux"]["cgroupsPath"], "/jobs/netrun-web");
}

#[test]
fn settings_belong_to_namespaces_of_its_own() {
    let sysctl = |text: &str| text.parse::<Sysctl>().unwrap();
    let somaxconn = || vec![sysctl("net.core.somaxconn=7")];
    let spec = with(|extras| extras.sysctls = somaxconn());
    assert_eq!(spec["linux"]["sysctl"]["net.core.somaxconn"], "7");
    let network = refused(|f| {
        f.netns = Netns::Host;
        f.extras.sysctls = somaxconn();
    });
    let ipc = refused(|f| {
        f.extras.ipc = Shared::Host;
        f.extras.sysctls = vec![sysctl("kernel.shmmax=1")];
    });
    for error in [network, ipc] {
        assert!(matches!(error, SpecError::SharedSysctl { .. }), "{error}");
    }
}

#[test]
fn further_limits_are_dockers() {
    let mut fixture = Fixture::limited(&["cpu", "memory", "cpuset"], true);
    fixture.limits = Limits {
        memory: Some(64 << 20),
        memory_swap: Some(-1),
        memory_reservation: Some(32 << 20),
        cpu_shares: Some(512),
        cpuset: Some("0-1".to_owned()),
        ..Limits::default()
    };
    let resources = &json_of(&fixture.request())["linux"]["resources"];
    let memory = json!({"limit": 64 << 20, "reservation": 32 << 20, "swap": -1});
    assert_eq!(resources["memory"], memory);
    assert_eq!(resources["cpu"], json!({"shares": 512, "cpus": "0-1"}));
    assert!(fixture.limits.warnings(&fixture.host).is_empty());
    // Where docker goes on without, so do we, and say so.
    let bare = Fixture::limited(&["memory"], false);
    fixture.host = bare.host;
    let resources = &json_of(&fixture.request())["linux"]["resources"];
    assert_eq!(resources["cpu"], Value::Null);
    assert_eq!(resources["memory"]["swap"], Value::Null);
    let warnings = fixture.limits.warnings(&fixture.host);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let mebi = |memory: u64| Limits {
        memory: Some(memory << 20),
        ..Limits::default()
    };
    let swap = |memory_swap| Limits {
        memory_swap: Some(memory_swap),
        ..mebi(64)
    };
    let reservation = |bytes| Limits {
        memory_reservation: Some(bytes),
        ..mebi(64)
    };
    for limits in [
        swap(32 << 20),
        reservation(65 << 20),
        reservation(1),
        Limits {
            memory: None,
            ..swap(32 << 20)
        },
    ] {
        let error = refused(|f| f.limits = limits.clone());
        assert_eq!(error.class(), Class::InvalidInput, "{limits:?}");
    }
}
