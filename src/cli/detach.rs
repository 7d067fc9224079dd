//! The keys that leave a container running: ctrl-p, ctrl-q.
//!
//! Invariant: every byte that is not part of the whole sequence goes on to the container, in order.

/// ctrl-p.
const FIRST: u8 = 0x10;

/// ctrl-q.
const SECOND: u8 = 0x11;

/// What has been seen of the sequence.
#[derive(Debug, Default)]
pub struct DetachKeys {
    /// ctrl-p was the last key, and is kept back.
    pending: bool,
}

impl DetachKeys {
    /// Takes typed bytes; appends what goes on to the container. True once the sequence is whole:
    /// what was typed after it is for nobody.
    pub fn take(&mut self, typed: &[u8], passed_on: &mut Vec<u8>) -> bool {
        for &byte in typed {
            match (self.pending, byte) {
                (true, SECOND) => return true,
                (true, FIRST) => passed_on.push(FIRST),
                (true, _) => {
                    self.pending = false;
                    passed_on.extend([FIRST, byte]);
                }
                (false, FIRST) => self.pending = true,
                (false, _) => passed_on.push(byte),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut keys = DetachKeys::default();
        let mut passed_on = Vec::new();
        let detached = chunks.iter().any(|chunk| keys.take(chunk, &mut passed_on));
        (passed_on, detached)
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
}
