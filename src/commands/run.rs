//! `netrun run`: what was typed.

use super::container::ContainerArgs;

const EXAMPLES: &str = "\
Examples:
  netrun run --rm -it alpine:3.14 sh
  netrun run -d --name web --net mynet -e MODE=test -v ./site:/site:ro nginx
  netrun run alpine:3.14 --net mynet ip addr      options may stand after the image, too
  netrun run alpine:3.14 -- --net mynet           but after -- everything is the command's

The exit code is the process's own, 128 and the number of the signal that ended it, 127 if the
command was not found, 126 if it cannot be invoked, 125 if netrun failed before.";

/// Make a container from an image and run a command in it
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "netrun run [OPTIONS] IMAGE [OPTIONS] [--] [COMMAND [ARG]...]"
)]
pub struct Args {
    /// Leave it running, and print its name
    #[arg(short, long)]
    pub detach: bool,

    /// How the container is made.
    #[command(flatten)]
    pub container: ContainerArgs,
}
