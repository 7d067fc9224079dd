//! The kernel: namespaces, mounts, netlink, locks, pidfds, terminals.

pub mod lock;
pub mod mount;
pub mod netlink;
pub mod netns;
#[expect(
    unsafe_code,
    reason = "no crate in the tree speaks pidfd, nor its ioctl"
)]
pub mod pidfd;
pub mod process;
#[expect(
    unsafe_code,
    reason = "handing a descriptor to the event loop is unsafe in tokio"
)]
pub mod ready;
