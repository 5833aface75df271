//! What a block of response headers says, as far as a load test reads it: the status.
//!
//! The table of the connection (RFC 7541, section 2.3) is kept in lengths: an entry is as long as its
//! name and its value, and that is all that later blocks need to know of it. So no header is copied,
//! and no text is decoded but the status: a request costs no allocation, and a text with the static
//! Huffman code is only measured, which its canonical form permits without the table of symbols.

use std::collections::VecDeque;

use quipu_lab::failure::Failure;

use crate::driver::http2::static_table;

/// The size of the table, as long as nobody agrees on another (RFC 9113, section 6.5.2).
const TABLE_BYTES: usize = 4_096;
/// What an entry takes beside its texts (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;
/// The least index of the table of the connection.
const DYNAMIC_FIRST: usize = 62;
/// `:status` in the static Huffman code.
const STATUS_HUFFMAN: &[u8] = &[0xb8, 0x84, 0x8d, 0x36, 0xa3];
const STATUS: &str = ":status";

/// How many symbols have a code of each length, from 5 bits on (RFC 7541, appendix B, with the end).
const CODES: [u32; 26] =
    [10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];
/// The shortest code.
const CODE_BITS_MIN: u32 = 5;

/// A header in the table of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    name_bytes: usize,
    value_bytes: usize,
    is_status: bool,
    status: Option<u16>,
}

/// Reads blocks of one connection, in their order.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The latest first.
    entries: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

/// A text in a block.
#[derive(Debug, Clone, Copy)]
struct Text<'b> {
    bytes: &'b [u8],
    is_huffman: bool,
}

/// What a name is.
#[derive(Debug, Clone, Copy)]
struct Name {
    bytes: usize,
    is_status: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit: TABLE_BYTES }
    }

    /// Begins with a new connection.
    pub(super) fn reset(&mut self) {
        self.entries.clear();
        (self.bytes, self.limit) = (0, TABLE_BYTES);
    }

    /// Reads a block and returns the status in it; trailers have none.
    ///
    /// # Errors
    /// It is no block of headers.
    pub(super) fn status(&mut self, block: &[u8]) -> Result<Option<u16>, Failure> {
        let (mut rest, mut status) = (block, None);
        while let Some(first) = rest.first() {
            let found = match first {
                0x80.. => self.indexed(&mut rest)?,
                0x40.. => self.literal(&mut rest, 6, true)?,
                0x20.. => self.resize(&mut rest)?,
                _ => self.literal(&mut rest, 4, false)?,
            };
            status = status.or(found);
        }
        Ok(status)
    }

    fn indexed(&self, rest: &mut &[u8]) -> Result<Option<u16>, Failure> {
        let index = integer(rest, 7)?;
        if index < DYNAMIC_FIRST {
            static_table::name(index).ok_or(Failure::Protocol)?;
            return Ok(static_table::status(index));
        }
        Ok(self.entry(index)?.status)
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        bits: u32,
        is_kept: bool,
    ) -> Result<Option<u16>, Failure> {
        let name = match integer(rest, bits)? {
            0 => Text::read(rest)?.name(is_kept)?,
            index => self.name(index)?,
        };
        let value = Text::read(rest)?;
        let status = if name.is_status { Some(value.status()?) } else { None };
        if is_kept {
            let value_bytes = value.len()?;
            self.insert(Entry {
                name_bytes: name.bytes,
                value_bytes,
                is_status: name.is_status,
                status,
            });
        }
        Ok(status)
    }

    fn resize(&mut self, rest: &mut &[u8]) -> Result<Option<u16>, Failure> {
        let limit = integer(rest, 5)?;
        if limit > TABLE_BYTES {
            return Err(Failure::Protocol);
        }
        self.limit = limit;
        self.evict(0);
        Ok(None)
    }

    fn entry(&self, index: usize) -> Result<Entry, Failure> {
        self.entries.get(index - DYNAMIC_FIRST).copied().ok_or(Failure::Protocol)
    }

    fn name(&self, index: usize) -> Result<Name, Failure> {
        if index < DYNAMIC_FIRST {
            let name = static_table::name(index).ok_or(Failure::Protocol)?;
            return Ok(Name { bytes: name.len(), is_status: name == STATUS });
        }
        let entry = self.entry(index)?;
        Ok(Name { bytes: entry.name_bytes, is_status: entry.is_status })
    }

    /// An entry that is too long for the table empties it (RFC 7541, section 4.4).
    fn insert(&mut self, entry: Entry) {
        let bytes = entry.name_bytes + entry.value_bytes + ENTRY_BYTES;
        self.evict(bytes);
        if bytes <= self.limit {
            self.entries.push_front(entry);
            self.bytes += bytes;
        }
    }

    /// Makes room for so many bytes, as far as that is possible.
    fn evict(&mut self, bytes: usize) {
        while self.bytes + bytes > self.limit {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.name_bytes + oldest.value_bytes + ENTRY_BYTES;
        }
    }
}

impl<'b> Text<'b> {
    fn read(rest: &mut &'b [u8]) -> Result<Self, Failure> {
        let is_huffman = rest.first().ok_or(Failure::Protocol)? & 0x80 != 0;
        let len = integer(rest, 7)?;
        let (bytes, behind) = rest.split_at_checked(len).ok_or(Failure::Protocol)?;
        *rest = behind;
        Ok(Self { bytes, is_huffman })
    }

    /// How long it is when it is decoded.
    fn len(self) -> Result<usize, Failure> {
        if self.is_huffman { huffman_len(self.bytes) } else { Ok(self.bytes.len()) }
    }

    /// Returns what is known of a name; its length only if somebody keeps it.
    fn name(self, is_kept: bool) -> Result<Name, Failure> {
        let of_status = if self.is_huffman { STATUS_HUFFMAN } else { STATUS.as_bytes() };
        let bytes = if is_kept { self.len()? } else { 0 };
        Ok(Name { bytes, is_status: self.bytes == of_status })
    }

    /// Reads three digits.
    fn status(self) -> Result<u16, Failure> {
        let digits = if self.is_huffman {
            huffman_digits(self.bytes)
        } else {
            self.bytes
                .try_into()
                .ok()
                .filter(|digits: &[u8; 3]| digits.iter().all(u8::is_ascii_digit))
        };
        let digits = digits.ok_or(Failure::Protocol)?;
        Ok(digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
    }
}

/// Reads an integer with a prefix of `bits` (RFC 7541, section 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Result<usize, Failure> {
    let mask = (1_u8 << bits) - 1;
    let mut next = || {
        let (first, behind) = rest.split_first().ok_or(Failure::Protocol)?;
        *rest = behind;
        Ok::<u8, Failure>(*first)
    };
    let prefix = next()? & mask;
    if prefix < mask {
        return Ok(usize::from(prefix));
    }
    let mut value = usize::from(mask);
    // Four bytes hold more than any length that may stand here.
    for shift in (0..28).step_by(7) {
        let byte = next()?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Failure::Protocol)
}

/// Counts the symbols of a text in the static Huffman code, which is canonical: codes of one length
/// are consecutive numbers, so a code is complete where it is below the end of its length.
fn huffman_len(bytes: &[u8]) -> Result<usize, Failure> {
    let (mut len, mut code, mut bits, mut end) = (0, 0_u32, 0, 0);
    let all = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    for bit in all {
        (code, bits) = (code << 1 | u32::from(bit), bits + 1);
        let codes = bits_place(bits).and_then(|place| CODES.get(place)).copied().unwrap_or(0);
        end = (end << 1) + codes;
        if bits > 30 {
            return Err(Failure::Protocol);
        }
        if code < end {
            (len, code, bits, end) = (len + 1, 0, 0, 0);
        }
    }
    // What is left is the beginning of the end: fewer than 8 bits, all of them set.
    let is_padding = bits < 8 && code == (1 << bits) - 1;
    if is_padding { Ok(len) } else { Err(Failure::Protocol) }
}

fn bits_place(bits: u32) -> Option<usize> {
    bits.checked_sub(CODE_BITS_MIN).map(|place| place as usize)
}

/// Reads three digits: `0` to `2` have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> Option<[u8; 3]> {
    let mut word = [0; 4];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let mut code = u32::from_be_bytes(word);
    let mut digits = [0; 3];
    for digit in &mut digits {
        let (value, bits) = match (code >> 27, code >> 26) {
            (short @ 0..=2, _) => (short, 5),
            (_, long @ 25..=31) => (long - 22, 6),
            _ => return None,
        };
        *digit = b'0' + value as u8;
        code <<= bits;
    }
    Some(digits)
}

#[cfg(test)]
mod tests;
