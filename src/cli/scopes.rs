//! The arms of `netrun scope`.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use super::dispatch::each_line;
use super::error::Style;
use super::format::Format;
use super::{output, show};
use crate::commands::context::Context;
use crate::commands::scope::{self, Verb};
use crate::model::class::Failure;

/// Carries out a verb of scopes.
pub async fn act(
    context: &Context<'_>,
    verb: &Verb,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    match verb {
        Verb::Create(args) => {
            output::line(scope::create(context, args).await?.as_str())?;
            Ok(0)
        }
        Verb::Ls(args) => {
            let scopes = scope::ls(context).await?;
            output::results(show::scopes::list(&scopes, args.quiet, format)?.as_bytes())?;
            Ok(0)
        }
        Verb::End(args) => each_line(scope::end(context, args).await, Style::of(format)),
    }
}
