//! `netrun gc`: finish what dead supervisors left.

use super::context::Context;
use crate::engine::recover::{self, Swept};
use crate::engine::report::Report;
use crate::engine::scope_end;
use crate::engine::scopes::{self, Scope};
use crate::image::{lease, mount};
use crate::model::class::Failure;
use crate::network::manage;

/// Finish what killed commands left behind; beside running commands it does no harm
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun gc      at the beginning of each job of a CI machine")]
pub struct Args {}

/// Finishes what is left.
///
/// # Errors
/// containerd cannot be reached; what could not be finished is in the value.
pub async fn gc(context: &Context<'_>) -> Result<Swept, Failure> {
    let mut swept = recover::gc(&context.host).await?;
    for (scope, ended) in scope_end::sweep(&context.host, over(context)).await {
        match ended {
            Ok(()) => swept
                .done
                .push(format!("scope {scope}: its process had ended")),
            Err(errors) => {
                let reports = errors.iter().map(|error| Report::of(error).into());
                swept.failures.extend(reports);
            }
        }
    }
    match manage::sweep(&context.settings.cni_conf_dir).await {
        Ok(networks) => {
            let line =
                |name: String| format!("network {name}: removed its rules, its file is gone");
            swept.done.extend(networks.into_iter().map(line));
        }
        Err(error) => swept.failures.push(Report::of(&error).into()),
    }
    let client = context.host.client().await?;
    let leases = lease::sweep(&client).await?;
    let snapshotter = &context.settings.snapshotter;
    mount::sweep(&client, snapshotter).await?;
    lease::collect(&client, snapshotter).await?;
    if leases > 0 {
        swept
            .done
            .push(format!("{leases} leases of interrupted pulls"));
    }
    Ok(swept)
}

/// The scopes of the namespace whose process has ended.
fn over(context: &Context<'_>) -> Vec<Scope> {
    let over = scopes::over(&context.host.address).into_iter();
    let here = over.filter(|(namespace, _)| *namespace == context.host.namespace);
    here.map(|(_, scope)| scope).collect()
}
