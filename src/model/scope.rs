//! Scopes: containers, networks and volumes that go together.
//!
//! Invariant: what belongs to a scope says so by its label [`LABEL`], and by nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::id::{Namespace, ScopeName};
use super::record::BoundTo;

/// The label of a container, a network or a volume that says which scope it belongs to.
pub const LABEL: &str = "netrun.scope";

impl ScopeName {
    /// What the label of a network says: networks are those of all containerd namespaces.
    pub fn of_network(&self, namespace: &Namespace) -> String {
        match namespace.as_str() {
            "default" => self.to_string(),
            other => format!("{other}/{self}"),
        }
    }

    /// The scope that the label of a network speaks of, if it is one of this namespace.
    pub fn from_network(label: &str, namespace: &Namespace) -> Option<ScopeName> {
        match label.split_once('/') {
            Some((owner, name)) if owner == namespace.as_str() => name.parse().ok(),
            None if namespace.as_str() == "default" => label.parse().ok(),
            _ => None,
        }
    }

    /// The name of the network that goes with it (`--net scope:`). No id holds `--`, so two scopes
    /// never share one.
    pub fn network(&self, namespace: &Namespace) -> String {
        match namespace.as_str() {
            "default" => format!("scope-{self}"),
            other => format!("scope-{other}--{self}"),
        }
    }
}

/// A scope that ends with a process of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundScope {
    /// Its name.
    pub name: ScopeName,
    /// The process.
    pub bound_to: BoundTo,
    /// The directory of the networks.
    pub networks: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_two_namespaces_share_no_network() {
        let name: ScopeName = "job.1".parse().unwrap();
        let (usual, other) = ("default".parse().unwrap(), "ci".parse().unwrap());
        assert_eq!(name.network(&usual), "scope-job.1");
        assert_eq!(name.network(&other), "scope-ci--job.1");
        for (here, elsewhere) in [(&usual, &other), (&other, &usual)] {
            let label = name.of_network(here);
            assert_eq!(ScopeName::from_network(&label, here), Some(name.clone()));
            assert_eq!(ScopeName::from_network(&label, elsewhere), None);
        }
    }
}
