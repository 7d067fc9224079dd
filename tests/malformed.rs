//! Bad input to `netrun cni`, each with a message that names the file, the plugin where there is one,
//! and what mends it. (An endless plugin takes a minute: see the unit tests of `network::chain`.)

use serde_json::{Value, json};

use crate::host::{FakeHost, Output};

const NETNS: &str = "/run/netns/testing";

/// A host with a namespace and a plugin `p` in shell, which answers VERSION and DEL as it should.
fn host() -> FakeHost {
    let host = FakeHost::bare();
    host.sh("ip netns add testing").ok();
    host
}

fn plugin(host: &FakeHost, script: &str) {
    let script = format!("#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\n{script}\n");
    host.write("/mnt/plugins/p", &script);
    host.sh("chmod 755 /mnt/plugins/p").ok();
}

fn list(plugins: Value) -> Value {
    json!({"cniVersion": "1.0.0", "name": "net", "plugins": plugins})
}

fn network(host: &FakeHost, text: &str) {
    host.write("/mnt/net.d/10-net.conflist", text);
}

fn cni(host: &FakeHost, words: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = host.netrun_cmd(&[&["cni"], words].concat());
    command = command
        .env("CNI_PATH", "/mnt/plugins")
        .env("NETCONFPATH", "/mnt/net.d");
    for (name, value) in env {
        command = command.env(name, value);
    }
    command.run()
}

/// It fails, says all that, and leaves nothing.
#[track_caller]
fn refused(host: &FakeHost, output: Output, words: &[&str]) {
    let output = output.fails(1, words);
    assert!(output.stderr.contains("hint: "), "no cure: {output}");
    assert_eq!(output.stdout, "", "{output}");
    let left = host.sh("ls /var/lib/cni/results 2>/dev/null").stdout;
    assert_eq!(left, "", "{output}");
}

fn end(host: FakeHost) {
    host.sh("ip netns del testing").ok();
    host.finish();
}

#[test]
fn configurations() {
    let host = host();
    let texts = [
        ("", "10-net.conflist"),
        ("{\n\"name\": \"net\",\n]", "line 3"),
        ("\u{0}", "10-net.conflist"),
        ("[]", "10-net.conflist"),
        ("\"net\"", "10-net.conflist"),
        ("null", "10-net.conflist"),
        (r#"{"plugins": [{"type": "p"}]}"#, "10-net.conflist"),
        (
            r#"{"name": 5, "plugins": [{"type": "p"}]}"#,
            "10-net.conflist",
        ),
        (r#"{"name": "net"}"#, "no plugin"),
        (
            r#"{"name": "net", "loadOnlyInlinedPlugins": true}"#,
            "no plugin",
        ),
    ];
    for (text, word) in texts {
        network(&host, text);
        refused(
            &host,
            cni(&host, &["add", "net", NETNS], &[]),
            &["10-net.conflist", word, "correct"],
        );
    }
    end(host);
}

#[test]
fn keys_of_a_configuration() {
    let host = host();
    let named = |keys: Value| {
        let mut config = list(json!([{"type": "p"}]));
        for (key, value) in keys.as_object().unwrap() {
            config[key] = value.clone();
        }
        config.to_string()
    };
    for (keys, word) in [
        (json!({"plugins": {}}), "\"plugins\""),
        (json!({"plugins": []}), "empty"),
        (json!({"plugins": [1]}), "plugin 1"),
        (json!({"plugins": [{"type": "p"}, {}]}), "plugin 2"),
        (json!({"plugins": [{"type": 5}]}), "\"type\""),
        (json!({"plugins": [{"type": ""}]}), "empty"),
        (json!({"plugins": [{"type": "../p"}]}), "../p"),
        (json!({"plugins": [{"type": "/bin/sh"}]}), "/bin/sh"),
        (json!({"cniVersion": 1.0}), "\"cniVersion\""),
        (json!({"cniVersion": "one"}), "one"),
        (json!({"cniVersion": "1.0.0.0"}), "1.0.0.0"),
        (json!({"cniVersions": "1.0.0"}), "\"cniVersions\""),
        (json!({"cniVersions": ["1.0.0", "x"]}), "\"x\""),
        (json!({"cniVersions": [1]}), "\"cniVersions\""),
        (json!({"disableCheck": "perhaps"}), "disableCheck"),
        (json!({"disableGC": 1}), "disableGC"),
        (
            json!({"loadOnlyInlinedPlugins": []}),
            "loadOnlyInlinedPlugins",
        ),
    ] {
        network(&host, &named(keys));
        refused(
            &host,
            cni(&host, &["add", "net", NETNS], &[]),
            &["10-net.conflist", word, "correct"],
        );
    }
    end(host);
}

/// A plugin's file beside the list, a link to nowhere, a name that would be a path.
#[test]
fn files_and_names() {
    let host = host();
    network(&host, r#"{"name": "net"}"#);
    host.write("/mnt/net.d/net/1.conf", "{");
    refused(
        &host,
        cni(&host, &["add", "net", NETNS], &[]),
        &["net/1.conf", "line 1", "correct"],
    );
    host.sh("rm -r /mnt/net.d/*; ln -s /nowhere /mnt/net.d/10-net.conflist")
        .ok();
    refused(
        &host,
        cni(&host, &["add", "net", NETNS], &[]),
        &["10-net.conflist", "correct"],
    );
    host.sh("rm -r /mnt/net.d").ok();
    for name in ["net", "../net", ""] {
        refused(
            &host,
            cni(&host, &["add", name, NETNS], &[]),
            &["/mnt/net.d", ".conflist"],
        );
    }
    end(host);
}

#[test]
fn plugins() {
    let host = host();
    network(&host, &list(json!([{"type": "p"}])).to_string());
    let add = || cni(&host, &["add", "net", NETNS], &[]);
    let names = ["\"p\"", "10-net.conflist"];
    let check =
        |output: Output, word: &str| refused(&host, output, &[&names[..], &[word]].concat());
    check(add(), "CNI_PATH");
    host.write("/mnt/plugins/p", "#!/bin/sh\n");
    check(add(), "/mnt/plugins/p");
    host.write("/mnt/plugins/p", "#!/no/such/interpreter\n");
    host.sh("chmod 755 /mnt/plugins/p").ok();
    check(add(), "/mnt/plugins/p");
    for (script, word) in [
        ("kill -KILL $$", "signal: 9"),
        ("kill -SEGV $$", "signal: 11"),
        ("exit 1", "without a word"),
        ("echo why >&2; exit 3", "why"),
        ("exit 0", "no usable result"),
        ("head -c 1100000 /dev/zero", "1048576"),
        (
            "head -c 1100000 /dev/zero | tr '\\0' x >&2; exit 1",
            "failed on ADD",
        ),
        ("echo rubbish; exit 1", "rubbish"),
        ("echo '[]'; exit 1", "[]"),
        ("echo '{}'; exit 1", "does not say why (code 0)"),
        (r#"echo '{"code": "seven"}'; exit 1"#, "seven"),
        (r#"echo '{"code": -1}'; exit 1"#, "-1"),
        (r#"echo '{"code": 99999999999}'; exit 1"#, "99999999999"),
        (r#"echo '{"code": 7, "msg": 7}'; exit 1"#, "\"p\""),
        (
            r#"echo '{"code": 1, "msg": "too new"}'; exit 1"#,
            "cniVersion",
        ),
        (
            r#"echo '{"code": 7, "msg": "what is that", "details": "deep"}'; exit 1"#,
            "what is that; deep (code 7)",
        ),
    ] {
        plugin(&host, script);
        check(add(), word);
    }
    end(host);
}

#[test]
fn results() {
    let host = host();
    network(&host, &list(json!([{"type": "p"}])).to_string());
    for (result, word) in [
        ("{", "JSON"),
        ("[]", "not a JSON object"),
        ("\"x\"", "not a JSON object"),
        (r#"{"cniVersion": "9.9.9"}"#, "9.9.9"),
        (r#"{"cniVersion": 1}"#, "cniVersion"),
        (r#"{"ips": {}}"#, "ips"),
        (r#"{"ips": ["10.1.0.2/16"]}"#, "ips"),
        (r#"{"ips": [{"address": "10.1.0.2"}]}"#, "address"),
        (r#"{"ips": [{"address": 5}]}"#, "address"),
        (
            r#"{"ips": [{"address": "10.1.0.2/16", "gateway": "x"}]}"#,
            "gateway",
        ),
        (
            r#"{"ips": [{"address": "10.1.0.2/16", "interface": -1}]}"#,
            "interface",
        ),
        (r#"{"interfaces": [1]}"#, "interfaces"),
        (r#"{"routes": "default"}"#, "routes"),
        (r#"{"dns": []}"#, "dns"),
        (r#"{"cniVersion": "0.2.0", "ip4": {"ip": "x"}}"#, "ip4"),
        (
            r#"{"interfaces": [{"name": "eth0", "sandbox": "/run/netns/other"}]}"#,
            "/run/netns/other",
        ),
    ] {
        plugin(&host, &format!("echo '{result}'"));
        let output = cni(&host, &["add", "net", NETNS], &[]);
        refused(&host, output, &["10-net.conflist", word, "release of"]);
    }
    end(host);
}

#[test]
fn words() {
    let host = host();
    network(&host, &list(json!([{"type": "p"}])).to_string());
    plugin(&host, "echo called >>/mnt/called; echo '{}'");
    host.write("/mnt/file", "");
    for (netns, word) in [
        ("/run/netns/absent", "no such file"),
        ("/mnt/file", "ordinary file"),
        ("/mnt", "ordinary file"),
        ("/proc/self/ns/net", "host's own"),
        ("/proc/1/ns/net", "host's own"),
        ("/proc/self/ns/uts", "not of the network"),
    ] {
        refused(
            &host,
            cni(&host, &["add", "net", netns], &[]),
            &[word, "/run/netns/NAME"],
        );
    }
    for (words, env, word) in [
        (&["--cni-id", "a/b"][..], &[][..], "a/b"),
        (&["--cni-id", ".a"], &[], "container id"),
        (&["--cni-id", ""], &[], "empty"),
        (&["-i", "a b"], &[], "a b"),
        (&["-i", "abcdefghijklmnop"], &[], "15 bytes"),
        (&["-i", ".."], &[], "reserve"),
        (&[], &[("CNI_IFNAME", "")], "empty"),
        (&[], &[("CNI_ARGS", "IP")], "CNI_ARGS="),
        (&[], &[("CAP_ARGS", "{")], "CAP_ARGS="),
        (&[], &[("CAP_ARGS", "[]")], "CAP_ARGS="),
    ] {
        for verb in ["add", "check", "del"] {
            let output = cni(&host, &[&[verb, "net", NETNS], words].concat(), env);
            refused(&host, output, &[word]);
        }
    }
    assert!(!host.path("/mnt/called").exists(), "a plugin was called");
    end(host);
}

#[test]
fn cache_files() {
    let host = host();
    network(&host, &list(json!([{"type": "p"}])).to_string());
    plugin(&host, "echo '{}'");
    // Others' rubbish is in nobody's way.
    host.sh("mkdir -p /var/lib/cni/results/dir; cd /var/lib/cni/results
        echo '{' >broken; echo '[]' >list; : >empty; mkfifo fifo; ln -s /nowhere dangling; head -c 100000 /dev/urandom >random")
        .ok();
    cni(&host, &["add", "net", NETNS], &[]).ok();
    cni(&host, &["check", "net", NETNS], &[]).ok();
    // Who types an id means no other.
    let anothers = cni(&host, &["check", "net", NETNS, "--cni-id", "x"], &[]);
    anothers.fails(1, &["no result of \"x\""]);
    cni(&host, &["del", "net", NETNS], &[]).ok();
    host.sh("rm -r /var/lib/cni/results/*").ok();
    let broken = |keep: &str| {
        cni(&host, &["add", "net", NETNS], &[]).ok();
        host.sh(&format!(
            "cd /var/lib/cni/results; jq '{keep}' net-* >/tmp/file; mv /tmp/file net-*"
        ))
        .ok();
        let checked = cni(&host, &["check", "net", NETNS], &[]);
        cni(&host, &["del", "net", NETNS], &[]).ok();
        checked
    };
    for (keep, word) in [
        (".result.ips = 5", "ips"),
        (".result.cniVersion = \"7.0.0\"", "7.0.0"),
        (".result = [1]", "not a JSON object"),
        ("del(.result)", "no result"),
        (".kind = \"cniCacheV9\"", "no result"),
        ("[]", "not a JSON object"),
        (".ifName = 5", "no result"),
    ] {
        refused(&host, broken(keep), &["\"net\"", "cnitool-", word]);
    }
    // What else is wrong with it, the network's file makes up for.
    for keep in [
        ".config = \"%%%\"",
        ".config = \"e30=\"",
        "del(.config)",
        ".cniArgs = []",
    ] {
        broken(keep).ok();
    }
    end(host);
}
