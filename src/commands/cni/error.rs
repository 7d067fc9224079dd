//! Why a verb of `netrun cni` fails, beside what the plugins and the networks' files say.

use std::io;
use std::path::PathBuf;

use crate::model::class::{Class, Explain};
use crate::network::cache::CachedAttachment;

/// Why a verb of `netrun cni` fails.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// The namespace's path is relative, to a directory that is gone.
    #[error("cannot tell where {} is", path.display())]
    Path {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A variable is not UTF-8.
    #[error("the variable {0} is not UTF-8")]
    NotText(&'static str),
    /// The path leads to a namespace of another kind.
    #[error("{} is a namespace, but not of the network", .0.display())]
    NotNetwork(PathBuf),
    /// The namespace has an interface of that name, made by an attachment.
    #[error(
        "{} has an interface \"{}\" already, by \"{}\" on network \"{}\"",
        netns.display(), held.if_name, held.container_id, held.network_name
    )]
    Taken {
        /// The namespace.
        netns: PathBuf,
        /// The attachment.
        held: Box<CachedAttachment>,
    },
}

impl Explain for CniError {
    fn class(&self) -> Class {
        match self {
            Self::Path { .. } => Class::NotFound,
            Self::NotText(_) | Self::NotNetwork(_) => Class::InvalidInput,
            Self::Taken { .. } => Class::AlreadyExists,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { netns, held } => Some(format!(
                "netrun cni del {} {} detaches it; or choose another name with --ifname",
                held.network_name,
                netns.display()
            )),
            Self::NotNetwork(_) => {
                Some("name one that ip netns lists, by its path: /run/netns/NAME".to_owned())
            }
            Self::Path { .. } | Self::NotText(_) => None,
        }
    }
}
