//! Registries as users have them: what a scripted one does that a good one will not, and Debian's
//! with TLS, passwords, tokens and proxies.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::scripted::{Good, Reply, Request, digest_of, document};
use crate::host::{FakeHost, Output};

/// Where the good images are: six layers.
const IMAGE: &str = "library/layers:1";

/// What a row of the table expects of a pull.
enum Expect {
    /// It succeeds, and the requests satisfy this.
    Pulled(fn(&[Request])),
    /// It fails with this code, and says these words.
    Fails(i32, &'static [&'static str]),
}

use Expect::{Fails, Pulled};

type Script = fn(&Request, &Good, usize) -> Option<Reply>;

/// What a registry does, by name; the script gets the number of the request, from 0 for each address
/// and method.
const TABLE: &[(&str, Script, Expect)] = &[
    ("it behaves", |_, _, _| None, Pulled(each_blob_once)),
    ("it has no HEAD", no_head, Pulled(each_blob_once)),
    ("HEAD without a digest", bare_head, Pulled(each_blob_once)),
    (
        "busy for a second, and broken once",
        busy,
        Pulled(each_blob_once_or_again),
    ),
    (
        "busy for an hour",
        busy_for_an_hour,
        Fails(6, &["429", "slow down", "3600 seconds"]),
    ),
    (
        "always broken",
        |r, _, _| r.is("GET", "/blobs/").then(|| Reply::new(500, "")),
        Fails(6, &["HTTP status 500"]),
    ),
    ("cut in the middle", cut, Pulled(resumed)),
    (
        "cut, and no ranges",
        cut_without_ranges,
        Pulled(each_blob_once_or_again),
    ),
    (
        "cut at once, always",
        |r, _, _| {
            r.is("GET", "/blobs/")
                .then(|| Reply::new(200, "x".repeat(9)).cut(0))
        },
        Fails(6, &["broke"]),
    ),
    (
        "never more than a part at once",
        part,
        Pulled(each_blob_once_or_again),
    ),
    (
        "cut while it is asked for the tag",
        |r, g, n| match r.method.as_str() {
            "HEAD" => Some(Reply::new(405, "")),
            _ => (n < 2 && r.target.ends_with("/manifests/1")).then(|| g.answer(r).cut(9)),
        },
        Pulled(each_blob_once),
    ),
    (
        "a blob too long",
        |r, g, _| blob(r).map(|d| Reply::new(200, [g.blob(d).unwrap(), vec![0; 9]].concat())),
        Fails(1, &["instead of", "bytes"]),
    ),
    (
        "a blob too short",
        |r, g, _| blob(r).map(|d| Reply::new(200, &g.blob(d).unwrap()[1..])),
        Fails(1, &["instead of", "bytes"]),
    ),
    (
        "a blob that is another",
        wrong_blob,
        Fails(1, &["content that is not sha256:"]),
    ),
    (
        "a manifest that is another",
        |r, g, _| {
            r.is("GET", "/manifests/sha256:").then(|| {
                let good = g.answer(r);
                let body = [good.bytes(), b" "].concat();
                good.body(body)
            })
        },
        Fails(1, &["with digest"]),
    ),
    (
        "a trickle",
        |r, g, _| {
            blob(r).map(|d| {
                Reply::new(200, g.blob(d).unwrap()).trickle(60_000, Duration::from_millis(30))
            })
        },
        Pulled(each_blob_once),
    ),
    (
        "schema 1",
        |r, _, _| {
            manifest(r).map(|_| {
                document(br#"{"schemaVersion":1,"name":"x","tag":"1","fsLayers":[]}"#.to_vec())
            })
        },
        Fails(2, &["schema 1"]),
    ),
    (
        "schema 1 with signatures, whose digest is that of less",
        |r, _, _| {
            manifest(r).map(|_| {
                Reply::new(200, r#"{"schemaVersion":1,"signatures":[]}"#)
                    .header("docker-content-digest", &digest_of(b"payload"))
                    .header(
                        "content-type",
                        "application/vnd.docker.distribution.manifest.v1+prettyjws",
                    )
            })
        },
        Fails(2, &["schema 1"]),
    ),
    (
        "no platform of ours",
        other_platforms,
        Fails(125, &["linux/s390x, windows/amd64"]),
    ),
    (
        "neither image nor index",
        |r, _, _| manifest(r).map(|_| document(br#"{"schemaVersion":2}"#.to_vec())),
        Fails(2, &["neither layers nor manifests"]),
    ),
    (
        "no image at all",
        |r, _, _| manifest(r).map(|_| Reply::new(200, "<html>")),
        Fails(2, &["not a manifest"]),
    ),
    ("a manifest of a megabyte", megabyte, Pulled(each_blob_once)),
    (
        "a manifest of nine",
        |r, _, _| {
            manifest(r)
                .map(|_| document(json!({"x": "y".repeat(9 << 20)}).to_string().into_bytes()))
        },
        Fails(1, &["more than 8388608 bytes"]),
    ),
    (
        "a configuration of nine",
        large_config,
        Fails(2, &["too many for a"]),
    ),
    (
        "redirects without an end",
        |r, _, _| blob(r).map(|_| Reply::new(307, "").header("location", &r.target)),
        Fails(1, &["redirects without an end"]),
    ),
    (
        "unknown",
        |r, _, _| {
            manifest(r).map(|_| Reply::new(404, r#"{"errors":[{"message":"manifest unknown"}]}"#))
        },
        Fails(3, &["manifest unknown", "name and tag"]),
    ),
    (
        "forbidden",
        |_, _, _| Some(Reply::new(403, "")),
        Fails(1, &["HTTP status 403", "netrun login"]),
    ),
    (
        "wants what we do not have",
        |_, _, _| Some(Reply::new(401, "").header("www-authenticate", "Negotiate")),
        Fails(1, &["HTTP status 401"]),
    ),
];

fn manifest(request: &Request) -> Option<&str> {
    request
        .target
        .split_once("/manifests/")
        .map(|(_, wanted)| wanted)
}

/// The blob that is fetched.
fn blob(request: &Request) -> Option<&str> {
    let fetched = request
        .target
        .split_once("/blobs/")
        .map(|(_, digest)| digest);
    fetched.filter(|_| request.method == "GET")
}

fn no_head(request: &Request, _: &Good, _: usize) -> Option<Reply> {
    (request.method == "HEAD").then(|| Reply::new(405, ""))
}

fn bare_head(request: &Request, _: &Good, _: usize) -> Option<Reply> {
    (request.method == "HEAD").then(|| Reply::new(200, ""))
}

fn busy(_: &Request, _: &Good, number: usize) -> Option<Reply> {
    let status = [429, 503, 500];
    let status = status.get(number)?;
    let after = if *status == 429 { "1" } else { "0" };
    Some(Reply::new(*status, "").header("retry-after", after))
}

fn busy_for_an_hour(_: &Request, _: &Good, _: usize) -> Option<Reply> {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    Some(Reply::new(429, body).header("retry-after", "3600"))
}

/// The first three connections of a blob break, each further on.
fn cut(request: &Request, good: &Good, number: usize) -> Option<Reply> {
    let size = good.blob(blob(request)?)?.len();
    let whole = good.answer(request);
    (number < 3 && size > 1000).then(|| whole.cut(size / 4))
}

/// A third of the blob, from where it is asked for.
fn part(request: &Request, good: &Good, _: usize) -> Option<Reply> {
    let bytes = good.blob(blob(request)?)?;
    let begin = request.header("range").unwrap_or("bytes=0-");
    let begin: usize = begin[6..begin.len() - 1].parse().unwrap();
    let end = bytes.len().min(begin + bytes.len() / 3 + 1);
    let range = format!("bytes {begin}-{}/{}", end - 1, bytes.len());
    Some(Reply::new(206, &bytes[begin..end]).header("content-range", &range))
}

fn cut_without_ranges(request: &Request, good: &Good, number: usize) -> Option<Reply> {
    let bytes = good.blob(blob(request)?)?;
    let half = bytes.len() / 2;
    let whole = Reply::new(200, bytes);
    Some(if number == 0 { whole.cut(half) } else { whole })
}

fn wrong_blob(request: &Request, good: &Good, _: usize) -> Option<Reply> {
    let mut bytes = good.blob(blob(request)?)?;
    bytes[0] ^= 0xff;
    Some(Reply::new(200, bytes))
}

fn other_platforms(request: &Request, _: &Good, _: usize) -> Option<Reply> {
    manifest(request)?;
    let child = |os: &str, architecture: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
            "digest": digest_of(b"x"), "platform": {"os": os, "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [child("linux", "s390x"), child("windows", "amd64"), child("unknown", "unknown")]});
    Some(document(index.to_string().into_bytes()))
}

/// The image's own manifest, with annotations of a megabyte.
fn megabyte(request: &Request, good: &Good, _: usize) -> Option<Reply> {
    manifest(request)?;
    Some(document(changed_manifest(good, |manifest| {
        manifest["annotations"] = json!({"filler": "x".repeat(1 << 20)});
    })))
}

/// The bytes of this machine's manifest of the image, changed.
fn changed_manifest(good: &Good, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let ask = |target: &str| Request {
        method: "GET".to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let index = good.answer(&ask("/v2/library/layers/manifests/1"));
    let index: Value = serde_json::from_slice(index.bytes()).unwrap();
    let digest = index["manifests"][1]["digest"].as_str().unwrap();
    let mut manifest: Value = serde_json::from_slice(&good.blob(digest).unwrap()).unwrap();
    change(&mut manifest);
    manifest.to_string().into_bytes()
}

/// A configuration of nine megabytes, by a manifest that says so.
fn large_config(request: &Request, good: &Good, _: usize) -> Option<Reply> {
    let config = json!({"x": "y".repeat(9 << 20)}).to_string();
    if blob(request) == Some(&digest_of(config.as_bytes())) {
        return Some(Reply::new(200, config));
    }
    manifest(request)?;
    Some(document(changed_manifest(good, |manifest| {
        manifest["config"]["digest"] = json!(digest_of(config.as_bytes()));
        manifest["config"]["size"] = json!(config.len());
    })))
}

fn blobs_asked(requests: &[Request]) -> BTreeMap<&str, usize> {
    let mut asked = BTreeMap::new();
    for digest in requests.iter().filter_map(blob) {
        *asked.entry(digest).or_default() += 1;
    }
    asked
}

fn each_blob_once(requests: &[Request]) {
    let asked = blobs_asked(requests);
    assert_eq!(
        asked.len(),
        7,
        "six layers and the configuration: {asked:?}"
    );
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");
}

fn each_blob_once_or_again(requests: &[Request]) {
    assert_eq!(blobs_asked(requests).len(), 7);
}

fn resumed(requests: &[Request]) {
    let ranges = requests
        .iter()
        .filter_map(|request| request.header("range"));
    let begins: Vec<&str> = ranges.collect();
    assert_eq!(begins.len(), 3, "{begins:?}");
}

/// A script that counts the requests for each address.
fn counted(script: Script) -> impl Fn(&Request, &Good) -> Option<Reply> + Send + Sync {
    let counts = Mutex::new(BTreeMap::<String, usize>::new());
    move |request, good| {
        let mut counts = counts.lock().unwrap();
        let count = counts
            .entry(format!("{} {}", request.method, request.target))
            .or_default();
        *count += 1;
        script(request, good, *count - 1)
    }
}

#[test]
fn what_registries_do() {
    let host = FakeHost::with_registry();
    for (number, (name, script, expect)) in TABLE.iter().enumerate() {
        let address = format!("127.0.0.1:{}", 5100 + number);
        let registry = host.scripted(&address, counted(*script));
        let image = format!("{address}/{IMAGE}");
        let output = host.netrun(&["pull", &image]);
        let said = format!("{name}: {output}");
        match expect {
            Pulled(check) => {
                assert_eq!(output.code, 0, "{said}");
                check(&registry.requests());
                host.netrun(&[
                    "run",
                    "--rm",
                    "--pull",
                    "never",
                    &image,
                    "cat",
                    "/data/five",
                ])
                .ok();
                host.netrun(&["rmi", &image]).ok();
            }
            Fails(code, words) => {
                assert_eq!(output.code, *code, "{said}");
                let words = words.iter().filter(|word| !output.stderr.contains(**word));
                assert_eq!(words.collect::<Vec<_>>(), [&""; 0], "missing in {said}");
                assert!(output.took < Duration::from_secs(20), "{said}");
            }
        }
    }
    let left = host.settle(Duration::from_secs(20));
    assert!(left.is_empty(), "{left:#?}");
}

/// docker's file with one user, `me` with the password `secret`.
pub fn log_in_by_file(host: &FakeHost, registry: &str) {
    let file = json!({"auths": {registry: {"auth": "bWU6c2VjcmV0"}}});
    host.write("/tmp/.docker/config.json", &file.to_string());
    host.announce("dir /tmp/.docker");
    host.announce("file /tmp/.docker/config.json");
}

const BASIC: &str = "Basic bWU6c2VjcmV0";

#[test]
fn a_redirect_to_another_host_gets_no_credential_and_none_of_our_headers() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let storage = host.scripted("127.0.0.1:5101", |request, good| {
        let digest = request.target.split('/').next_back()?;
        Some(Reply::new(200, good.blob(digest)?))
    });
    let registry = host.scripted("127.0.0.1:5100", |request, _| {
        if request.header("authorization") != Some(BASIC) {
            let challenge = "Basic realm=\"x\"";
            return Some(Reply::new(401, "").header("www-authenticate", challenge));
        }
        let digest = blob(request)?;
        let there = format!("http://127.0.0.1:5101/store/{digest}");
        Some(Reply::new(307, "").header("location", &there))
    });
    log_in_by_file(&host, "127.0.0.1:5100");
    let hosts = "[host.\"http://127.0.0.1:5100\".header]\nx-secret = \"mine\"\n";
    host.write("/etc/containerd/certs.d/127.0.0.1_5100_/hosts.toml", hosts);
    host.announce("* /etc/containerd/certs.d/127.0.0.1_5100_*");
    host.netrun(&["pull", &format!("127.0.0.1:5100/{IMAGE}")])
        .ok();
    assert!(
        registry
            .requests()
            .iter()
            .any(|r| r.header("x-secret") == Some("mine"))
    );
    let stored = storage.requests();
    assert_eq!(stored.len(), 7, "{stored:?}");
    for request in &stored {
        assert_eq!(request.header("authorization"), None, "{request:?}");
        assert_eq!(request.header("x-secret"), None, "{request:?}");
    }
}

#[test]
fn a_storage_that_asks_who_we_are_is_not_told() {
    let host = FakeHost::with_registry();
    let thief = host.scripted("127.0.0.1:5101", |_, _| {
        Some(Reply::new(401, "").header("www-authenticate", "Basic realm=\"give\""))
    });
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        let digest = blob(request)?;
        let there = format!("http://127.0.0.1:5101/store/{digest}");
        Some(Reply::new(302, "").header("location", &there))
    });
    log_in_by_file(&host, "127.0.0.1:5100");
    host.netrun(&["pull", &format!("127.0.0.1:5100/{IMAGE}")])
        .fails(1, &["401"]);
    for request in thief.requests() {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
}

#[test]
fn a_signed_address_is_not_shown_where_it_cannot_be_reached() {
    let host = FakeHost::with_registry();
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        blob(request)?;
        let there = "http://127.0.0.1:5101/store?X-Signature=opensesame";
        Some(Reply::new(307, "").header("location", there))
    });
    for progress in ["plain", "json"] {
        let image = format!("127.0.0.1:5100/{IMAGE}");
        let pull = ["pull", "--progress", progress, &image];
        let refused = host
            .netrun(&pull)
            .fails(6, &["127.0.0.1:5101, where 127.0.0.1:5100 points"]);
        assert!(!refused.stderr.contains("opensesame"), "{refused}");
    }
}

/// Two mirrors and the registry itself, each wanting a password of its own.
#[test]
fn a_mirror_is_told_who_we_are_there_and_not_who_we_are_at_the_registry() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let wants = |own: &'static str| {
        move |request: &Request, _: &Good| {
            (request.header("authorization") != Some(own))
                .then(|| Reply::new(401, "").header("www-authenticate", "Basic realm=\"mine\""))
        }
    };
    let unknown = host.scripted("127.0.0.1:5101", wants("nobody knows"));
    // mirror:own
    let known = host.scripted("127.0.0.1:5102", wants("Basic bWlycm9yOm93bg=="));
    let registry = host.scripted("127.0.0.1:5100", wants(BASIC));
    let file = json!({"auths": {"127.0.0.1:5100": {"auth": "bWU6c2VjcmV0"},
        "127.0.0.1:5102": {"auth": "bWlycm9yOm93bg=="}}});
    host.write("/tmp/.docker/config.json", &file.to_string());
    host.announce("* /tmp/.docker*");
    let hosts = "server = \"http://127.0.0.1:5100\"\n[host.\"http://127.0.0.1:5101\"]\n\
        [host.\"http://127.0.0.1:5102\"]\ncapabilities = [\"pull\"]\n";
    host.write("/etc/containerd/certs.d/127.0.0.1_5100_/hosts.toml", hosts);
    host.announce("* /etc/containerd/certs.d/127.0.0.1_5100_*");
    let image = format!("127.0.0.1:5100/{IMAGE}");
    host.netrun(&["pull", "--creds", "me:secret", &image]).ok();
    for request in unknown.requests() {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
    each_blob_once(
        &known
            .requests()
            .into_iter()
            .filter(|r| r.header("authorization").is_some())
            .collect::<Vec<_>>(),
    );
    assert!(
        !known
            .requests()
            .iter()
            .any(|r| r.header("authorization") == Some(BASIC))
    );
    assert_eq!(blobs_asked(&registry.requests()).len(), 0);
}

#[test]
fn the_file_of_credentials_is_left_as_docker_writes_it_and_with_whom_it_was() {
    let host = FakeHost::with_registry();
    host.announce("* /tmp/.docker*");
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        (request.header("authorization") != Some(BASIC))
            .then(|| Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""))
    });
    let before = r#"{"HttpHeaders": {"X-A": "b"}, "auths": null, "credHelpers": null, "detachKeys": "ctrl-x"}"#;
    host.write("/tmp/.docker/config.json", before);
    host.sh("chown -R 1000:1001 /tmp/.docker").ok();
    let login = |registry: &str| {
        let line = ["login", "-u", "me", "--password-stdin", registry];
        host.netrun_cmd(&line).stdin("secret\n").run()
    };
    let said = login("127.0.0.1:5100").ok();
    assert_eq!(said.text(), "Login Succeeded");
    assert!(said.stderr.contains("/tmp/.docker/config.json"), "{said}");
    let file = "{\n\t\"HttpHeaders\": {\n\t\t\"X-A\": \"b\"\n\t},\n\t\"auths\": {\n\t\t\"127.0.0.1:5100\": {\n\
        \t\t\t\"auth\": \"bWU6c2VjcmV0\"\n\t\t}\n\t},\n\t\"credHelpers\": null,\n\t\"detachKeys\": \"ctrl-x\"\n}";
    assert_eq!(host.read("/tmp/.docker/config.json"), file);
    let owner = host.sh("stat -c '%u:%g %a' /tmp/.docker/config.json").ok();
    assert_eq!(owner.text(), "1000:1001 600");
    for said in ["Removing login credentials for", "Not logged in to"] {
        let logout = host.netrun(&["logout", "127.0.0.1:5100"]).ok();
        assert_eq!(logout.text(), format!("{said} 127.0.0.1:5100"));
    }
    // Many at once lose nothing of each other.
    let registries: Vec<_> = (5110..5118)
        .map(|port| {
            let address = format!("127.0.0.1:{port}");
            (host.scripted(&address, |_, _| None), address)
        })
        .collect();
    let logins: Vec<_> = (registries.iter())
        .map(|(_, address)| {
            let line = ["login", "-u", "me", "-p", "secret", address];
            host.netrun_cmd(&line).spawn()
        })
        .collect();
    logins.into_iter().for_each(|login| drop(login.wait().ok()));
    let file = host.read("/tmp/.docker/config.json");
    for (_, address) in &registries {
        assert!(file.contains(address.as_str()), "{address} in {file}");
    }
    // What is malformed may be a secret.
    host.write(
        "/tmp/.docker/config.json",
        r#"{"auths": {"127.0.0.1:5100": "bWU6c2VjcmV0"}}"#,
    );
    let refused = host
        .netrun(&["pull", "127.0.0.1:5100/x:1"])
        .fails(2, &["config.json is malformed"]);
    assert!(!refused.stderr.contains("bWU6"), "{refused}");
}

#[test]
fn of_several_challenges_the_token_is_taken_and_kept() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let asked = AtomicUsize::new(0);
    let tokens = host.scripted("127.0.0.1:5101", move |request, _| {
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Some(Reply::new(429, "").header("retry-after", "0"));
        }
        let known = request.header("authorization") == Some(BASIC);
        Some(
            match known && request.is("GET", "scope=repository%3Alibrary%2Flayers%3Apull") {
                true => Reply::new(
                    200,
                    r#"{"token": "", "access_token": "t0ken", "expires_in": 60}"#,
                ),
                false => Reply::new(401, r#"{"details": "who are you"}"#),
            },
        )
    });
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        (request.header("authorization") != Some("Bearer t0ken")).then(|| {
            Reply::new(401, "")
                .header("www-authenticate", "Negotiate")
                .header("www-authenticate", "Basic realm=\"old\"")
                .header(
                    "www-authenticate",
                    "Bearer realm=\"http://127.0.0.1:5101/token\",service=\"r\"",
                )
        })
    });
    let image = format!("127.0.0.1:5100/{IMAGE}");
    host.netrun(&["pull", &image]).fails(1, &["who are you"]);
    host.netrun(&["pull", "--creds", "me:wrong", &image])
        .fails(1, &["401"]);
    let nonsense = host
        .netrun(&["pull", "--creds", "hush", &image])
        .fails(2, &["USER:PASSWORD"]);
    assert!(!nonsense.stderr.contains("hush"), "{nonsense}");
    let before = tokens.requests().len();
    let pulled = host.netrun(&["pull", "--creds", "me:secret", &image]).ok();
    assert!(!pulled.stderr.contains("secret"), "{pulled}");
    let asked = tokens.requests().len() - before;
    assert_eq!(asked, 1, "one token for a whole pull");
}

#[test]
fn a_token_server_may_point_elsewhere_and_only_its_own_host_is_told_who_we_are() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let first = host.scripted("127.0.0.1:5101", |request, _| {
        let next = match request.is("GET", "/token?") {
            true => "/own",
            false => "http://127.0.0.1:5102/other",
        };
        Some(Reply::new(302, "").header("location", next))
    });
    let other = host.scripted("127.0.0.1:5102", |_, _| {
        Some(Reply::new(200, r#"{"token": "t0ken"}"#))
    });
    let _registry = host.scripted("127.0.0.1:5100", |request, _| {
        (request.header("authorization") != Some("Bearer t0ken")).then(|| {
            Reply::new(401, "").header(
                "www-authenticate",
                "Bearer realm=\"http://127.0.0.1:5101/token\",service=\"r\"",
            )
        })
    });
    let image = format!("127.0.0.1:5100/{IMAGE}");
    host.netrun(&["pull", "--creds", "me:secret", &image]).ok();
    let told = |requests: &[Request]| -> Vec<bool> {
        let told = requests.iter();
        told.map(|request| request.header("authorization") == Some(BASIC))
            .collect()
    };
    assert_eq!(told(&first.requests()), [true, true]);
    assert_eq!(told(&other.requests()), [false]);
}

#[test]
fn foreign_layers_come_from_where_their_descriptor_says() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let elsewhere = host.scripted("127.0.0.1:5101", |request, good| {
        let digest = request.target.split('/').next_back()?;
        Some(Reply::new(200, good.blob(digest)?))
    });
    let _registry = host.scripted("127.0.0.1:5100", |request, good| {
        let foreign = changed_manifest(good, |manifest| {
            let layer = &mut manifest["layers"][5];
            let url = format!(
                "http://127.0.0.1:5101/f/{}",
                layer["digest"].as_str().unwrap()
            );
            layer["urls"] = json!([url]);
            layer["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        });
        let manifest_json: Value = serde_json::from_slice(&foreign).unwrap();
        let last = manifest_json["layers"][5]["digest"].as_str().unwrap();
        if blob(request) == Some(last) {
            return Some(Reply::new(404, ""));
        }
        manifest(request).map(|_| document(foreign))
    });
    let image = format!("127.0.0.1:5100/{IMAGE}");
    host.netrun(&["pull", &image]).ok();
    assert_eq!(elsewhere.requests().len(), 1);
    let run = host
        .netrun(&["run", "--rm", &image, "cat", "/data/five"])
        .ok();
    assert_eq!(run.text(), "six");
}

#[test]
fn two_processes_fetch_a_blob_once_and_unpack_a_layer_once() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let registry = host.scripted("127.0.0.1:5100", |request, good| {
        let bytes = good.blob(blob(request)?)?;
        Some(Reply::new(200, bytes).trickle(100_000, Duration::from_millis(40)))
    });
    let image = format!("127.0.0.1:5100/{IMAGE}");
    let pull = ["pull", "--progress", "json", &image];
    let pulls: Vec<_> = (0..3).map(|_| host.netrun_cmd(&pull).spawn()).collect();
    let said: Vec<Output> = pulls.into_iter().map(|pull| pull.wait().ok()).collect();
    each_blob_once(&registry.requests());
    let lines = said.iter().flat_map(|output| output.stderr.lines());
    let unpacking = lines.filter(|line| line.contains("\"unpacking\""));
    assert_eq!(
        unpacking.count(),
        6,
        "each layer is unpacked by one of them"
    );
}

#[test]
fn helpers_and_files_say_who_we_are() {
    let host = FakeHost::with_registry();
    host.announce("* /tmp/*");
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let let_in = std::sync::Arc::clone(&asked);
    let _registry = host.scripted("127.0.0.1:5100", move |request, _| {
        if request.header("authorization") == Some(BASIC) {
            let_in.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""))
    });
    let helper = r#"#!/bin/sh
read -r server
echo "$1 $server" >>/tmp/asked
case "$1 $server" in
    "get 127.0.0.1:5100") echo '{"ServerURL":"x","Username":"me","Secret":"secret"}' ;;
    get*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
    host.write("/tmp/bin/docker-credential-mine", helper);
    host.sh("chmod +x /tmp/bin/docker-credential-mine").ok();
    host.write(
        "/tmp/.docker/config.json",
        r#"{"credHelpers": {"127.0.0.1:5100": "mine"}}"#,
    );
    let image = format!("127.0.0.1:5100/{IMAGE}");
    let pull = |env: &[(&str, &str)]| {
        let mut command = host.netrun_cmd(&["pull", &image]);
        for (name, value) in env {
            command = command.env(name, value);
        }
        let output = command.run();
        let _ = host.netrun(&["rmi", "-f", &image]);
        output
    };
    let path = ("PATH", "/tmp/bin:/usr/sbin:/usr/bin:/sbin:/bin:/mnt/bin");
    pull(&[]).fails(1, &["docker-credential-mine", "install"]);
    pull(&[path]).ok();
    assert_eq!(host.read("/tmp/asked"), "get 127.0.0.1:5100\n");
    // podman's file by its variable, with an entry for the repository's parent.
    let file = r#"{"auths": {"127.0.0.1:5100/library": {"auth": "bWU6c2VjcmV0"}}}"#;
    host.write("/tmp/auth.json", file);
    pull(&[("REGISTRY_AUTH_FILE", "/tmp/auth.json")]).ok();
    pull(&[("REGISTRY_AUTH_FILE", "/tmp/none.json")]).fails(1, &["no credential", "netrun login"]);
    host.write(
        "/tmp/other/config.json",
        r#"{"auths": {"http://127.0.0.1:5100": {"auth": "bWU6c2VjcmV0"}}}"#,
    );
    pull(&[("DOCKER_CONFIG", "/tmp/other")]).ok();
    assert!(asked.load(Ordering::Relaxed) >= 3);
}

#[test]
fn a_proxy_of_the_environment_is_used_but_not_for_this_machine() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.sh("ip addr add 10.98.0.1/32 dev lo").ok();
    host.announce("* 10.98.0.1*");
    let hosts = "server = \"http://far.example:5000\"\n";
    host.write(
        "/etc/containerd/certs.d/far.example_5000_/hosts.toml",
        hosts,
    );
    host.announce("* /etc/containerd/certs.d/far.example_5000_*");
    let proxy = host.scripted("10.98.0.1:3128", |request, good| {
        let target = request
            .target
            .strip_prefix("http://far.example:5000")?
            .to_owned();
        Some(good.answer(&Request {
            target,
            ..request.clone()
        }))
    });
    let image = format!("far.example:5000/{IMAGE}");
    let through = |name: &str, value: &str| {
        let command = host
            .netrun_cmd(&["pull", &image])
            .env("HTTP_PROXY", "http://10.98.0.1:3128");
        command.env(name, value).run()
    };
    through("NO_PROXY", "far.example").fails(6, &["far.example:5000 does not answer"]);
    through("UNUSED", "").ok();
    assert!(proxy.requests().len() > 8);
    host.netrun_cmd(&["pull", "alpine:3.14"])
        .env("HTTP_PROXY", "http://10.98.0.1:1")
        .run()
        .ok();
}

/// Restarts Debian's registry with these lines added to its configuration.
fn registry_with(host: &FakeHost, lines: &str) {
    host.stop_registry();
    let more = format!("cat >>/mnt/registry.yml <<'EOF'\n{lines}\nEOF");
    host.sh(&more).ok();
    host.resume_registry();
}

#[test]
fn debians_registry_with_passwords() {
    let host = FakeHost::with_registry();
    host.announce("* /tmp/.docker*");
    // bcrypt of "secret".
    host.sh(
        "echo 'me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a' >/mnt/passwords",
    )
    .ok();
    registry_with(
        &host,
        "auth: {htpasswd: {realm: private, path: /mnt/passwords}}",
    );
    let image = &format!("127.0.0.1:5000/{IMAGE}");
    host.netrun(&["pull", image])
        .fails(1, &["no credential", "netrun login 127.0.0.1:5000"]);
    let login = |args: &[&str], password: &str| -> Output {
        host.netrun_cmd(&[&["login", "-u", "me"], args].concat())
            .stdin(password)
            .run()
    };
    login(&["--password-stdin", "127.0.0.1:5000"], "wrong\n")
        .fails(1, &["check user and password"]);
    let said = login(&["--password-stdin", "127.0.0.1:5000"], "secret\n").ok();
    assert!(said.stdout.contains("Login Succeeded"), "{said}");
    let mode = host.sh("stat -c %a /tmp/.docker/config.json").ok();
    assert_eq!(mode.text(), "600");
    host.netrun(&["pull", image]).ok();
    let inspected = host.netrun(&["create", "--name", "c", image]).ok();
    let inspected = format!("{inspected}{}", host.netrun(&["inspect", "c"]).ok());
    assert!(!inspected.contains("secret") && !inspected.contains("bWU6c2VjcmV0"));
    host.netrun(&["rm", "c"]).ok();
    host.netrun(&["logout", "127.0.0.1:5000"]).ok();
    host.netrun(&["logout", "127.0.0.1:5000"]).ok();
    host.netrun(&["rmi", image]).ok();
    host.netrun(&["pull", image]).fails(1, &["netrun login"]);
    let mut prompt = host.netrun_cmd(&["login", "127.0.0.1:5000"]).terminal();
    prompt.expect("Username: ");
    prompt.send("me\r");
    prompt.expect("Password: ");
    prompt.send("secret\r");
    let output = prompt.wait().ok();
    assert!(output.stdout.contains("Login Succeeded"), "{output}");
    assert!(!output.stdout.contains("secret"), "{output}");
}

#[test]
fn debians_registry_with_tls_and_client_certificates() {
    let host = FakeHost::with_registry();
    host.announce("* /etc/containerd/certs.d/localhost*");
    host.sh("cd /mnt && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 \
        -keyout ca.key -out ca.crt -subj /CN=authority -addext basicConstraints=critical,CA:TRUE
        for who in localhost client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
            printf 'subjectAltName=DNS:localhost\\nextendedKeyUsage=serverAuth,clientAuth\\n' >ext
            openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 -extfile ext -out $who.crt
        done").ok();
    host.stop_registry();
    host.sh("sed -i 's|^http:.*|http: {addr: \"127.0.0.1:5443\", tls: {certificate: /mnt/localhost.crt, key: /mnt/localhost.key, clientcas: [/mnt/ca.crt]}}|' /mnt/registry.yml").ok();
    host.resume_registry_at("127.0.0.1:5443");
    let image = &format!("localhost:5443/{IMAGE}");
    let dir = "/etc/containerd/certs.d/localhost_5443_";
    let hosts = |more: &str| {
        let text = format!("server = \"https://localhost:5443\"\n{more}");
        host.write(&format!("{dir}/hosts.toml"), &text);
    };
    hosts("");
    host.netrun(&["pull", image])
        .fails(6, &["certificate authority", "skip_verify"]);
    hosts("skip_verify = true\n");
    host.netrun(&["pull", image]).fails(6, &["does not answer"]);
    hosts("ca = \"/mnt/ca.crt\"\nclient = [[\"/mnt/client.crt\", \"/mnt/client.key\"]]\n");
    host.netrun(&["pull", image]).ok();
    host.netrun(&["rmi", image]).ok();
    hosts("skip_verify = true\nclient = [[\"/mnt/client.crt\", \"/mnt/client.key\"]]\n");
    host.netrun(&["pull", image]).ok();
    host.netrun(&["rmi", image]).ok();
    // docker's way: files beside each other.
    host.sh(&format!("rm {dir}/hosts.toml; cp /mnt/ca.crt {dir}/; cp /mnt/client.crt {dir}/client.cert; cp /mnt/client.key {dir}/")).ok();
    host.netrun(&["pull", image]).ok();
    host.netrun(&["rmi", image]).ok();
}

/// Makes a token for ACCESS, as Docker's token specification has it, and prints it; at first a key and
/// a certificate.
const TOKEN: &str = r#"
cd /mnt
[ -e token.key ] || openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout token.key -out token.crt -subj /CN=tokens 2>/dev/null
part() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
now=$(date +%s)
access='ACCESS'
head=$(printf '{"typ":"JWT","alg":"RS256","x5c":["%s"]}' "$(openssl x509 -in token.crt -outform DER | openssl base64 -A)" | part)
body=$(printf '{"iss":"us","sub":"me","aud":"registry","exp":%d,"nbf":%d,"iat":%d,"jti":"1","access":[%s]}' $((now + 600)) $((now - 60)) "$now" "$access" | part)
printf %s.%s.%s "$head" "$body" "$(printf %s.%s "$head" "$body" | openssl dgst -sha256 -sign token.key | part)"
"#;

/// A token that Debian's registry takes, for these repositories.
pub fn token(host: &FakeHost, access: &[(&str, &[&str])]) -> String {
    let access = access.iter().map(|(name, actions)| {
        json!({"type": "repository", "name": name, "actions": actions}).to_string()
    });
    let access: Vec<String> = access.collect();
    let script = TOKEN.replace("ACCESS", &access.join(","));
    host.sh(&script).ok().text().to_owned()
}

/// Restarts Debian's registry with a token server at 127.0.0.1:5101; a [`token`] was made before.
pub fn registry_with_tokens(host: &FakeHost) {
    let lines = "auth: {token: {realm: 'http://127.0.0.1:5101/token', service: registry, issuer: us, rootcertbundle: /mnt/token.crt}}";
    registry_with(host, lines);
}

#[test]
fn debians_registry_with_tokens() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let access: [(&str, &[&str]); 2] = [
        ("library/layers", &["pull"]),
        ("team/layers", &["pull", "push"]),
    ];
    let token = token(&host, &access);
    let tokens = host.scripted("127.0.0.1:5101", move |request, _| {
        let known = request.header("authorization") == Some(BASIC);
        let body = json!({"token": token}).to_string();
        Some(Reply::new(if known { 200 } else { 401 }, body))
    });
    registry_with_tokens(&host);
    let image = &format!("127.0.0.1:5000/{IMAGE}");
    host.netrun(&["pull", image])
        .fails(1, &["127.0.0.1:5101", "401"]);
    log_in_by_file(&host, "127.0.0.1:5000");
    host.netrun(&["pull", "--all-platforms", image]).ok();
    let to = "127.0.0.1:5000/team/layers:1";
    host.netrun(&["tag", image, to]).ok();
    host.netrun(&["push", to]).ok();
    let scopes =
        "scope=repository%3Ateam%2Flayers%3Apull%2Cpush&scope=repository%3Alibrary%2Flayers%3Apull";
    assert!(
        tokens
            .requests()
            .iter()
            .any(|request| request.target.contains(scopes))
    );
    host.netrun(&["tag", image, "127.0.0.1:5000/else/x:1"]).ok();
    host.netrun(&["push", "127.0.0.1:5000/else/x:1"])
        .fails(1, &["401", "netrun login 127.0.0.1:5000"]);
}

#[test]
fn platforms_ours_others_and_all() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let other = if cfg!(target_arch = "x86_64") {
        "linux/arm64"
    } else {
        "linux/amd64"
    };
    host.netrun(&["pull", "--platform", other, "alpine:3.14"])
        .ok();
    let listed = host.netrun(&["images", "--format", "{{.Platform}}"]).ok();
    assert_eq!(listed.text(), other);
    host.netrun(&["run", "--rm", "--pull", "never", "alpine:3.14", "true"])
        .fails(125, &[]);
    host.netrun(&["pull", "--if-missing", "alpine:3.14"]).ok();
    host.netrun(&["pull", "--platform", "linux/s390x", "alpine:3.14"])
        .fails(125, &[other, "linux/s390x"]);
    host.netrun(&["pull", "--platform", "a/b/c/d", "alpine:3.14"])
        .fails(2, &["linux/arm64"]);
    host.netrun(&["pull", "--all-platforms", "layers:1"]).ok();
    host.stop_registry();
    for platform in ["linux/amd64", "linux/arm64"] {
        host.netrun(&["pull", "--if-missing", "--platform", platform, "layers:1"])
            .ok();
    }
    host.netrun(&["pull", "--if-missing", "alpine:3.14", "layers:1"])
        .ok();
    host.netrun(&["pull", "--if-missing", "alpine:3.14", "featured:1"])
        .fails(6, &["featured"]);
}

#[test]
fn progress_as_lines_for_programs_and_a_bar_for_each_of_several_images() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let plain = host
        .netrun(&["pull", "--progress", "plain", "alpine:3.14"])
        .ok();
    assert!(
        plain
            .stderr
            .lines()
            .any(|line| line.contains("MB in ") && line.contains("/s)")),
        "{plain}"
    );
    host.netrun(&["rmi", "alpine:3.14"]).ok();
    let pull = host
        .netrun(&["pull", "--progress", "json", "layers:1"])
        .ok();
    let events: Vec<Value> = pull
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "resolved");
    let mut totals = events.iter().map(|event| &event["total"]);
    let whole = totals.find(|total| total["size"].as_u64() > Some(1_000_000));
    assert!(whole.unwrap().get("left").is_some(), "{pull}");
    let unpacked = events
        .iter()
        .filter(|event| event["state"] == "unpacked")
        .count();
    assert_eq!(unpacked, 6, "{pull}");
    let both = host
        .netrun_cmd(&["pull", "alpine:3.14", "featured:1"])
        .terminal()
        .wait()
        .ok();
    assert!(
        both.stdout.contains("featured:1: [") || both.stdout.contains("featured:1:"),
        "{both}"
    );
    let ctr = host.ctr(&["run", "--rm", "docker.io/library/featured:1", "c", "true"]);
    assert_eq!(ctr.code, 0, "{ctr}");
}
