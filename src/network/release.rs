//! Which release of a plugin a program is.
//!
//! Invariant: the program is asked to do nothing.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long a plugin may take to say so.
const DEADLINE: Duration = Duration::from_secs(5);

/// The release that a plugin's program says it is: `v1.9.1`, `version unknown`, ... None if it says
/// nothing of the kind. The reference plugins tell when they are run without a verb.
pub async fn release(program: &Path) -> Option<String> {
    let asked = Command::new(program)
        .env_remove("CNI_COMMAND")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, asked).await.ok()?.ok()?;
    said(&String::from_utf8_lossy(&output.stderr))
}

fn said(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| line.starts_with("CNI ") && line.contains(" plugin "))?;
    let (_, release) = line.split_once(" plugin ")?;
    Some(release.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_tell_their_release_in_one_line() {
        let text = "CNI bridge plugin v1.9.1\nCNI protocol versions supported: 0.1.0\n";
        assert_eq!(said(text).as_deref(), Some("v1.9.1"));
        assert_eq!(
            said("CNI portmap plugin version unknown\n").as_deref(),
            Some("version unknown")
        );
        assert_eq!(said("error: no command\n"), None);
    }
}
