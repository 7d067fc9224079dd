//! The protocol of docker's credential helpers: `docker-credential-NAME get|store|erase`.
//!
//! Invariant: a secret passes through pipes only, never through arguments or the environment.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::credentials::{Credentials, Malformed};
use crate::model::class::{Class, Explain};

/// How long a helper may think; some ask a cloud, none asks the person.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a helper says where it has nothing. The protocol has no code for it, only these words.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user's name that says that the secret is an identity token.
const TOKEN: &str = "<token>";

/// A helper that does not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Its name cannot be a program's.
    #[error("\"{0}\" cannot be a credential helper's name")]
    Name(String),
    /// It cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It does not come to an end.
    #[error("{program} does not answer within {} seconds", PATIENCE.as_secs())]
    Slow {
        /// The program.
        program: String,
    },
    /// It failed; its own words may hold secrets and are not repeated.
    #[error("{program} {verb} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// What it was asked to do.
        verb: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It said something else than the protocol has.
    #[error("{program} gave no credentials that can be read")]
    Answer {
        /// The program.
        program: String,
        /// What is wrong with them.
        source: Malformed,
    },
}

impl Explain for HelperError {
    fn class(&self) -> Class {
        match self {
            HelperError::Name(_) => Class::InvalidInput,
            HelperError::Slow { .. } => Class::Timeout,
            _ => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            HelperError::Run { program, .. } => Some(format!(
                "install {program}, or take credsStore and credHelpers out of that file"
            )),
            HelperError::Failed { program, .. } => Some(format!("run {program} by hand")),
            _ => None,
        }
    }
}

/// What `get` writes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    username: String,
    secret: String,
}

/// The credentials that the helper has for a server; nothing if it has none.
///
/// # Errors
/// [`HelperError`].
pub async fn get(name: &str, server: &str) -> Result<Option<Credentials>, HelperError> {
    let Some(said) = run(name, "get", server.as_bytes()).await? else {
        return Ok(None);
    };
    let found: Found = serde_json::from_slice(&said).map_err(|error| HelperError::Answer {
        program: program(name),
        source: error.into(),
    })?;
    Ok(Some(match found.username.as_str() {
        TOKEN => Credentials::IdentityToken(found.secret),
        user => Credentials::password(user, &found.secret),
    }))
}

/// Has the helper keep credentials.
///
/// # Errors
/// [`HelperError`].
pub async fn store(name: &str, server: &str, user: &str, secret: &str) -> Result<(), HelperError> {
    let entry = json!({"ServerURL": server, "Username": user, "Secret": secret}).to_string();
    run(name, "store", entry.as_bytes()).await.map(drop)
}

/// Has the helper forget credentials; says whether there were any.
///
/// # Errors
/// [`HelperError`].
pub async fn erase(name: &str, server: &str) -> Result<bool, HelperError> {
    let erased = run(name, "erase", server.as_bytes()).await?;
    Ok(erased.is_some())
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// What the helper writes; nothing if it says that it has nothing.
async fn run(name: &str, verb: &'static str, input: &[u8]) -> Result<Option<Vec<u8>>, HelperError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(plain) || name.is_empty() || name.starts_with('.') {
        return Err(HelperError::Name(name.to_owned()));
    }
    let program = program(name);
    let failed = |source| HelperError::Run {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says why by its status.
        drop(stdin.write_all(input).await);
    }
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let Ok(output) = ended else {
        return Err(HelperError::Slow { program });
    };
    let output = output.map_err(failed)?;
    let nothing = String::from_utf8_lossy(&output.stdout).trim() == NOT_FOUND;
    match (output.status.success(), nothing) {
        (true, _) => Ok(Some(output.stdout)),
        (false, true) => Ok(None),
        (false, false) => Err(HelperError::Failed {
            program,
            verb,
            status: output.status,
        }),
    }
}
