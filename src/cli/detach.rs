//! The keys that leave a container running.
//!
//! Invariant: every byte that is not part of the whole sequence goes on to the container, in order.

use crate::model::detach_keys::DetachSequence;

/// What has been seen of the sequence.
#[derive(Debug, Default)]
pub struct DetachKeys {
    sequence: DetachSequence,
    /// So many of its first keys were the last ones typed, and are kept back.
    pending: usize,
}

impl DetachKeys {
    /// Waits for this sequence.
    pub fn new(sequence: DetachSequence) -> DetachKeys {
        DetachKeys {
            sequence,
            pending: 0,
        }
    }

    /// Takes typed bytes; appends what goes on to the container. True once the sequence is whole:
    /// what was typed after it is for nobody.
    pub fn take(&mut self, typed: &[u8], passed_on: &mut Vec<u8>) -> bool {
        let keys = self.sequence.bytes();
        for &byte in typed {
            let mut held = keys[..self.pending].to_vec();
            held.push(byte);
            // The longest end of what was typed that may still become the sequence is kept back.
            while !keys.starts_with(&held) {
                passed_on.push(held.remove(0));
            }
            self.pending = held.len();
            if self.pending == keys.len() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed_for(keys: DetachKeys, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut keys = keys;
        let mut passed_on = Vec::new();
        let detached = chunks.iter().any(|chunk| keys.take(chunk, &mut passed_on));
        (passed_on, detached)
    }

    fn typed(chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        typed_for(DetachKeys::default(), chunks)
    }

    #[test]
    fn the_sequence_detaches_however_it_is_cut() {
        assert_eq!(typed(&[b"ab\x10\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed(&[b"ab\x10", b"\x11", b"cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed(&[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
    }

    #[test]
    fn other_keys_go_on_to_the_container() {
        assert_eq!(typed(&[b"a\x11b"]), (b"a\x11b".to_vec(), false));
        assert_eq!(typed(&[b"\x10", b"x\x11"]), (b"\x10x\x11".to_vec(), false));
        assert_eq!(
            typed(&[b"\x10a\x10", b"b"]),
            (b"\x10a\x10b".to_vec(), false)
        );
    }

    #[test]
    fn another_sequence_can_overlap_with_itself() {
        let keys = || DetachKeys::new("a,a,b".parse().unwrap());
        assert_eq!(typed_for(keys(), &[b"xaaab"]), (b"xa".to_vec(), true));
        assert_eq!(typed_for(keys(), &[b"aac"]), (b"aac".to_vec(), false));
        let one = DetachKeys::new("ctrl-x".parse().unwrap());
        assert_eq!(typed_for(one, &[b"a\x18b"]), (b"a".to_vec(), true));
    }
}
