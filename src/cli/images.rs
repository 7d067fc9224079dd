//! The arms of the verbs about images and registries.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use super::error::Style;
use super::format::Format;
use super::{output, prompt, views};
use crate::commands::context::Context;
use crate::commands::{login, pull};
use crate::model::class::Failure;

pub async fn pull(
    context: &Context<'_>,
    args: &pull::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let (pulled, failures) = views::parted(pull::pull(context, args).await?);
    context.audience.pulled();
    for image in pulled {
        output::line(&image.name)?;
    }
    Ok(views::report_all(&failures, Style::of(format)))
}

pub async fn login(context: &Context<'_>, args: &login::Args) -> Result<u8, Failure> {
    let user = match &args.username {
        Some(user) => user.clone(),
        None => prompt::line("Username")?,
    };
    let password = match &args.password {
        Some(password) => {
            output::warning("everybody on this machine can see -p; --password-stdin is safer");
            password.clone()
        }
        None if args.password_stdin => prompt::piped("Password")?,
        None => prompt::secret("Password")?,
    };
    let file = login::login(context, &args.registry, &user, &password).await?;
    output::line(&format!("Login Succeeded ({})", file.display()))?;
    Ok(0)
}

pub async fn logout(args: &login::LogoutArgs) -> Result<u8, Failure> {
    let registry = login::logout(args).await?;
    output::line(&format!("Removing login credentials for {registry}"))?;
    Ok(0)
}
