//! The kernel: namespaces, mounts, netlink, locks, pidfds, terminals.

pub mod cgroup;
#[expect(
    unsafe_code,
    reason = "descriptors that come over a socket are handed over as numbers"
)]
pub mod channel;
pub mod copy;
pub mod devices;
pub mod draft;
pub mod enter;
pub mod facts;
mod kernel_config;
pub mod lock;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod nftables;
#[expect(
    unsafe_code,
    reason = "no crate in the tree speaks pidfd, nor its ioctl"
)]
pub mod pidfd;
pub mod ports;
pub mod process;
#[expect(
    unsafe_code,
    reason = "handing a descriptor to the event loop is unsafe in tokio"
)]
pub mod ready;
pub mod rootfs;
pub mod routes;
pub mod terminal;
pub mod tree;
pub mod usage;
pub mod watch;
