//! `netrun container prune` and `netrun system prune`: what nobody needs any more.
//!
//! Invariant: what runs, and what a container uses, stays; each removal is the one that `rm` does.

use jiff::Timestamp;

use super::context::Context;
use super::image_filter::ImageFilter;
use super::label_filter::LabelFilter;
use super::network::ls::Filter as NetworkFilter;
use super::values::parse;
use super::volume_filter::VolumeFilter;
use super::{image_prune, network, volume};
use crate::engine::control;
use crate::engine::error::Error;
use crate::engine::view::{self, Status, View};
use crate::model::class::Failure;
use crate::model::id::{ContainerId, VolumeName};
use crate::model::time::Moment;

/// Remove the containers that do not run
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun container prune -f")]
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
#[command(
    after_help = "Examples:\n  netrun container prune -f\n  netrun container prune -f --filter label=job=42 --filter until=24h"
)]
pub struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,

    /// Only those to which this applies: until=TIME, label=KEY[=VALUE]
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = parse::<PruneFilter>)]
    pub filters: Vec<PruneFilter>,
}

/// Remove what nobody uses: containers that do not run, networks, images without a usable name
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun system prune -f\n  netrun system prune -af --volumes")]
pub struct SystemPruneArgs {
    /// All images that no container was made from
    #[arg(short, long)]
    pub all: bool,

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
    /// About their labels.
    Label(LabelFilter),
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
        Some("write until=24h, label=KEY[=VALUE] or label!=KEY[=VALUE]".to_owned())
    }
}

impl std::str::FromStr for PruneFilter {
    type Err = InvalidPruneFilter;

    fn from_str(text: &str) -> Result<Self, InvalidPruneFilter> {
        let invalid = || InvalidPruneFilter(text.to_owned());
        match text.split_once('=').ok_or_else(invalid)? {
            (_, "") => Err(invalid()),
            ("until", time) => time.parse().map(Self::Until).map_err(|_| invalid()),
            (key, value) => LabelFilter::of(key, value)
                .map(Self::Label)
                .ok_or_else(invalid),
        }
    }
}

impl PruneFilter {
    fn applies(&self, view: &View, now: Timestamp) -> bool {
        match self {
            Self::Until(moment) => view.record.created < moment.resolve(now),
            Self::Label(label) => label.applies(&view.record.labels),
        }
    }
}

impl From<&PruneFilter> for ImageFilter {
    fn from(filter: &PruneFilter) -> ImageFilter {
        match filter {
            PruneFilter::Until(moment) => ImageFilter::Until(*moment),
            PruneFilter::Label(label) => ImageFilter::Label(label.clone()),
        }
    }
}

impl From<&PruneFilter> for NetworkFilter {
    fn from(filter: &PruneFilter) -> NetworkFilter {
        match filter {
            PruneFilter::Until(moment) => NetworkFilter::Until(*moment),
            PruneFilter::Label(label) => NetworkFilter::Label(label.clone()),
        }
    }
}

impl From<&PruneFilter> for VolumeFilter {
    fn from(filter: &PruneFilter) -> VolumeFilter {
        match filter {
            PruneFilter::Until(moment) => VolumeFilter::Until(*moment),
            PruneFilter::Label(label) => VolumeFilter::Label(label.clone()),
        }
    }
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Containers.
    pub containers: Vec<ContainerId>,
    /// Networks.
    pub networks: Vec<String>,
    /// Images.
    pub images: Vec<String>,
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
    context.forget_dead_pulls().await;
    let now = Timestamp::now();
    let mut pruned = Pruned::default();
    for view in view::list(&context.host).await?.own {
        let wanted = filters.iter().all(|filter| filter.applies(&view, now));
        // One that waits to be started again counts as running, as with docker.
        let status = view.state.status;
        if status.is_live() || status == Status::Restarting || !wanted {
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
    let networks = network::rm::PruneArgs {
        force: true,
        filters: args.filters.iter().map(NetworkFilter::from).collect(),
    };
    for outcome in network::rm::prune(context, &networks).await {
        match outcome {
            Ok(name) => pruned.networks.push(name),
            Err(failure) => pruned.failures.push(failure),
        }
    }
    if args.volumes {
        let filters: Vec<VolumeFilter> = args.filters.iter().map(VolumeFilter::from).collect();
        pruned.volumes = volume::prune(context, false, &filters).await?;
    }
    let images = image_prune::Args {
        all: args.all,
        force: true,
        filters: args.filters.iter().map(ImageFilter::from).collect(),
    };
    pruned.images = image_prune::prune(context, &images).await?.names;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::sample;

    #[test]
    fn filters_look_at_age_and_labels() {
        let record = sample::record("web", "2026-01-01T12:00:00Z");
        let view = sample::view(record, Status::Exited);
        let now: Timestamp = "2026-01-01T14:00:00Z".parse().unwrap();
        let applies = |text: &str| text.parse::<PruneFilter>().unwrap().applies(&view, now);
        assert!(applies("until=1h") && !applies("until=3h"));
        assert!(applies("label=job") && applies("label=job=42") && !applies("label=job=1"));
        assert!(applies("label!=none") && !applies("label!=job"));
        for bad in ["", "until", "until=soon", "label=", "name=x"] {
            assert!(bad.parse::<PruneFilter>().is_err(), "{bad}");
        }
    }
}
