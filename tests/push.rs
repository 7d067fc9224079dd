//! `push` to registries that refuse this or that: what is only an attempt is no more than one, and what
//! is refused is told.

use serde_json::json;

use crate::host::scripted::Reply;
use crate::host::{ALPINE, FakeHost};
use crate::registry::{log_in_by_file, registry_with_tokens, token};

#[test]
fn where_a_token_does_not_allow_to_mount_the_blob_is_sent() {
    let host = FakeHost::with_registry();
    let base: (&str, &[&str]) = ("library/alpine", &["pull"]);
    let own: (&str, &[&str]) = ("app/x", &["pull", "push"]);
    let read = token(&host, &[base]);
    let write = token(&host, &[own]);
    let both = token(&host, &[own, base]);
    let other = token(&host, &[("app/y", &["pull", "push"])]);
    let tokens = host.scripted("127.0.0.1:5101", move |request, _| {
        let asks = |name: &str| request.target.contains(&format!("%3A{name}%3A"));
        let token = match (asks("app%2Fx"), asks("app%2Fy"), asks("library%2Falpine")) {
            (true, _, true) => &both,
            (true, _, false) => &write,
            // Nothing of what is asked for besides.
            (_, true, _) => &other,
            _ => &read,
        };
        Some(Reply::new(200, json!({"token": token}).to_string()))
    });
    registry_with_tokens(&host);
    log_in_by_file(&host, "127.0.0.1:5000");
    let image = format!("127.0.0.1:5000/library/{ALPINE}");
    host.announce_images();
    host.netrun(&["pull", &image]).ok();
    // Of what is committed only the layers came from the registry.
    host.netrun(&["run", "--name", "c", &image, "touch", "/made"])
        .ok();
    for to in ["127.0.0.1:5000/app/x:1", "127.0.0.1:5000/app/y:1"] {
        host.netrun(&["commit", "c", to]).ok();
        host.netrun(&["push", to]).ok();
    }
    host.netrun(&["rm", "c"]).ok();
    let wider =
        "scope=repository%3Aapp%2Fx%3Apull%2Cpush&scope=repository%3Alibrary%2Falpine%3Apull";
    assert!(tokens.requests().iter().any(|r| r.target.contains(wider)));
    let log = host.read_registry_log();
    let mounted = |line: &&str| line.contains("POST /v2/app/x/") && line.contains("\" 201 ");
    assert!(log.lines().any(|line| mounted(&line)), "{log}");
}
