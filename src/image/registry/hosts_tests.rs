//! `hosts.toml`: what it says, and what is meant where it says nothing.

use super::*;
use crate::model::class::{Class, Explain};

fn read(text: &str, registry: &str) -> Vec<Host> {
    parse(text, Path::new("/certs/x/hosts.toml"), registry).unwrap()
}

fn bases(hosts: &[Host]) -> Vec<&str> {
    hosts.iter().map(|host| host.base.as_str()).collect()
}

#[test]
fn without_a_file_the_registry_itself_serves() {
    let nowhere = Path::new("/nonexistent");
    for (registry, base) in [
        ("docker.io", "https://registry-1.docker.io/v2"),
        ("quay.io", "https://quay.io/v2"),
        ("localhost:5000", "http://localhost:5000/v2"),
        ("127.9.9.9:5000", "http://127.9.9.9:5000/v2"),
        ("[::1]:5000", "http://[::1]:5000/v2"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000/v2"),
    ] {
        let hosts = hosts(nowhere, registry).unwrap();
        assert_eq!(bases(&hosts), [base]);
        assert_eq!(hosts[0].namespace, None, "{registry}");
        assert!(hosts[0].resolves && hosts[0].serves);
    }
}

#[test]
fn mirrors_come_in_the_order_of_the_file_and_the_server_last() {
    let text = r#"
        server = "https://registry-1.docker.io"
        [host."http://z.example:5000"]
          capabilities = ["pull", "resolve"]
        [host."https://a.example"]
          capabilities = ["pull"]
          skip_verify = true
          ca = ["one.pem", "/two.pem"]
          client = [["c.cert", ""]]
          [host."https://a.example".header]
            x-one = "1"
            x-two = ["a", "b"]
        [host."https://h.example/v2/proxy"]
          override_path = true
    "#;
    let hosts = read(text, "docker.io");
    assert_eq!(
        bases(&hosts),
        [
            "http://z.example:5000/v2",
            "https://a.example/v2",
            "https://h.example/v2/proxy",
            "https://registry-1.docker.io/v2",
        ]
    );
    let namespaces: Vec<_> = hosts.iter().map(|h| h.namespace.as_deref()).collect();
    let hub = Some("docker.io");
    assert_eq!(namespaces, [hub, hub, hub, None]);
    let second = &hosts[1];
    assert!(second.serves && !second.resolves && second.skip_verify);
    let files: Vec<_> = second.authorities.iter().map(|p| p.to_str()).collect();
    assert_eq!(files, [Some("/certs/x/one.pem"), Some("/two.pem")]);
    assert_eq!(second.identities, [("/certs/x/c.cert".into(), None)]);
    let headers: Vec<_> = second
        .headers
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(headers, ["x-one=1", "x-two=a", "x-two=b"]);
}

#[test]
fn a_file_without_server_falls_back_to_the_registry() {
    let hosts = read("[host.\"http://127.0.0.1:5000\"]", "docker.io");
    assert_eq!(
        bases(&hosts),
        [
            "http://127.0.0.1:5000/v2",
            "https://registry-1.docker.io/v2"
        ]
    );
    let hosts = read("server = \"mirror.example\"\nskip_verify = true", "quay.io");
    assert_eq!(bases(&hosts), ["https://mirror.example/v2"]);
    assert_eq!(hosts[0].namespace.as_deref(), Some("quay.io"));
    assert!(hosts[0].skip_verify);
    let hosts = read("server = \"https://quay.io:443\"", "quay.io");
    assert_eq!(hosts[0].namespace, None);
}

#[test]
fn the_directory_without_colon_comes_first_and_default_last() {
    assert_eq!(directories("a:1"), ["a_1_", "a:1", "_default"]);
    assert_eq!(directories("docker.io"), ["docker.io", "_default"]);
    let dir = std::env::temp_dir().join(format!("netrun-hosts-{}", std::process::id()));
    let write = |name: &str, url: &str| {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        let text = format!("[host.\"{url}\"]");
        std::fs::write(dir.join(name).join("hosts.toml"), text).unwrap();
    };
    write("_default", "http://default.example");
    write("b:2", "http://own.example");
    let first = |registry| hosts(&dir, registry).unwrap()[0].base.to_string();
    assert_eq!(first("b:2"), "http://own.example/v2");
    assert_eq!(first("docker.io"), "http://default.example/v2");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_broken_file_is_an_error_that_names_it() {
    let path = Path::new("/certs/x/hosts.toml");
    let error = parse("host = 1", path, "docker.io").unwrap_err();
    assert_eq!(error.class(), Class::InvalidInput);
    assert!(error.to_string().contains("/certs/x/hosts.toml"));
    for url in ["ftp://x", "http://", "::"] {
        let text = format!("[host.\"{url}\"]");
        let error = parse(&text, path, "docker.io").unwrap_err();
        assert!(matches!(error, HostsError::Address { .. }), "{url}");
    }
}

#[test]
fn dockers_certificates_serve_where_there_is_no_file() {
    let dir = std::env::temp_dir().join(format!("netrun-certs-{}", std::process::id()));
    let own = dir.join("own.example_5000_");
    std::fs::create_dir_all(&own).unwrap();
    for name in ["ca.crt", "me.cert", "me.key", "other.txt"] {
        std::fs::write(own.join(name), "").unwrap();
    }
    let hosts = hosts(&dir, "own.example:5000").unwrap();
    assert_eq!(hosts[0].authorities, [own.join("ca.crt")]);
    let pair = (own.join("me.cert"), Some(own.join("me.key")));
    assert_eq!(hosts[0].identities, [pair]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_time_to_connect_is_gos_and_push_is_a_capability() {
    let text = "[host.\"https://a.example\"]\ndial_timeout = \"1.5s\"\ncapabilities = [\"push\"]";
    let hosts = read(text, "docker.io");
    assert_eq!(hosts[0].dial_timeout, Some(Duration::from_millis(1500)));
    assert!(hosts[0].takes && !hosts[0].serves && hosts[1].takes);
    let path = Path::new("/certs/x/hosts.toml");
    for bad in ["", "5", "s", "-1s", "1..2s"] {
        let error = parse(&format!("dial_timeout = \"{bad}\""), path, "docker.io").unwrap_err();
        assert!(matches!(error, HostsError::Duration { .. }), "{bad}");
    }
    // None is all of them, as containerd has it, and one that nobody knows is refused.
    let all = read("capabilities = []", "docker.io");
    assert!(all[0].resolves && all[0].serves && all[0].takes);
    let error = parse("capabilities = [\"reslove\"]", path, "docker.io").unwrap_err();
    assert!(error.to_string().contains("reslove"), "{error}");
    assert!(error.hint().unwrap().contains("resolve"));
}

#[test]
fn a_server_in_the_clear_is_the_registry_itself_and_certificates_mean_tls() {
    for (server, registry) in [
        ("http://plain.example", "plain.example"),
        ("http://plain.example:5000", "plain.example:5000"),
        ("https://plain.example:443", "plain.example"),
        ("http://plain.example:80", "plain.example:80"),
    ] {
        let hosts = read(&format!("server = \"{server}\""), registry);
        assert_eq!(hosts[0].namespace, None, "{server}");
    }
    let hosts = read("server = \"http://plain.example:81\"", "plain.example");
    assert_eq!(hosts[0].namespace.as_deref(), Some("plain.example"));
    for line in ["ca = \"x.pem\"", "skip_verify = true", "client = \"x.pem\""] {
        let hosts = read(line, "localhost:5443");
        assert_eq!(bases(&hosts), ["https://localhost:5443/v2"], "{line}");
    }
    let hosts = read("skip_verify = false", "localhost:5443");
    assert_eq!(bases(&hosts), ["http://localhost:5443/v2"]);
}
