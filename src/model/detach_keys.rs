//! The keys that leave a container running, as `--detach-keys` takes them: `ctrl-p,ctrl-q`.
//!
//! Invariant: a sequence has at least one key, each of them one byte of a terminal.

use std::str::FromStr;

use super::class::{Class, Explain};

/// The keys in order, as a terminal sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachSequence(Vec<u8>);

impl DetachSequence {
    /// The bytes that a terminal sends.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for DetachSequence {
    /// ctrl-p, ctrl-q.
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

/// A text that is no sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no key")]
pub struct InvalidKeys(String);

impl Explain for InvalidKeys {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some("write keys with commas between them, such as ctrl-p,ctrl-q or ctrl-x,d".to_owned())
    }
}

impl FromStr for DetachSequence {
    type Err = InvalidKeys;

    fn from_str(text: &str) -> Result<Self, InvalidKeys> {
        let keys = text.split(',').map(key);
        keys.collect::<Result<Vec<u8>, _>>().map(Self)
    }
}

fn key(name: &str) -> Result<u8, InvalidKeys> {
    let invalid = || InvalidKeys(name.to_owned());
    let (control, letter) = match name.strip_prefix("ctrl-") {
        Some(letter) => (true, letter),
        None => (false, name),
    };
    let [byte] = letter.as_bytes() else {
        return Err(invalid());
    };
    match (control, byte.to_ascii_uppercase()) {
        (false, _) if byte.is_ascii_graphic() => Ok(*byte),
        // A terminal takes the upper bits away.
        (true, upper @ b'@'..=b'_') => Ok(upper & 0x1f),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_a_terminal_sends() {
        let bytes = |text: &str| text.parse::<DetachSequence>().map(|keys| keys.0);
        assert_eq!(bytes("ctrl-p,ctrl-q"), Ok(DetachSequence::default().0));
        assert_eq!(
            bytes("ctrl-@,ctrl-[,ctrl-_,a,Z"),
            Ok(vec![0, 0x1b, 0x1f, b'a', b'Z'])
        );
        for bad in ["", "ctrl-", "ctrl-1", "ab", "ctrl-p,", "ctrl-aa", "é"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
