//! The options about what is mounted, as typed.

use crate::commands::values::parse;
use crate::model::mount::{LongMount, ShortMount, TmpfsMount};

/// Volumes, directories of the host and memory.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(about = None, long_about = None, next_help_heading = "Storage")]
pub struct StorageArgs {
    /// Mount a volume or a path of the host, which is made if it is missing; options: ro, rw, rro,
    /// nocopy and the propagation (rslave, ...)
    #[arg(
        short,
        long = "volume",
        value_name = "[SOURCE:]TARGET[:OPTIONS]",
        value_parser = parse::<ShortMount>
    )]
    pub volumes: Vec<ShortMount>,

    /// Mount by fields: type=bind|volume|tmpfs,source=,target=,readonly,...; a missing path is an
    /// error
    #[arg(long = "mount", value_name = "FIELDS", value_parser = parse::<LongMount>)]
    pub mounts: Vec<LongMount>,

    /// Mount memory; options: size=, mode=, exec, ...
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = parse::<TmpfsMount>)]
    pub tmpfs: Vec<TmpfsMount>,

    /// Mount what another container has mounted
    #[arg(long, value_name = "CONTAINER[:ro]")]
    pub volumes_from: Vec<String>,
}
