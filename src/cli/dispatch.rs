//! One arm per verb: its typed arguments go to its command, what that gives is printed.
//!
//! Invariant: an arm decides nothing; which exit code a failure has is decided in `exit`.

use super::format::Format;
use super::grammar::{Cli, Verb};
use crate::model::class::{Class, Explain};

/// A verb whose command is not built yet.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not built yet")]
struct NotBuilt(&'static str);

impl Explain for NotBuilt {
    fn class(&self) -> Class {
        Class::Unsupported
    }
}

/// Carries out a command line; gives the exit code, which is the process's own where there is one.
/// `format` is what `--format` asks for.
pub fn dispatch(cli: Cli, _format: Option<Format>) -> Result<u8, Box<dyn Explain>> {
    let not_built = |verb| -> Result<u8, Box<dyn Explain>> { Err(Box::new(NotBuilt(verb))) };
    match cli.verb {
        Verb::Run(_) => not_built("run"),
        Verb::Create(_) => not_built("create"),
        Verb::Start(_) => not_built("start"),
        Verb::Stop(_) => not_built("stop"),
        Verb::Kill(_) => not_built("kill"),
        Verb::Restart(_) => not_built("restart"),
        Verb::Rm(_) => not_built("rm"),
        Verb::Exec(_) => not_built("exec"),
        Verb::Logs(_) => not_built("logs"),
        Verb::Attach(_) => not_built("attach"),
        Verb::Wait(_) => not_built("wait"),
        Verb::Ps(_) => not_built("ps"),
        Verb::Inspect(_) => not_built("inspect"),
        Verb::Pull(_) => not_built("pull"),
        Verb::Images(_) => not_built("images"),
        Verb::Rmi(_) => not_built("rmi"),
        Verb::Version(_) => not_built("version"),
        Verb::Info(_) => not_built("info"),
        Verb::Gc(_) => not_built("gc"),
        Verb::Supervise(_) => not_built("supervise"),
    }
}
