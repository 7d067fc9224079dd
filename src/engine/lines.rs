//! From frames to lines: what a log holds, as people read it.
//!
//! Invariant: no byte is lost or reordered within its stream; a line is never mixed with one of the
//! other stream.

use jiff::Timestamp;

use super::log::{Frame, Stream};

/// A line that grows longer is given out in pieces, so that a stream without line ends costs no
/// memory.
const LONGEST: usize = 1024 * 1024;

/// A line, or a piece of one that is too long or not ended yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When its first byte was read.
    pub time: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The bytes with the line feed, if it has been written.
    pub bytes: Vec<u8>,
    /// It begins a line: false for further pieces of one.
    pub begins: bool,
}

/// Puts lines together from the frames of both streams.
#[derive(Debug, Default)]
pub struct Assembler {
    stdout: Unfinished,
    stderr: Unfinished,
}

/// The beginning of a line whose end has not come yet.
#[derive(Debug, Default)]
struct Unfinished {
    bytes: Vec<u8>,
    time: Timestamp,
    /// A piece of this line has been given out already.
    continued: bool,
}

impl Assembler {
    /// Takes a frame, and gives out every line that it ends.
    pub fn take(&mut self, frame: &Frame, mut give: impl FnMut(Line)) {
        let unfinished = match frame.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        for part in frame.bytes.split_inclusive(|byte| *byte == b'\n') {
            if unfinished.bytes.is_empty() && !unfinished.continued {
                unfinished.time = frame.time;
            }
            unfinished.bytes.extend_from_slice(part);
            let ended = part.ends_with(b"\n");
            if ended || unfinished.bytes.len() >= LONGEST {
                give(unfinished.give(frame.stream));
                unfinished.continued = !ended;
            }
        }
    }

    /// Gives out what has no end: there will be none.
    pub fn finish(&mut self, mut give: impl FnMut(Line)) {
        for (stream, unfinished) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            if !unfinished.bytes.is_empty() {
                give(unfinished.give(stream));
            }
        }
    }
}

impl Unfinished {
    fn give(&mut self, stream: Stream) -> Line {
        Line {
            time: self.time,
            stream,
            bytes: std::mem::take(&mut self.bytes),
            begins: !self.continued,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(second: i64, stream: Stream, text: &str) -> Frame {
        Frame {
            time: Timestamp::from_second(second).unwrap(),
            stream,
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn lines(frames: &[Frame]) -> Vec<(i64, Stream, String, bool)> {
        let mut lines = Vec::new();
        let mut assembler = Assembler::default();
        for frame in frames {
            assembler.take(frame, |line| lines.push(line));
        }
        assembler.finish(|line| lines.push(line));
        let told = |line: Line| {
            let text = String::from_utf8(line.bytes).unwrap();
            (line.time.as_second(), line.stream, text, line.begins)
        };
        lines.into_iter().map(told).collect()
    }

    #[test]
    fn lines_are_put_together_across_frames_each_stream_for_itself() {
        use Stream::{Stderr, Stdout};
        let frames = [
            frame(1, Stdout, "one\ntw"),
            frame(2, Stderr, "oops"),
            frame(3, Stdout, "o\n\nrest"),
            frame(4, Stderr, "!\n"),
        ];
        let told = |second, stream, text: &str| (second, stream, text.to_owned(), true);
        let expected = [
            told(1, Stdout, "one\n"),
            told(1, Stdout, "two\n"),
            told(3, Stdout, "\n"),
            told(2, Stderr, "oops!\n"),
            told(3, Stdout, "rest"),
        ];
        assert_eq!(lines(&frames), expected);
    }

    #[test]
    fn a_line_without_an_end_is_given_out_in_pieces() {
        let block = "x".repeat(LONGEST / 2);
        let frames = [
            frame(1, Stdout, &block),
            frame(2, Stdout, &block),
            frame(3, Stdout, "end\nnext\n"),
        ];
        use Stream::Stdout;
        let told: Vec<(i64, usize, bool)> = lines(&frames)
            .into_iter()
            .map(|(second, _, text, begins)| (second, text.len(), begins))
            .collect();
        assert_eq!(told, [(1, LONGEST, true), (1, 4, false), (3, 5, true)]);
    }
}
