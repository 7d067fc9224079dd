//! The arms of the verbs about images and registries.
//!
//! Invariant: as in `dispatch`, an arm decides nothing.

use super::error::Style;
use super::format::Format;
use super::grammar::{ImageVerb, SystemVerb, Verb};
use super::{output, prompt, show, views};
use crate::commands::context::Context;
use crate::commands::{
    commit, history, image_inspect, image_mount, image_prune, import, load, login, pull, push,
    save, system_df, tag,
};
use crate::model::class::Failure;

/// What a verb about images or registries does; the grammar has made those of a group that also
/// stand alone the ones that do.
pub async fn act(
    context: &Context<'_>,
    verb: Verb,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    match verb {
        Verb::Pull(args) => pull(context, &args, format).await,
        Verb::Push(args) => push(context, &args).await,
        Verb::Tag(args) => tag(context, &args).await,
        Verb::History(args) => history(context, &args, format).await,
        Verb::Save(args) => save(context, &args).await,
        Verb::Load(args) => load(context, &args).await,
        Verb::Import(args) => import(context, &args).await,
        Verb::Commit(args) => commit(context, &args).await,
        Verb::Image(verb) => image(context, verb, format).await,
        Verb::System(SystemVerb::Df(_)) => df(context, format).await,
        Verb::Login(args) => login(context, &args).await,
        Verb::Logout(args) => logout(context, &args).await,
        _ => Ok(0),
    }
}

async fn pull(
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

async fn push(context: &Context<'_>, args: &push::Args) -> Result<u8, Failure> {
    let pushed = push::push(context, args).await?;
    context.audience.pulled();
    output::line(&format!("{}@{}", pushed.name, pushed.digest))?;
    Ok(0)
}

async fn tag(context: &Context<'_>, args: &tag::Args) -> Result<u8, Failure> {
    tag::tag(context, args).await?;
    Ok(0)
}

async fn history(
    context: &Context<'_>,
    args: &history::Args,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    let image = history::history(context, args).await?;
    views::print(&show::history::show(&image, args, format)?)
}

async fn save(context: &Context<'_>, args: &save::Args) -> Result<u8, Failure> {
    let stdout = output::stream_for_bytes(args.is_piped())?;
    save::save(context, args, stdout).await?;
    Ok(0)
}

async fn load(context: &Context<'_>, args: &load::Args) -> Result<u8, Failure> {
    let loaded = load::load(context, args).await?;
    context.audience.pulled();
    for image in loaded {
        output::line(&show::images::loaded(&image))?;
    }
    Ok(0)
}

async fn import(context: &Context<'_>, args: &import::Args) -> Result<u8, Failure> {
    output::line(&import::import(context, args).await?.config_digest)?;
    Ok(0)
}

async fn commit(context: &Context<'_>, args: &commit::Args) -> Result<u8, Failure> {
    output::line(&commit::commit(context, args).await?.config_digest)?;
    Ok(0)
}

/// The verbs of `image` that do not stand alone.
async fn image(
    context: &Context<'_>,
    verb: ImageVerb,
    format: Option<&Format>,
) -> Result<u8, Failure> {
    match verb {
        ImageVerb::Inspect(args) => {
            let (found, failures) = views::parted(image_inspect::inspect(context, &args).await);
            let namespace = &context.settings.namespace;
            views::print(&show::inspect::show(&found, namespace, format)?)?;
            Ok(views::report_all(&failures, Style::of(format)))
        }
        ImageVerb::Prune(args) => {
            let question = "This removes the images that no container uses.";
            if !prompt::confirm(args.force, question)? {
                return Ok(0);
            }
            let pruned = image_prune::prune(context, &args).await?;
            views::print(&show::images::pruned(&pruned))
        }
        ImageVerb::Mount(args) => {
            let at = image_mount::mount(context, &args).await?;
            output::line(&at.display().to_string())?;
            Ok(0)
        }
        ImageVerb::Unmount(args) => {
            let at = image_mount::unmount(context, &args).await?;
            output::line(&at.display().to_string())?;
            Ok(0)
        }
        // The grammar has made the others the verbs that stand alone.
        _ => Ok(0),
    }
}

async fn df(context: &Context<'_>, format: Option<&Format>) -> Result<u8, Failure> {
    let usage = system_df::df(context).await?;
    views::print(&show::images::usage(&usage, format)?)
}

async fn login(context: &Context<'_>, args: &login::Args) -> Result<u8, Failure> {
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
    output::note(&format!(
        "the credentials are kept as {} says",
        file.display()
    ));
    output::line("Login Succeeded")?;
    Ok(0)
}

async fn logout(context: &Context<'_>, args: &login::LogoutArgs) -> Result<u8, Failure> {
    // As docker has it, who is not logged in is logged out.
    output::line(&match login::logout(context, args).await? {
        (registry, true) => format!("Removing login credentials for {registry}"),
        (registry, false) => format!("Not logged in to {registry}"),
    })?;
    Ok(0)
}
