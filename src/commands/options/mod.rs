//! The less usual options of `run` and `create`: what was typed, and what it means on this host.
//!
//! Invariant: all that these options can be wrong about is found here, before anything is made; a
//! missing source of `-v` is the one thing that is made on the way, as docker does.

pub mod files;
mod mounts;
pub mod process;
pub mod resources;
pub mod rights;
pub mod storage;
mod unfit;
pub mod words;

use oci_spec::image::ImageConfiguration;

pub use mounts::anonymous_name;
pub use unfit::Unfit;

use super::container::ContainerArgs;
use super::context::Context;
use crate::engine::paths::{self, Paths};
use crate::engine::spec::{Extras, SHM_SIZE, Shm};
use crate::model::bytes::Bytes;
use crate::model::class::Failure;
use crate::model::id::ContainerId;
use crate::model::isolation::{IpcMode, Shared};
use crate::model::record::Join;
use crate::sys::facts::HostFacts;

/// What the options mean.
#[derive(Debug, Default)]
pub struct Resolved {
    /// What stands in the spec.
    pub extras: Extras,
    /// The namespaces of other containers that it shares.
    pub joins: Vec<Join>,
    /// Its `/dev/shm` is for others, too, and has so many bytes.
    pub shared_memory: Option<i64>,
}

/// Finds out what the options mean.
///
/// # Errors
/// See [`Unfit`].
pub async fn resolve(
    context: &Context<'_>,
    (id, args): (&ContainerId, &ContainerArgs),
    (image, snapshotter): (&ImageConfiguration, &str),
    facts: &HostFacts,
) -> Result<Resolved, Failure> {
    let mut resolved = Resolved::default();
    resolved.extras.mounts = mounts::mounts(context, args, (image, snapshotter)).await?;
    resolved.extras.mounts.extend(args.process.localtime()?);
    resolved.extras.window = context.audience.window();
    resolved.extras.init = args.process.init()?;
    args.process.check_log()?;
    args.process.fill(&mut resolved.extras)?;
    args.rights.fill(facts, context, &mut resolved.extras)?;
    args.resources.fill(facts, &mut resolved.extras)?;
    share(context, (id, args), &mut resolved).await?;
    Ok(resolved)
}

/// Whose processes and whose memory it sees.
async fn share(
    context: &Context<'_>,
    (id, args): (&ContainerId, &ContainerArgs),
    resolved: &mut Resolved,
) -> Result<(), Failure> {
    let pid = args.rights.pid.clone().unwrap_or_default().0;
    if let Shared::Container(other) = &pid {
        context.host.record(other).await?;
        resolved.joins.push(join("pid", other));
    }
    resolved.extras.pid = pid;
    // Zero stands for the default, as in docker.
    let size = args.resources.shm_size.filter(|size| size.0 != 0);
    let size = size.map_or(SHM_SIZE, |Bytes(size)| size);
    let mut own = Shm::Own(size);
    match args.rights.ipc.clone().unwrap_or_default() {
        IpcMode::Private | IpcMode::Of(Shared::Own) => {}
        IpcMode::None => own = Shm::None,
        IpcMode::Shareable => {
            own = Shm::Bind(Paths::new(&context.settings.namespace, id).shm());
            resolved.shared_memory = Some(size);
        }
        IpcMode::Of(Shared::Host) => {
            own = Shm::Bind(paths::HOST_SHM.into());
            resolved.extras.ipc = Shared::Host;
        }
        IpcMode::Of(Shared::Container(other)) => {
            let record = context.host.record(&other).await?;
            if record.shared_memory.is_none() {
                return Err(Unfit::NotShareable(other).into());
            }
            own = Shm::Bind(Paths::new(&record.namespace, &other).shm());
            resolved.joins.push(join("ipc", &other));
            resolved.extras.ipc = Shared::Container(other);
        }
    }
    resolved.extras.shm = own;
    Ok(())
}

fn join(namespace: &str, container: &ContainerId) -> Join {
    Join {
        namespace: namespace.to_owned(),
        container: container.clone(),
    }
}
