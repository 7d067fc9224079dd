//! The arms of `netrun network`.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use super::error::{self, Style};
use super::exit::{Family, code};
use super::format::Format;
use super::{output, show};
use crate::commands::context::Context;
use crate::commands::each::Each;
use crate::commands::network::{Verb, connect, create, inspect, ls, rm};
use crate::model::class::{Class, Failure};

/// Carries out a verb of networks.
pub async fn act(
    context: &Context<'_>,
    verb: &Verb,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let style = Style::of(format);
    match verb {
        Verb::Create(args) => {
            output::line(&create::create(context, args).await?)?;
            Ok(0)
        }
        Verb::Ls(args) => {
            let networks = ls::ls(context, args);
            print(&show::networks::show(&networks, args, format)?)
        }
        Verb::Inspect(args) => {
            let mut found = Vec::new();
            let mut first = 0;
            for outcome in inspect::inspect(context, args).await {
                match outcome {
                    Ok(network) => found.push(network),
                    Err(failure) => first = report(&failure, style, first),
                }
            }
            print(&show::networks::inspected(&found, format)?)?;
            Ok(first)
        }
        Verb::Rm(args) => each(rm::rm(context, args).await, style),
        Verb::Prune(args) => each(rm::prune(context, args).await, style),
        Verb::Exists(args) => Ok(match inspect::exists(context, args) {
            true => 0,
            false => code(Family::Object, Class::NotFound),
        }),
        Verb::Connect(args) => connect::connect(context, args).await.map(|()| 0),
        Verb::Disconnect(args) => connect::disconnect(context, args).await.map(|()| 0),
    }
}

fn each(outcomes: Each<String>, style: Style) -> Result<u8, Failure> {
    let mut first = 0;
    for outcome in outcomes {
        match outcome {
            Ok(done) => output::line(&done)?,
            Err(failure) => first = report(&failure, style, first),
        }
    }
    Ok(first)
}

/// Prints an error; the exit code is that of the first one.
fn report(failure: &Failure, style: Style, first: u8) -> u8 {
    error::report(failure.as_ref(), style);
    match first {
        0 => code(Family::Object, failure.class()),
        first => first,
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    output::results(text.as_bytes())?;
    Ok(0)
}
