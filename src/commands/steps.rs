//! `netrun steps`: the names of all steps, for the crash tests.

/// Print the names of all steps
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {}
