//! `docker run` for containerd, with CNI networks, no daemon of its own and nothing left behind.
//!
//! The rooms of the house, top to bottom; an arrow may only point down:
//!
//! ```text
//! main -> cli -> commands -> engine -> image, network -> containerd, sys      model: a leaf for all
//! ```
//!
//! - [`cli`]: argument grammar, rendering, progress, exit codes; alone in printing and in knowing a
//!   terminal.
//! - [`commands`]: one file per verb: typed arguments, the resolved request, one engine call, a
//!   value to render.
//! - [`engine`]: the life of a container: plan, spec, launch, supervise, teardown, recover.
//! - [`image`]: references, the registry client, pull, unpack.
//! - [`network`]: CNI: configuration, plugin chains, result cache, names.
//! - [`containerd`]: the one place that speaks gRPC: namespace, deadlines, error classes.
//! - [`sys`]: the kernel: namespaces, mounts, netlink, locks, pidfds, terminals.
//! - [`model`]: plain data with validation; no I/O.

pub mod cli;
pub mod commands;
pub mod containerd;
pub mod engine;
pub mod image;
pub mod model;
pub mod network;
pub mod sys;
