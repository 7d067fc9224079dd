//! The photograph of a host: everything that a container could leave behind, one line each.
//!
//! Invariant: a line names one thing in the same words every time, so that two photographs are
//! compared as sets. What netrun, containerd, iproute2 and the plugins keep by design is listed in
//! [`BY_DESIGN`], each with its reason, and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use containerd_client::services::v1::ListRequest as ListLeasesRequest;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    ListContainersRequest, ListContentRequest, ListImagesRequest, ListNamespacesRequest,
    ListStatusesRequest, ListTasksRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Request, Streaming};
use containerd_client::with_namespace;

use super::FakeHost;
use super::glob;

/// What stays by design, and why.
const BY_DESIGN: &[(&str, &str)] = &[
    // netrun's own: the default network and its bridge, the shared directories.
    (
        "file /etc/cni/net.d/zz-netrun-netrun.conflist",
        "the default network, written at first use",
    ),
    (
        "link netrun0",
        "the default network's bridge; the reference plugin never removes a bridge",
    ),
    (
        "address * dev netrun0",
        "the default bridge's gateway addresses",
    ),
    ("route * dev netrun0 *", "the default bridge's subnet"),
    ("dir /run/netrun", "made at first use"),
    (
        "dir /run/netrun/locks",
        "a lock's file must not be unlinked while another may hold it",
    ),
    (
        "file /run/netrun/locks/cni-gc",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/firewall",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/names",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/networks",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/net-*",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/scope-*",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/unpack-*",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "file /run/netrun/locks/volumes-*",
        "a lock of what is no container; a container's goes with it",
    ),
    (
        "dir /run/netrun/default",
        "a containerd namespace's directory",
    ),
    ("dir /var/lib/netrun", "made at first use"),
    ("dir /var/lib/netrun/volumes", "made at first use"),
    (
        "dir /var/lib/netrun/volumes/default",
        "a containerd namespace's volumes",
    ),
    ("dir /var/lib/netrun/.scopes", "made at first use"),
    (
        "dir /var/lib/netrun/.scopes/default",
        "a containerd namespace's scopes",
    ),
    (
        "dir /var/lib/netrun/default",
        "a containerd namespace's directory",
    ),
    (
        "dir /run/cni",
        "the default network's addresses are given anew after a boot",
    ),
    (
        "dir /run/cni/netrun-ipam",
        "the default network's addresses",
    ),
    (
        "dir /run/cni/netrun-ipam/netrun",
        "host-local's directory of the default network",
    ),
    (
        "file /run/cni/netrun-ipam/netrun/last_reserved_ip.*",
        "host-local's place to go on from",
    ),
    ("file /run/cni/netrun-ipam/netrun/lock", "host-local's lock"),
    // iproute2's way with named namespaces.
    (
        "dir /run/netns",
        "made by the first `ip netns add` or by us",
    ),
    (
        "mount /run/netns tmpfs",
        "the directory's shared mount onto itself",
    ),
    // The reference plugins'.
    ("dir /var/lib/cni", "made by host-local"),
    ("dir /var/lib/cni/networks", "made by host-local"),
    (
        "dir /var/lib/cni/networks/*",
        "host-local's directory of a network",
    ),
    (
        "file /var/lib/cni/networks/*/last_reserved_ip.*",
        "host-local's place to go on from",
    ),
    ("file /var/lib/cni/networks/*/lock", "host-local's lock"),
    ("dir /var/lib/cni/results", "libcni's cache"),
    ("dir /run/cni/tuning", "tuning's, for what it will restore"),
    (
        "iptables * -A CNI-HOSTPORT-SETMARK *",
        "the portmap plugin's mark rule",
    ),
    ("file /run/xtables.lock", "iptables' lock"),
    (
        "iptables * -N CNI-FORWARD",
        "the firewall plugin's own chain",
    ),
    (
        "iptables * -N CNI-ADMIN",
        "the firewall plugin's chain for the administrator",
    ),
    (
        "iptables * -A CNI-FORWARD -m comment --comment \"CNI firewall plugin admin overrides\" -j CNI-ADMIN",
        "its jump",
    ),
    (
        "iptables * -A FORWARD -m comment --comment \"CNI firewall plugin rules*\" -j CNI-FORWARD",
        "its jump",
    ),
    (
        "iptables * -N CNI-HOSTPORT-*",
        "the portmap plugin's top chains",
    ),
    (
        "iptables * -A CNI-HOSTPORT-*MASQ *",
        "the portmap plugin's mark rule",
    ),
    (
        "iptables * -A CNI-HOSTPORT-SETMARK *",
        "the portmap plugin's mark rule",
    ),
    (
        "iptables * -A *ROUTING * -j CNI-HOSTPORT-*",
        "the jumps to them",
    ),
    (
        "iptables * -A OUTPUT * -j CNI-HOSTPORT-DNAT",
        "the jumps to them",
    ),
    // containerd's, made when its first container or image comes.
    (
        "namespace default",
        "containerd makes a namespace at its first object",
    ),
    (
        "dir /run/containerd/*/default",
        "the runtime's directory of a containerd namespace",
    ),
    ("dir /run/containerd/runc", "runc's state of all namespaces"),
    ("dir /run/containerd/s", "the shims' sockets"),
    ("dir /run/containerd/fifo", "ctr's FIFOs"),
    (
        "cgroup */default",
        "the parent of a containerd namespace's cgroups",
    ),
    ("cgroup */netrun", "the parent of the supervisors' cgroups"),
];

/// A photograph: each line with how often it was seen.
pub struct World(BTreeMap<String, usize>);

impl World {
    /// Photographs a host.
    pub fn of(host: &FakeHost) -> World {
        let mut lines = Vec::new();
        for tree in ["/run", "/tmp"] {
            walk(&host.path(tree), tree, &mut lines);
        }
        for tree in ["/etc", "/var/lib"] {
            let upper = host.dir().join(format!("overlay{tree}/upper"));
            walk(&upper, tree, &mut lines);
        }
        for cgroup in &host.cgroups {
            let hierarchy = cgroup.strip_prefix("/sys/fs/cgroup").unwrap();
            let hierarchy = hierarchy
                .iter()
                .next()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let root = match cgroup.ends_with("init") {
                true => cgroup.parent().unwrap(),
                false => cgroup,
            };
            cgroups(root, &hierarchy, &mut lines);
        }
        network(host, &mut lines);
        mounts(host, &mut lines);
        processes(host, &mut lines);
        let socket = host.path("/run/containerd/containerd.sock");
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(containerd(&socket, &mut lines));
        }
        let mut world = BTreeMap::new();
        for line in lines {
            *world.entry(line).or_default() += 1;
        }
        World(world)
    }

    /// What is more (`+`) or less (`-`) in `after`, except what stays by design or was announced.
    pub fn changes(&self, after: &World, announced: &[String]) -> Vec<String> {
        let expected = |line: &str| {
            let by_design = BY_DESIGN
                .iter()
                .any(|(pattern, _)| glob::matches(pattern, line));
            by_design || announced.iter().any(|pattern| glob::matches(pattern, line))
        };
        let mut changes = Vec::new();
        for (line, count) in &after.0 {
            let before = self.0.get(line).unwrap_or(&0);
            changes.extend((*before..*count).map(|_| format!("+ {line}")));
        }
        for (line, count) in &self.0 {
            let after = after.0.get(line).unwrap_or(&0);
            changes.extend((*after..*count).map(|_| format!("- {line}")));
        }
        // An overlay marks what the fake host has not of the real one by a node; something of ours may
        // take that name.
        changes.retain(|change| !expected(&change[2..]) && !change.starts_with("- node "));
        changes
    }
}

/// Every file below `real`, by the name that it has on the host.
fn walk(real: &Path, shown: &str, lines: &mut Vec<String>) {
    for entry in fs::read_dir(real).into_iter().flatten().flatten() {
        let name = format!("{shown}/{}", entry.file_name().to_string_lossy());
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let word = match () {
            () if kind.is_dir() => "dir",
            () if kind.is_file() => "file",
            () if kind.is_symlink() => "symlink",
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "node",
        };
        lines.push(format!("{word} {name}"));
        // A bundle's root file system is a mount of its own, and told as one.
        if kind.is_dir() && !name.ends_with("/rootfs") {
            walk(&entry.path(), &name, lines);
        }
    }
}

fn cgroups(real: &Path, shown: &str, lines: &mut Vec<String>) {
    for entry in fs::read_dir(real).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = format!("{shown}/{}", entry.file_name().to_string_lossy());
            lines.push(format!("cgroup {name}"));
            cgroups(&entry.path(), &name, lines);
        }
    }
}

/// Namespaces, links, addresses, routes and packet filter rules, each tool's lines under a heading.
fn network(host: &FakeHost, lines: &mut Vec<String>) {
    // Most of a photograph's time is the starting of processes, so there are as few as will do: a family's
    // questions in one batch, and iptables only where it has something to say.
    let script = r#"
        echo @device; printf 'link\naddress\n' | ip -o -batch -
        echo @route; for family in 4 6; do printf 'route show table all\nrule\n' | ip -$family -batch -; done
        echo @nft; tables=$(nft -s list ruleset 2>/dev/null); echo "$tables"
        for tool in iptables:'table ip ' ip6tables:'table ip6 '; do
            case $tables in
                *"${tool#*:}"*) echo @${tool%:*}-nft; ${tool%:*}-nft-save 2>/dev/null ;;
            esac
        done
        for tool in iptables:ip_tables_names ip6tables:ip6_tables_names; do
            if [ -n "$(cat /proc/net/${tool#*:} 2>/dev/null)" ]; then
                echo @${tool%:*}-legacy; ${tool%:*}-legacy-save 2>/dev/null
            fi
        done
        true"#;
    let output = host.sh(script).ok();
    let (mut heading, mut table, mut nft) = ("", "", Vec::new());
    for line in output.stdout.lines() {
        if let Some(next) = line.strip_prefix('@') {
            heading = next;
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match heading {
            "device" if words[1].ends_with(':') => {
                let name = words[1].trim_end_matches(':').split('@').next().unwrap();
                lines.push(format!("link {name}"));
            }
            "device" => lines.push(format!("address {} dev {}", words[3], words[1])),
            // A rule begins with its priority.
            "route" if words.first().is_some_and(|word| word.ends_with(':')) => {
                lines.push(format!("rule {}", words.join(" ")));
            }
            "route" => {
                let lasting = words
                    .iter()
                    .filter(|word| !matches!(**word, "linkdown" | "dead"));
                let lasting: Vec<&str> = lasting.copied().collect();
                lines.push(format!("route {} ", lasting.join(" ")));
            }
            "nft" => nft_line(line, &mut nft, lines),
            _ if line.starts_with('*') => table = &line[1..],
            tool if line.starts_with(':') && words[1] == "-" => {
                lines.push(format!("iptables {tool} {table} -N {}", &words[0][1..]));
            }
            tool if line.starts_with('-') => {
                lines.push(format!("iptables {tool} {table} {line}"));
            }
            _ => {}
        }
    }
}

/// One line of nft's listing, with the table and chain that it stands in. Tables that iptables-nft
/// manages are listed by iptables-nft.
fn nft_line(line: &str, context: &mut Vec<String>, lines: &mut Vec<String>) {
    let line = line.trim();
    if line == "}" {
        context.pop();
        return;
    }
    let opens = line.ends_with('{');
    let line = line.trim_end_matches('{').trim();
    let whole = context.iter().map(String::as_str).chain([line]);
    let whole = whole.collect::<Vec<&str>>().join(" / ");
    let managed = ["filter", "nat", "mangle", "raw", "security"]
        .iter()
        .any(|table| {
            let of = |family| format!("table {family} {table}");
            [of("ip"), of("ip6")]
                .iter()
                .any(|own| whole.split(" / ").next() == Some(own))
        });
    if opens {
        context.push(line.to_owned());
    }
    if !managed && !line.is_empty() && !line.starts_with('#') {
        lines.push(format!("nft {whole}"));
    }
}

fn mounts(host: &FakeHost, lines: &mut Vec<String>) {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.init())).unwrap();
    for line in table.lines() {
        let (left, right) = line.split_once(" - ").unwrap();
        let at = left.split(' ').nth(4).unwrap();
        let kind = right.split(' ').next().unwrap();
        lines.push(format!("mount {at} {kind}"));
    }
}

/// Every process of the host, by its command line; containerd and the registry are the host's own.
fn processes(host: &FakeHost, lines: &mut Vec<String>) {
    for entry in fs::read_dir(host.path("/proc")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let Ok(bytes) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        let own = pid == 1
            || line.starts_with("containerd --config")
            || line.starts_with("docker-registry serve");
        let zombie = || {
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            status.is_empty() || status.contains("State:\tZ")
        };
        // One that ends has given its memory back, its words included, and is a zombie in a moment.
        if bytes.is_empty() && !zombie() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        if !own && !zombie() {
            lines.push(format!("process {}", line.trim()));
        }
    }
}

async fn containerd(socket: &Path, lines: &mut Vec<String>) {
    let channel = containerd_client::connect(socket).await.unwrap();
    let mut namespaces = NamespacesClient::new(channel.clone());
    let request = ListNamespacesRequest::default();
    let found = namespaces
        .list(request)
        .await
        .unwrap()
        .into_inner()
        .namespaces;
    for namespace in found {
        lines.push(format!("namespace {}", namespace.name));
        records(&channel, &namespace.name, lines).await;
        contents(&channel, &namespace.name, lines).await;
        for snapshotter in ["overlayfs", "native"] {
            snapshots(&channel, &namespace.name, snapshotter, lines).await;
        }
    }
}

async fn records(channel: &Channel, namespace: &str, lines: &mut Vec<String>) {
    let request = with_namespace!(ListContainersRequest::default(), namespace);
    let containers = ContainersClient::new(channel.clone()).list(request).await;
    for container in containers.unwrap().into_inner().containers {
        lines.push(format!("container {namespace} {}", container.id));
    }
    let request = with_namespace!(ListTasksRequest::default(), namespace);
    let tasks = TasksClient::new(channel.clone()).list(request).await;
    for task in tasks.unwrap().into_inner().tasks {
        lines.push(format!("task {namespace} {}", task.id));
    }
    let request = with_namespace!(ListLeasesRequest::default(), namespace);
    let leases = LeasesClient::new(channel.clone()).list(request).await;
    for lease in leases.unwrap().into_inner().leases {
        lines.push(format!("lease {namespace} {}", lease.id));
    }
    let request = with_namespace!(ListImagesRequest::default(), namespace);
    let images = ImagesClient::new(channel.clone()).list(request).await;
    for image in images.unwrap().into_inner().images {
        lines.push(format!("image {namespace} {}", image.name));
    }
}

async fn contents(channel: &Channel, namespace: &str, lines: &mut Vec<String>) {
    let mut client = ContentClient::new(channel.clone());
    let request = with_namespace!(ListStatusesRequest::default(), namespace);
    let ingests = client.list_statuses(request).await;
    for ingest in ingests.unwrap().into_inner().statuses {
        lines.push(format!("ingest {namespace} {}", ingest.r#ref));
    }
    let request = with_namespace!(ListContentRequest::default(), namespace);
    let mut pages = client.list(request).await.unwrap().into_inner();
    while let Some(page) = pages.message().await.unwrap() {
        for info in page.info {
            lines.push(format!("content {namespace} {}", info.digest));
        }
    }
}

async fn snapshots(channel: &Channel, namespace: &str, name: &str, lines: &mut Vec<String>) {
    let request = ListSnapshotsRequest {
        snapshotter: name.to_owned(),
        ..ListSnapshotsRequest::default()
    };
    let request = with_namespace!(request, namespace);
    // A snapshotter that this containerd has not is a code, not an empty list.
    let Ok(pages) = SnapshotsClient::new(channel.clone()).list(request).await else {
        return;
    };
    let mut pages: Streaming<_> = pages.into_inner();
    while let Ok(Some(page)) = pages.message().await {
        for snapshot in page.info {
            lines.push(format!("snapshot {namespace} {}", snapshot.name));
        }
    }
}
