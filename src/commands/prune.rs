//! `netrun container prune` and `netrun system prune`: what nobody needs any more.
//!
//! Invariant: what runs, and what a container uses, stays; each removal is the one that `rm` does.

use jiff::Timestamp;

use super::context::Context;
use super::values::{Label, parse};
use super::volume;
use crate::engine::control;
use crate::engine::error::Error;
use crate::engine::view::{self, View};
use crate::model::class::Failure;
use crate::model::id::{ContainerId, VolumeName};
use crate::model::time::Moment;

/// Remove the containers that do not run
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct ContainerArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ContainerVerb,
}

/// What to do with containers; all else is done by the verb alone (`netrun ps`, not `container ps`).
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
#[expect(missing_docs, reason = "each is documented where its arguments are")]
pub enum ContainerVerb {
    Prune(PruneArgs),
}

/// Remove all containers that do not run
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,

    /// Only those to which this applies: until=TIME, label=KEY[=VALUE]
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = parse::<PruneFilter>)]
    pub filters: Vec<PruneFilter>,
}

/// Remove all containers that do not run, and with --volumes the volumes that nobody uses
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SystemPruneArgs {
    /// Volumes, too, that were made without a name
    #[arg(long)]
    pub volumes: bool,

    /// Do not ask
    #[arg(short, long)]
    pub force: bool,

    /// Only those to which this applies: until=TIME, label=KEY[=VALUE]
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = parse::<PruneFilter>)]
    pub filters: Vec<PruneFilter>,
}

/// Which ones are removed.
#[derive(Debug, Clone, PartialEq)]
pub enum PruneFilter {
    /// Those that were made before.
    Until(Moment),
    /// Those with this label, and this value if one is given.
    Label(String, Option<String>),
}

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no filter of what is removed")]
pub struct InvalidPruneFilter(String);

impl crate::model::class::Explain for InvalidPruneFilter {
    fn class(&self) -> crate::model::class::Class {
        crate::model::class::Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write until=24h or label=KEY[=VALUE]".to_owned())
    }
}

impl std::str::FromStr for PruneFilter {
    type Err = InvalidPruneFilter;

    fn from_str(text: &str) -> Result<Self, InvalidPruneFilter> {
        let invalid = || InvalidPruneFilter(text.to_owned());
        match text.split_once('=').ok_or_else(invalid)? {
            ("until", time) => time.parse().map(Self::Until).map_err(|_| invalid()),
            ("label", label) if !label.is_empty() => {
                let whole = label.contains('=');
                let Label { key, value } = label.parse().map_err(|_| invalid())?;
                Ok(Self::Label(key, whole.then_some(value)))
            }
            _ => Err(invalid()),
        }
    }
}

impl PruneFilter {
    fn applies(&self, view: &View, now: Timestamp) -> bool {
        match self {
            Self::Until(moment) => view.record.created < moment.resolve(now),
            Self::Label(key, wanted) => view.record.labels.get(key).is_some_and(|value| {
                let wanted = wanted.as_ref();
                wanted.is_none_or(|wanted| wanted == value)
            }),
        }
    }
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Containers.
    pub containers: Vec<ContainerId>,
    /// Volumes.
    pub volumes: Vec<VolumeName>,
    /// What could not be removed.
    pub failures: Vec<Failure>,
}

/// Removes the containers that do not run.
///
/// # Errors
/// containerd cannot be reached.
pub async fn containers(context: &Context<'_>, filters: &[PruneFilter]) -> Result<Pruned, Failure> {
    let now = Timestamp::now();
    let mut pruned = Pruned::default();
    for view in view::list(&context.host).await?.own {
        let wanted = filters.iter().all(|filter| filter.applies(&view, now));
        if view.state.status.is_live() || !wanted {
            continue;
        }
        let id = view.record.id;
        match control::remove(&context.host, &id, false, None).await {
            Ok(_) => pruned.containers.push(id),
            // Somebody started it, or removed it, in the meantime.
            Err(Error::WrongState { .. } | Error::NoSuchContainer { .. }) => {}
            Err(error) => pruned.failures.push(error.into()),
        }
    }
    Ok(pruned)
}

/// Removes everything that nobody uses.
///
/// # Errors
/// containerd cannot be reached.
pub async fn system(context: &Context<'_>, args: &SystemPruneArgs) -> Result<Pruned, Failure> {
    let mut pruned = containers(context, &args.filters).await?;
    if args.volumes {
        pruned.volumes = volume::prune(context, false, &[]).await?;
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::{Status, sample};

    #[test]
    fn filters_look_at_age_and_labels() {
        let record = sample::record("web", "2026-01-01T12:00:00Z");
        let view = sample::view(record, Status::Exited);
        let now: Timestamp = "2026-01-01T14:00:00Z".parse().unwrap();
        let applies = |text: &str| text.parse::<PruneFilter>().unwrap().applies(&view, now);
        assert!(applies("until=1h") && !applies("until=3h"));
        assert!(applies("label=job") && applies("label=job=42") && !applies("label=job=1"));
        for bad in ["", "until", "until=soon", "label=", "name=x"] {
            assert!(bad.parse::<PruneFilter>().is_err(), "{bad}");
        }
    }
}
