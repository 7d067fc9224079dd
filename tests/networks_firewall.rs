//! Networks beside a packet filter that drops what is forwarded; networks kept apart; both sets of
//! plugins, both families.

use std::time::Duration;

use crate::host::{ALPINE, FakeHost, eventually, unpacked};

const PATIENCE: Duration = Duration::from_secs(20);

const SERVE: &str = "mkdir /www; echo served >/www/index.html; httpd -f -p 8080 -h /www";

/// A host with these plugins, as a list for `CNI_PATH`.
struct Plugins<'h>(&'h FakeHost, String);

impl Plugins<'_> {
    fn netrun(&self, line: &str) -> crate::host::Output {
        let words: Vec<&str> = line.split(' ').collect();
        self.0.netrun_cmd(&words).env("CNI_PATH", &self.1).run()
    }

    fn serve(&self, name: &str, options: &str) {
        let words = format!("run -d --name {name} {options} {ALPINE} sh -c");
        let words: Vec<&str> = words.split(' ').chain([SERVE]).collect();
        let run = self.0.netrun_cmd(&words).env("CNI_PATH", &self.1);
        run.run().ok();
    }

    /// Whether a container on a network gets the page.
    fn gets(&self, net: &str, url: &str) -> bool {
        // Process 1 could not be ended by a signal.
        let line = format!("timeout 3 wget -qO- {url} || exit 1; exit 0");
        let words = format!("run --rm --net {net} {ALPINE} sh -c");
        let words: Vec<&str> = words.split(' ').chain([line.as_str()]).collect();
        let got = self.0.netrun_cmd(&words).env("CNI_PATH", &self.1).run();
        got.text() == "served"
    }
}

fn old() -> String {
    "/usr/lib/cni".to_owned()
}

fn new() -> String {
    unpacked("cni-1.9/usr/lib/cni").display().to_string()
}

/// A machine gets the page, sooner or later.
#[track_caller]
fn fetched(machine: &FakeHost, url: &str) {
    eventually(PATIENCE, url, || {
        let got = machine.sh(&format!("timeout 3 curl -gs {url}"));
        (got.text() == "served").then_some(())
    });
}

/// Everything of a web server and its clients, with forwarding dropped by a flavour of iptables.
fn served_despite_a_drop(plugins: String, flavour: &str, docker: bool) {
    let host = FakeHost::new();
    let peer = host.peer();
    let six = format!("ip6{}", flavour.trim_start_matches("ip"));
    for tool in [flavour, &six] {
        host.sh(&format!("{tool} -P FORWARD DROP")).ok();
        if docker {
            host.sh(&format!("{tool} -N DOCKER-USER; {tool} -A FORWARD -j DOCKER-USER; {tool} -A DOCKER-USER -j RETURN")).ok();
        }
    }
    host.announce("iptables * filter * DOCKER-USER*");
    peer.sh("busybox httpd -p 8080 -h /tmp; echo served >/tmp/index.html")
        .ok();
    peer.announce("file /tmp/index.html");
    peer.announce("process busybox httpd*");
    let plugins = Plugins(&host, plugins);
    plugins.netrun("network create --ipv6 lan").ok();
    plugins.netrun("network create --ipv6 far").ok();
    let rules = host
        .sh(&format!("{flavour}-save -t filter; {six}-save -t filter"))
        .ok();
    let chain = if docker {
        "-A DOCKER-USER "
    } else {
        "-A FORWARD "
    };
    let ours = rules
        .lines()
        .into_iter()
        .filter(|line| line.contains("netrun:"));
    let ours: Vec<&str> = ours.filter(|line| line.starts_with(chain)).collect();
    assert_eq!(ours.len(), 8, "a pair for each network and family: {rules}");
    plugins.serve("web", "--net lan:alias=www -p 80:8080");
    for url in [
        "http://web:8080/",
        "http://www:8080/",
        "http://10.99.0.2:8080/",
        "http://[fd99::2]:8080/",
        "http://10.64.0.2:8080/",
    ] {
        assert!(plugins.gets("lan", url), "{url} from lan");
    }
    assert!(
        plugins.gets("far", "http://10.64.0.2:8080/"),
        "from another network"
    );
    fetched(&host, "http://127.0.0.1/");
    fetched(&host, "http://[fd99::1]/");
    fetched(&peer, "http://10.99.0.1/");
    fetched(&peer, "http://[fd99::1]/");
    plugins.netrun("rm -f web").ok();
    plugins.netrun("network rm lan far").ok();
    host.announce("nft table inet cni_plugins_masquerade*");
    host.announce("nft table ip* cni_hostport*");
    host.assert_clean();
}

#[test]
fn plugins_1_1_with_a_drop_of_iptables_nft() {
    served_despite_a_drop(old(), "iptables-nft", false);
}

#[test]
fn plugins_1_1_with_a_drop_of_iptables_legacy() {
    served_despite_a_drop(old(), "iptables-legacy", false);
}

#[test]
fn plugins_1_9_with_a_drop_of_iptables_nft_and_dockers_chain() {
    served_despite_a_drop(new(), "iptables-nft", true);
}

#[test]
fn networks_are_kept_apart() {
    for plugins in [old(), new()] {
        let host = FakeHost::new();
        let peer = host.peer();
        peer.sh("busybox httpd -p 8080 -h /tmp; echo served >/tmp/index.html")
            .ok();
        peer.announce("file /tmp/index.html");
        peer.announce("process busybox httpd*");
        let plugins = Plugins(&host, plugins);
        for (options, name) in [
            ("--isolate", "a"),
            ("--isolate", "b"),
            ("--internal", "in"),
            ("--ipv6", "open"),
        ] {
            plugins
                .netrun(&format!("network create {options} {name}"))
                .ok();
        }
        for (name, net) in [("wa", "a"), ("wb", "b"), ("wi", "in"), ("wo", "open")] {
            plugins.serve(name, &format!("--net {net}"));
        }
        let (a, b, inner, open) = (
            "http://10.64.0.2:8080/",
            "http://10.64.1.2:8080/",
            "http://10.64.2.2:8080/",
            "http://10.64.3.2:8080/",
        );
        let outside = "http://10.99.0.2:8080/";
        for (net, url, reached) in [
            ("a", a, true),
            ("a", b, false),
            ("b", a, false),
            ("a", open, true),
            ("open", a, true),
            ("a", outside, true),
            ("in", inner, true),
            ("in", "http://wi:8080/", true),
            ("in", outside, false),
            ("in", a, false),
            ("open", inner, false),
        ] {
            assert_eq!(plugins.gets(net, url), reached, "{url} from {net}");
        }
        let publish = plugins.netrun("run --rm --net in -p 80:80 alpine:3.14 true");
        publish.fails(125, &["portMappings"]);
        plugins.netrun("rm -f wa wb wi wo").ok();
        plugins.netrun("network rm a b in open").ok();
        host.announce("nft table inet cni_plugins_masquerade*");
        host.assert_clean();
    }
}

#[test]
fn foreign_networks_are_left_alone_and_advised() {
    let host = FakeHost::new();
    host.mynet();
    host.sh("iptables -P FORWARD DROP").ok();
    host.netrun(&["run", "--rm", "--net", "mynet", ALPINE, "true"])
        .ok();
    let rules = host.sh("iptables-save -t filter").ok();
    assert!(!rules.stdout.contains("cni0"), "{rules}");
    let inspect = host.netrun(&["network", "inspect", "mynet"]).ok().json();
    let advice = inspect[0]["MissingRules"].clone();
    assert!(
        advice[0].as_str().unwrap().contains("-i cni0 -j ACCEPT"),
        "{advice}"
    );
    for line in advice.as_array().unwrap() {
        host.sh(line.as_str().unwrap()).ok();
    }
    host.announce("iptables * filter -A FORWARD *cni0*");
    let inspect = host.netrun(&["network", "inspect", "mynet"]).ok().json();
    assert_eq!(inspect[0]["MissingRules"], serde_json::json!([]));
}

#[test]
fn rules_that_somebody_took_away_come_back() {
    let host = FakeHost::new();
    for name in ["a", "b"] {
        host.netrun(&["network", "create", "--isolate", name]).ok();
    }
    host.netrun(&["network", "create", "open"]).ok();
    let plugins = Plugins(&host, old());
    plugins.serve("w", "--net a");
    let ip = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let ip = host.netrun(&["inspect", "-f", ip, "w"]).ok();
    let url = format!("http://{}:8080/", ip.text());
    let missing =
        || host.netrun(&["network", "inspect", "b"]).ok().json()[0]["MissingRules"].clone();
    assert_eq!(missing(), serde_json::json!([]));
    host.sh("nft delete table inet netrun").ok();
    assert!(missing()[0].as_str().unwrap().contains("netrun gc"));
    host.netrun(&["gc"]).ok();
    assert_eq!(missing(), serde_json::json!([]));
    // Whoever joins such a network looks each time.
    for _ in 0..2 {
        host.sh("nft delete table inet netrun").ok();
        assert!(!plugins.gets("b", &url));
    }
    assert!(plugins.gets("open", &url));
    host.netrun(&["rm", "-f", "w"]).ok();
    // A policy that drops comes between two containers.
    host.netrun(&["run", "--rm", "--net", "open", ALPINE, "true"])
        .ok();
    host.sh("iptables -P FORWARD DROP; sleep 0.3").ok();
    host.netrun(&["run", "--rm", "--net", "open", ALPINE, "true"])
        .ok();
    let rules = host.sh("iptables-save -t filter").ok();
    assert!(rules.stdout.contains("-i br-open"), "{rules}");
    host.sh("iptables -F FORWARD").ok();
    let open = host.netrun(&["network", "inspect", "open"]).ok().json();
    for line in open[0]["MissingRules"].as_array().unwrap() {
        host.sh(line.as_str().unwrap()).ok();
    }
    host.netrun(&["network", "rm", "a", "b", "open"]).ok();
    let rules = host.sh("iptables-save -t filter").ok();
    assert!(!rules.stdout.contains("-i br-open"), "{rules}");
    host.sh("iptables -P FORWARD ACCEPT").ok();
    host.assert_clean();
}

#[test]
fn gc_takes_the_rules_of_a_network_whose_file_is_gone() {
    let host = FakeHost::new();
    host.sh("iptables -P FORWARD DROP").ok();
    host.netrun(&["network", "create", "lan"]).ok();
    host.sh("rm /etc/cni/net.d/zz-netrun-lan.conflist").ok();
    let gc = host.netrun(&["gc"]).ok();
    assert!(gc.stdout.contains("lan"), "{gc}");
    host.assert_clean();
}
