//! The kernel: namespaces, mounts, netlink, locks, pidfds, terminals.

mod devices;
pub mod facts;
pub mod rootfs;
