//! `netrun port`: which ports of the host lead to a container.

use std::net::SocketAddr;

use super::context::Context;
use super::values::parse;
use crate::engine::view;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;
use crate::model::port::ContainerPort;

const EXAMPLES: &str = "\
Examples:
  netrun port web
  netrun port web 80/tcp";

/// List the published ports of a container
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,

    /// A port of the container: only where on the host it is reached
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = parse::<ContainerPort>)]
    pub port: Option<ContainerPort>,
}

/// The container does not publish the port.
#[derive(Debug, thiserror::Error)]
#[error("container \"{container}\" does not publish its port {port}")]
pub struct NotPublished {
    container: ContainerId,
    port: ContainerPort,
}

impl Explain for NotPublished {
    fn class(&self) -> Class {
        Class::NotFound
    }

    fn hint(&self) -> Option<String> {
        Some(format!(
            "netrun port {} lists those that it does",
            self.container
        ))
    }
}

/// The container's published ports, in order; those of one port if one was asked for.
///
/// # Errors
/// There is no such container, or it does not publish that port.
pub async fn port(
    context: &Context<'_>,
    args: &Args,
) -> Result<Vec<(ContainerPort, SocketAddr)>, Failure> {
    let mut ports = view::one(&context.host, &args.container).await?.ports();
    if let Some(port) = args.port {
        ports.retain(|(own, _)| *own == port);
        if ports.is_empty() {
            let container = args.container.clone();
            return Err(NotPublished { container, port }.into());
        }
    }
    Ok(ports)
}
