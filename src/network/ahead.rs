//! What a bridge's DEL takes long for, done beside it: the device by one order to the kernel, the
//! rules of `ipMasq` in one transaction.
//!
//! The plugin does one after the other, each rule by a program of its own, and the kernel makes each
//! wait for everybody who may still look at what goes. Where the device is gone it has nothing left
//! to do but to give the address back, which the specification has it do without an error.
//!
//! Invariant: only what the plugin itself would remove goes, and only where it is plain what that is:
//! a chain of plugins that are known, rules found where they are expected. Everything else is left to
//! the plugin; what fails here is left to the sweep.

use std::fs;
use std::io;
use std::net::IpAddr;

use futures_util::future::{join, try_join_all};
use serde_json::Value;

use super::hashes;
use super::result::CniResult;
use super::rules::{self, Chains};
use super::sweep::{Sweep, SweepError};
use crate::sys::netlink;
use crate::sys::netns;
use crate::sys::nftables::{Family, has_chain, has_table};

/// The plugins that do not mind if a bridge's device has gone before their DEL.
const KNOWN: [&str; 3] = ["bridge", "portmap", "firewall"];

/// Where the kernel lists the tables of iptables' old flavour.
const LEGACY_TABLES: [&str; 2] = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];

/// The table of `ipMasqBackend: nftables`.
const NFT_TABLE: &str = "cni_plugins_masquerade";

/// What may go beside DEL.
#[derive(Debug, PartialEq, Eq)]
struct Ahead {
    /// The host's end of the veth: its name and hardware address.
    device: (String, String),
    /// The chains of `ipMasq`, one for each family of addresses.
    masquerading: Vec<Chains>,
}

impl Sweep<'_> {
    /// Removes, beside the DEL of its plugins, what that would take longest for. Where nothing can go
    /// ahead, nothing is done.
    ///
    /// # Errors
    /// Something is still there, which DEL may leave then: it has to be swept.
    pub async fn ahead(&self) -> Result<(), SweepError> {
        let Some(Ahead {
            device: (name, address),
            masquerading,
        }) = self.plan()
        else {
            return Ok(());
        };
        let told = name.clone();
        let device = netns::within(None, move || netlink::remove_veth(&name, &address));
        let rules = try_join_all(masquerading.iter().map(rules::remove_chains));
        let (device, rules) = join(device, rules).await;
        rules?;
        device.map_err(|source| SweepError::Device { name: told, source })
    }

    fn plan(&self) -> Option<Ahead> {
        let types = self.list.plugin_types();
        let bridges = types.iter().filter(|kind| **kind == "bridge").count();
        if bridges != 1 || !types.iter().all(|kind| KNOWN.contains(kind)) {
            return None;
        }
        let result = self.known_result()?;
        let ends = result.interfaces().into_iter();
        let mut ends = ends.filter(|one| one.sandbox.is_none()).filter_map(|one| {
            let address = one.mac?.to_lowercase();
            let found = netlink::veth_address(&one.name).ok().flatten()?;
            (found == address).then_some((one.name, address))
        });
        let device = ends.next()?;
        let masquerading = match self.masquerades() {
            true => self.masquerading(&result, in_nftables)?,
            false => Vec::new(),
        };
        Some(Ahead {
            device,
            masquerading,
        })
    }

    fn masquerades(&self) -> bool {
        let mut plugins = self.list.plugins().iter();
        plugins.any(|plugin| plugin.object().get("ipMasq") == Some(&Value::Bool(true)))
    }

    /// The chains that go here; None if it is not plain where the rules are.
    fn masquerading(
        &self,
        result: &CniResult,
        place: impl Fn(Family, &str) -> Place,
    ) -> Option<Vec<Chains>> {
        let (network, id) = (self.list.name(), self.container_id);
        let chain = hashes::masquerade_chain(network, id);
        let addresses = result.container_addresses();
        let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.address.addr()).collect();
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
        let mut found = Vec::new();
        for (family, program, addresses) in [
            (Family::Ip, "iptables-nft", v4),
            (Family::Ip6, "ip6tables-nft", v6),
        ] {
            if addresses.is_empty() {
                continue;
            }
            match place(family, &chain) {
                Place::Chain => {
                    let comment = format!("name: {network:?} id: {id:?}");
                    let chains = rules::masquerading(program, &chain, &addresses, &comment);
                    found.push(chains);
                }
                // The plugin finds these by what it knows without the device.
                Place::Rules => {}
                Place::Unknown => return None,
            }
        }
        Some(found)
    }
}

/// Where the masquerading rules of an attachment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a chain of iptables on nftables.
    Chain,
    /// In the table of `ipMasqBackend: nftables`.
    Rules,
    /// Nowhere, or in iptables' old flavour.
    Unknown,
}

fn in_nftables(family: Family, chain: &str) -> Place {
    if LEGACY_TABLES
        .iter()
        .any(|file| lists_nat(file).unwrap_or(true))
    {
        return Place::Unknown;
    }
    if has_chain(family, "nat", chain).unwrap_or(false) {
        return Place::Chain;
    }
    match has_table(Family::Inet, NFT_TABLE) {
        Ok(true) => Place::Rules,
        _ => Place::Unknown,
    }
}

/// Whether a file of [`LEGACY_TABLES`] has the table of address translation in it.
fn lists_nat(file: &str) -> io::Result<bool> {
    match fs::read_to_string(file) {
        // A kernel without the old flavour.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        text => Ok(text?.lines().any(|table| table == "nat")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::network::NetworkConfigList;

    fn list(plugins: Value) -> NetworkConfigList {
        let text = json!({"cniVersion": "1.0.0", "name": "net", "plugins": plugins}).to_string();
        NetworkConfigList::parse(&text, Path::new("x")).unwrap()
    }

    fn sweep<'a>(list: &'a NetworkConfigList, result: Option<&'a Value>) -> Sweep<'a> {
        Sweep {
            list,
            container_id: "default-web",
            ifname: "eth0",
            result,
            reserved: &[],
        }
    }

    fn result(address: &[&str]) -> Value {
        let ips: Vec<Value> = address.iter().map(|one| json!({"address": one})).collect();
        json!({"cniVersion": "1.0.0", "ips": ips, "interfaces": [
            {"name": "lo", "mac": "00:00:00:00:00:00"}, {"name": "eth0", "sandbox": "/x"}]})
    }

    #[test]
    fn nothing_goes_ahead_where_it_is_not_plain_what_is_there() {
        let bridge = json!({"type": "bridge", "ipMasq": true});
        let told = result(&["10.0.0.2/24"]);
        for plugins in [
            json!([{"type": "macvlan"}]),
            json!([bridge, {"type": "tuning"}]),
            json!([bridge, bridge]),
            // lo is no veth.
            json!([bridge]),
        ] {
            let list = list(plugins);
            assert_eq!(sweep(&list, Some(&told)).plan(), None);
            assert_eq!(sweep(&list, None).plan(), None);
        }
    }

    #[test]
    fn rules_are_looked_for_by_family() {
        let list = list(json!([{"type": "bridge", "ipMasq": true}]));
        let told = result(&["10.0.0.2/24", "fd00::2/64", "10.0.0.3/24"]);
        let sweep = sweep(&list, Some(&told));
        let result = sweep.known_result().unwrap();
        let all = sweep.masquerading(&result, |_, _| Place::Chain).unwrap();
        assert_eq!(
            all.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "iptables-nft nat chain CNI-c23fa048f6bd9546395080aa",
                "ip6tables-nft nat chain CNI-c23fa048f6bd9546395080aa"
            ]
        );
        let none = sweep.masquerading(&result, |_, _| Place::Rules).unwrap();
        assert!(none.is_empty());
        let some = sweep.masquerading(&result, |family, _| match family {
            Family::Ip => Place::Chain,
            _ => Place::Unknown,
        });
        assert_eq!(some, None);
    }
}
