//! The process of a container and those that are executed in it later.
//!
//! Invariant: no rlimit, no label and no other thing is set that nobody asked for. HOME is the
//! runtime's: runc and crun set it from the container's passwd where it is missing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::image::{Config, ImageConfiguration};
use oci_spec::runtime::{
    Box, BoxBuilder, Capabilities, Capability, PosixRlimit, Process, User as OciUser,
};

use serde_json::json;

use super::capabilities::sets;
use super::mounts::INIT;
use super::{SpecError, SpecRequest};
use crate::engine::user::User;
use crate::model::ulimit::Ulimit;

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
    /// Columns and rows of the client's terminal.
    pub window: Option<(u16, u16)>,
    /// `--privileged`: all capabilities of the host.
    pub privileged: Option<&'a [Capability]>,
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
    let command = match entrypoint {
        None if command.is_empty() => image_command().unwrap_or_default(),
        _ => command,
    };
    let entrypoint = resolved_entrypoint(image, entrypoint).iter();
    let words: Vec<String> = entrypoint.chain(command).cloned().collect();
    if words.is_empty() {
        return Err(SpecError::NothingToRun);
    }
    Ok(words)
}

/// The words that the command begins with: `--entrypoint`, else the image's.
pub fn resolved_entrypoint<'a>(
    image: &'a ImageConfiguration,
    given: Option<&'a [String]>,
) -> &'a [String] {
    let config = image.config().as_ref();
    let of_image = || config.and_then(|config| config.entrypoint().as_deref());
    match given.or_else(of_image).unwrap_or_default() {
        // `--entrypoint ""` is how docker's users clear it.
        [cleared] if cleared.is_empty() => &[],
        words => words,
    }
}

/// The variables of a container that neither its image nor its user has given.
pub fn automatic_env(hostname: &str, terminal: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if terminal {
        env.push("TERM=xterm".to_owned());
    }
    env
}

pub(super) fn process(
    request: &SpecRequest<'_>,
    hostname: &str,
    bounding: &Capabilities,
) -> Result<Process, SpecError> {
    let config = request.image.config().as_ref();
    let image_env = config.and_then(|config| config.env().as_deref());
    let mut env = automatic_env(hostname, request.terminal);
    override_env(&mut env, image_env.unwrap_or_default());
    override_env(&mut env, named(request.env)?);

    let extras = request.extras;
    let mut user = oci_user(request.user);
    user.set_umask(extras.umask);
    let mut process = Process::default();
    process
        .set_terminal(Some(request.terminal))
        .set_console_size(extras.window.filter(|_| request.terminal).and_then(console))
        .set_user(user)
        .set_args(Some(arguments(request)?))
        .set_env(Some(env))
        .set_cwd(workdir(request.workdir, config)?)
        .set_capabilities(Some(sets(bounding, request.user)))
        .set_no_new_privileges(Some(extras.no_new_privileges))
        .set_apparmor_profile(extras.apparmor.clone())
        .set_oom_score_adj(extras.oom_score_adj)
        // The crate's default process has limits of its own; docker's has none.
        .set_rlimits(rlimits(&extras.ulimits));
    Ok(process)
}

/// The size that a terminal is made with: one that came after the start might come too late.
fn console((width, height): (u16, u16)) -> Option<Box> {
    let size = BoxBuilder::default();
    let size = size.width(width).height(height);
    size.build().ok()
}

/// The command, as the child of the init where there is to be one.
fn arguments(request: &SpecRequest<'_>) -> Result<Vec<String>, SpecError> {
    let command = resolved_command(request.image, request.entrypoint, request.command)?;
    if request.extras.init.is_none() {
        return Ok(command);
    }
    let init = [INIT.to_owned(), "--".to_owned()];
    Ok(init.into_iter().chain(command).collect())
}

fn rlimits(ulimits: &[Ulimit]) -> Option<Vec<PosixRlimit>> {
    let rlimit = |ulimit: &Ulimit| {
        let (name, soft, hard) = (&ulimit.name, ulimit.soft, ulimit.hard);
        let document = json!({"type": name, "soft": soft, "hard": hard});
        serde_json::from_value::<PosixRlimit>(document).ok()
    };
    (!ulimits.is_empty()).then(|| ulimits.iter().filter_map(rlimit).collect())
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
        .set_console_size(
            request
                .window
                .filter(|_| request.terminal)
                .and_then(console),
        )
        .set_args(Some(request.command.to_vec()))
        .set_env(Some(env));
    if let Some(directory) = request.workdir {
        process.set_cwd(absolute(directory)?);
    }
    if let Some(user) = request.user {
        set_user(&mut process, user);
    }
    if let Some(all) = request.privileged {
        // As with docker, whoever runs it has them in effect.
        let root = User::default();
        let capabilities = sets(&all.iter().copied().collect(), &root);
        process.set_capabilities(Some(capabilities));
        process.set_apparmor_profile(None);
    }
    Ok(process)
}

/// Makes a process run as another user: the capabilities that a user has follow from who it is.
pub fn set_user(process: &mut Process, user: &User) {
    let held = process.capabilities().as_ref();
    let bounding = held
        .and_then(|sets| sets.bounding().clone())
        .unwrap_or_default();
    let mut oci = oci_user(user);
    oci.set_umask(process.user().umask());
    process
        .set_user(oci)
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
    let mut merged: Vec<Option<String>> = env.drain(..).map(Some).collect();
    // An image may have a million of them.
    let mut places = HashMap::new();
    for (place, entry) in merged.iter().flatten().enumerate() {
        places.entry(name_of(entry).to_owned()).or_insert(place);
    }
    for entry in overrides {
        let name = name_of(entry);
        let value = entry.contains('=').then(|| entry.clone());
        match (places.get(name), value) {
            (Some(place), Some(value)) => merged[*place] = Some(value),
            (Some(place), None) => {
                merged[*place] = None;
                places.remove(name);
            }
            (None, Some(value)) => {
                places.insert(name.to_owned(), merged.len());
                merged.push(Some(value));
            }
            (None, None) => {}
        }
    }
    env.extend(merged.into_iter().flatten());
}
