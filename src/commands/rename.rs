//! `netrun rename`: refused, with the reason.

use crate::model::class::{Class, Explain, Failure};

/// Give a container another name: refused, since its name is what containerd knows it by
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun rm -f old && netrun run -d --name new alpine:3.14 sleep 1000      instead"
)]
pub struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    pub container: String,

    /// The name that it shall have
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Why no container gets another name.
#[derive(Debug, thiserror::Error)]
#[error("container \"{0}\" cannot be renamed: its name is its containerd id, which never changes")]
struct NeverRenamed(String, String);

impl Explain for NeverRenamed {
    fn class(&self) -> Class {
        Class::Unsupported
    }

    fn hint(&self) -> Option<String> {
        let Self(old, new) = self;
        Some(format!(
            "make a new one: netrun run --name {new} ..., after netrun rm -f {old}"
        ))
    }
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn rename(args: &Args) -> Result<(), Failure> {
    Err(NeverRenamed(args.container.clone(), args.name.clone()).into())
}
