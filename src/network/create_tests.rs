//! The table of networks that can be made and that cannot.

use std::path::Path;

use super::*;
use crate::model::class::{Class, Explain};
use crate::network::config::Scan;
use crate::network::subnets::{HostLink, SubnetPool, default_pools};

fn new(change: impl FnOnce(&mut NewNetwork)) -> NewNetwork {
    let mut new = NewNetwork {
        name: "lan".to_owned(),
        driver: Driver::Bridge,
        subnets: Vec::new(),
        gateways: Vec::new(),
        ip_ranges: Vec::new(),
        ipv6: false,
        internal: false,
        isolate: false,
        labels: BTreeMap::new(),
        parent: None,
        mtu: None,
        vlan: None,
        bridge: None,
        created: "2026-01-01T00:00:00Z".to_owned(),
    };
    change(&mut new);
    new
}

fn scan() -> Scan {
    let text = r#"{"name": "old", "plugins": [{"type": "bridge", "bridge": "br-lan2", "ipam":
        {"type": "host-local", "subnet": "10.64.0.0/24"}}]}"#;
    let old = NetworkConfigList::parse(text, Path::new("/etc/cni/net.d/old.conflist")).unwrap();
    Scan {
        networks: vec![old],
        broken: Vec::new(),
    }
}

fn conflist(change: impl FnOnce(&mut NewNetwork)) -> Result<NetworkConfigList, CreateError> {
    let routes = [
        ("10.64.1.0".parse().unwrap(), 24),
        ("0.0.0.0".parse().unwrap(), 0),
    ];
    let link = |name: &str, mtu, is_default| HostLink {
        name: name.to_owned(),
        mtu,
        is_default,
    };
    let links = [
        link("lo", 65536, false),
        link("eth0", 1450, true),
        link("br-taken", 1500, false),
    ];
    let around = Surroundings {
        routes: &routes,
        networks: &scan(),
        links: &links,
        pools: &default_pools(),
    };
    let text = new(change).conflist(&around)?;
    Ok(NetworkConfigList::parse(&text, Path::new("x")).unwrap())
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_bridge_network_is_clear_of_what_there_is() {
    let list = conflist(|_| {}).unwrap();
    assert_eq!(list.plugin_types(), ["bridge", "portmap"]);
    let bridge = list.plugins()[0].object();
    // 10.64.0.0 is another network's, 10.64.1.0 the host's.
    assert_eq!(bridge["ipam"]["ranges"][0][0]["subnet"], "10.64.2.0/24");
    assert_eq!(bridge["ipam"]["routes"], json!([{"dst": "0.0.0.0/0"}]));
    assert_eq!(
        (&bridge["bridge"], &bridge["mtu"]),
        (&json!("br-lan"), &json!(1450))
    );
    assert_eq!(bridge["ipMasqBackend"], "nftables");
    assert_eq!(list.plugins()[1].object()["backend"], "nftables");
    assert!(is_ours(&list) && kept(&list, "driver") == Some(&json!("bridge")));
    assert!(
        ["ips", "mac", "portMappings"]
            .iter()
            .all(|one| list.declares(one))
    );
}

#[test]
fn both_families_ranges_and_gateways() {
    let list = conflist(|new| {
        new.subnets = nets(&["10.5.0.0/16", "fd05::/64"]);
        new.gateways = vec!["10.5.0.254".parse().unwrap()];
        new.ip_ranges = nets(&["10.5.7.0/24"]);
        new.internal = true;
    });
    let list = list.unwrap();
    let ipam = &list.plugins()[0].object()["ipam"];
    assert_eq!(
        ipam["ranges"],
        json!([
            [{"subnet": "10.5.0.0/16", "gateway": "10.5.0.254",
              "rangeStart": "10.5.7.0", "rangeEnd": "10.5.7.255"}],
            [{"subnet": "fd05::/64", "gateway": "fd05::1"}]
        ])
    );
    assert!(ipam.get("routes").is_none() && list.plugins().len() == 1);
    let list = conflist(|new| new.ipv6 = true).unwrap();
    let ranges = &list.plugins()[0].object()["ipam"]["ranges"];
    assert!(
        ranges[1][0]["subnet"].as_str().unwrap().starts_with("fd"),
        "{ranges}"
    );
    let six = conflist(|new| new.subnets = nets(&["fd05::/64"])).unwrap();
    assert_eq!(
        six.plugins()[0].object()["ipam"]["ranges"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn names_that_are_too_long_for_a_bridge_are_hashed() {
    let list = conflist(|new| new.name = "a-very-long-network".to_owned()).unwrap();
    let bridge = bridge_of(&list).unwrap();
    assert!(bridge.starts_with("br-") && bridge.len() == 15, "{bridge}");
    let list = conflist(|new| new.name = "taken".to_owned()).unwrap();
    assert_ne!(bridge_of(&list), Some("br-taken"));
}

#[test]
fn a_bridge_leaves_room_for_its_vlan() {
    let list = conflist(|new| {
        new.name = "a-very-long-network".to_owned();
        new.vlan = Some(4000);
    });
    let list = list.unwrap();
    let gateways = gateways_of(&list);
    assert_eq!(gateways.len(), 2);
    assert!(gateways[1].ends_with(".4000") && gateways[1].len() == 15);
    assert_eq!(gateways_of(&conflist(|_| {}).unwrap()), ["br-lan"]);
}

#[test]
fn networks_beside_an_interface() {
    let list = conflist(|new| {
        new.driver = Driver::Macvlan;
        new.subnets = nets(&["10.64.1.0/24"]);
    });
    let list = list.unwrap();
    let plugin = list.plugins()[0].object();
    assert_eq!(
        (&plugin["master"], &plugin["mode"]),
        (&json!("eth0"), &json!("bridge"))
    );
    assert_eq!(list.plugin_types(), ["macvlan"]);
}

type Change = fn(&mut NewNetwork);

fn ranged(new: &mut NewNetwork, range: &str) {
    new.subnets = nets(&["10.5.0.0/24"]);
    new.ip_ranges = nets(&[range]);
}

const REFUSED: &[(Change, Class)] = &[
    (|new| new.name = "old".to_owned(), Class::AlreadyExists),
    (|new| new.name = "host".to_owned(), Class::InvalidInput),
    (|new| new.name = "../x".to_owned(), Class::InvalidInput),
    (
        |new| new.subnets = nets(&["10.64.0.0/16"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["10.64.1.128/25"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["10.5.0.1/16"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["10.5.0.0/31"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["127.1.0.0/16"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["224.0.0.0/16"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["10.5.0.0/16", "10.6.0.0/16"]),
        Class::InvalidInput,
    ),
    (
        |new| new.gateways = vec!["10.9.0.1".parse().unwrap()],
        Class::InvalidInput,
    ),
    (
        |new| {
            new.subnets = nets(&["10.5.0.0/16"]);
            new.gateways = vec!["10.5.0.0".parse().unwrap()];
        },
        Class::InvalidInput,
    ),
    (
        |new| new.ip_ranges = nets(&["10.9.0.0/24"]),
        Class::InvalidInput,
    ),
    (
        |new| new.bridge = Some("br-lan2".to_owned()),
        Class::AlreadyExists,
    ),
    (
        |new| new.bridge = Some("br-taken".to_owned()),
        Class::AlreadyExists,
    ),
    (
        |new| new.bridge = Some("a/b".to_owned()),
        Class::InvalidInput,
    ),
    (
        |new| new.parent = Some("eth0".to_owned()),
        Class::InvalidInput,
    ),
    (
        |new| {
            new.subnets = nets(&["10.5.0.0/16"]);
            new.gateways = vec!["10.5.0.1".parse().unwrap(), "10.5.0.2".parse().unwrap()];
        },
        Class::InvalidInput,
    ),
    (
        |new| {
            new.subnets = nets(&["10.5.0.0/16"]);
            new.ip_ranges = nets(&["10.5.1.0/24", "10.5.2.0/24"]);
        },
        Class::InvalidInput,
    ),
    (
        |new| {
            new.driver = Driver::Ipvlan;
            new.parent = Some("eth9".to_owned());
            new.subnets = nets(&["10.5.0.0/16"]);
        },
        Class::NotFound,
    ),
    (
        |new| new.bridge = Some("br+".to_owned()),
        Class::InvalidInput,
    ),
    (
        |new| {
            new.bridge = Some("br-123456789".to_owned());
            new.vlan = Some(4000);
        },
        Class::InvalidInput,
    ),
    (|new| new.name = "n".repeat(64), Class::InvalidInput),
    (
        |new| {
            new.driver = Driver::Macvlan;
            new.parent = Some("lo".to_owned());
            new.subnets = nets(&["10.5.0.0/16"]);
        },
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["240.0.0.0/24"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["64.0.0.0/2"]),
        Class::InvalidInput,
    ),
    (
        |new| new.subnets = nets(&["fe80::/64"]),
        Class::InvalidInput,
    ),
    (|new| ranged(new, "10.5.0.0/32"), Class::InvalidInput),
    (|new| ranged(new, "10.5.0.1/32"), Class::InvalidInput),
    (|new| ranged(new, "10.5.0.17/28"), Class::InvalidInput),
    (|new| new.mtu = Some(10), Class::InvalidInput),
    (
        |new| {
            new.ipv6 = true;
            new.mtu = Some(576);
        },
        Class::InvalidInput,
    ),
    (|new| new.vlan = Some(4095), Class::InvalidInput),
];

#[test]
fn what_cannot_work_is_refused() {
    for (index, (change, class)) in REFUSED.iter().enumerate() {
        let error = conflist(change).expect_err(&format!("row {index}"));
        assert_eq!(error.class(), *class, "row {index}: {error}");
    }
}

#[test]
fn pools_can_be_used_up() {
    let pools = [SubnetPool {
        base: "10.64.0.0/23".parse().unwrap(),
        size: 24,
    }];
    let routes = [("10.64.1.0".parse().unwrap(), 24)];
    let around = Surroundings {
        routes: &routes,
        networks: &scan(),
        links: &[],
        pools: &pools,
    };
    let error = new(|_| {}).conflist(&around).unwrap_err();
    assert!(matches!(error, CreateError::Exhausted(_)), "{error}");
    let pools = [SubnetPool {
        base: "fd07::/63".parse().unwrap(),
        size: 64,
    }];
    let routes = [("fd07::".parse().unwrap(), 64)];
    let around = Surroundings {
        routes: &routes,
        pools: &pools,
        ..around
    };
    let six = |new: &mut NewNetwork| {
        new.subnets = nets(&["10.5.0.0/24"]);
        new.ipv6 = true;
    };
    let text = new(six).conflist(&around).unwrap();
    assert!(text.contains("\"fd07:0:0:1::/64\""), "{text}");
}

#[test]
fn networks_beside_an_interface_are_given_a_subnet_too() {
    let list = conflist(|new| new.driver = Driver::Ipvlan).unwrap();
    let plugin = list.plugins()[0].object();
    assert_eq!(plugin["master"], "eth0");
    assert_eq!(plugin["ipam"]["ranges"][0][0]["subnet"], "10.64.2.0/24");
}

#[test]
fn refusals_name_what_is_wrong_and_what_would_do() {
    let shown = |change: fn(&mut NewNetwork)| {
        let error = conflist(change).unwrap_err();
        format!("{error} {}", error.hint().unwrap_or_default())
    };
    let second = shown(|new| {
        new.subnets = nets(&["10.5.0.0/16"]);
        new.gateways = vec!["10.5.0.1".parse().unwrap(), "10.5.0.2".parse().unwrap()];
    });
    assert!(second.starts_with("10.5.0.2 is the second"), "{second}");
    let vlan = shown(|new| {
        new.driver = Driver::Macvlan;
        new.parent = Some("eth0.7".to_owned());
    });
    assert!(
        vlan.contains("link eth0 name eth0.7 type vlan id 7"),
        "{vlan}"
    );
    let unfit = shown(|new| {
        new.driver = Driver::Macvlan;
        new.vlan = Some(7);
    });
    assert!(
        unfit.contains("has no option \"vlan\" give an interface"),
        "{unfit}"
    );
}
