//! `netrun save`: images into an archive.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::context::Context;
use super::image_name::load;
use crate::image::archive::{self, Compression, Target};
use crate::model::class::Failure;

const EXAMPLES: &str = "\
Examples:
  netrun save -o images.tar alpine:3.14 busybox
  netrun save --compress zstd alpine:3.14 | ssh other netrun load";

/// Write images to an archive that docker, podman, skopeo and ctr read
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The archive; standard output if none is given, or -
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Pack the archive: gzip or zstd
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Packing>,

    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Packing {
    Gzip,
    Zstd,
}

impl Args {
    /// Whether the archive goes to standard output.
    pub fn is_piped(&self) -> bool {
        self.output
            .as_ref()
            .is_none_or(|path| path.as_os_str() == "-")
    }
}

/// Writes the images; to `stdout` if no file is given.
///
/// # Errors
/// There is no such image, its content is not here, the archive cannot be written.
pub async fn save(context: &Context<'_>, args: &Args, stdout: OwnedFd) -> Result<(), Failure> {
    let mut images = Vec::new();
    for text in &args.images {
        images.push(load(context, text).await?);
    }
    let target = match &args.output {
        Some(path) if !args.is_piped() => Target::File(path.clone()),
        _ => Target::Stream(stdout),
    };
    let compression = args.compress.map(|packing| match packing {
        Packing::Gzip => Compression::Gzip,
        Packing::Zstd => Compression::Zstd,
    });
    let client = context.host.client().await?;
    let client = client.with_deadline(None);
    Ok(archive::save(&client, &images, &target, compression).await?)
}
