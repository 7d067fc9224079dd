//! CNI: configuration, plugin chains, results, the result cache, names. Knows nothing of containerd.
//!
//! Invariant: everything is done by the CNI specification 1.1.0, in libcni's formats, so that any
//! other runtime can check and delete what this one added. Comments cite the specification and
//! libcni only where the reason is not plain.
//!
//! A network is found by its name, and its [`Chain`] carries out the verbs:
//!
//! ```
//! use netrun::network::{Chain, NetworkConfigList, config};
//!
//! let dir = std::env::temp_dir().join(format!("networks-{}", std::process::id()));
//! std::fs::create_dir_all(&dir)?;
//! let text = r#"{"cniVersion": "1.1.0", "name": "lan", "plugins": [
//!     {"type": "bridge", "ipam": {"type": "host-local"}, "own": 1},
//!     {"type": "portmap", "capabilities": {"portMappings": true}}]}"#;
//! std::fs::write(dir.join("10-lan.conflist"), text)?;
//!
//! let list: NetworkConfigList = config::load(&dir, "lan")?;
//! assert_eq!(list.plugin_types(), ["bridge", "portmap"]);
//! assert!(list.declares("portMappings") && !list.declares("bandwidth"));
//! assert_eq!(list.bytes(), text, "what DEL must see again is kept as it is");
//!
//! // Programs are looked for before anything is made.
//! let chain = Chain::new(list, vec![dir.join("bin")]);
//! let missing = chain.preflight().unwrap_err();
//! assert!(missing.to_string().starts_with("no CNI plugin \"bridge\" in "));
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ADD and DEL need root and a network namespace:
//!
//! ```no_run
//! # async fn example(chain: netrun::network::Chain) -> Result<(), Box<dyn std::error::Error>> {
//! let conf = netrun::network::RuntimeConf {
//!     container_id: "default-web".to_owned(),
//!     netns: "/run/netns/web".into(),
//!     ifname: "eth0".to_owned(),
//!     ..Default::default()
//! };
//! let result = chain.add(&conf).await?;
//! for address in result.container_addresses() {
//!     // A room below the CLI prints nothing; a program of its own may.
//!     let _ = address.address;
//! }
//! chain.del(&conf, None).await?;
//! # Ok(())
//! # }
//! ```

mod addresses;
pub mod ahead;
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
mod gateway;
pub mod gc;
pub mod hashes;
pub mod hosts_file;
pub mod locks;
pub mod manage;
pub mod names;
pub mod ours;
pub mod plugin;
mod plugin_error;
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
