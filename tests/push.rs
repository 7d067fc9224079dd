//! `push` to registries that refuse this or that: what is only an attempt is no more than one, and what
//! is refused is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::host::scripted::{Reply, Request};
use crate::host::{ALPINE, FakeHost};
use crate::registry::{log_in_by_file, registry_with_tokens, token};

/// What a registry that takes everything and has nothing answers.
fn takes(request: &Request) -> Option<Reply> {
    match request.method.as_str() {
        "HEAD" => Some(Reply::new(404, "")),
        "POST" => {
            let path = request.target.split('?').next()?;
            Some(Reply::new(202, "").header("location", &format!("{path}1")))
        }
        "PUT" => Some(Reply::new(201, "")),
        _ => None,
    }
}

/// A host with an image of two blobs that came from `registry`, which names the images that it is
/// pushed as.
fn with_image(host: &FakeHost, registry: &str) -> impl Fn(&str) -> String {
    host.announce_images();
    let image = format!("{registry}/library/{ALPINE}");
    host.netrun(&["pull", &image]).ok();
    move |to: &str| {
        host.netrun(&["tag", &image, to]).ok();
        to.to_owned()
    }
}

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

#[test]
fn what_is_asked_before_a_blob_is_sent_may_be_refused() {
    let host = FakeHost::with_registry();
    let asked = AtomicUsize::new(0);
    let registry = host.scripted("127.0.0.1:5100", move |request, _| {
        let status = request.target.split('/').nth(3)?;
        let status = status.parse().ok()?;
        let again = || asked.fetch_add(1, Ordering::Relaxed) > 0;
        let refused = match request.target.split('/').nth(2)? {
            "mount" => request.target.contains("mount="),
            "head" => request.method == "HEAD" && (status < 429 || !again()),
            _ => false,
        };
        match refused {
            true => Some(Reply::new(status, "").header("retry-after", "1")),
            false => takes(request),
        }
    });
    let named = with_image(&host, "127.0.0.1:5100");
    let asks = |method: &str, part: &str| {
        let requests = registry.requests();
        requests.iter().filter(|r| r.is(method, part)).count()
    };
    for status in [401, 403, 404, 405, 500] {
        let to = format!("mount/{status}");
        host.netrun(&["push", &named(&format!("127.0.0.1:5100/{to}:1"))])
            .ok();
        let mounts = asks("POST", &format!("{to}/blobs/uploads/?mount="));
        let all = asks("POST", &format!("{to}/blobs/uploads/"));
        assert_eq!((mounts, all), (2, 4), "{status}");
    }
    for status in [403, 405, 429] {
        let to = format!("head/{status}");
        host.netrun(&["push", &named(&format!("127.0.0.1:5100/{to}:1"))])
            .ok();
        let heads = asks("HEAD", &format!("{to}/"));
        // Two blobs and the other machine's manifest; the first was to wait, and was asked again.
        assert_eq!(heads, if status == 429 { 4 } else { 3 }, "{status}");
    }
}

#[test]
fn a_refusal_says_what_was_not_taken_and_what_to_do() {
    let host = FakeHost::with_registry();
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        let mut parts = request.target.split('/').skip(2);
        let (method, status) = (parts.next()?, parts.next()?);
        let status = status.parse().ok()?;
        let is_tag = method == "tag" && request.is("PUT", "/manifests/");
        match is_tag || request.method.eq_ignore_ascii_case(method) {
            true => Some(Reply::new(status, "")),
            false => takes(request),
        }
    });
    let named = with_image(&host, "127.0.0.1:5100");
    let table: &[(&str, i32, &[&str])] = &[
        (
            "head/401",
            1,
            &["the manifest sha256:", "netrun login 127.0.0.1:5100"],
        ),
        (
            "post/403",
            1,
            &["the blob sha256:", "netrun login 127.0.0.1:5100"],
        ),
        (
            "post/404",
            3,
            &["the blob sha256:", "made before it is pushed to"],
        ),
        ("post/405", 1, &["the blob sha256:", "cannot be pushed to"]),
        ("put/413", 1, &["the blob sha256:", "take larger ones"]),
        ("tag/400", 1, &["the tag 1 of"]),
    ];
    for (to, code, words) in table {
        let image = named(&format!("127.0.0.1:5100/{to}:1"));
        let refused = host.netrun(&["push", &image]).fails(*code, words);
        let said = format!("of {to}");
        assert!(refused.stderr.contains(&said), "{refused}");
        assert!(refused.stderr.contains("does not take"), "{refused}");
    }
}

#[test]
fn the_first_host_that_takes_content_is_pushed_to_and_no_other() {
    let host = FakeHost::with_registry();
    let named = with_image(&host, "127.0.0.1:5000");
    let image = named("127.0.0.1:5100/team/x:1");
    let asked = AtomicUsize::new(0);
    let others = ["5100", "5101", "5103"]
        .map(|port| host.scripted(&format!("127.0.0.1:{port}"), |request, _| takes(request)));
    let first = host.scripted("127.0.0.1:5102", move |request, _| {
        // It is waited for though it is not the last.
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Some(Reply::new(503, "").header("retry-after", "0")),
            _ => takes(request),
        }
    });
    let file = "/etc/containerd/certs.d/127.0.0.1_5100_/hosts.toml";
    host.announce("* /etc/containerd/certs.d/127.0.0.1_5100_*");
    let hosts = "server = \"http://127.0.0.1:5100\"\n\
        [host.\"http://127.0.0.1:5101\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
        [host.\"http://127.0.0.1:5102\"]\ncapabilities = [\"push\"]\n\
        [host.\"http://127.0.0.1:5103\"]\n";
    host.write(file, hosts);
    host.netrun(&["push", &image]).ok();
    let tag = "/v2/team/x/manifests/1?ns=127.0.0.1";
    assert!(first.requests().iter().any(|r| r.is("PUT", tag)));
    drop(first);
    host.netrun(&["push", &image])
        .fails(6, &["127.0.0.1:5102 does not answer"]);
    for other in &others {
        assert_eq!(other.requests().len(), 0);
    }
    host.write(file, "capabilities = [\"pull\"]\n");
    host.netrun(&["push", &image])
        .fails(2, &["may be sent", "the capability push"]);
}
