//! `netrun netns`: named network namespaces, as `ip netns` makes and finds them.
//!
//! Invariant: containerd is never asked. A container's namespace is made and removed with its
//! container, never here.

use std::io;
use std::path::{Path, PathBuf};

use super::values::parse;
use crate::engine::namespaces::{self, Holder, NamedNetns};
use crate::model::class::{Class, Explain, Failure};
use crate::model::netns::NetnsName;
use crate::sys::enter::{self, Stopped};
use crate::sys::netns;

const EXAMPLES: &str = "\
Examples:
  netrun netns add testing
  netrun cni add mynet /var/run/netns/testing
  netrun netns exec testing ip addr
  netrun netns ls
  netrun cni del mynet /var/run/netns/testing
  netrun netns rm testing

The names are those of ip netns: what one makes the other lists, enters and removes.";

/// Manage named network namespaces, as ip netns does
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Verb {
    /// Make network namespaces, with their loopback device up
    Add(Names),
    /// List network namespaces, and who holds each
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove network namespaces
    #[command(visible_aliases = ["del", "delete"])]
    Rm(Rm),
    /// Run a command in a network namespace
    Exec(Exec),
    /// Print the numbers that this network namespace has for others
    Id(Id),
}

/// Some names.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Names {
    /// The names
    #[arg(value_name = "NAME", required = true, value_parser = parse::<NetnsName>)]
    pub names: Vec<NetnsName>,
}

/// How to list.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Ls {
    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// What to remove.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Rm {
    /// The names
    #[command(flatten)]
    pub names: Names,

    /// Also those that something is attached in, or that another program made
    #[arg(short, long)]
    pub force: bool,
}

const EXEC_NOTES: &str = "\
As with ip netns, the command sees /sys of its network namespace, and the files in /etc/netns/NAME
in place of those in /etc. The exit code is its own, 128 and the number of the signal that ended it,
127 if it was not found, 126 if it cannot be invoked, 125 if netrun failed before.";

/// What to run where.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXEC_NOTES)]
pub struct Exec {
    /// The namespace's name
    #[arg(value_name = "NAME", value_parser = parse::<NetnsName>)]
    pub name: NetnsName,

    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
}

/// Whose number.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Id {
    /// The names; none for all that have a number
    #[arg(value_name = "NAME", value_parser = parse::<NetnsName>)]
    pub names: Vec<NetnsName>,
}

/// Why something was not done with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// There is none of that name.
    #[error("no network namespace \"{0}\"")]
    NotFound(NetnsName),
    /// There is one already.
    #[error("there is a network namespace \"{0}\" already")]
    Exists(NetnsName),
    /// The name is that of a container's namespace.
    #[error("the name \"{name}\" is that of container \"{id}\"'s network namespace")]
    Containers {
        /// The name.
        name: NetnsName,
        /// The container.
        id: String,
        /// The command that removes it with its container.
        remove: String,
    },
    /// Somebody holds it.
    #[error("network namespace \"{name}\" is in use: {by}")]
    Held {
        /// The name.
        name: NetnsName,
        /// By whom.
        by: String,
        /// The command that ends that, where it is known.
        release: Option<String>,
    },
    /// It has no number.
    #[error("network namespace \"{0}\" has no id here")]
    NoId(NetnsName),
    /// The kernel refused.
    #[error("cannot {action} network namespace {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The command of `exec` was not started.
    #[error("cannot run \"{command}\"")]
    Command {
        /// Its first word.
        command: String,
        /// Why not.
        source: io::Error,
    },
}

impl Explain for NetnsError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_) | Self::NoId(_) => Class::NotFound,
            Self::Exists(_) => Class::AlreadyExists,
            Self::Containers { .. } | Self::Held { .. } => Class::WrongState,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Failed,
            },
            Self::Command { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Class::CommandNotFound,
                _ => Class::CommandNotExecutable,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("netrun netns ls lists them".to_owned()),
            Self::Containers { remove, .. } => Some(format!(
                "{remove} removes it with its container; netrun gc does, if there is none"
            )),
            Self::Held { release, .. } => Some(match release {
                Some(command) => format!("{command} first; or --force, and something is left"),
                None => "--force removes it nevertheless".to_owned(),
            }),
            Self::NoId(name) => Some(format!("ip netns set {name} auto gives it one")),
            _ => None,
        }
    }
}

/// Makes namespaces; gives the names.
pub async fn add(names: &[NetnsName]) -> Vec<Result<NetnsName, Failure>> {
    let mut made = Vec::new();
    for name in names {
        made.push(add_one(name).await.map_err(Failure::from));
    }
    made
}

async fn add_one(name: &NetnsName) -> Result<NetnsName, NetnsError> {
    refuse_containers(name)?;
    let path = netns::path(name.as_str());
    match netns::create(&path).await {
        Ok(()) => Ok(name.clone()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(NetnsError::Exists(name.clone()))
        }
        Err(error) => Err(failed("make", &path)(error)),
    }
}

/// All namespaces, sorted by name.
///
/// # Errors
/// Their directory cannot be read.
pub fn ls() -> Result<Vec<NamedNetns>, Failure> {
    Ok(namespaces::list().map_err(failed("list", Path::new(netns::DIRECTORY)))?)
}

/// Removes namespaces; gives the names.
pub fn rm(args: &Rm) -> Vec<Result<NetnsName, Failure>> {
    let names = args.names.names.iter();
    names.map(|name| Ok(rm_one(name, args.force)?)).collect()
}

fn rm_one(name: &NetnsName, force: bool) -> Result<NetnsName, NetnsError> {
    let seen = namespaces::one(name.clone());
    refuse_containers(name)?;
    if seen.path.symlink_metadata().is_err() {
        return Err(NetnsError::NotFound(name.clone()));
    }
    if !force && (seen.holder.is_some() || !seen.attachments.is_empty()) {
        return Err(held(seen));
    }
    netns::remove(&seen.path).map_err(failed("remove", &seen.path))?;
    Ok(name.clone())
}

fn refuse_containers(name: &NetnsName) -> Result<(), NetnsError> {
    let Some((namespace, id)) = name.container() else {
        return Ok(());
    };
    let remove = match namespace.as_str() {
        "default" => format!("netrun rm -f {id}"),
        other => format!("netrun -n {other} rm -f {id}"),
    };
    Err(NetnsError::Containers {
        name: name.clone(),
        id: id.to_string(),
        remove,
    })
}

fn held(seen: NamedNetns) -> NetnsError {
    let release = match (&seen.holder, seen.attachments.first()) {
        (Some(Holder::Cnitool), Some(one)) => {
            Some(format!("netrun cni del {} {}", one.network_name, one.netns))
        }
        _ => None,
    };
    NetnsError::Held {
        by: describe(&seen),
        name: seen.name,
        release,
    }
}

/// Who holds a namespace, in words; nothing where nobody is known.
pub fn describe(seen: &NamedNetns) -> String {
    let holder = match &seen.holder {
        None => return String::new(),
        Some(Holder::Container(namespace, id)) if namespace.as_str() == "default" => {
            format!("container {id}")
        }
        Some(Holder::Container(namespace, id)) => format!("container {id} ({namespace})"),
        Some(Holder::Cnitool) => "cnitool".to_owned(),
        Some(Holder::Cri) => "containerd CRI".to_owned(),
        Some(Holder::Podman) => "podman".to_owned(),
        Some(Holder::Docker) => "docker".to_owned(),
        Some(Holder::Runtime(id)) => id.clone(),
    };
    let attached = seen.attachments.iter();
    let attached = attached.map(|one| format!("{} ({})", one.network_name, one.if_name));
    let attached: Vec<String> = attached.collect();
    match attached.is_empty() {
        true => holder,
        false => format!("{holder}: {}", attached.join(", ")),
    }
}

/// Becomes the command in the namespace; comes back only if that fails. A file of the namespace's
/// own that cannot hide the one in `/etc` is told to `unbound`.
pub fn exec(args: &Exec, unbound: fn(&Path, &io::Error)) -> Failure {
    let path = netns::path(args.name.as_str());
    if !netns::exists(&path) {
        return NetnsError::NotFound(args.name.clone()).into();
    }
    match enter::exec(&path, args.name.as_str(), &args.command, unbound) {
        Stopped::Enter(source) => failed("enter", &path)(source).into(),
        Stopped::Execute(source) => NetnsError::Command {
            command: args.command.first().cloned().unwrap_or_default(),
            source,
        }
        .into(),
    }
}

/// The numbers of the namespaces named, or of all that have one.
pub fn id(args: &Id) -> Vec<Result<(u32, NetnsName), Failure>> {
    if args.names.is_empty() {
        let all = match ls() {
            Ok(all) => all,
            Err(error) => return vec![Err(error)],
        };
        let numbered = all
            .into_iter()
            .filter_map(|seen| Some((seen.id?, seen.name)));
        let mut numbered: Vec<_> = numbered.collect();
        numbered.sort();
        return numbered.into_iter().map(Ok).collect();
    }
    args.names.iter().map(|name| Ok(id_of(name)?)).collect()
}

fn id_of(name: &NetnsName) -> Result<(u32, NetnsName), NetnsError> {
    let path = netns::path(name.as_str());
    if !netns::exists(&path) {
        return Err(NetnsError::NotFound(name.clone()));
    }
    let id = namespaces::id(&path).map_err(failed("ask for the id of", &path))?;
    let id = id.ok_or_else(|| NetnsError::NoId(name.clone()))?;
    Ok((id, name.clone()))
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> NetnsError {
    move |source| NetnsError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
