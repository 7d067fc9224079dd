//! `netrun scope`: containers, networks and volumes that go together, and go away together.
//!
//! Invariant: what belongs to a scope is told by labels; a scope need not be made before it is used.

use std::path::Path;

use jiff::Timestamp;

use super::container::ContainerArgs;
use super::context::Context;
use super::each::Each;
use super::lifecycle::BindPid;
use super::network_choice::NamedNetwork;
use super::values::parse;
use crate::engine::scope_end::{self, Members, scope_of};
use crate::engine::scopes::{self, Scope};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ScopeName;
use crate::model::scope::{BoundScope, LABEL};
use crate::network::create::{Driver, NewNetwork};
use crate::network::{config, manage};

const EXAMPLES: &str = "\
Examples:
  netrun scope create job42 --bind-pid parent
  netrun run -d --scope job42 --net scope: --name db postgres
  netrun run --rm --scope job42 --net scope: alpine:3.14 ping -c 1 db
  netrun scope end job42";

/// Group containers, networks and volumes that go away together
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with scopes.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Verb {
    Create(CreateArgs),
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    End(EndArgs),
}

/// Make a scope; one that is bound to no process comes with its first use, too
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "\
Examples:
  netrun scope create job42 --bind-pid parent")]
pub struct CreateArgs {
    /// End the scope when this process ends, however it ends: a pid, or parent
    #[arg(long, value_name = "PID", value_parser = parse::<BindPid>)]
    pub bind_pid: Option<BindPid>,

    /// Its name
    #[arg(value_name = "SCOPE", value_parser = parse::<ScopeName>)]
    pub name: ScopeName,
}

/// List scopes, and what belongs to them
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "\
Examples:
  netrun scope ls --format '{{.Name}} {{.Containers}}'")]
pub struct LsArgs {
    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Stop all containers of scopes, and remove them with the scopes' networks and volumes
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "\
Examples:
  netrun scope end job42
  netrun scope end -t 1 $(netrun scope ls -q)")]
pub struct EndArgs {
    /// Seconds until SIGKILL, instead of the containers' own
    #[arg(short = 't', long, value_name = "SECONDS")]
    pub timeout: Option<u32>,

    /// The scopes' names
    #[arg(value_name = "SCOPE", required = true, value_parser = parse::<ScopeName>)]
    pub names: Vec<ScopeName>,
}

/// What cannot be meant of a scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeRefusal {
    /// It is there already.
    #[error("there is a scope \"{0}\" already")]
    Exists(ScopeName),
    /// `--net scope:` without `--scope`.
    #[error("--net scope: is the network of the container's scope, and it has none")]
    NoScope,
    /// The scope's process has ended.
    #[error("process {pid}, which scope \"{name}\" is bound to, has ended")]
    Over {
        /// The scope.
        name: ScopeName,
        /// The process.
        pid: u32,
    },
    /// A network has the name of the scope's.
    #[error("network \"{network}\" does not belong to scope \"{name}\"")]
    Foreign {
        /// The scope.
        name: ScopeName,
        /// The network.
        network: String,
    },
}

impl Explain for ScopeRefusal {
    fn class(&self) -> Class {
        match self {
            Self::Exists(_) => Class::AlreadyExists,
            Self::NoScope => Class::InvalidInput,
            Self::Over { .. } | Self::Foreign { .. } => Class::WrongState,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists(name) | Self::Over { name, .. } => {
                Some(format!("netrun scope end {name}"))
            }
            Self::NoScope => Some("name one with --scope".to_owned()),
            Self::Foreign { .. } => None,
        }
    }
}

/// Makes a scope.
///
/// # Errors
/// There is one of the name, or no such process.
pub async fn create(context: &Context<'_>, args: &CreateArgs) -> Result<ScopeName, Failure> {
    let (host, dir) = (&context.host, &context.settings.cni_conf_dir);
    let bound_to = args.bind_pid.map(BindPid::process).transpose()?;
    let held = scopes::hold(&host.namespace, &args.name).await?;
    // Containers that are there already would not hear of the process.
    if scope_end::all(host, dir).await?.contains_key(&args.name) {
        return Err(ScopeRefusal::Exists(args.name.clone()).into());
    }
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    held.write(&Scope::new(args.name.clone(), host, &dir, bound_to)?)?;
    Ok(args.name.clone())
}

/// The scopes, by name.
///
/// # Errors
/// containerd cannot be reached.
pub async fn ls(context: &Context<'_>) -> Result<Vec<(ScopeName, Members)>, Failure> {
    let dir = &context.settings.cni_conf_dir;
    let all = scope_end::all(&context.host, dir).await?;
    Ok(all.into_iter().collect())
}

/// Ends the scopes, one after the other: what is left of one has an error each.
pub async fn end(context: &Context<'_>, args: &EndArgs) -> Each<ScopeName> {
    context.forget_dead_pulls().await;
    let mut all: Each<ScopeName> = Vec::new();
    for name in &args.names {
        let dir = networks_of(context, name);
        match scope_end::end(&context.host, &dir, name, args.timeout).await {
            Ok(was_there) => {
                if !was_there {
                    let text = format!("there was nothing of scope \"{name}\"");
                    context.audience.warn(&text);
                }
                all.push(Ok(name.clone()));
            }
            Err(left) => all.extend(left.into_iter().map(|error| Err(error.into()))),
        }
    }
    all
}

/// The directory of its networks.
fn networks_of(context: &Context<'_>, name: &ScopeName) -> std::path::PathBuf {
    let scope = scopes::find(&context.host.namespace, name).ok().flatten();
    let usual = || context.settings.cni_conf_dir.clone();
    scope.map_or_else(usual, |scope| scope.networks)
}

/// The scope of a new container, if it is bound to a process.
///
/// # Errors
/// The process has ended.
pub fn bound(
    context: &Context<'_>,
    name: Option<&ScopeName>,
) -> Result<Option<BoundScope>, Failure> {
    let Some(name) = name else {
        return Ok(None);
    };
    let Some(scope) = scopes::find(&context.settings.namespace, name)? else {
        return Ok(None);
    };
    let bound = scope.bound();
    match &bound {
        Some(bound) if scope.is_over() => Err(ScopeRefusal::Over {
            name: name.clone(),
            pid: bound.bound_to.pid,
        }
        .into()),
        _ => Ok(bound),
    }
}

/// The network that is meant: that of the scope is made at its first use.
///
/// # Errors
/// There is no scope, or the network cannot be made.
pub async fn named(
    context: &Context<'_>,
    args: &ContainerArgs,
    network: &NamedNetwork,
) -> Result<NamedNetwork, Failure> {
    let mut network = network.clone();
    if network.of_scope {
        let scope = args.life.scope.as_ref().ok_or(ScopeRefusal::NoScope)?;
        network.name = scope.network(&context.settings.namespace);
        if !is_there(context, scope, &network.name)? {
            make(context, scope, &network.name).await?;
        }
    }
    Ok(network)
}

async fn make(context: &Context<'_>, scope: &ScopeName, name: &str) -> Result<(), Failure> {
    let settings = &context.settings;
    let label = scope.of_network(&settings.namespace);
    let new = NewNetwork {
        name: name.to_owned(),
        driver: Driver::Bridge,
        subnets: Vec::new(),
        gateways: Vec::new(),
        ip_ranges: Vec::new(),
        ipv6: false,
        internal: false,
        isolate: false,
        labels: [(LABEL.to_owned(), label)].into(),
        parent: None,
        mtu: None,
        vlan: None,
        bridge: None,
        created: Timestamp::now().to_string(),
    };
    let dir: &Path = &settings.cni_conf_dir;
    match manage::create(dir, &new, &settings.subnet_pools).await {
        // Somebody was quicker.
        Err(error) if error.class() == Class::AlreadyExists && is_there(context, scope, name)? => {
            Ok(())
        }
        made => Ok(made.map(drop)?),
    }
}

/// Whether the scope's network is there.
fn is_there(context: &Context<'_>, scope: &ScopeName, name: &str) -> Result<bool, Failure> {
    let list = match config::load(&context.settings.cni_conf_dir, name) {
        Err(error) if error.class() == Class::NotFound => return Ok(false),
        list => list?,
    };
    match scope_of(&list, &context.settings.namespace).as_ref() == Some(scope) {
        true => Ok(true),
        false => Err(ScopeRefusal::Foreign {
            name: scope.clone(),
            network: name.to_owned(),
        }
        .into()),
    }
}
