//! What was asked for in words that the spec no longer has: docker's `inspect` tells them.
//!
//! Invariant: for people and scripts only; nothing is made or undone by it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The words of a command line that leave no trace of their own in the spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// How many of the first words of the command are the entrypoint, the image's or `--entrypoint`.
    #[serde(skip_serializing_if = "is_zero")]
    pub entrypoint: usize,
    /// `--privileged`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// `--publish-all`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publish_all: bool,
    /// `--cap-add`, in docker's spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// `--cap-drop`, in docker's spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// `--security-opt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security: Vec<String>,
    /// `--device`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<AskedDevice>,
    /// `--device-cgroup-rule`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_rules: Vec<String>,
    /// `--volumes-from`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// `--cgroup-parent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<PathBuf>,
    /// `--cidfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidfile: Option<PathBuf>,
}

impl Asked {
    /// Nothing was.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A device as it was asked for; a directory of them is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedDevice {
    /// On the host.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// What it may be used for: some of `rwm`.
    pub access: String,
}

/// A capability as docker writes it: `CAP_NET_ADMIN`, and `ALL` for all.
pub fn capability(word: &str) -> String {
    let word = word.to_ascii_uppercase();
    match word == "ALL" || word.starts_with("CAP_") {
        true => word,
        false => format!("CAP_{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_written_as_docker_does() {
        let written = ["net_admin", "CAP_SYS_TIME", "all"].map(capability);
        assert_eq!(written, ["CAP_NET_ADMIN", "CAP_SYS_TIME", "ALL"]);
    }

    #[test]
    fn what_was_not_asked_for_takes_no_room() {
        let nothing = Asked::default();
        assert!(nothing.is_nothing());
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
    }
}
