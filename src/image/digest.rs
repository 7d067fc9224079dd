//! Digests of content and of chains of layers.

use sha2::{Digest, Sha256};

/// The digest of `bytes`: `sha256:` and 64 hexadecimal digits.
pub fn of(bytes: &[u8]) -> String {
    end(Sha256::new_with_prefix(bytes))
}

/// The digest of all that was hashed.
pub fn end(hash: Sha256) -> String {
    let hex = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}

/// The chain ids of layers from the first to each of them (OCI image spec, "Layer ChainID"):
/// the names of their committed snapshots.
pub fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => of(format!("{parent} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_sha256sum() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of(b""), empty);
    }

    #[test]
    fn the_first_chain_id_is_the_layer_itself() {
        assert_eq!(chain_ids(&[]), [""; 0]);
        let (a, b) = (of(b"a"), of(b"b"));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain, [a.clone(), of(format!("{a} {b}").as_bytes())]);
    }
}
