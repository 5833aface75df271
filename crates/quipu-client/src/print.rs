//! By what the content of a file is recognised when its inode does not tell: a hash of its first
//! lines, of as many as a power of two.
//!
//! A print is one number, so that a node can keep it as the checkpoint of a stream. It
//! covers between a quarter and a half of the lines that are there: a copy that ends a little
//! earlier than what was counted, as `copytruncate` makes it, has all of the lines that are
//! covered, and a file that was filled anew has not. Of few lines it covers more, so that it is
//! not only a header, with which many files begin.

use stdx::hash::Hasher64;

use crate::lines::Position;

/// Bits of an encoded print that say how many lines it covers.
const EXPONENT_BITS: u32 = 6;
const EXPONENT_MASK: u64 = (1 << EXPONENT_BITS) - 1;
/// The bits that hold the hash: a number of RESP is signed.
const HASH_MASK: u64 = (u64::MAX >> 1) & !EXPONENT_MASK;

/// Lines from which on half of them is enough. Guess: more than any header has.
const HALF_LINES_MIN: u64 = 64;

/// The hash of the first lines of a file, their ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// It covers 2 to the power of this many lines.
    exponent: u32,
    /// The hash without its lowest and its highest bits.
    hash: u64,
}

impl Print {
    /// Returns the number that a node keeps; never 0.
    pub fn encode(self) -> u64 {
        self.hash | u64::from(self.exponent + 1)
    }

    /// Reads the number that a node keeps; `None` of one that is not a print.
    pub fn decode(stored: u64) -> Option<Print> {
        let exponent = u32::try_from(stored & EXPONENT_MASK).ok()?.checked_sub(1)?;
        Some(Print { exponent, hash: stored & HASH_MASK })
    }

    /// Returns how many lines it covers.
    pub fn lines(self) -> u64 {
        1 << self.exponent
    }
}

/// Takes the bytes of a file from its begin on, counts lines and remembers the prints.
#[derive(Debug, Clone, Default)]
pub struct Printer {
    hasher: Hasher64,
    at: Position,
    /// The hash after 1, 2, 4, ... lines.
    hashes: Vec<u64>,
    /// Whether the last byte was not the end of a line.
    in_line: bool,
}

impl Printer {
    /// Says whether it is in the middle of a line.
    pub fn is_in_line(&self) -> bool {
        self.in_line
    }

    /// Returns how far it is: lines that are terminated, and all bytes.
    pub fn position(&self) -> Position {
        self.at
    }

    /// Takes from `bytes`, which follow, up to the end of line number `limit` at most, and returns
    /// how many bytes that were.
    pub fn advance(&mut self, bytes: &[u8], limit: u64) -> usize {
        let mut taken = 0;
        while self.at.lines < limit && taken < bytes.len() {
            let rest = bytes.get(taken..).unwrap_or_default();
            taken += self.advance_to_place(rest, limit);
        }
        taken
    }

    /// As [`Self::advance`], and no further than the next power of two.
    fn advance_to_place(&mut self, bytes: &[u8], limit: u64) -> usize {
        let place = 1_u64 << self.hashes.len();
        let wanted = usize::try_from(place.min(limit) - self.at.lines).unwrap_or(usize::MAX);
        let end = memchr::memchr_iter(b'\n', bytes).nth(wanted - 1);
        let piece = end.map_or(bytes, |end| bytes.get(..=end).unwrap_or_default());
        self.hasher.update(piece);
        self.at.offset += piece.len() as u64;
        self.in_line = piece.last() != Some(&b'\n');
        self.at.lines += match end {
            Some(_) => wanted as u64,
            None => memchr::memchr_iter(b'\n', piece).count() as u64,
        };
        if self.at.lines == place {
            self.hashes.push(self.hasher.digest());
        }
        piece.len()
    }

    /// Returns the print to keep: of half of many lines at most; `None` before the first
    /// line ended.
    pub fn latest(&self) -> Option<Print> {
        let lines = self.at.lines;
        let covered = if lines < HALF_LINES_MIN { lines } else { lines / 2 };
        self.of(covered.checked_ilog2()?)
    }

    /// Says whether the content begins with the lines of `print`; `None` where it has fewer lines
    /// so far.
    pub fn matches(&self, print: Print) -> Option<bool> {
        self.of(print.exponent).map(|own| own == print)
    }

    /// Says whether both were taken from the same content, as far as both have come.
    pub fn agrees(&self, other: &Printer) -> bool {
        self.hashes.iter().zip(&other.hashes).all(|(one, other)| one == other)
    }

    fn of(&self, exponent: u32) -> Option<Print> {
        let hash = self.hashes.get(exponent as usize)? & HASH_MASK;
        Some(Print { exponent, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::{Print, Printer};
    use crate::lines::Position;

    fn printer(content: &[u8], piece: usize) -> Printer {
        let mut printer = Printer::default();
        for piece in content.chunks(piece) {
            assert_eq!(printer.advance(piece, u64::MAX), piece.len());
        }
        printer
    }

    fn numbered(lines: u64) -> Vec<u8> {
        (0..lines).flat_map(|line| format!("line {line}\n").into_bytes()).collect()
    }

    #[test]
    fn pieces_make_no_difference_and_the_encoding_is_reversible() {
        let content = numbered(100);
        let whole = printer(&content, content.len());
        for piece in [1, 7, 64] {
            assert_eq!(printer(&content, piece).latest(), whole.latest());
        }
        let print = whole.latest().expect("a print");
        assert_eq!(print.lines(), 32);
        assert_eq!(Print::decode(print.encode()), Some(print));
        assert_eq!(Print::decode(64), None);
        assert!(print.encode() <= u64::MAX >> 1);
    }

    #[test]
    fn a_longer_file_and_a_slightly_shorter_copy_match_and_another_does_not() {
        let print = printer(&numbered(100), 50).latest().expect("a print");
        let check = |content: &[u8], expected: Option<bool>| {
            assert_eq!(printer(content, 50).matches(print), expected);
        };
        check(&numbered(5000), Some(true));
        check(&numbered(99), Some(true));
        check(&numbered(20), None);
        check(&[b"other\n".to_vec(), numbered(200)].concat(), Some(false));
    }

    #[test]
    fn a_printer_stops_after_the_line_that_it_is_told() {
        let mut printer = Printer::default();
        let content = numbered(10);
        assert_eq!(printer.advance(&content, 3), 3 * 7);
        assert_eq!(printer.position(), Position { lines: 3, offset: 21 });
        printer.advance(&content[21..], u64::MAX);
        assert_eq!(printer.latest(), self::printer(&content, 9).latest());
    }

    #[test]
    fn an_unterminated_line_is_not_covered() {
        assert_eq!(printer(b"a", 1).latest(), None);
        assert_eq!(printer(b"a\nb", 1).latest(), printer(b"a\n", 1).latest());
    }
}
