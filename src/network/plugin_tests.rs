//! Tests of single calls: what a plugin may print, and how its failures are understood.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::super::exec::MAX_STDOUT;
use super::*;
use crate::model::class::Explain;

struct Script(PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("netrun-plugin-{}-{name}", std::process::id()));
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    async fn call(&self, stdin: &[u8]) -> Result<Answer, PluginError> {
        let call = Call {
            plugin: "p",
            path: &self.0,
            command: "ADD",
            env: &[("CNI_COMMAND", OsString::from("ADD"))],
            stdin,
            deadline: Duration::from_secs(20),
        };
        super::call(&call).await
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn failure_of(name: &str, text: &str) -> PluginError {
    match Script::new(name, text).call(b"{}").await {
        Ok(answer) => panic!("{:?}", String::from_utf8_lossy(&answer.stdout)),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn each_way_to_fail_is_told_apart() {
    let error = failure_of("quiet", "exit 2").await;
    let said = "CNI plugin \"p\" failed on ADD (exit status: 2), without a word";
    assert_eq!(error.to_string(), said);
    let error = failure_of("killed", "kill -9 $$").await;
    assert!(error.to_string().contains("signal: 9"), "{error}");
    let error = failure_of("rubbish", "echo hello; exit 1").await;
    assert!(matches!(&error, PluginError::Garbled { output, .. } if output == "hello\n"));
    let error = failure_of("version", r#"echo '{"code":1,"msg":"old"}'; exit 1"#).await;
    assert_eq!(error.code(), Some(CniError::INCOMPATIBLE_VERSION));
    assert!(error.hint().unwrap().contains("cniVersion"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_flood_is_stopped() {
    let started = Instant::now();
    let error = failure_of("flood", "yes").await;
    assert!(
        matches!(error, PluginError::TooMuchOutput { .. }),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    let megabyte = Script::new(
        "fits",
        "head -c 1048576 /dev/zero; head -c 9999999 /dev/zero >&2",
    );
    let answer = megabyte
        .call(b"")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.stdout.len(), MAX_STDOUT);
}

#[tokio::test(flavor = "current_thread")]
async fn large_input_and_input_that_nobody_reads_are_no_trouble() {
    let input = vec![b' '; 3_000_000];
    let cat = Script::new("wc", "wc -c");
    let answer = cat
        .call(&input)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.stdout, b"3000000\n");
    let deaf = Script::new("deaf", "echo {}");
    let answer = deaf
        .call(&input)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.stdout, b"{}\n");
}

#[tokio::test(flavor = "current_thread")]
async fn try_again_later_is_done() {
    let count = std::env::temp_dir().join(format!("netrun-again-{}", std::process::id()));
    let text = r#"echo >> COUNT; [ $(wc -l < COUNT) = 3 ] && exit 0; echo '{"code":11}'; exit 1"#;
    let script = Script::new("again", &text.replace("COUNT", count.to_str().unwrap()));
    let started = Instant::now();
    assert!(script.call(b"").await.is_ok());
    assert!(started.elapsed() >= FIRST_PAUSE * 3);
    fs::remove_file(count).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_cannot_be_executed_is_named() {
    let script = Script::new("plain", "");
    fs::set_permissions(&script.0, fs::Permissions::from_mode(0o644)).unwrap();
    match script.call(b"").await {
        Err(PluginError::Execute { path, .. }) => assert_eq!(path, script.0),
        _ => panic!("it was executed"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_being_written_is_waited_for() {
    let script = Script::new("busy", "exit 0");
    let writer = fs::OpenOptions::new().append(true).open(&script.0).unwrap();
    let (answer, ()) = tokio::join!(script.call(b""), async {
        sleep(Duration::from_millis(100)).await;
        drop(writer);
    });
    assert!(answer.is_ok());
}

#[test]
fn programs_are_regular_files_in_the_order_of_the_directories() {
    let dir = std::env::temp_dir().join(format!("netrun-find-{}", std::process::id()));
    fs::create_dir_all(dir.join("a/p")).unwrap();
    fs::create_dir_all(dir.join("b")).unwrap();
    fs::write(dir.join("b/real"), "").unwrap();
    std::os::unix::fs::symlink("real", dir.join("b/p")).unwrap();
    let dirs = [dir.join("a"), dir.join("b")];
    assert_eq!(find("p", &dirs).unwrap(), dir.join("b/p"));
    assert!(matches!(
        find("q", &dirs),
        Err(PluginError::NotFound { .. })
    ));
    assert!(matches!(
        find("p", &[]),
        Err(PluginError::NoDirectories { .. })
    ));
    assert!(matches!(find("../b/p", &dirs), Err(PluginError::Type(_))));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn directories_come_from_cni_path_or_are_those_that_exist() {
    let home = std::env::temp_dir().join(format!("netrun-home-{}", std::process::id()));
    let own = home.join("opt/cni/bin");
    fs::create_dir_all(&own).unwrap();
    let set = plugin_dirs(Some(OsStr::new("/a::b")), &home);
    assert_eq!(set, [PathBuf::from("/a"), PathBuf::from("b")]);
    let found = plugin_dirs(None, &home);
    assert_eq!(found[0], own);
    assert!(found.iter().all(|dir| dir.is_dir()));
    assert!(
        plugin_dirs(Some(OsStr::new("")), Path::new(""))
            .iter()
            .all(|dir| dir.is_absolute())
    );
    // Somebody else's programs are not executed with our rights.
    let nobody = Some(nix::unistd::Uid::from_raw(65534));
    if geteuid().is_root() {
        nix::unistd::chown(&own, nobody, None).unwrap();
        assert!(!plugin_dirs(None, &home).contains(&own));
    }
    fs::remove_dir_all(home).unwrap();
}

proptest::proptest! {
    #[test]
    fn any_error_object_is_read(text in "\\PC{0,60}") {
        let _ = serde_json::from_str::<CniError>(&text);
    }
}
