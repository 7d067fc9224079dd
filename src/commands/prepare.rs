//! From what was typed to what is meant, for `run` and `create`: the image, the networks, the plan.
//!
//! Invariant: everything that can be wrong with a request is found here, before anything is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::attachments;
use super::container::{ContainerArgs, PullPolicy};
use super::context::Context;
use super::registry::pull_options;
use super::values::EnvVar;
use crate::engine::paths::Paths;
use crate::engine::plan::{self, Plan, Request};
use crate::engine::spec::Limits;
use crate::image::{self, Image, ImageError};
use crate::model::class::{Class, Explain, Failure};
use crate::model::cpus::Cpus;
use crate::model::generated_name;
use crate::model::id::ContainerId;
use crate::model::mount::Bind;
use crate::model::record::Names;
use crate::model::reference::Reference;
use crate::sys::facts::{HostFacts, Wanted};

/// How long a process has after its stop signal, in seconds: docker's default.
const STOP_TIMEOUT: u32 = 10;

/// A request that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum Meaningless {
    /// The image is not here and must not be pulled.
    #[error("image {image} is not here")]
    NoImage {
        /// Its name.
        image: String,
    },
    /// A bind mount's source does not exist.
    #[error("cannot mount {}: there is no such file or directory", .0.display())]
    NoSource(PathBuf),
    /// The working directory of netrun itself is gone.
    #[error("relative paths cannot be resolved")]
    NoDirectory(#[source] std::io::Error),
    /// Not root.
    #[error("netrun must be run as root")]
    NotRoot,
}

impl Explain for Meaningless {
    fn class(&self) -> Class {
        match self {
            Meaningless::NoImage { .. } | Meaningless::NoSource(_) => Class::NotFound,
            Meaningless::NoDirectory(_) => Class::Failed,
            Meaningless::NotRoot => Class::Denied,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Meaningless::NoImage { image } => Some(format!("netrun pull {image}")),
            Meaningless::NotRoot => Some("sudo netrun ...".to_owned()),
            _ => None,
        }
    }
}

/// The container's name, as given or made up.
pub fn name(context: &Context<'_>, args: &ContainerArgs) -> ContainerId {
    match &args.name {
        Some(name) => name.clone(),
        None => generated_name::generate(|name| is_taken(context, name)),
    }
}

/// Resolves the arguments and plans the container.
///
/// # Errors
/// Everything that is wrong with the request, the image or the networks.
pub async fn plan(
    context: &Context<'_>,
    args: &ContainerArgs,
    id: &ContainerId,
) -> Result<Plan, Failure> {
    check(args)?;
    let settings = &context.settings;
    let snapshotter = args
        .snapshotter
        .clone()
        .unwrap_or_else(|| settings.snapshotter.clone());
    let network = attachments::networks(context, args).await?;
    let image = find_image(context, args, &snapshotter).await?;
    warn_of_options_after_image(context, args, &image);
    let ports = attachments::ports(args, &image)?;
    let limits = limits(args);
    let wanted = Wanted {
        devices: args.privileged,
        limits: limits.any(),
    };
    let facts = HostFacts::read(wanted)?;
    let request = Request {
        namespace: &settings.namespace,
        id,
        image: &image,
        snapshotter,
        runtime: args
            .runtime
            .clone()
            .unwrap_or_else(|| settings.runtime.clone()),
        entrypoint: args.entrypoint.clone().map(|word| vec![word]),
        command: args.command.clone(),
        env: args.env.iter().filter_map(EnvVar::resolved).collect(),
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        terminal: args.tty,
        stdin: args.interactive,
        auto_remove: args.rm,
        restart: args.life.restart,
        health: args.life.health(&image.docker),
        bound_to: args.life.bound_to()?,
        labels: labels(args),
        privileged: args.privileged,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        read_only: args.read_only,
        binds: args
            .volumes
            .iter()
            .map(absolute)
            .collect::<Result<_, _>>()?,
        limits,
        stop_signal: args.stop_signal,
        stop_timeout: args.stop_timeout.unwrap_or(STOP_TIMEOUT),
        hostname: args.hostname.as_ref().map(|name| name.as_str().to_owned()),
        names: names(args),
        network,
        ports,
    };
    Ok(plan::plan(&request, &facts)?)
}

/// Refuses what needs no look at anything else.
fn check(args: &ContainerArgs) -> Result<(), Failure> {
    check_root()?;
    Ok(args.life.check(args.rm)?)
}

fn check_root() -> Result<(), Meaningless> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(Meaningless::NotRoot),
    }
}

fn labels(args: &ContainerArgs) -> BTreeMap<String, String> {
    let labels = args.labels.iter();
    labels.map(|l| (l.key.clone(), l.value.clone())).collect()
}

fn limits(args: &ContainerArgs) -> Limits {
    Limits {
        memory: args.memory.and_then(|bytes| u64::try_from(bytes.0).ok()),
        cpus: args.cpus.map(Cpus::number),
        pids: args.pids_limit,
    }
}

fn names(args: &ContainerArgs) -> Names {
    Names {
        hostname: String::new(),
        add_hosts: args
            .add_hosts
            .iter()
            .map(|e| (e.name.clone(), e.address.clone()))
            .collect(),
        dns: args.dns.iter().map(ToString::to_string).collect(),
        dns_search: args.dns_search.clone(),
        dns_options: args.dns_options.clone(),
    }
}

fn is_taken(context: &Context<'_>, name: &ContainerId) -> bool {
    let paths = Paths::new(&context.settings.namespace, name);
    paths.state.exists() || paths.run.exists()
}

/// A source that does not exist is made, as a directory, as docker does it for `-v`.
fn absolute(bind: &Bind) -> Result<Bind, Meaningless> {
    let source = std::path::absolute(&bind.source).map_err(Meaningless::NoDirectory)?;
    let made = || std::fs::create_dir_all(&source).is_ok();
    match source.exists() || made() {
        true => Ok(Bind {
            source,
            ..bind.clone()
        }),
        false => Err(Meaningless::NoSource(source)),
    }
}

/// The image, pulled if it has to be, with its root file system unpacked.
async fn find_image(
    context: &Context<'_>,
    args: &ContainerArgs,
    snapshotter: &str,
) -> Result<Image, Failure> {
    let reference = Reference::parse(&args.image)?;
    let client = context.host.client().await?;
    let progress = |event: image::PullEvent<'_>| context.audience.pulling(&args.image, event);
    let local = match args.pull {
        PullPolicy::Always => None,
        PullPolicy::Missing | PullPolicy::Never => image::local(&client, &reference).await?,
    };
    let image = match local {
        Some(image) => image,
        None if args.pull == PullPolicy::Never => {
            return Err(Meaningless::NoImage {
                image: reference.to_string(),
            }
            .into());
        }
        None => {
            let options = pull_options(context, snapshotter);
            image::pull(&client, &reference, &options, &progress).await?
        }
    };
    match image::unpack(&client, &image, snapshotter, &progress).await {
        Ok(()) => Ok(image),
        // Its name and configuration are here, a layer is not: somebody has removed content.
        Err(ImageError::Incomplete { .. }) if args.pull != PullPolicy::Never => {
            let options = pull_options(context, snapshotter);
            Ok(image::pull(&client, &reference, &options, &progress).await?)
        }
        Err(error) => Err(error.into()),
    }
}

fn warn_of_options_after_image(context: &Context<'_>, args: &ContainerArgs, image: &Image) {
    let config = image.config.config().as_ref();
    let has_entrypoint = config
        .and_then(|config| config.entrypoint().as_ref())
        .is_some();
    let options = &args.options_after_image;
    if has_entrypoint && !options.is_empty() {
        context.audience.warn(&format!(
            "{} after the image was taken for netrun's own; write -- before what is meant for the \
             image's ENTRYPOINT",
            options.join(" ")
        ));
    }
}
