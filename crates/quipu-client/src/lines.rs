//! A source cut into lines. What was taken is gone: what may have to be sent again are sums.

use thiserror::Error;

/// Longest line, in bytes. Guess: longer ones are not lines of a log.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// How much is asked of the source at once, in bytes. Guess: many pages, within the L2 cache.
pub const READ_BYTES: usize = 256 << 10;

/// A place between two lines of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Lines before it: the sequence of the line that ends here.
    pub lines: u64,
    /// Bytes before it.
    pub offset: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A line, without its end (LF or CR LF).
    Line(&'a [u8]),
    /// Nothing until more bytes are read.
    More,
    /// Nothing: the source has ended.
    End,
}

/// A line is longer than [`LINE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
pub struct LineTooLong {
    /// The number of that line, from 1.
    pub line: u64,
}

/// The bytes of a source around the place where it is read.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    filled: usize,
    base: u64,
    next: usize,
    searched: usize,
    before: u64,
    ended: bool,
}

impl Lines {
    /// Starts at `position`: the first bytes that are filled in follow it.
    pub fn new(position: Position) -> Lines {
        Lines {
            buffer: Vec::new(),
            filled: 0,
            base: position.offset,
            next: 0,
            searched: 0,
            before: position.lines,
            ended: false,
        }
    }

    /// Returns where the next line begins.
    pub fn position(&self) -> Position {
        Position { lines: self.before, offset: self.base + self.next as u64 }
    }

    /// Takes the next line.
    ///
    /// An unterminated last line is a line once the source has ended, and not before.
    pub fn step(&mut self) -> Step<'_> {
        let rest = self.buffer.get(self.searched..self.filled).unwrap_or_default();
        let (end, after) = match memchr::memchr(b'\n', rest) {
            Some(at) => (self.searched + at, self.searched + at + 1),
            None if !self.ended => {
                self.searched = self.filled;
                return Step::More;
            }
            None if self.next == self.filled => return Step::End,
            None => (self.filled, self.filled),
        };
        let line = self.buffer.get(self.next..end).unwrap_or_default();
        self.next = after;
        self.searched = after;
        self.before += 1;
        Step::Line(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Returns room of [`READ_BYTES`] for the bytes that follow.
    ///
    /// # Errors
    /// What was read of the next line is already longer than a line may be.
    pub fn room(&mut self) -> Result<&mut [u8], LineTooLong> {
        if self.filled - self.next > LINE_BYTES_MAX {
            return Err(LineTooLong { line: self.before + 1 });
        }
        // Moving only what is less than half of the buffer keeps the cost per byte constant.
        if self.next > 0 && self.next >= self.buffer.len() / 2 {
            self.buffer.copy_within(self.next..self.filled, 0);
            self.base += self.next as u64;
            self.filled -= self.next;
            self.searched -= self.next;
            self.next = 0;
        }
        if self.buffer.len() < self.filled + READ_BYTES {
            self.buffer.resize((self.filled + READ_BYTES).next_power_of_two(), 0);
        }
        Ok(self.buffer.get_mut(self.filled..self.filled + READ_BYTES).unwrap_or_default())
    }

    /// Takes the first `bytes` of the room as read; none means that the source has ended.
    pub fn fill(&mut self, bytes: usize) {
        self.ended = bytes == 0;
        self.filled = self.buffer.len().min(self.filled + bytes);
    }

    /// Ends the source here: what is not a whole line is not one.
    pub fn stop(&mut self) {
        let rest = self.buffer.get(self.next..self.filled).unwrap_or_default();
        self.filled = self.next + memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
        self.searched = self.next;
        self.ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{LineTooLong, Lines, Position, Step};

    fn feed(lines: &mut Lines, bytes: &[u8]) {
        lines.room().expect("room")[..bytes.len()].copy_from_slice(bytes);
        lines.fill(bytes.len());
    }

    /// Feeds `pieces`, then the end, and collects the lines.
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut lines = Lines::new(Position::default());
        let mut found = Vec::new();
        let mut pieces = pieces.iter();
        loop {
            match lines.step() {
                Step::Line(line) => found.push(String::from_utf8_lossy(line).into_owned()),
                Step::More => feed(&mut lines, pieces.next().unwrap_or(&"").as_bytes()),
                Step::End => break,
            }
        }
        assert_eq!(found, expected);
        assert_eq!(lines.position().lines, expected.len() as u64);
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        check(&["a\nb\n"], &["a", "b"]);
        check(&["a", "\n", "b\n"], &["a", "b"]);
        check(&["\n\na\r\n"], &["", "", "a"]);
        check(&[], &[]);
    }

    #[test]
    fn an_unterminated_last_line_counts_at_the_end_only() {
        check(&["a\nb"], &["a", "b"]);
        let mut lines = Lines::new(Position::default());
        feed(&mut lines, b"a");
        assert_eq!(lines.step(), Step::More);
    }

    #[test]
    fn positions_count_on_from_where_the_lines_start() {
        let mut lines = Lines::new(Position { lines: 10, offset: 1000 });
        feed(&mut lines, b"a\nbb\n");
        assert_eq!(lines.step(), Step::Line(b"a"));
        assert_eq!(lines.position(), Position { lines: 11, offset: 1002 });
        assert_eq!(lines.step(), Step::Line(b"bb"));
        assert_eq!(lines.position(), Position { lines: 12, offset: 1005 });
    }

    #[test]
    fn a_source_that_stops_has_no_unterminated_line() {
        let mut lines = Lines::new(Position::default());
        feed(&mut lines, b"a\nb");
        lines.stop();
        assert_eq!(lines.step(), Step::Line(b"a"));
        assert_eq!(lines.step(), Step::End);
        assert_eq!(lines.position(), Position { lines: 1, offset: 2 });
    }

    #[test]
    fn what_was_taken_makes_room() {
        let mut lines = Lines::new(Position::default());
        let text = [b"x".repeat(super::READ_BYTES - 1), b"\n".to_vec()].concat();
        for round in 1..=20 {
            feed(&mut lines, &text);
            assert_eq!(lines.step(), Step::Line(&text[..text.len() - 1]));
            assert_eq!(lines.position().offset, round * text.len() as u64);
        }
        assert!(lines.buffer.len() <= 4 * super::READ_BYTES, "{}", lines.buffer.len());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(Position::default());
        let refusal = loop {
            match lines.room() {
                Ok(room) => {
                    let bytes = room.len();
                    room.fill(b'x');
                    lines.fill(bytes);
                    assert_eq!(lines.step(), Step::More);
                }
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, LineTooLong { line: 1 });
    }
}
