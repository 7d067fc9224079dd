//! The registry client against a scripted HTTP server.

use std::path::Path;
use std::rc::Rc;

use base64::Engine;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::hosts::hosts;
use super::*;
use crate::model::class::{Class, Explain};

/// What a request says: its first line, and its headers in lower case.
type Requests = Rc<RefCell<Vec<String>>>;

/// Serves `answers` in turn, each a whole response on a connection of its own, and runs `test`.
async fn with_server<T>(answers: &[String], test: impl AsyncFnOnce(u16) -> T) -> (T, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let serve = async {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.replace("PORT", &port.to_string());
            let request = exchange(stream, &answer).await;
            requests.borrow_mut().push(request);
        }
        std::future::pending::<()>().await
    };
    let outcome = tokio::select! {
        () = serve => unreachable!(),
        outcome = test(port) => outcome,
    };
    (outcome, requests.take())
}

async fn exchange(stream: TcpStream, answer: &str) -> String {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut request).await.unwrap() > 0);
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    request.to_lowercase()
}

fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn loopback(port: u16) -> Endpoint<'static> {
    let reference = Reference::parse(&format!("127.0.0.1:{port}/a/b:1")).unwrap();
    let hosts = hosts(Path::new("/nonexistent"), reference.registry()).unwrap();
    let nobody = Credentials::Anonymous;
    endpoints(
        &reference,
        hosts,
        (&nobody, &Keyring::default()),
        Access::Pull,
        &|_| {},
    )
    .remove(0)
}

#[tokio::test]
async fn a_manifest_comes_with_its_digest_and_media_type() {
    let ok = answer("200 OK", &["content-type: text/x; charset=a"], "{}");
    let (fetched, requests) = with_server(&[ok], async |port| {
        loopback(port).manifest("1").await.unwrap()
    })
    .await;
    assert_eq!(fetched.digest, digest::of(b"{}"));
    assert_eq!(fetched.media_type, "text/x");
    assert!(
        requests[0].starts_with("get /v2/a/b/manifests/1 http/1.1\r\n"),
        "{requests:?}"
    );
    assert!(requests[0].contains("application/vnd.oci.image.index.v1+json"));
}

#[tokio::test]
async fn a_manifest_that_is_not_what_its_digest_says_is_refused() {
    let other = digest::of(b"other");
    let ok = answer("200 OK", &[], "{}");
    let fetch = async |port| loopback(port).manifest(&digest::of(b"other")).await;
    let (by_digest, _) = with_server(&[ok], fetch).await;
    let header = format!("docker-content-digest: {other}");
    let ok = answer("200 OK", &[&header], "{}");
    let (by_tag, _) = with_server(&[ok], async |port| loopback(port).manifest("1").await).await;
    for outcome in [by_digest, by_tag] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, FetchError::Digest { expected, .. } if expected == other));
    }
}

#[tokio::test]
async fn a_refusal_has_the_registrys_words_and_a_class() {
    let body = r#"{"errors": [{"code": "X", "message": "slow down"}]}"#;
    let busy = answer("429 Too Many Requests", &["retry-after: 3600"], body);
    let (outcome, _) = with_server(&[busy], async |port| loopback(port).manifest("1").await).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "HTTP status 429: slow down");
}

#[tokio::test]
async fn a_mirror_gets_namespace_path_and_headers_and_no_credentials() {
    let ok = answer("200 OK", &[], "{}");
    let (_, requests) = with_server(&[ok], async |port| {
        let dir = std::env::temp_dir().join(format!("netrun-mirror-{port}"));
        std::fs::create_dir_all(dir.join("docker.io")).unwrap();
        let text = format!(
            "[host.\"http://127.0.0.1:{port}/v2/proxy\"]\noverride_path = true\n\
             [host.\"http://127.0.0.1:{port}/v2/proxy\".header]\nx-team = \"blue\"\n"
        );
        std::fs::write(dir.join("docker.io/hosts.toml"), text).unwrap();
        let reference = Reference::parse("alpine:3.14").unwrap();
        let hosts = hosts(&dir, "docker.io").unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let own = Credentials::password("me", "secret");
        let who = (&own, &Keyring::default());
        let all = endpoints(&reference, hosts, who, Access::Pull, &|_| {});
        assert_eq!(all[0].credentials.get(), None);
        assert_eq!(all[1].credentials.get(), Some(&own));
        assert_eq!(all[0].scopes, ["repository:proxy/library/alpine:pull"]);
        assert_eq!(all[1].scopes, ["repository:library/alpine:pull"]);
        all[0].manifest("3.14").await.unwrap()
    })
    .await;
    let request = &requests[0];
    assert!(request.starts_with("get /v2/proxy/library/alpine/manifests/3.14?ns=docker.io "));
    assert!(request.contains("\r\nx-team: blue\r\n"));
    assert!(!request.contains("authorization"));
}

#[tokio::test]
async fn a_challenge_is_answered_with_a_token_that_is_kept() {
    let challenge = "www-authenticate: Bearer realm=\"http://127.0.0.1:PORT/token\",service=\"s\"";
    let no = answer("401 Unauthorized", &[challenge], "");
    let token = answer("200 OK", &[], r#"{"token": "t0k"}"#);
    let ok = answer("200 OK", &[], "{}");
    let script = [no, token, ok.clone(), ok];
    let (_, requests) = with_server(&script, async |port| {
        let endpoint = loopback(port);
        endpoint.manifest("1").await.unwrap();
        endpoint.manifest("2").await.unwrap();
    })
    .await;
    assert!(requests[1].starts_with("get /token?scope=repository%3aa%2fb%3apull&service=s "));
    for request in &requests[2..] {
        assert!(
            request.contains("\r\nauthorization: bearer t0k\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn user_and_password_go_where_they_are_asked_for() {
    let challenge = "www-authenticate: Basic realm=\"r\"";
    let no = answer("401 Unauthorized", &[challenge], "");
    let ok = answer("200 OK", &[], "{}");
    let (_, requests) = with_server(&[no, ok], async |port| {
        let mut endpoint = loopback(port);
        endpoint.credentials = Credentials::password("me", "secret").into();
        endpoint.manifest("1").await.unwrap()
    })
    .await;
    let secret = base64::engine::general_purpose::STANDARD.encode("me:secret");
    let header = format!("\r\nauthorization: basic {}\r\n", secret.to_lowercase());
    assert!(!requests[0].contains("authorization"));
    assert!(requests[1].contains(&header));
}

#[tokio::test]
async fn a_blob_goes_on_where_it_stopped_if_the_host_can() {
    let part = answer("206 Partial Content", &["content-range: bytes 2-3/4"], "cd");
    let whole = answer("200 OK", &[], "abcd");
    let read = async |port| {
        let endpoint = loopback(port);
        let (stream, begins) = endpoint.blob("sha256:00", 2).await.unwrap();
        let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
        (chunks.concat(), begins)
    };
    let (outcome, requests) = with_server(&[part], read).await;
    assert_eq!(outcome, (b"cd".to_vec(), 2));
    assert!(requests[0].contains("\r\nrange: bytes=2-\r\n"));
    let (outcome, _) = with_server(&[whole], read).await;
    assert_eq!(outcome, (b"abcd".to_vec(), 0));
}

#[tokio::test]
async fn a_broken_connection_and_a_silent_host_are_told_apart() {
    let cut = answer("200 OK", &[], "abcd").replace("content-length: 4", "content-length: 9");
    let (outcome, _) = with_server(&[cut], async |port| {
        let endpoint = loopback(port);
        let (stream, _) = endpoint.blob("sha256:00", 0).await.unwrap();
        stream.try_collect::<Vec<Bytes>>().await
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, FetchError::Broken { .. }) && error.is_answer());
    let error = loopback(1).manifest("1").await.unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }) && !error.is_answer());
    assert_eq!(error.class(), Class::Unavailable);
}
