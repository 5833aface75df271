//! The name of a counter: 1 to 256 bytes of UTF-8 without control characters, and no structure.

use compact_str::CompactString;

use crate::limits::NAME_BYTES_MAX;

/// A name held by a table; 24 bytes, inline up to 24 bytes of text.
pub type Name = CompactString;

/// Why bytes are no counter name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No byte at all.
    #[error("a counter name has at least 1 byte")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("a counter name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// Length of what was given.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("a counter name is UTF-8, byte {at} of this one is not")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// A control character.
    #[error("a counter name has no control characters, this one has one at byte {at}")]
    Control {
        /// Offset of the first control character.
        at: usize,
    },
}

/// Checks `bytes` as a counter name. Cost: one pass; ASCII takes the short way.
///
/// # Errors
/// Says which rule the bytes break, and where.
#[inline]
pub fn check(bytes: &[u8]) -> Result<&str, NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: bytes.len() });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| NameError::NotUtf8 { at: e.valid_up_to() })?;
    // Without an early exit the compiler looks at 16 bytes at once.
    let is_odd = |b: u8| u8::from(b < 0x20) | u8::from(b == 0x7F) | u8::from(b == 0xC2);
    match bytes.iter().fold(0, |odd, &b| odd | is_odd(b)) {
        0 => Ok(text),
        _ => check_controls(text),
    }
}

/// The slow way: C1 controls start with byte C2, as many harmless characters do.
fn check_controls(text: &str) -> Result<&str, NameError> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        None => Ok(text),
        Some((at, _)) => Err(NameError::Control { at }),
    }
}

#[cfg(test)]
mod tests {
    use super::{NameError, check};

    fn verdict(bytes: &[u8], expected: Result<(), NameError>) {
        assert_eq!(check(bytes).map(|_| ()), expected, "{bytes:?}");
    }

    #[test]
    fn a_name_is_text_of_1_to_256_bytes_without_controls() {
        verdict(b"user:1/likes", Ok(()));
        verdict("caf\u{e9} \u{a3}".as_bytes(), Ok(()));
        verdict(&[b'x'; 256], Ok(()));
        verdict(b"", Err(NameError::Empty));
        verdict(&[b'x'; 257], Err(NameError::TooLong { bytes: 257 }));
        verdict(b"ab\xFF", Err(NameError::NotUtf8 { at: 2 }));
        verdict(b"a\nb", Err(NameError::Control { at: 1 }));
        verdict("a\u{85}".as_bytes(), Err(NameError::Control { at: 1 }));
        verdict(b"a\x7F", Err(NameError::Control { at: 1 }));
    }
}
