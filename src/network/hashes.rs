//! The names that the reference plugins and cnitool derive by hashing.
//!
//! Invariant: each function gives byte for byte what the program it names gives.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha512};

/// The iptables chain of a bridge's or ptp's `ipMasq` for one attachment.
pub fn masquerade_chain(network: &str, container_id: &str) -> String {
    prefixed("CNI-", &format!("{network}{container_id}"), 28)
}

/// The iptables chains of `portmap` for one attachment: the present one, and the one that
/// releases before 0.7 made for masquerading.
pub fn portmap_chains(network: &str, container_id: &str) -> [String; 2] {
    let hashed = format!("{network}{container_id}");
    ["CNI-DN-", "CNI-SN-"].map(|prefix| prefixed(prefix, &hashed, 28))
}

/// What the comment of a `ipMasqBackend: nftables` rule begins with.
pub fn masquerade_comment(network: &str, ifname: &str, container_id: &str) -> String {
    let network = prefixed("", network, 16);
    let instance = prefixed("", &format!("{ifname}:{container_id}"), 16);
    format!("{network}-{instance}")
}

/// The ifb device of `bandwidth` for one attachment.
pub fn bandwidth_device(network: &str, container_id: &str) -> String {
    prefixed("bwp", &format!("{network}{container_id}"), 15)
}

/// The container id that cnitool uses for the network namespace at an absolute path.
pub fn cnitool_container_id(netns: &Path) -> String {
    let path = netns.as_os_str().as_encoded_bytes();
    format!("cnitool-{}", &hex(path)[..20])
}

fn prefixed(prefix: &str, hashed: &str, length: usize) -> String {
    let mut name = format!("{prefix}{}", hex(hashed.as_bytes()));
    name.truncate(length);
    name
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha512::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected values were computed with sha512sum.
    #[test]
    fn names_are_what_the_plugins_derive() {
        let chain = masquerade_chain("mynet", "default-web");
        assert_eq!(chain.len(), 28);
        assert_eq!(chain, "CNI-5ca8baee12bb78b2a701e0b4");
        let [dnat, snat] = portmap_chains("mynet", "default-web");
        assert_eq!(dnat, "CNI-DN-5ca8baee12bb78b2a701e");
        assert_eq!(snat.len(), 28);
        assert_eq!(
            masquerade_comment("mynet", "eth0", "default-web"),
            "d23676b4f2d9fe04-fbdc5c005dcdc9d5"
        );
        assert_eq!(bandwidth_device("mynet", "default-web"), "bwp5ca8baee12bb");
        let id = cnitool_container_id(Path::new("/var/run/netns/testing"));
        assert_eq!(id, "cnitool-77383ca0a0715733ca6f");
    }
}
