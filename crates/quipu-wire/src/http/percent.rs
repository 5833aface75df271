//! Percent-encoding of path segments, and decoding of these and of query parts.

use std::borrow::Cow;

/// A percent sign without two hexadecimal digits after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a percent sign needs two hexadecimal digits after it, the one at byte {at} has not")]
pub struct PercentError {
    /// Offset of the percent sign in the encoded text.
    pub at: usize,
}

/// Decodes one segment of a path. A plus sign is a plus sign.
///
/// # Errors
/// A percent sign stands alone.
pub fn decode_segment(text: &str) -> Result<Cow<'_, [u8]>, PercentError> {
    decode(text, false)
}

/// Decodes a name or a value of a query, where a plus sign is a space.
///
/// # Errors
/// A percent sign stands alone.
pub fn decode_query(text: &str) -> Result<Cow<'_, [u8]>, PercentError> {
    decode(text, true)
}

/// Encodes a text as one segment of a path.
pub fn encode_segment(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// Encodes bytes, which need not be text, as one segment of a path or one value of a query.
pub fn encode_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
    }
    out
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, [u8]>, PercentError> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let at = bytes.len() - tail.len() - 1;
                let (value, tail) = hex_pair(tail).ok_or(PercentError { at })?;
                decoded.push(value);
                rest = tail;
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    Ok(Cow::Owned(decoded))
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = bytes.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some(((digit(high)? << 4 | digit(low)?) as u8, rest))
}

#[cfg(test)]
mod tests {
    use super::{PercentError, decode_query, decode_segment};

    fn check(text: &str, segment: Result<&[u8], usize>, query: Result<&[u8], usize>) {
        let expected =
            |e: Result<&[u8], usize>| e.map(<[u8]>::to_vec).map_err(|at| PercentError { at });
        assert_eq!(decode_segment(text).map(|d| d.to_vec()), expected(segment), "{text}");
        assert_eq!(decode_query(text).map(|d| d.to_vec()), expected(query), "{text}");
    }

    #[test]
    fn an_encoded_segment_is_decoded_to_what_it_was() {
        let text = "user:1/li kes+100% caf\u{e9}?#";
        let encoded = super::encode_segment(text);
        assert!(encoded.starts_with("user%3a1%2fli%20kes%2b100%25%20caf%c3%a9%3f"), "{encoded}");
        assert_eq!(decode_segment(&encoded).as_deref(), Ok(text.as_bytes()));
    }

    #[test]
    fn two_digits_make_a_byte_and_a_plus_is_a_space_in_queries_alone() {
        check("user:1", Ok(b"user:1"), Ok(b"user:1"));
        check("a%2Fb%2fc", Ok(b"a/b/c"), Ok(b"a/b/c"));
        check("a+b", Ok(b"a+b"), Ok(b"a b"));
        check("%FF%00", Ok(b"\xFF\0"), Ok(b"\xFF\0"));
        check("%25", Ok(b"%"), Ok(b"%"));
        check("ab%2", Err(2), Err(2));
        check("%", Err(0), Err(0));
        check("%zz", Err(0), Err(0));
        check("%+1", Err(0), Err(0));
    }
}
