//! Descriptors in containerd's words.
//!
//! Invariant: what we hand over comes back as the same descriptor.

use containerd_client::types;
use oci_spec::image::{Descriptor, Digest, MediaType};

/// A descriptor as containerd's calls have it.
pub fn to_wire(descriptor: &Descriptor) -> types::Descriptor {
    types::Descriptor {
        media_type: descriptor.media_type().to_string(),
        digest: descriptor.digest().to_string(),
        size: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
        annotations: descriptor.annotations().clone().unwrap_or_default(),
    }
}

/// A descriptor as containerd's answers have it; nothing if its digest is none.
pub fn from_wire(descriptor: &types::Descriptor) -> Option<Descriptor> {
    let digest = Digest::try_from(descriptor.digest.as_str()).ok()?;
    let size = u64::try_from(descriptor.size).unwrap_or(0);
    let media_type = MediaType::from(descriptor.media_type.as_str());
    Some(Descriptor::new(media_type, size, digest))
}
