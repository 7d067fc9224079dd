//! The default network `netrun`: an ordinary list in the directory of networks, made at first use.
//!
//! Invariant: the file appears there whole, and whoever comes second uses the first one's, so that
//! no two processes ever have different default networks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::IpNet;

use super::config::{self, ConfigError, NetworkConfigList};
use super::pool;
use super::subnets::DEFAULT_ROUTE_BITS;
use crate::model::class::{Class, Explain};

/// The default network's name.
pub const NAME: &str = "netrun";

/// What a bridge has where nothing is said.
const USUAL_MTU: u32 = 1500;

/// docker's words for it.
pub const WORDS: [&str; 2] = ["bridge", "default"];

/// Its configuration, complete but for the choice of addresses: it stands there with the first of
/// [`RANGES`].
const TEMPLATE: &str = include_str!("../../configs/netrun.conflist");

/// The address ranges that the network may have, in order of preference. None is the default of
/// Docker (172.17 to 172.31, 192.168.x), podman (10.88), nerdctl (10.4), Kubernetes (10.96,
/// 10.244), k3s (10.42) or the big clouds (10.0, 10.128 and up, 172.31); the last two are small
/// corners for hosts whose VPN takes all of 10.0.0.0/8.
pub const RANGES: [&str; 5] = [
    "10.61.0.0/16",
    "10.62.0.0/16",
    "10.93.0.0/16",
    "172.29.240.0/20",
    "192.168.208.0/20",
];

/// The default network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DefaultNetworkError {
    /// Every range of ours is routed somewhere, or another network's.
    #[error("no address range is free for the default network: routes of this host or other networks lead into {}", RANGES.join(", "))]
    NoFreeRange,
    /// The file cannot be written.
    #[error("cannot write the default network {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of that name is there and is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Explain for DefaultNetworkError {
    fn class(&self) -> Class {
        match self {
            Self::NoFreeRange => Class::Unavailable,
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Failed,
            },
            Self::Config(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFreeRange => Some(format!(
                "put a network \"{NAME}\" with a range of your own into {}/{}",
                config::DEFAULT_DIR,
                file_name(NAME)
            )),
            Self::Config(error) => error.hint(),
            Self::Write { .. } => None,
        }
    }
}

/// The file that a network of ours lies in: last in the order of names, so that it never becomes
/// the one network that kubelet or `ctr --cni` take.
pub fn file_name(network: &str) -> String {
    format!("zz-netrun-{network}.conflist")
}

/// The network that is meant by a name: docker's words for the default one are that, unless there is a
/// network of that very name.
pub fn meant<'n>(dir: &Path, name: &'n str) -> &'n str {
    let absent = |error: ConfigError| {
        matches!(
            error,
            ConfigError::NoConfigs { .. } | ConfigError::NotFound { .. }
        )
    };
    match WORDS.contains(&name) && config::load(dir, name).is_err_and(absent) {
        true => NAME,
        false => name,
    }
}

/// Finds the default network in a directory, or makes it, with an address range that is clear of
/// the host's routes (destination and length of its prefix) and of the other networks there, and with
/// packets as large as what leads out can carry (`mtu`).
pub fn load_or_create(
    dir: &Path,
    routes: &[(IpAddr, u8)],
    mtu: Option<u32>,
) -> Result<NetworkConfigList, DefaultNetworkError> {
    match config::load(dir, NAME) {
        Err(ConfigError::NoConfigs { .. } | ConfigError::NotFound { .. }) => {}
        other => return Ok(other?),
    }
    let networks = config::scan(dir).networks;
    let others: Vec<IpNet> = networks.iter().flat_map(pool::subnets).collect();
    let text = conflist(routes, &others, mtu).ok_or(DefaultNetworkError::NoFreeRange)?;
    let path = dir.join(file_name(NAME));
    write_once(&path, &text).map_err(|source| DefaultNetworkError::Write { path, source })?;
    Ok(config::load(dir, NAME)?)
}

/// The network's text with the first free range; nothing if none is free.
fn conflist(routes: &[(IpAddr, u8)], others: &[IpNet], mtu: Option<u32>) -> Option<String> {
    let routed = routes
        .iter()
        .filter(|(_, bits)| *bits >= DEFAULT_ROUTE_BITS)
        .filter_map(|(address, bits)| IpNet::new(*address, *bits).ok());
    let taken: Vec<IpNet> = routed.chain(others.iter().copied()).collect();
    let free = |range: &IpNet| {
        let overlaps = |route: &IpNet| route.contains(range) || range.contains(route);
        !taken.iter().any(overlaps)
    };
    let mut ranges = RANGES.iter().filter_map(|range| range.parse().ok());
    let range = ranges.find(free)?;
    let text = TEMPLATE.replace(RANGES[0], &range.to_string());
    let Some(mtu) = mtu.filter(|mtu| *mtu != USUAL_MTU) else {
        return Some(text);
    };
    let place = "\"isGateway\": true,";
    Some(text.replace(place, &format!("{place}\n      \"mtu\": {mtu},")))
}

/// What the name of a file that is being written begins with; its writer's pid follows.
const DRAFT: &str = ".netrun-";

/// Removes the files that processes which are gone did not finish.
pub(super) fn sweep_drafts(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let draft = name
            .to_str()
            .filter(|name| name.ends_with(".tmp"))
            .and_then(|name| name.strip_prefix(DRAFT));
        let writer = draft.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if writer.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Nobody reads it; the next sweep tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file whole, unless it is there already.
pub(super) fn write_once(path: &Path, text: &str) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir)?;
    // No runtime looks at a file with this ending.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!("{DRAFT}{}-{count}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    let written = options
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        // A link, other than a rename, does not replace what another process put there meanwhile.
        .and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn subnet(routes: &[&str]) -> Option<String> {
        let routes = routes.iter().map(|route| route.parse::<IpNet>().unwrap());
        let routes: Vec<_> = routes.map(|net| (net.addr(), net.prefix_len())).collect();
        let text = conflist(&routes, &[], None)?;
        let list = NetworkConfigList::parse(&text, Path::new("x")).unwrap();
        let ipam = &list.plugins()[0].object()["ipam"];
        Some(ipam["ranges"][0][0]["subnet"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_range_is_clear_of_the_hosts_routes() {
        let first = Some("10.61.0.0/16".to_owned());
        assert_eq!(subnet(&[]), first);
        assert_eq!(
            subnet(&["0.0.0.0/0", "0.0.0.0/1", "::/0", "10.60.0.0/16"]),
            first
        );
        assert_eq!(subnet(&["10.61.7.0/24"]).unwrap(), "10.62.0.0/16");
        assert_eq!(
            subnet(&["10.60.0.0/15", "10.62.0.1/32"]).unwrap(),
            "10.93.0.0/16"
        );
        assert_eq!(subnet(&["10.0.0.0/8"]).unwrap(), "172.29.240.0/20");
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        assert_eq!(subnet(&private), None);
        let other = ["10.61.128.0/17".parse().unwrap()];
        assert!(
            conflist(&[], &other, None)
                .unwrap()
                .contains("10.62.0.0/16")
        );
    }

    #[test]
    fn it_is_what_the_engine_relies_on() {
        let text = conflist(&[], &[], Some(1450)).unwrap();
        assert!(text.contains("\"mtu\": 1450,"), "{text}");
        let list = NetworkConfigList::parse(&text, Path::new("x")).unwrap();
        assert_eq!(list.name(), NAME);
        assert_eq!(list.plugin_types(), ["bridge", "portmap"]);
        assert!(
            ["ips", "mac", "portMappings"]
                .iter()
                .all(|one| list.declares(one))
        );
        assert!(RANGES.iter().all(|range| range.parse::<IpNet>().is_ok()));
    }

    #[test]
    fn it_is_made_once_by_whoever_comes_first() {
        let dir = std::env::temp_dir().join(format!("netrun-default-{}/net.d", std::process::id()));
        let routes: [(IpAddr, u8); 2] = [
            ("10.99.0.0".parse().unwrap(), 16),
            ("10.61.0.0".parse().unwrap(), 16),
        ];
        let lists: Vec<_> = std::thread::scope(|scope| {
            let make = |routes| {
                let dir = &dir;
                scope.spawn(move || load_or_create(dir, routes, None).unwrap())
            };
            let all: Vec<_> = (0..8).map(|i| make(&routes[..i % 3])).collect();
            all.into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(lists.iter().all(|list| list == &lists[0]));
        let names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["zz-netrun-netrun.conflist"]);
        let file = fs::metadata(dir.join(&names[0])).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o644);
        fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_nobody_writes_any_more_is_swept() {
        let dir = std::env::temp_dir().join(format!("netrun-drafts-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let ours = format!(".netrun-{}-0.tmp", std::process::id());
        for file in [
            &ours,
            ".netrun-99999999-0.tmp",
            ".netrun-x.tmp",
            "a.conflist",
        ] {
            fs::write(dir.join(file), "").unwrap();
        }
        sweep_drafts(&dir);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
        assert!(dir.join(ours).exists());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_in_the_way_that_is_broken_is_told() {
        let dir =
            std::env::temp_dir().join(format!("netrun-default-broken-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file_name(NAME)), "{").unwrap();
        let error = load_or_create(&dir, &[], None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("zz-netrun-netrun.conflist (EOF while parsing"),
            "{error}"
        );
        fs::remove_dir_all(dir).unwrap();
    }
}
