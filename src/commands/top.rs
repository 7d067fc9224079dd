//! `netrun top`: the processes of a container, as the host's ps shows them.
//!
//! Invariant: which processes are the container's is containerd's word, not ps's.

use std::io;
use std::process::Stdio;

use super::context::Context;
use super::values::parse;
use crate::engine::error::Error;
use crate::model::class::{Class, Explain, Failure};
use crate::model::id::ContainerId;

/// Show the processes of a container
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  netrun top web\n  netrun top web -o pid,args")]
pub struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER", value_parser = parse::<ContainerId>)]
    pub container: ContainerId,

    /// Options of ps [default: -ef]
    #[arg(
        value_name = "OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub options: Vec<String>,
}

/// What ps said does not tell which line is whose.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// There is no ps, or it cannot be run.
    #[error("cannot run ps")]
    NoPs(#[source] io::Error),
    /// It does not know the options.
    #[error("ps refuses {options}")]
    Refused {
        /// The options.
        options: String,
    },
    /// It shows no column of process ids.
    #[error("ps shows no column PID with {options}")]
    NoPid {
        /// The options.
        options: String,
    },
}

impl Explain for TopError {
    fn class(&self) -> Class {
        match self {
            Self::NoPs(_) => Class::Failed,
            Self::Refused { .. } | Self::NoPid { .. } => Class::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoPs(_) => "apt-get install -y procps".to_owned(),
            Self::Refused { .. } | Self::NoPid { .. } => "try -ef, or -eo pid,user,args".to_owned(),
        })
    }
}

/// The titles and the lines of a container's processes.
///
/// # Errors
/// It does not run, or ps refuses.
pub async fn top(context: &Context<'_>, args: &Args) -> Result<Vec<String>, Failure> {
    let id = &args.container;
    context.host.record(id).await?;
    let client = context.host.client().await?;
    let pids = match client.processes(id.as_str()).await {
        Ok(pids) if !pids.is_empty() => pids,
        Ok(_) => return Err(Error::not_running(id).into()),
        Err(error) if error.is_not_found() => return Err(Error::not_running(id).into()),
        Err(error) => return Err(Error::from(error).into()),
    };
    let usual = ["-ef".to_owned()];
    let options = if args.options.is_empty() {
        &usual[..]
    } else {
        &args.options[..]
    };
    let ps = tokio::process::Command::new("ps")
        .args(options)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(TopError::NoPs)?;
    let shown = || options.join(" ");
    if !ps.status.success() {
        return Err(TopError::Refused { options: shown() }.into());
    }
    let table = String::from_utf8_lossy(&ps.stdout);
    let lines = of_processes(&table, &pids);
    Ok(lines.ok_or_else(|| TopError::NoPid { options: shown() })?)
}

/// The title line, and those whose process is among these; nothing without a column `PID`.
fn of_processes(table: &str, pids: &[u32]) -> Option<Vec<String>> {
    let mut lines = table.lines();
    let titles = lines.next()?;
    let column = titles.split_whitespace().position(|title| title == "PID")?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column);
        pid.and_then(|pid| pid.parse().ok())
            .is_some_and(|pid: u32| pids.contains(&pid))
    };
    let ours = lines.filter(is_ours).map(str::to_owned);
    Some(std::iter::once(titles.to_owned()).chain(ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines_are_kept() {
        let table =
            "UID   PID PPID CMD\nroot   42    1 sleep 1\nroot    7    1 sh 42\nroot 8 1 x\n";
        let lines = of_processes(table, &[42, 8]).unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].ends_with("sleep 1") && lines[2].ends_with('x'));
        assert_eq!(of_processes("USER CMD\nroot sh\n", &[1]), None);
    }
}
