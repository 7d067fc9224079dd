//! An error that crosses a socket: its message, its causes, its class and its hint.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::class::{Class, Explain};

/// An error as another process met it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    class: Class,
    hint: Option<String>,
    cause: Cause,
}

/// One message and what caused it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cause {
    message: String,
    cause: Option<Box<Cause>>,
}

impl Report {
    /// Writes down an error with all its causes.
    pub fn of(error: &impl Explain) -> Report {
        Report {
            class: error.class(),
            hint: error.hint(),
            cause: Cause::of(error),
        }
    }
}

impl Cause {
    fn of(error: &(dyn Error + 'static)) -> Cause {
        let cause = error.source().map(|source| Box::new(Cause::of(source)));
        Cause {
            message: error.to_string(),
            cause,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Report {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Explain for Report {
    fn class(&self) -> Class {
        self.class
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error;

    #[test]
    fn a_report_keeps_message_causes_and_class_across_a_socket() {
        let source = std::io::Error::from_raw_os_error(nix::libc::EBUSY);
        let path = "/run/netns/x".into();
        let error = error::Error::Netns {
            action: "remove",
            path,
            source,
        };
        let sent = serde_json::to_string(&Report::of(&error)).unwrap();
        let report: Report = serde_json::from_str(&sent).unwrap();
        assert_eq!(report.to_string(), error.to_string());
        assert_eq!(report.class(), error.class());
        let cause = report.source().unwrap().to_string();
        assert_eq!(cause, error.source().unwrap().to_string());
    }
}
