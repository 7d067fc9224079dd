//! The reference plugins through `netrun run --net`: each is tested for what it does, with both releases that
//! Debian has ([`PluginSet`]). What needs a kernel with more modules is in [`crate::vm`].
//!
//! Invariant: a test runs its body once with each release on one and the same host, so whatever the older
//! plugins leave by design is met by the newer ones.

mod bridge;
mod dhcp;
mod ipam;
mod links;
mod meta;
mod portmap;
mod tap;

use serde_json::{Value, json};

use crate::host::{ALPINE, FakeHost, Output, PluginSet};

/// Runs a body with each release of the plugins.
pub fn with_both(host: &FakeHost, body: impl Fn(PluginSet)) {
    for set in PluginSet::ALL {
        host.use_plugins(set);
        body(set);
        host.assert_clean();
    }
}

/// Makes a network of these plugins, in the newest version that the set speaks.
pub fn network(host: &FakeHost, set: PluginSet, name: &str, plugins: &Value) {
    let version = match set {
        PluginSet::Installed => "1.0.0",
        PluginSet::Newer => "1.1.0",
    };
    let list = json!({"cniVersion": version, "name": name, "plugins": plugins});
    host.network(&format!("50-{name}.conflist"), &list.to_string());
}

/// host-local's configuration with one range of IPv4 and one of IPv6, told by a number of their own.
pub fn dual(third: u8) -> Value {
    json!({"type": "host-local",
        "ranges": [[{"subnet": format!("10.20.{third}.0/24")}], [{"subnet": format!("fd20:{third}::/64")}]]})
}

/// The static plugin's configuration with these addresses.
pub fn fixed(addresses: &[&str]) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|one| json!({"address": one}))
        .collect();
    json!({"type": "static", "addresses": addresses})
}

/// Starts a container that stays on a network.
#[track_caller]
pub fn start(host: &FakeHost, name: &str, net: &str) {
    let args = [
        "run", "-d", "--name", name, "--net", net, ALPINE, "sleep", "1000",
    ];
    host.netrun(&args).ok();
}

/// Removes containers by force.
#[track_caller]
pub fn remove(host: &FakeHost, names: &[&str]) {
    host.netrun(&[&["rm", "-f"], names].concat()).ok();
}

/// Runs a shell line in a container that runs.
pub fn within(host: &FakeHost, name: &str, line: &str) -> Output {
    host.netrun(&["exec", name, "sh", "-c", line])
}

/// Runs a shell line in a new container on a network.
pub fn once(host: &FakeHost, net: &str, line: &str) -> Output {
    host.netrun(&["run", "--rm", "--net", net, ALPINE, "sh", "-c", line])
}

/// Runs a shell line with the machine's own tools in a container's network.
pub fn beside(host: &FakeHost, name: &str, line: &str) -> Output {
    host.cmd("ip")
        .args(&["netns", "exec", &format!("netrun-{name}"), "sh", "-c", line])
        .run()
}

/// One answer within five seconds.
pub fn ping(address: &str) -> String {
    // An address of IPv6 is only used once nobody else was found to have it, which takes a second or two.
    let once = format!("{} -c 1 -W 1 {address}", pinger(address));
    format!("(for i in 1 2 3 4 5; do {once} && exit 0; sleep 0.2; done; exit 1)")
}

fn pinger(address: &str) -> &'static str {
    match address.contains(':') {
        true => "ping6",
        false => "ping",
    }
}

/// The line of [`ping`] for a machine, whose busybox has to be named.
pub fn machine_ping(address: &str) -> String {
    ping(address).replace("do ping", "do busybox ping")
}

/// No answer within a second.
pub fn no_ping(address: &str) -> String {
    format!("! {} -c 1 -W 1 {address}", pinger(address))
}

/// The first address of a container's interface, of IPv4 or of IPv6 beyond the link.
#[track_caller]
pub fn address(host: &FakeHost, name: &str, interface: &str, version: char) -> String {
    let show = format!("ip -{version} -o addr show {interface} scope global");
    let output = beside(host, name, &show).ok();
    let word = output.stdout.split_whitespace().nth(3);
    let word = word.unwrap_or_else(|| panic!("no address in {output}"));
    word.split('/').next().unwrap().to_owned()
}
