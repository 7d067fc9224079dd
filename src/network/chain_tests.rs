//! Tests of the verbs over scripted plugins, which note how they are called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::json;

use super::super::attach::{AttachCause, AttachError};
use super::super::detach::DetachError;
use super::super::gc::GcError;
use super::super::verbs::VerbError;
use super::*;
use crate::model::class::{Class, Explain};

/// Notes verb and own name in `calls`, request and variables in a file of its own, then does what
/// the case says.
const NOTE: &str = r#"#!/bin/sh
name=${0##*/}
echo "$CNI_COMMAND $name" >> "$NOTES/calls"
cat > "$NOTES/$CNI_COMMAND-$name.json"
env | grep ^CNI_ | sort > "$NOTES/$CNI_COMMAND-$name.env"
"#;

/// Something that is a namespace, and not the host's network.
const NETNS: &str = "/proc/self/ns/uts";

struct Host {
    dir: PathBuf,
}

impl Host {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("netrun-chain-{}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        Self { dir }
    }

    fn plugin(&self, name: &str, script: &str) {
        let path = self.dir.join("bin").join(name);
        let note = NOTE.replace("$NOTES", self.dir.to_str().unwrap());
        let script = script.replace("$NOTES", self.dir.to_str().unwrap());
        // Another test's fork may hold the file open for writing: write, then rename, does not
        // help, so the runtime's own retry on "text file busy" is relied on.
        fs::write(&path, format!("{note}{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Two plugins of which each puts its name into the result.
    fn with_two(name: &str) -> Self {
        let host = Self::new(name);
        host.plugin(
            "one",
            r#"echo '{"cniVersion":"1.0.0","by":"one","ips":[{"address":"10.0.0.2/8"}]}'"#,
        );
        host.plugin("two", r#"echo '{"cniVersion":"0.4.0","by":"two","ips":[{"version":"4","address":"10.0.0.2/8"}]}'"#);
        host
    }

    fn chain(&self, keys: Value) -> Chain {
        let mut list = json!({"name": "net", "cniVersion": "1.0.0", "plugins": [
            {"type": "one", "capabilities": {"ips": true}}, {"type": "two", "own": 1}
        ]});
        for (key, value) in keys.as_object().unwrap() {
            list[key] = value.clone();
        }
        let list = NetworkConfigList::parse(&list.to_string(), Path::new("net.conflist")).unwrap();
        Chain::new(list, vec![self.dir.join("none"), self.dir.join("bin")])
            .with_cache_dir(self.dir.join("results"))
            .with_lock_dir(self.dir.join("locks"))
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.dir.join("calls"));
        calls.lines().map(str::to_owned).collect()
    }

    fn request(&self, call: &str) -> Value {
        let path = self.dir.join(format!("{call}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn env(&self, call: &str) -> String {
        let env = fs::read_to_string(self.dir.join(format!("{call}.env"))).unwrap();
        env.replace(self.dir.to_str().unwrap(), "DIR")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn conf() -> RuntimeConf {
    let mut conf = RuntimeConf {
        container_id: "default-web".to_owned(),
        netns: PathBuf::from(NETNS),
        ifname: "eth0".to_owned(),
        args: vec![
            ("IgnoreUnknown".into(), "1".into()),
            ("IP".into(), "10.0.0.2".into()),
        ],
        ..RuntimeConf::default()
    };
    conf.capability_args
        .insert("ips".to_owned(), json!(["10.0.0.2/8"]));
    conf.capability_args
        .insert("mac".to_owned(), json!("00:00:00:00:00:01"));
    conf
}

fn cause(error: AttachError) -> AttachCause {
    match error {
        AttachError::Failed { source, .. } => *source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn add_goes_forward_and_del_back_with_the_final_result() {
    let host = Host::with_two("order");
    let chain = host.chain(json!({}));
    chain.preflight().unwrap();
    assert_eq!(chain.undeclared(&conf()), ["mac"]);
    let result = chain.add(&conf()).await.unwrap();
    assert_eq!(host.calls(), ["ADD one", "ADD two"]);
    assert_eq!(
        host.env("ADD-one"),
        "CNI_ARGS=IgnoreUnknown=1;IP=10.0.0.2\nCNI_COMMAND=ADD\nCNI_CONTAINERID=default-web\n\
         CNI_IFNAME=eth0\nCNI_NETNS=/proc/self/ns/uts\nCNI_PATH=DIR/none:DIR/bin\n"
    );
    let first = host.request("ADD-one");
    assert_eq!(first.get("prevResult"), None);
    assert_eq!(first["runtimeConfig"], json!({"ips": ["10.0.0.2/8"]}));
    let second = host.request("ADD-two");
    assert_eq!(second["prevResult"]["by"], "one");
    assert_eq!(
        (&second["name"], &second["own"]),
        (&json!("net"), &json!(1))
    );
    assert_eq!(second.get("runtimeConfig"), None);
    // The second plugin answered in an older version.
    let expected = json!({"cniVersion": "1.0.0", "by": "two", "ips": [{"address": "10.0.0.2/8"}]});
    assert_eq!(result.to_value(), expected);

    // DEL without a record: all comes from the cache, not from this call.
    let bare = RuntimeConf {
        args: Vec::new(),
        capability_args: Map::new(),
        ..conf()
    };
    chain.del(&bare, None).await.unwrap();
    assert_eq!(host.calls(), ["DEL two", "DEL one"]);
    assert_eq!(host.request("DEL-one")["prevResult"], expected);
    assert_eq!(
        host.request("DEL-one")["runtimeConfig"],
        json!({"ips": ["10.0.0.2/8"]})
    );
    assert!(
        host.env("DEL-one")
            .contains("CNI_ARGS=IgnoreUnknown=1;IP=10.0.0.2\n")
    );
    assert_eq!(chain.cache().list(), []);

    // Once more, of what is gone.
    chain.del(&bare, None).await.unwrap();
    assert_eq!(host.request("DEL-one").get("prevResult"), None);
}

#[tokio::test(flavor = "current_thread")]
async fn del_uses_the_configuration_that_add_saw() {
    let host = Host::with_two("kept-config");
    host.chain(json!({})).add(&conf()).await.unwrap();
    let changed = host.chain(json!({"plugins": [{"type": "three"}]}));
    host.calls();
    changed.del(&conf(), None).await.unwrap();
    assert_eq!(host.calls(), ["DEL two", "DEL one"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_add_is_undone_with_the_last_good_result() {
    let host = Host::with_two("rollback");
    host.plugin(
        "two",
        r#"echo '{"code":7,"msg":"no","details":"really"}'; echo deep >&2; exit 1"#,
    );
    let chain = host.chain(json!({}));
    let error = chain.add(&conf()).await.unwrap_err();
    // The failing DEL is tried twice, and does not stop the other.
    assert_eq!(
        host.calls(),
        ["ADD one", "ADD two", "DEL two", "DEL two", "DEL one"]
    );
    assert_eq!(host.request("DEL-one")["prevResult"]["by"], "one");
    match error {
        AttachError::Failed {
            source, rollback, ..
        } => {
            let AttachCause::Plugin(source) = *source else {
                panic!("{source:?}");
            };
            assert_eq!(source.to_string(), "CNI plugin \"two\" failed on ADD");
            assert_eq!(source.code(), Some(7));
            let cause = std::error::Error::source(&source).unwrap().to_string();
            assert_eq!(cause, "no; really (code 7)");
            assert_eq!(rollback.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(chain.cache().list(), []);
}

#[tokio::test(flavor = "current_thread")]
async fn a_result_that_cannot_be_kept_is_undone() {
    let host = Host::with_two("unkept");
    fs::write(host.dir.join("results"), "in the way").unwrap();
    let error = host.chain(json!({})).add(&conf()).await.unwrap_err();
    assert!(matches!(cause(error), AttachCause::Cache(_)));
    assert_eq!(host.calls(), ["ADD one", "ADD two", "DEL two", "DEL one"]);
}

#[tokio::test(flavor = "current_thread")]
async fn anothers_result_is_refused() {
    let host = Host::with_two("foreign");
    host.plugin(
        "two",
        r#"echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/proc/self/ns/ipc"}]}'"#,
    );
    let error = host.chain(json!({})).add(&conf()).await.unwrap_err();
    assert!(matches!(cause(error), AttachCause::ForeignResult(_)));
    host.plugin(
        "two",
        r#"echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}]}'"#,
    );
    host.chain(json!({})).add(&conf()).await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_network_of_ours_that_was_removed_reaches_no_plugin() {
    let host = Host::with_two("gone");
    let chain = host.chain(json!({"netrun": {"version": 1}}));
    let error = chain.add(&conf()).await.unwrap_err();
    assert!(matches!(error, AttachError::Gone { .. }), "{error}");
    assert_eq!(error.class(), Class::NotFound);
    assert!(host.calls().is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn bad_parameters_reach_no_plugin() {
    let host = Host::with_two("parameters");
    let chain = host.chain(json!({}));
    let netns = |path: &str| RuntimeConf {
        netns: path.into(),
        ..conf()
    };
    for (conf, class) in [
        (
            RuntimeConf {
                container_id: "a/b".into(),
                ..conf()
            },
            Class::InvalidInput,
        ),
        (
            RuntimeConf {
                ifname: "much-too-long-name".into(),
                ..conf()
            },
            Class::InvalidInput,
        ),
        (netns("/proc/self/ns/net"), Class::InvalidInput),
        (netns("/etc/passwd"), Class::InvalidInput),
        (netns("/run/netns/not-there"), Class::NotFound),
        (netns(""), Class::NotFound),
    ] {
        assert_eq!(
            chain.add(&conf).await.unwrap_err().class(),
            class,
            "{conf:?}"
        );
    }
    let missing = host.chain(json!({"plugins": [{"type": "one"}, {"type": "absent"}]}));
    let error = missing.add(&conf()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    let dir = host.dir.display();
    assert_eq!(
        source,
        format!("no CNI plugin \"absent\" in {dir}/none, {dir}/bin")
    );
    let ipam = host.chain(json!({"plugins": [{"type": "one", "ipam": {"type": "absent"}}]}));
    assert!(ipam.preflight().is_err());
    assert!(host.calls().is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_second_interface_of_the_same_name_is_refused() {
    let host = Host::with_two("twice");
    let chain = host.chain(json!({}));
    chain.add(&conf()).await.unwrap();
    host.calls();
    for name in ["net", "other"] {
        let error = host
            .chain(json!({"name": name}))
            .add(&conf())
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::AlreadyExists);
    }
    assert!(host.calls().is_empty());
    let second = RuntimeConf {
        ifname: "eth1".into(),
        ..conf()
    };
    chain.add(&second).await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn del_goes_on_after_a_failure_and_keeps_the_cache() {
    let host = Host::with_two("del-fails");
    let chain = host.chain(json!({}));
    chain.add(&conf()).await.unwrap();
    host.calls();
    host.plugin("two", "echo broken >&2; exit 3");
    let error = chain
        .del(&conf(), Some(&json!({"kept": 1})))
        .await
        .unwrap_err();
    assert_eq!(host.calls(), ["DEL two", "DEL two", "DEL one"]);
    assert_eq!(host.request("DEL-one")["prevResult"]["kept"], 1);
    match error {
        DetachError::Plugins { source, .. } => assert_eq!(
            source.0[0].to_string(),
            "CNI plugin \"two\" failed on DEL (exit status: 3), saying \"broken\""
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(chain.cache().list().len(), 1);
    chain.forget(&conf());
    assert_eq!(chain.cache().list(), []);
}

#[tokio::test(flavor = "current_thread")]
async fn del_of_old_versions_has_no_previous_result() {
    let host = Host::with_two("old");
    let chain = host.chain(json!({"cniVersion": "0.3.1"}));
    chain.add(&conf()).await.unwrap();
    assert_eq!(
        host.request("ADD-two")["prevResult"]["ips"][0]["version"],
        "4"
    );
    chain.del(&conf(), None).await.unwrap();
    assert_eq!(host.request("DEL-two").get("prevResult"), None);
    let error = chain.check(&conf(), None).await.unwrap_err();
    assert!(matches!(error, VerbError::CheckUnsupported { .. }));
}

/// N1: within what the configuration offers, never below or beside it.
#[tokio::test(flavor = "current_thread")]
async fn the_version_is_lowered_to_what_all_plugins_speak() {
    let host = Host::with_two("lowered");
    host.plugin(
        "two",
        r#"[ $CNI_COMMAND = VERSION ] && echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}' && exit
        grep -q '"cniVersion":"1.1.0"' $NOTES/$CNI_COMMAND-two.json && echo '{"code":1,"msg":"incompatible"}' && exit 1
        [ $CNI_COMMAND = ADD ] && echo '{"ips":[{"address":"10.0.0.2/8"}]}'; exit 0"#,
    );
    host.plugin(
        "one",
        r#"[ $CNI_COMMAND = VERSION ] && echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' && exit
        echo '{}'"#,
    );
    let offered = json!({"cniVersion": "1.1.0", "cniVersions": ["0.3.1", "0.4.0", "1.0.0"]});
    let chain = host.chain(offered);
    let result = chain.add(&conf()).await.unwrap();
    assert_eq!(result.version(), "1.0.0");
    assert_eq!(
        host.calls(),
        [
            "ADD one",
            "ADD two",
            "DEL two",
            "DEL two",
            "DEL one",
            "VERSION one",
            "VERSION two",
            "ADD one",
            "ADD two"
        ]
    );
    // What follows is spoken in the version that the attachment was made in.
    chain.check(&conf(), None).await.unwrap();
    assert_eq!(host.request("CHECK-two")["cniVersion"], "1.0.0");
    chain.del(&conf(), Some(&result.to_value())).await.unwrap();
    assert_eq!(host.request("DEL-two")["cniVersion"], "1.0.0");
    assert_eq!(
        host.calls(),
        ["CHECK one", "CHECK two", "DEL two", "DEL one"]
    );

    let nothing_else = host.chain(json!({"cniVersion": "1.1.0"}));
    assert!(nothing_else.add(&conf()).await.is_err());
    let nothing_common = host.chain(json!({"cniVersion": "1.1.0", "cniVersions": ["0.3.1"]}));
    assert!(nothing_common.add(&conf()).await.is_err());
    assert!(!host.calls().contains(&"CHECK one".to_owned()));
}

#[tokio::test(flavor = "current_thread")]
async fn check_status_and_gc_reach_the_plugins_that_have_them() {
    let host = Host::with_two("verbs");
    let chain = host.chain(json!({}));
    assert_eq!(
        chain.check(&conf(), None).await.unwrap_err().class(),
        Class::NotFound
    );
    chain.add(&conf()).await.unwrap();
    host.calls();
    chain.check(&conf(), None).await.unwrap();
    assert_eq!(host.calls(), ["CHECK one", "CHECK two"]);
    assert_eq!(host.request("CHECK-one")["prevResult"]["by"], "two");
    chain.status().await.unwrap();
    assert_eq!(chain.gc(|_| false).await.unwrap(), []);
    let muted =
        host.chain(json!({"cniVersion": "1.1.0", "disableCheck": true, "disableGC": "true"}));
    muted.check(&conf(), None).await.unwrap();
    assert_eq!(muted.gc(|_| true).await.unwrap(), []);
    assert!(host.calls().is_empty());

    let newest = host.chain(json!({"cniVersion": "1.1.0"}));
    newest.status().await.unwrap();
    host.plugin("one", r#"echo '{"code":50,"msg":"full"}'; exit 1"#);
    assert_eq!(
        newest.status().await.unwrap_err().class(),
        Class::Unavailable
    );
    let failed = newest.gc(|_| false).await;
    assert!(matches!(failed, Err(GcError::Plugins { .. })));
    assert_eq!(
        host.calls(),
        ["STATUS one", "STATUS two", "STATUS one", "GC one", "GC two"]
    );
    // R5: the name of the specification and the one of libcni's first releases.
    let valid = json!([{"containerID": "default-web", "ifname": "eth0"}]);
    for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
        assert_eq!(host.request("GC-two")[key], valid);
    }
    assert!(host.env("GC-two").contains("CNI_CONTAINERID=\n"));
    assert!(host.env("GC-two").contains("CNI_ARGS=\n"));
}

#[tokio::test(flavor = "current_thread")]
async fn gc_detaches_what_is_unwanted_and_nothing_else() {
    let host = Host::with_two("gc");
    let chain = host.chain(json!({"cniVersion": "1.1.0"}));
    let conf = |id: &str, ifname: &str| RuntimeConf {
        container_id: id.to_owned(),
        ifname: ifname.to_owned(),
        ..conf()
    };
    chain.add(&conf("mine", "eth0")).await.unwrap();
    chain.add(&conf("theirs", "eth0")).await.unwrap();
    let other = host.chain(json!({"name": "other"}));
    other.add(&conf("mine", "eth1")).await.unwrap();
    host.calls();
    let detached = chain.gc(|one| one.container_id == "mine").await.unwrap();
    let names: Vec<&str> = detached.iter().map(|one| one.if_name.as_str()).collect();
    assert_eq!(names, ["eth0"]);
    assert_eq!(host.calls(), ["DEL two", "DEL one", "GC one", "GC two"]);
    // What was detached had what ADD had.
    assert!(
        host.env("DEL-one")
            .contains("CNI_ARGS=IgnoreUnknown=1;IP=10.0.0.2\n")
    );
    let valid = host.request("GC-one")["cni.dev/valid-attachments"].clone();
    let told = |id: &str, ifname: &str| {
        let one = json!({"containerID": id, "ifname": ifname});
        valid.as_array().unwrap().contains(&one)
    };
    assert!(told("theirs", "eth0") && told("mine", "eth1") && !told("mine", "eth0"));
}

#[tokio::test(flavor = "current_thread")]
async fn versions_of_new_and_old_plugins_are_read() {
    let host = Host::new("version");
    host.plugin(
        "one",
        r#"echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'"#,
    );
    host.plugin(
        "two",
        r#"echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1"#,
    );
    let versions = host.chain(json!({})).version().await.unwrap();
    assert_eq!(versions[0].supported, ["1.0.0", "1.1.0"]);
    assert_eq!(versions[1].supported, ["0.1.0"]);
    assert_eq!(host.request("VERSION-one"), json!({"cniVersion": "1.1.0"}));
    host.plugin("one", r#"echo '{"cniVersion":"0.2.0"}'"#);
    assert_eq!(
        host.chain(json!({})).version().await.unwrap()[0]
            .supported
            .len(),
        2
    );
    host.plugin("one", r#"echo '{"cniVersion":"1.0.0"}'"#);
    assert!(host.chain(json!({})).version().await.is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_succeeding_plugin_says_is_handed_on() {
    let host = Host::with_two("stderr");
    host.plugin("one", "echo watch out >&2; echo '{}'");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let chain = host.chain(json!({})).with_stderr(move |plugin, text| {
        sink.lock().unwrap().push(format!("{plugin}: {text}"));
    });
    chain.add(&conf()).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["one: watch out\n"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_hanging_plugin_is_killed_with_its_children_and_undone() {
    let host = Host::with_two("hang");
    host.plugin(
        "two",
        r#"[ $CNI_COMMAND = DEL ] && exit 0; sleep 300 & echo $! > $NOTES/pid; wait"#,
    );
    let chain = host.chain(json!({})).with_deadline(Duration::from_secs(2));
    let started = Instant::now();
    let error = chain.add(&conf()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(error.class(), Class::Timeout);
    assert_eq!(host.calls(), ["ADD one", "ADD two", "DEL two", "DEL one"]);
    let pid = fs::read_to_string(host.dir.join("pid")).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let gone = || state().is_empty() || state().contains(") Z ");
    while !gone() {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
