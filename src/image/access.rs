//! The way to a registry: where it is, and who we are there.
//!
//! Invariant: credentials are looked up for a host by its own name, and given to it only.

use std::path::PathBuf;

use super::error::ImageError;
use super::progress::Progress;
use super::registry::credentials::Keyring;
use super::registry::{Access, Endpoint, endpoints, hosts};
use crate::model::reference::Reference;

/// Where registries are, and who we are there.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// Where the `hosts.toml` files are, see [`hosts::DEFAULT_DIR`].
    pub hosts_dir: PathBuf,
    /// The credentials.
    pub keyring: Keyring,
}

impl RegistryAccess {
    /// The places that serve an image, in the order to try them.
    ///
    /// # Errors
    /// [`ImageError::Hosts`], [`ImageError::Credentials`].
    pub async fn endpoints<'a>(
        &self,
        reference: &Reference,
        access: Access,
        progress: Progress<'a>,
    ) -> Result<Vec<Endpoint<'a>>, ImageError> {
        let image = || reference.to_string();
        let registry = reference.registry();
        let hosts =
            hosts::hosts(&self.hosts_dir, registry).map_err(|source| ImageError::Hosts {
                image: image(),
                source,
            })?;
        let found = self.keyring.find(registry, reference.repository()).await;
        let credentials = found.map_err(|source| ImageError::Credentials {
            image: image(),
            source,
        })?;
        let who = (&credentials, &self.keyring);
        Ok(endpoints(reference, hosts, who, access, progress))
    }

    /// Asks a registry whether it lets us in.
    ///
    /// # Errors
    /// [`ImageError::Login`]: it does not, or cannot be asked.
    pub async fn enter(&self, registry: &str) -> Result<(), ImageError> {
        let refused = |source| ImageError::Login {
            registry: registry.to_owned(),
            source: Box::new(source),
        };
        let hosts = hosts::hosts(&self.hosts_dir, registry);
        let hosts = hosts.map_err(|source| ImageError::Hosts {
            image: registry.to_owned(),
            source,
        })?;
        let found = self.keyring.find(registry, "").await;
        let credentials = found.map_err(|source| ImageError::Credentials {
            image: registry.to_owned(),
            source,
        })?;
        let host = hosts.into_iter().next_back();
        let site = host.map(|host| Endpoint::site(host, credentials, &|_| {}));
        match site {
            Some(site) => site.enter().await.map_err(refused),
            None => Ok(()),
        }
    }
}
