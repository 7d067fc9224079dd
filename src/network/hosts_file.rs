//! Changing a hosts file that somebody may be reading.
//!
//! Invariant: a change is one write that moves no other byte, and no entry lies across a multiple of
//! [`CHUNK`] bytes: whoever reads the file, at once or in pieces of such a size, sees every other
//! entry whole, and the one that comes or goes whole or not at all. What is free is line ends.

/// What the smallest reader reads at a time: musl's resolver.
const CHUNK: usize = 1024;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where, from the file's beginning.
    pub offset: usize,
    /// What is written there.
    pub bytes: Vec<u8>,
}

/// The write that adds an entry (whole lines); none if it is there.
pub fn insertion(text: &[u8], entry: &str) -> Option<Patch> {
    let entry = entry.as_bytes();
    if entry.is_empty() || find(text, entry).is_some() {
        return None;
    }
    let bytes = || entry.to_vec();
    let place = free_places(text).find_map(|(start, end)| {
        let start = clear_of_chunks(start, entry.len());
        (start + entry.len() <= end).then_some(start)
    });
    if let Some(offset) = place {
        return Some(Patch {
            offset,
            bytes: bytes(),
        });
    }
    // Behind the last line, which its writer may have left open.
    let used = text
        .iter()
        .rposition(|byte| *byte != b'\n')
        .map_or(0, |last| last + 1);
    let first = if used == 0 { 0 } else { used + 1 };
    let start = clear_of_chunks(first, entry.len());
    let mut padded = vec![b'\n'; start - used];
    padded.extend(entry);
    Some(Patch {
        offset: used,
        bytes: padded,
    })
}

/// The write that takes an entry away; none if it is not there.
pub fn removal(text: &[u8], entry: &str) -> Option<Patch> {
    let offset = find(text, entry.as_bytes())?;
    let bytes = vec![b'\n'; entry.len()];
    Some(Patch { offset, bytes })
}

/// A whole file: what it begins with, then the entries.
pub fn layout<'e>(beginning: &str, entries: impl IntoIterator<Item = &'e str>) -> Vec<u8> {
    let mut text = beginning.as_bytes().to_vec();
    for entry in entries.into_iter().filter(|entry| !entry.is_empty()) {
        let start = clear_of_chunks(text.len(), entry.len());
        text.resize(start, b'\n');
        text.extend(entry.as_bytes());
    }
    text
}

/// The first place from `start` on at which so many bytes lie in one chunk, where they can.
fn clear_of_chunks(start: usize, length: usize) -> usize {
    let left = CHUNK - start % CHUNK;
    match length <= CHUNK && left < length {
        true => start + left,
        false => start,
    }
}

/// The runs of line ends, as first and end, that no line needs.
fn free_places(text: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let begins = at == 0 || text[at - 1] == b'\n';
            if text[at] != b'\n' || !begins {
                at += 1;
                continue;
            }
            let rest = text[at..].iter().position(|byte| *byte != b'\n');
            let end = rest.map_or(text.len(), |length| at + length);
            let place = (at, end);
            at = end;
            return Some(place);
        }
        None
    })
}

/// Where an entry stands, at the beginning of a line.
fn find(text: &[u8], entry: &[u8]) -> Option<usize> {
    if entry.is_empty() {
        return None;
    }
    let mut starts = text.windows(entry.len()).enumerate();
    let found = starts.find(|(at, window)| *window == entry && (*at == 0 || text[at - 1] == b'\n'));
    found.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(text: &mut Vec<u8>, patch: &Patch) {
        let end = patch.offset + patch.bytes.len();
        text.resize(text.len().max(end), b'\n');
        text[patch.offset..end].copy_from_slice(&patch.bytes);
    }

    fn entry(number: usize, length: usize) -> String {
        format!(
            "10.0.{}.{}\t{}\n",
            number / 250,
            number % 250,
            "n".repeat(length + 1)
        )
    }

    #[test]
    fn a_line_that_is_left_open_is_closed() {
        let mut text = b"127.0.0.1 localhost".to_vec();
        let patch = insertion(&text, "10.0.0.2\ta\n").unwrap();
        apply(&mut text, &patch);
        assert_eq!(text, b"127.0.0.1 localhost\n10.0.0.2\ta\n");
        assert_eq!(insertion(&text, "10.0.0.2\ta\n"), None);
        assert_eq!(removal(&text, "0.2\ta\n"), None);
    }

    #[test]
    fn what_is_free_is_used_again() {
        let mut text = layout("head\n", ["10.0.0.2\ta\n", "10.0.0.3\tb\n"]);
        let length = text.len();
        let patch = removal(&text, "10.0.0.2\ta\n").unwrap();
        apply(&mut text, &patch);
        let patch = insertion(&text, "10.0.0.4\tc\n").unwrap();
        apply(&mut text, &patch);
        assert_eq!(text, b"head\n10.0.0.4\tc\n10.0.0.3\tb\n");
        assert_eq!(text.len(), length);
    }

    proptest! {
        #[test]
        fn other_entries_are_whole_in_every_chunk(
            steps in prop::collection::vec((0usize..40, any::<bool>(), 0usize..90), 1..120),
            beginning in "[a-z \n]{0,60}",
        ) {
            let mut text = layout(&beginning, []);
            let mut there: std::collections::BTreeMap<usize, String> = Default::default();
            for (number, join, length) in steps {
                let before = text.clone();
                let (patch, own) = match there.remove(&number) {
                    Some(own) if !join => (removal(&text, &own), own),
                    Some(own) => { there.insert(number, own); continue; }
                    None => {
                        let own = entry(number, length);
                        let patch = insertion(&text, &own);
                        there.insert(number, own.clone());
                        (patch, own)
                    }
                };
                let patch = patch.expect("a change");
                apply(&mut text, &patch);
                prop_assert!(text.len() >= before.len());
                for (other, one) in &there {
                    let at = find(&text, one.as_bytes());
                    prop_assert!(at.is_some(), "{other} is lost");
                    let at = at.unwrap_or(0);
                    prop_assert_eq!(at / CHUNK, (at + one.len() - 1) / CHUNK);
                    if one != &own {
                        prop_assert_eq!(find(&before, one.as_bytes()), Some(at), "{} moved", other);
                    }
                }
                prop_assert!(text.ends_with(b"\n"));
            }
        }
    }
}
