//! The arms of the verbs that look at things: what their commands give is shown in [`show`]'s forms.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use super::error::{self, Style};
use super::exit::{Family, code};
use super::format::Format;
use super::{output, show};
use crate::commands::context::Context;
use crate::commands::each::Each;
use crate::commands::settings::GlobalArgs;
use crate::commands::{cni, images, info, inspect, logs, netns, port, ps, rmi, version};
use crate::model::class::Failure;

pub async fn ps(
    context: &Context<'_>,
    args: &ps::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let views = ps::ps(context, args).await?;
    print(&show::containers::show(&views, args, format)?)
}

pub async fn port(context: &Context<'_>, args: &port::Args) -> Result<u8, Failure> {
    for (port, address) in port::port(context, args).await? {
        match args.port {
            Some(_) => output::line(&address.to_string())?,
            None => output::line(&format!("{port} -> {address}"))?,
        }
    }
    Ok(0)
}

pub async fn inspect(
    context: &Context<'_>,
    args: &inspect::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let (found, failures) = parted(inspect::inspect(context, args).await);
    let namespace = &context.settings.namespace;
    print(&show::inspect::show(&found, namespace, format)?)?;
    Ok(report_all(&failures, Style::of(format)))
}

pub async fn logs(context: &Context<'_>, args: &logs::Args) -> Result<u8, Failure> {
    let lines = show::logs::Lines {
        timestamps: args.timestamps,
        details: args.details,
    };
    show::logs::show(logs::logs(context, args).await?, lines).await?;
    Ok(0)
}

pub async fn images(
    context: &Context<'_>,
    args: &images::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let images = images::images(context, args).await?;
    print(&show::images::show(&images, args, format)?)
}

pub async fn rmi(
    context: &Context<'_>,
    args: &rmi::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let (removed, failures) = parted(rmi::rmi(context, args).await?);
    for removed in &removed {
        output::line(&show::images::removed(removed))?;
    }
    Ok(report_all(&failures, Style::of(format)))
}

pub async fn version(context: &Context<'_>, format: Option<&Format>) -> Result<u8, Failure> {
    let versions = version::version(context).await;
    let address = &context.settings.address;
    print(&show::version::show(&versions, address, format)?)
}

/// What is known is printed, also where containerd says nothing; that it does not is a failure.
pub async fn info(context: &Context<'_>, format: Option<&Format>) -> Result<u8, Failure> {
    let info = info::info(context).await;
    print(&show::info::show(&info, &context.settings, format)?)?;
    info.server.map(|_| 0)
}

pub fn netns(args: &netns::Ls, format: Option<&Format>) -> Result<u8, Failure> {
    print(&show::netns::show(&netns::ls()?, args, format)?)
}

pub async fn cni(
    global: &GlobalArgs,
    args: &cni::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let said = |_: &str, text: &str| output::note(text.trim_end());
    match cni::act(global, args, said).await? {
        cni::Outcome::Done => Ok(0),
        cni::Outcome::Added(result) => print(&show::cni::result(&result.to_value())),
        cni::Outcome::OwnVersions => print(&show::cni::own_versions()),
        cni::Outcome::Versions(plugins) => print(&show::cni::versions(&plugins, format)?),
        cni::Outcome::Detached(attachments) => {
            for attachment in &attachments {
                output::note(&show::cni::detached(attachment));
            }
            Ok(0)
        }
        cni::Outcome::GcDisabled(file) => {
            let file = file.display();
            output::warning(&format!("{file} has \"disableGC\": nothing was done"));
            Ok(0)
        }
    }
}

pub fn print(text: &str) -> Result<u8, Failure> {
    output::results(text.as_bytes())?;
    Ok(0)
}

/// What was done or found, and what was not, each in order.
pub fn parted<T>(outcomes: Each<T>) -> (Vec<T>, Vec<Failure>) {
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(object) => done.push(object),
            Err(failure) => failures.push(failure),
        }
    }
    (done, failures)
}

/// Prints the errors; the exit code is that of the first one.
pub fn report_all(failures: &[Failure], style: Style) -> u8 {
    for failure in failures {
        error::report(failure.as_ref(), style);
    }
    let first = failures.first();
    first.map_or(0, |failure| code(Family::Object, failure.class()))
}
