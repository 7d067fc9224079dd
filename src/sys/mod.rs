//! The kernel: namespaces, mounts, netlink, locks, pidfds, terminals.

pub mod lock;
