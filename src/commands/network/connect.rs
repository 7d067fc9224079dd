//! `netrun network connect` and `disconnect`: change the networks of a container.

use crate::commands::attachments;
use crate::commands::context::Context;
use crate::commands::network_choice::{self, AskedAddress, EndpointOptions, NamedNetwork};
use crate::commands::values::parse;
use crate::engine::announce::{Subject, announce};
use crate::engine::connect;
use crate::model::class::Failure;
use crate::model::id::{ContainerId, Hostname};
use crate::model::mac::MacAddress;
use crate::network::default;

const EXAMPLES: &str = "\
Examples:
  netrun network connect lan web
  netrun network connect --alias www --ip 10.5.0.7 lan web";

/// Attach a network to a container
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A further name on the network
    #[arg(long, value_name = "NAME", value_parser = parse::<Hostname>)]
    pub alias: Vec<Hostname>,

    /// The IPv4 address
    #[arg(long, value_name = "ADDRESS", value_parser = network_choice::ip)]
    pub ip: Option<AskedAddress>,

    /// The IPv6 address
    #[arg(long, value_name = "ADDRESS", value_parser = network_choice::ip6)]
    pub ip6: Option<AskedAddress>,

    /// The hardware address
    #[arg(long, value_name = "ADDRESS", value_parser = parse::<MacAddress>)]
    pub mac_address: Option<MacAddress>,

    /// Which network has the default routes: the one with the highest number
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub gw_priority: i32,

    /// The network's name
    #[arg(value_name = "NETWORK")]
    pub network: String,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// Detach a network from a container
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun network disconnect lan web")]
pub struct DisconnectArgs {
    /// Do not mind if it is not attached
    #[arg(short, long)]
    pub force: bool,

    /// The network's name
    #[arg(value_name = "NETWORK")]
    pub network: String,

    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,
}

/// Attaches a network to a container.
///
/// # Errors
/// There is no such network or container, or it cannot be attached.
pub async fn connect(context: &Context<'_>, args: &Args) -> Result<(), Failure> {
    let network = NamedNetwork {
        name: args.network.clone(),
        of_scope: false,
        options: EndpointOptions {
            ips: args.ip.iter().chain(&args.ip6).copied().collect(),
            mac: args.mac_address,
            ifname: None,
            aliases: args
                .alias
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect(),
            gateway_priority: args.gw_priority,
        },
    };
    // Before it is asked what the network can give: nothing is asked of it.
    let name = default::meant(&context.settings.cni_conf_dir, &args.network);
    connect::check_new(&context.host.record(&args.container).await?, name)?;
    let planned = attachments::attachment(context, &network)?;
    let attachment = planned.attachment(String::new());
    connect::connect(&context.host, &args.container, attachment).await?;
    tell(context, &args.network, "connect", &args.container).await;
    Ok(())
}

async fn tell(context: &Context<'_>, network: &str, action: &str, container: &ContainerId) {
    let of = [("container", container.as_str())];
    announce(&context.host, Subject::Network(network), action, &of).await;
}

/// Detaches a network from a container.
///
/// # Errors
/// There is no such container, it is not attached, or something is left behind.
pub async fn disconnect(context: &Context<'_>, args: &DisconnectArgs) -> Result<(), Failure> {
    let name = default::meant(&context.settings.cni_conf_dir, &args.network);
    let before = context.host.record(&args.container).await?.network;
    if args.force && !before.attachments.iter().any(|one| one.network == name) {
        return Ok(());
    }
    connect::disconnect(&context.host, &args.container, name).await?;
    tell(context, name, "disconnect", &args.container).await;
    // One that is gone by now publishes nothing either.
    let after = context.host.record(&args.container).await;
    let unpublished = after.is_ok_and(|record| record.network.published().is_empty());
    if unpublished && !before.published().is_empty() {
        context.audience.warn(&format!(
            "the ports of container \"{}\" are not published any more; the next network connected to it that can publish them does",
            args.container
        ));
    }
    Ok(())
}
