//! `netrun volume`: directories that outlive containers.
//!
//! Invariant: a volume that a container uses, running or not, is never removed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::context::Context;
use super::each::Each;
use super::options::anonymous_name;
use super::values::{Label, parse};
use super::volume_filter::{self, VolumeFilter};
use crate::engine::announce::{Subject, announce};
use crate::engine::volumes::{self, Store, Volume};
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::{ContainerId, ScopeName, VolumeName};
use crate::model::scope::LABEL;

/// Make, list, show and remove volumes
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "\
Examples:
  netrun volume create data
  netrun run --rm -v data:/var/lib/data alpine:3.14 ls /var/lib/data
  netrun volume prune -a")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with volumes.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum Verb {
    Create(CreateArgs),
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    Inspect(InspectArgs),
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    Prune(PruneArgs),
}

/// Make a volume, unless there is one of that name, and print its name
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun volume create data\n  netrun volume create --label job=42 cache"
)]
pub struct CreateArgs {
    /// Set a label
    #[arg(short, long = "label", value_name = "KEY[=VALUE]", value_parser = parse::<Label>)]
    pub labels: Vec<Label>,

    /// What keeps it; there is only local
    #[arg(short, long, value_name = "DRIVER", value_parser = ["local"], default_value = "local")]
    pub driver: String,

    /// Make it part of a scope, which netrun scope end NAME removes as a whole
    #[arg(long, value_name = "SCOPE", value_parser = parse::<ScopeName>)]
    pub scope: Option<ScopeName>,

    /// Its name; one is made up if none is given
    #[arg(value_name = "VOLUME", value_parser = parse::<VolumeName>)]
    pub name: Option<VolumeName>,
}

/// List volumes
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun volume ls\n  netrun volume ls -q --filter dangling=true"
)]
pub struct LsArgs {
    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// Only those to which this applies: name=, label=, dangling=, driver=
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = parse::<VolumeFilter>)]
    pub filters: Vec<VolumeFilter>,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Print all that is known of volumes
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun volume inspect -f '{{.Mountpoint}}' data")]
pub struct InspectArgs {
    /// How to print: json, or a template such as '{{.Mountpoint}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// The volumes' names
    #[arg(value_name = "VOLUME", required = true, value_parser = parse::<VolumeName>)]
    pub names: Vec<VolumeName>,
}

/// Remove volumes that no container uses
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun volume rm data cache")]
pub struct RmArgs {
    /// Do not mind if it does not exist
    #[arg(short, long)]
    pub force: bool,

    /// The volumes' names
    #[arg(value_name = "VOLUME", required = true, value_parser = parse::<VolumeName>)]
    pub names: Vec<VolumeName>,
}

/// Remove the volumes that no container uses: those without a name of their own, or all
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(
    after_help = "Examples:\n  netrun volume prune -f\n  netrun volume prune -af --filter label=job=42"
)]
pub struct PruneArgs {
    /// Those with a name, too
    #[arg(short, long)]
    pub all: bool,

    /// Do not ask
    #[arg(short, long)]
    pub force: bool,

    /// Only those to which this applies: label=, label!=; all=true is --all
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = parse::<VolumeFilter>)]
    pub filters: Vec<VolumeFilter>,
}

/// Why a volume is not there, or stays.
#[derive(Debug, thiserror::Error)]
pub enum VolumeRefusal {
    /// There is none of the name.
    #[error("there is no volume \"{0}\"")]
    NoSuch(VolumeName),
    /// Containers use it.
    #[error("volume \"{name}\" is used by {}", list(.users))]
    InUse {
        /// The volume.
        name: VolumeName,
        /// The containers.
        users: Vec<ContainerId>,
    },
}

fn list(users: &[ContainerId]) -> String {
    let names: Vec<&str> = users.iter().map(ContainerId::as_str).collect();
    names.join(", ")
}

impl Explain for VolumeRefusal {
    fn class(&self) -> Class {
        match self {
            Self::NoSuch(_) => Class::NotFound,
            Self::InUse { .. } => Class::WrongState,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuch(_) => "netrun volume ls lists all volumes".to_owned(),
            Self::InUse { users, .. } => {
                let users: Vec<&str> = users.iter().map(ContainerId::as_str).collect();
                format!("remove these first: netrun rm -f {}", users.join(" "))
            }
        })
    }
}

/// Makes a volume; returns its name.
///
/// # Errors
/// The disk is full, or broken.
pub async fn create(context: &Context<'_>, args: &CreateArgs) -> Result<VolumeName, Failure> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => anonymous_name()?,
    };
    let labels = args.labels.iter();
    let scope = args.scope.iter();
    let scope = scope.map(|scope| (LABEL.to_owned(), scope.to_string()));
    let volume = Volume {
        name: name.clone(),
        created: Timestamp::now(),
        anonymous: args.name.is_none(),
        labels: labels
            .map(|l| (l.key.clone(), l.value.clone()))
            .chain(scope)
            .collect(),
    };
    let store = Store::new(&context.settings.namespace);
    store.hold().await?.make(&volume)?;
    tell(context, &name, "create").await;
    Ok(name)
}

/// The volumes that are wanted, by name.
///
/// # Errors
/// containerd cannot be reached, where its containers must be asked.
pub async fn ls(context: &Context<'_>, filters: &[VolumeFilter]) -> Result<Vec<Volume>, Failure> {
    let mut all = Store::new(&context.settings.namespace).list()?;
    let users = match filters.iter().any(VolumeFilter::asks_for_users) {
        true => volumes::users(&context.host).await?,
        false => BTreeMap::new(),
    };
    all.retain(|volume| volume_filter::all(filters, volume, users.contains_key(&volume.name)));
    Ok(all)
}

/// Finds volumes.
pub fn inspect(context: &Context<'_>, names: &[VolumeName]) -> Each<Volume> {
    let store = Store::new(&context.settings.namespace);
    let find = |name: &VolumeName| -> Result<Volume, Failure> {
        let found = store.find(name)?;
        Ok(found.ok_or_else(|| VolumeRefusal::NoSuch(name.clone()))?)
    };
    names.iter().map(find).collect()
}

/// Removes volumes.
///
/// # Errors
/// The store cannot be held, or containerd cannot be reached.
pub async fn rm(context: &Context<'_>, args: &RmArgs) -> Result<Each<VolumeName>, Failure> {
    context.forget_dead_pulls().await;
    let store = Store::new(&context.settings.namespace);
    let held = store.hold().await?;
    let users = volumes::users(&context.host).await?;
    let remove = |name: &VolumeName| -> Result<VolumeName, Failure> {
        if let Some(users) = users.get(name) {
            let (name, users) = (name.clone(), users.clone());
            return Err(VolumeRefusal::InUse { name, users }.into());
        }
        if !args.force && store.find(name)?.is_none() {
            return Err(VolumeRefusal::NoSuch(name.clone()).into());
        }
        held.remove(name)?;
        Ok(name.clone())
    };
    let removed: Each<VolumeName> = args.names.iter().map(remove).collect();
    drop(held);
    for name in removed.iter().flatten() {
        tell(context, name, "destroy").await;
    }
    Ok(removed)
}

async fn tell(context: &Context<'_>, name: &VolumeName, action: &str) {
    announce(
        &context.host,
        Subject::Volume(name.as_str()),
        action,
        &[("driver", "local")],
    )
    .await;
}

/// Removes the volumes that nobody uses: `all`, or those without a name of their own.
///
/// # Errors
/// containerd cannot be reached, or the disk is broken.
pub async fn prune(
    context: &Context<'_>,
    all: bool,
    filters: &[VolumeFilter],
) -> Result<Vec<VolumeName>, Failure> {
    let store = Store::new(&context.settings.namespace);
    let held = store.hold().await?;
    let users = volumes::users(&context.host).await?;
    let mut removed = Vec::new();
    let all = all || filters.contains(&VolumeFilter::All(true));
    for volume in store.list()? {
        let used = users.contains_key(&volume.name);
        if (all || volume.anonymous) && !used && volume_filter::all(filters, &volume, used) {
            held.remove(&volume.name)?;
            removed.push(volume.name);
        }
    }
    drop(held);
    for name in &removed {
        tell(context, name, "destroy").await;
    }
    Ok(removed)
}
