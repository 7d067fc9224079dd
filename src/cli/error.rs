//! How errors look: what failed, the numbered causes, and what to do next.
//!
//! Invariant: everything that an error knows is printed once.

use std::error::Error;

use serde_json::json;

use super::format::Format;
use super::output;
use crate::model::class::Explain;

/// How errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// One JSON object in one line.
    Json,
}

impl Style {
    /// The style that goes with what `--format` asks for.
    pub fn of(format: Option<&Format>) -> Style {
        match format {
            Some(Format::Json) => Style::Json,
            _ => Style::Text,
        }
    }
}

/// Prints an error to stderr.
pub fn report(error: &dyn Explain, style: Style) {
    let text = match style {
        Style::Text => as_text(
            error,
            &output::label("error:", "31"),
            &output::label("hint:", "36"),
        ),
        Style::Json => as_json(error),
    };
    output::note(&text);
}

fn as_text(error: &dyn Explain, error_label: &str, hint_label: &str) -> String {
    let mut text = format!("{error_label} {}", output::tame(&error.to_string()));
    for (number, cause) in causes(error).iter().enumerate() {
        let indented = output::tame(cause.trim_end()).replace('\n', "\n     ");
        text += &format!("\n  {}: {indented}", number + 1);
    }
    if let Some(hint) = error.hint() {
        text += &format!("\n{hint_label} {}", output::tame(&hint));
    }
    text
}

fn as_json(error: &dyn Explain) -> String {
    json!({
        "error": error.to_string(),
        "class": format!("{:?}", error.class()),
        "causes": causes(error),
        "hint": error.hint(),
    })
    .to_string()
}

/// The words of everything below, from the nearest to the root. An error that only passes on the
/// words of its source is not said twice.
fn causes(error: &dyn Explain) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next: Option<&dyn Error> = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if words != said {
            causes.push(words.clone());
        }
        said = words;
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::model::class::Class;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot pull {image}")]
    struct Pull {
        image: &'static str,
        #[source]
        source: Connect,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach the registry")]
    struct Connect(#[source] Wrapped);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Wrapped(io::Error);

    impl Explain for Pull {
        fn class(&self) -> Class {
            Class::Unavailable
        }

        fn hint(&self) -> Option<String> {
            Some("try again".to_owned())
        }
    }

    fn error() -> Pull {
        let refused = io::Error::other("refused\nby the host");
        Pull {
            image: "alpine",
            source: Connect(Wrapped(refused)),
        }
    }

    #[test]
    fn causes_are_numbered_and_the_hint_stands_last() {
        let text = as_text(&error(), "error:", "hint:");
        let expected = "error: cannot pull alpine\n  1: cannot reach the registry\n  \
                        2: refused\n     by the host\nhint: try again";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_json_form_holds_the_same() {
        let value: serde_json::Value = serde_json::from_str(&as_json(&error())).unwrap();
        let expected = json!({
            "error": "cannot pull alpine",
            "class": "Unavailable",
            "causes": ["cannot reach the registry", "refused\nby the host"],
            "hint": "try again",
        });
        assert_eq!(value, expected);
    }
}
