//! `netrun gc`: what was typed.

/// Finish what killed commands left behind; beside running commands it does no harm
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {}
