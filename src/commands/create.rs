//! `netrun create`: what was typed.

use super::container::ContainerArgs;

const EXAMPLES: &str = "\
Examples:
  netrun create --name web --net mynet nginx && netrun start web";

/// Make a container without starting it, and print its name
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "netrun create [OPTIONS] IMAGE [OPTIONS] [--] [COMMAND [ARG]...]"
)]
pub struct Args {
    /// How the container is made.
    #[command(flatten)]
    pub container: ContainerArgs,
}
