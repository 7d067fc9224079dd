//! What containerd says of itself.

use super::{Client, Error, check};

/// Which containerd answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// Its version, as it was built: `1.6.20~ds1`, `v2.1.4`.
    pub version: String,
    /// The source revision it was built from.
    pub revision: String,
}

impl Client {
    /// Asks containerd for its version.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn server_version(&self) -> Result<ServerVersion, Error> {
        let operation = "tell its version";
        let answer = check(operation, self.version().version(()).await)?;
        Ok(ServerVersion {
            version: answer.version,
            revision: answer.revision,
        })
    }
}
