//! Entries from a file or a pipe, line by line.
//!
//! A dump is known by its content: the same bytes are the same dump, wherever they lie, and a file
//! that was changed is another one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use stdx::hash::hash128;

use crate::transfer::entry::Unfit;
use crate::transfer::format::{Decoder, Format};
use crate::transfer::import::{Entries, Item, SourceError};

/// Longest line, in bytes. Guess: the longest name, escaped six bytes each, is under two thousand.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The mark of byte order that some programs write before a text of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes that are hashed at once.
const PIECE_BYTES: usize = 256 << 10;

/// The lines of a dump.
pub struct Dump {
    input: BufReader<Box<dyn Read>>,
    decoder: Option<Decoder>,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dump at line {}", self.number)
    }
}

/// Returns what the file at `path` is known by: 32 hexadecimal digits of its content.
///
/// # Errors
/// It cannot be read.
pub fn identity(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digests = Vec::new();
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        if Read::by_ref(&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece)? == 0 {
            return Ok(format!("{:032x}", hash128(0, &digests)));
        }
        digests.extend_from_slice(&hash128(0, &piece).to_le_bytes());
    }
}

impl Dump {
    /// Reads `input`; where no format is given its first byte tells.
    pub fn new(input: Box<dyn Read>, format: Option<Format>) -> Self {
        let input = BufReader::with_capacity(PIECE_BYTES, input);
        Self { input, decoder: format.map(Decoder::new), line: Vec::new(), number: 0, bytes: 0 }
    }

    /// Reads the next line without its end; false at the end of all.
    fn step(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut limited = Read::by_ref(&mut self.input).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.line)?;
        self.bytes += read as u64;
        self.number += 1;
        if self.number == 1 && self.line.starts_with(MARK) {
            self.line.drain(..MARK.len());
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            self.line.pop_if(|last| *last == b'\r');
        } else if read as u64 == LINE_BYTES_MAX {
            self.skip_rest()?;
        }
        Ok(read > 0)
    }

    /// Passes over the rest of a line that is too long, and leaves a line that is no entry.
    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let waiting = self.input.fill_buf()?;
            let end = memchr::memchr(b'\n', waiting);
            let passed = end.map_or(waiting.len(), |end| end + 1);
            self.input.consume(passed);
            self.bytes += passed as u64;
            if end.is_some() || passed == 0 {
                return Ok(());
            }
        }
    }
}

impl Entries for Dump {
    fn next(&mut self) -> Result<Option<Item>, SourceError> {
        while self.step()? {
            if self.line.len() as u64 == LINE_BYTES_MAX {
                let why = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                return Ok(Some(Item { number: self.number, entry: Err(Unfit::bad(why)) }));
            }
            let first = self.line.first().copied().unwrap_or_default();
            let decoder = self.decoder.get_or_insert_with(|| Decoder::new(Format::of(first)));
            let entry = decoder.entry(&self.line, self.number == 1).transpose();
            if let Some(entry) = entry {
                return Ok(Some(Item { number: self.number, entry }));
            }
        }
        Ok(None)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Dump, LINE_BYTES_MAX, identity};
    use crate::transfer::import::Entries as _;

    fn check(text: &[u8], expected: &[(u64, Result<&str, &str>)]) {
        let mut dump = Dump::new(Box::new(std::io::Cursor::new(text.to_vec())), None);
        for (number, entry) in expected {
            let item = dump.next().expect("readable").expect("an item");
            assert_eq!(item.number, *number);
            match (item.entry, entry) {
                (Ok(found), Ok(name)) => assert_eq!(found.name, *name),
                (Err(found), Err(why)) => assert!(found.why.contains(why), "{found:?}"),
                (found, _) => panic!("{found:?}"),
            }
        }
        assert!(dump.next().expect("readable").is_none());
        assert_eq!(dump.bytes(), text.len() as u64);
    }

    #[test]
    fn lines_are_numbered_and_a_bad_one_does_not_hide_the_next() {
        check(b"", &[]);
        check(b"counter,value,expires_at_ms\na,1,\r\n\nb,2,7", &[(2, Ok("a")), (4, Ok("b"))]);
        check(b"\xef\xbb\xbfcounter,value,expires_at_ms\na,1\n", &[(2, Ok("a"))]);
        check(b"a,1\nnonsense\nb,2\n", &[(1, Ok("a")), (2, Err("fields")), (3, Ok("b"))]);
        check(b"{\"counter\":\"a\",\"value\":1}\n", &[(1, Ok("a"))]);
        let long = [vec![b'x'; 3 * LINE_BYTES_MAX as usize], b"\na,1\n".to_vec()].concat();
        check(&long, &[(1, Err("longer")), (2, Ok("a"))]);
    }

    #[test]
    fn a_dump_is_known_by_its_content() {
        let folder = tempfile::tempdir().expect("a directory");
        let identity = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            identity(&path).expect("readable")
        };
        let large = vec![7; 600_000];
        assert_eq!(identity("a", &large), identity("b", &large));
        assert_ne!(identity("a", &large), identity("b", &large[1..]));
        assert_ne!(identity("a", b""), identity("b", b"x"));
    }
}
