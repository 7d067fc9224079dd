//! The process of a container and those that are executed in it later.
//!
//! Invariant: no rlimit, no label and no other thing is set that docker would not set. HOME is the
//! runtime's: runc and crun set it from the container's passwd where it is missing.

use std::path::{Path, PathBuf};

use oci_spec::image::{Config, ImageConfiguration};
use oci_spec::runtime::{Capabilities, Process, User as OciUser};

use super::capabilities::sets;
use super::{SpecError, SpecRequest};
use crate::engine::user::User;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be executed in a running container.
#[derive(Debug, Clone, Copy)]
pub struct ExecRequest<'a> {
    /// The command; at least one word.
    pub command: &'a [String],
    /// `-e`, in order.
    pub env: &'a [String],
    /// `-w`; without it the container's.
    pub workdir: Option<&'a str>,
    /// `-u`, looked up; without it the container's.
    pub user: Option<&'a User>,
    /// `-t`.
    pub terminal: bool,
}

/// The container's command by docker's rules: `--entrypoint` replaces the image's entrypoint and
/// drops its command, and a command replaces the image's.
///
/// # Errors
/// [`SpecError::NothingToRun`] if no word is left.
pub fn resolved_command(
    image: &ImageConfiguration,
    entrypoint: Option<&[String]>,
    command: &[String],
) -> Result<Vec<String>, SpecError> {
    let config = image.config().as_ref();
    let image_command = || config.and_then(|config| config.cmd().as_deref());
    let image_entrypoint = || config.and_then(|config| config.entrypoint().as_deref());
    let command = match entrypoint {
        None if command.is_empty() => image_command().unwrap_or_default(),
        _ => command,
    };
    let entrypoint = entrypoint.or_else(image_entrypoint).unwrap_or_default();
    // `--entrypoint ""` is how docker's users clear it.
    let cleared = entrypoint.len() == 1 && entrypoint[0].is_empty();
    let entrypoint = if cleared { &[] } else { entrypoint };
    let words: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
    if words.is_empty() {
        return Err(SpecError::NothingToRun);
    }
    Ok(words)
}

pub(super) fn process(
    request: &SpecRequest<'_>,
    hostname: &str,
    bounding: &Capabilities,
) -> Result<Process, SpecError> {
    let config = request.image.config().as_ref();
    let image_env = config.and_then(|config| config.env().as_deref());
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if request.terminal {
        env.push("TERM=xterm".to_owned());
    }
    override_env(&mut env, image_env.unwrap_or_default());
    override_env(&mut env, named(request.env)?);

    let mut process = Process::default();
    process
        .set_terminal(Some(request.terminal))
        .set_user(oci_user(request.user))
        .set_args(Some(resolved_command(
            request.image,
            request.entrypoint,
            request.command,
        )?))
        .set_env(Some(env))
        .set_cwd(workdir(request.workdir, config)?)
        .set_capabilities(Some(sets(bounding, request.user)))
        .set_no_new_privileges(Some(false))
        // The crate's default process has limits of its own; docker's has none.
        .set_rlimits(None);
    Ok(process)
}

/// The process that an exec starts: the container's own, with what the request says instead.
///
/// # Errors
/// No command, a relative directory or a nameless variable.
pub fn exec_process(container: &Process, request: &ExecRequest<'_>) -> Result<Process, SpecError> {
    if request.command.is_empty() {
        return Err(SpecError::NothingToRun);
    }
    let mut env = container.env().clone().unwrap_or_default();
    if request.terminal && !env.iter().any(|entry| name_of(entry) == "TERM") {
        env.push("TERM=xterm".to_owned());
    }
    override_env(&mut env, named(request.env)?);

    let mut process = container.clone();
    process
        .set_terminal(Some(request.terminal))
        .set_args(Some(request.command.to_vec()))
        .set_env(Some(env));
    if let Some(directory) = request.workdir {
        process.set_cwd(absolute(directory)?);
    }
    if let Some(user) = request.user {
        set_user(&mut process, user);
    }
    Ok(process)
}

/// Makes a process run as another user: the capabilities that a user has follow from who it is.
pub fn set_user(process: &mut Process, user: &User) {
    let held = process.capabilities().as_ref();
    let bounding = held
        .and_then(|sets| sets.bounding().clone())
        .unwrap_or_default();
    process
        .set_user(oci_user(user))
        .set_capabilities(Some(sets(&bounding, user)));
}

fn oci_user(user: &User) -> OciUser {
    let mut oci = OciUser::default();
    oci.set_uid(user.uid)
        .set_gid(user.gid)
        .set_additional_gids(Some(user.additional_gids.clone()));
    oci
}

fn workdir(given: Option<&str>, config: Option<&Config>) -> Result<PathBuf, SpecError> {
    let image = config.and_then(|config| config.working_dir().as_deref());
    match given.or(image) {
        None | Some("") => Ok(PathBuf::from("/")),
        Some(directory) => absolute(directory),
    }
}

fn absolute(directory: &str) -> Result<PathBuf, SpecError> {
    if !Path::new(directory).is_absolute() {
        return Err(SpecError::RelativeWorkdir {
            directory: directory.to_owned(),
        });
    }
    Ok(PathBuf::from(directory))
}

/// The `-e` arguments, each with a name.
fn named(env: &[String]) -> Result<&[String], SpecError> {
    match env.iter().find(|entry| name_of(entry).is_empty()) {
        Some(nameless) => Err(SpecError::NamelessEnv {
            given: nameless.clone(),
        }),
        None => Ok(env),
    }
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// Docker's merge: a variable keeps its place and takes the later value; a name without `=`
/// removes it.
fn override_env(env: &mut Vec<String>, overrides: &[String]) {
    for entry in overrides {
        let name = name_of(entry);
        let place = env.iter().position(|earlier| name_of(earlier) == name);
        match (place, entry.contains('=')) {
            (Some(place), true) => entry.clone_into(&mut env[place]),
            (Some(place), false) => {
                env.remove(place);
            }
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
}
