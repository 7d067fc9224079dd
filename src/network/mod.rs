//! CNI: configuration, plugin chains, results, the result cache, names. Knows nothing of containerd.
//!
//! Invariant: everything is done by the CNI specification 1.1.0, in libcni's formats, so that any
//! other runtime can check and delete what this one added. Comments cite the specification and
//! libcni only where the reason is not plain.

mod apart;
pub mod ask;
pub mod attach;
pub mod cache;
pub mod chain;
pub mod cnitool;
pub mod config;
mod conflist;
mod convert;
pub mod create;
mod create_error;
pub mod default;
pub mod detach;
mod exec;
pub mod firewall;
pub mod gc;
pub mod hashes;
pub mod hosts_file;
pub mod locks;
pub mod manage;
pub mod names;
pub mod ours;
pub mod plugin;
pub mod pool;
pub mod release;
pub mod request;
pub mod result;
pub mod rules;
pub mod subnets;
pub mod sweep;
pub mod validate;
pub mod verbs;
pub mod version;

use std::path::PathBuf;

use serde_json::{Map, Value};

pub use self::chain::Chain;
pub use self::config::NetworkConfigList;
pub use self::create_error::CreateError;
pub use self::plugin::default_plugin_dirs;
pub use self::result::CniResult;

/// What belongs to one attachment rather than to its network: the same for ADD, CHECK and DEL.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeConf {
    /// The container id that plugins see.
    pub container_id: String,
    /// The network namespace's path; may be empty for DEL when it is gone.
    pub netns: PathBuf,
    /// The interface's name in the container.
    pub ifname: String,
    /// `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// Capability arguments by capability name; a plugin sees those it declares.
    pub capability_args: Map<String, Value>,
}
