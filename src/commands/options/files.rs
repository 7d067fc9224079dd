//! `--env-file` and `--label-file`: one `NAME=VALUE` a line, as docker reads them.
//!
//! Invariant: a value is everything behind the first `=`, quotes and blanks included.

use std::fs;
use std::path::{Path, PathBuf};

use super::Unfit;

/// A line of such a file: the name, and its value if it has one.
pub type Line = (String, Option<String>);

/// Reads a file of variables or labels.
///
/// # Errors
/// It cannot be read, or a line has no name.
pub fn read(flag: &'static str, path: &Path) -> Result<Vec<Line>, Unfit> {
    let bytes = fs::read(path).map_err(|source| Unfit::File {
        flag,
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).map_err(|line| Unfit::Line {
        path: path.to_owned(),
        line,
    })
}

/// The variables of files, each as `NAME=VALUE`; a name alone takes the caller's value.
///
/// # Errors
/// A file cannot be read.
pub fn env(paths: &[PathBuf]) -> Result<Vec<String>, Unfit> {
    let mut env = Vec::new();
    for path in paths {
        for (name, value) in read("--env-file", path)? {
            let value = value.or_else(|| std::env::var(&name).ok());
            env.extend(value.map(|value| format!("{name}={value}")));
        }
    }
    Ok(env)
}

/// The lines of a file's text; the number of the line that is wrong.
fn parse(text: &str) -> Result<Vec<Line>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(index + 1);
        }
        lines.push((name.to_owned(), value));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_docker_reads_them() {
        let text = "\u{feff}# comment\n\nA=1\n  B=two words \nC=\"quoted\"\nD=\nE\nF=a=b\r\n";
        let lines = parse(text).unwrap();
        let shown: Vec<String> = lines
            .iter()
            .map(|(name, value)| format!("{name}|{}", value.as_deref().unwrap_or("-")))
            .collect();
        let expected = ["A|1", "B|two words ", "C|\"quoted\"", "D|", "E|-", "F|a=b"];
        assert_eq!(shown, expected);
        assert_eq!(parse("A=1\n=2\n"), Err(2));
        assert_eq!(parse("export A=1"), Err(1));
    }
}
