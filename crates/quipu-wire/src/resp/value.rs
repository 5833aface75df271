//! The client's side of RESP: replies in, commands out.
//!
//! A reply arrives in pieces of any size. [`Scanner`] finds where the first reply in a buffer
//! ends, remembering how far it looked; [`Tokens`] then walks that reply without allocating, and
//! [`Value::decode`] makes a tree of it where convenience matters more than speed.
//! Both versions are read by one decoder: their type bytes do not overlap.

use thiserror::Error;

/// Longest string that a reply may hold, in bytes. Guess: far above any reply of a node.
pub const STRING_BYTES_MAX: usize = 64 << 20;
/// Most elements that one array of a reply may announce. Guess: far above any reply of a node.
pub const ELEMENTS_MAX: usize = 1 << 20;
/// Deepest nesting of a reply's tree. Guess: replies of a node nest three levels.
pub const DEPTH_MAX: usize = 16;
/// Longest header (a type byte and a number or a line), in bytes. Guess: errors are one sentence.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Why bytes are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A reply began with a byte that names no type.
    #[error("the reply begins with byte {0:#04x}, which names no RESP type")]
    UnknownType(u8),
    /// A number was expected and something else stood there.
    #[error("a RESP number or length is malformed")]
    BadNumber,
    /// A string was not followed by CR LF, or a boolean or null had content that it cannot have.
    #[error("a RESP value is not terminated as its type demands")]
    BadEnd,
    /// A header line, string, array or nesting is beyond this decoder's limits.
    #[error("a RESP value exceeds the limits of this client")]
    TooBig,
    /// The bytes end inside the reply. A [`Scanner`] never lets this happen.
    #[error("the RESP value is cut short")]
    Cut,
}

/// One element of a reply, borrowed from the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A status line such as `OK`.
    Simple(&'a [u8]),
    /// An error line, with its leading word, without the type byte.
    Error(&'a [u8]),
    /// A string of any bytes; RESP3 big numbers, doubles and verbatim strings too, as text.
    Bulk(&'a [u8]),
    /// A signed 64-bit number.
    Integer(i64),
    /// A boolean of RESP3.
    Boolean(bool),
    /// Nothing: a null of either version.
    Null,
    /// So many elements follow. Maps of RESP3 count two per entry.
    Array(usize),
}

/// Finds the end of the first reply in a growing buffer without looking at any byte twice.
#[derive(Debug, Clone, Default)]
pub struct Scanner {
    at: usize,
    open: Option<usize>,
}

impl Scanner {
    /// Returns the length of the first reply of `buffer`, or `None` while it is not complete.
    ///
    /// Between calls the buffer may only grow; once a length was returned the caller takes that
    /// many bytes away and the scanner starts over.
    ///
    /// # Errors
    /// The bytes are not RESP, or exceed the limits; the connection is then of no further use.
    pub fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, DecodeError> {
        let mut open = self.open.unwrap_or(1);
        while open > 0 {
            let rest = buffer.get(self.at..).unwrap_or_default();
            let Some((token, used)) = token(rest)? else {
                self.open = Some(open);
                return Ok(None);
            };
            self.at += used;
            open -= 1;
            if let Token::Array(elements) = token {
                open += elements;
            }
        }
        let end = self.at;
        *self = Scanner::default();
        Ok(Some(end))
    }
}

/// The elements of one complete reply, in order.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Walks `reply`, which holds at least one complete reply.
    pub fn new(reply: &'a [u8]) -> Tokens<'a> {
        Tokens { rest: reply }
    }

    /// Takes the next element.
    ///
    /// # Errors
    /// The bytes are not RESP, or end too early.
    pub fn take(&mut self) -> Result<Token<'a>, DecodeError> {
        let (token, used) = token(self.rest)?.ok_or(DecodeError::Cut)?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(token)
    }
}

/// A reply as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A status line such as `OK`.
    Simple(Vec<u8>),
    /// An error line, without the type byte.
    Error(Vec<u8>),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// A signed 64-bit number.
    Integer(i64),
    /// A boolean of RESP3.
    Boolean(bool),
    /// Nothing.
    Null,
    /// Elements; a map of RESP3 is its keys and values in turn, as RESP2 sends it.
    Array(Vec<Value>),
}

impl Value {
    /// Decodes the one reply that `reply` holds, as [`Scanner::end`] delimits it.
    ///
    /// # Errors
    /// The bytes are not RESP, nest too deep, or end too early.
    pub fn decode(reply: &[u8]) -> Result<Value, DecodeError> {
        Value::take(&mut Tokens::new(reply), DEPTH_MAX)
    }

    fn take(tokens: &mut Tokens<'_>, depth: usize) -> Result<Value, DecodeError> {
        let elements = match tokens.take()? {
            Token::Simple(text) => return Ok(Value::Simple(text.to_vec())),
            Token::Error(text) => return Ok(Value::Error(text.to_vec())),
            Token::Bulk(bytes) => return Ok(Value::Bulk(bytes.to_vec())),
            Token::Integer(number) => return Ok(Value::Integer(number)),
            Token::Boolean(truth) => return Ok(Value::Boolean(truth)),
            Token::Null => return Ok(Value::Null),
            Token::Array(elements) => elements,
        };
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooBig)?;
        (0..elements)
            .map(|_| Value::take(tokens, depth))
            .collect::<Result<_, _>>()
            .map(Value::Array)
    }
}

/// Reads the first element of `bytes` and its length; `None` while it is not complete.
fn token(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, DecodeError> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !b"+-:$*_#,(!=%~>".contains(&kind) {
        return Err(DecodeError::UnknownType(kind));
    }
    let Some(line) = line(rest)? else { return Ok(None) };
    let used = 1 + line.len() + 2;
    let token = match kind {
        b'+' => Token::Simple(line),
        b'-' => Token::Error(line),
        b',' | b'(' => Token::Bulk(line),
        b':' => Token::Integer(number(line)?),
        b'_' if line.is_empty() => Token::Null,
        b'#' if line == b"t" => Token::Boolean(true),
        b'#' if line == b"f" => Token::Boolean(false),
        b'_' | b'#' => return Err(DecodeError::BadEnd),
        b'*' | b'~' | b'>' => elements(line, 1)?,
        b'%' => elements(line, 2)?,
        _ => return string(kind, line, bytes.get(used..).unwrap_or_default(), used),
    };
    Ok(Some((token, used)))
}

/// Reads a string whose header line is `length`; `rest` follows that header of `header` bytes.
fn string<'a>(
    kind: u8,
    length: &[u8],
    rest: &'a [u8],
    header: usize,
) -> Result<Option<(Token<'a>, usize)>, DecodeError> {
    if length == b"-1" {
        return Ok(Some((Token::Null, header)));
    }
    let length = usize::try_from(number(length)?).map_err(|_| DecodeError::BadNumber)?;
    if length > STRING_BYTES_MAX {
        return Err(DecodeError::TooBig);
    }
    let (Some(text), Some(end)) = (rest.get(..length), rest.get(length..length + 2)) else {
        return Ok(None);
    };
    if end != b"\r\n" {
        return Err(DecodeError::BadEnd);
    }
    let token = match kind {
        b'!' => Token::Error(text),
        // A verbatim string begins with three letters of format and a colon.
        b'=' => Token::Bulk(text.get(4..).ok_or(DecodeError::BadEnd)?),
        _ => Token::Bulk(text),
    };
    Ok(Some((token, header + length + 2)))
}

fn elements<'a>(line: &[u8], per_entry: usize) -> Result<Token<'a>, DecodeError> {
    if line == b"-1" {
        return Ok(Token::Null);
    }
    let entries = usize::try_from(number(line)?).map_err(|_| DecodeError::BadNumber)?;
    if entries > ELEMENTS_MAX {
        return Err(DecodeError::TooBig);
    }
    Ok(Token::Array(entries * per_entry))
}

/// Returns the bytes before the first CR LF of `bytes`; `None` while there is none.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    let head = bytes.get(..LINE_BYTES_MAX.min(bytes.len())).unwrap_or(bytes);
    match memchr::memchr(b'\r', head) {
        None if head.len() == LINE_BYTES_MAX => Err(DecodeError::TooBig),
        None => Ok(None),
        Some(at) => match bytes.get(at + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(bytes.get(..at)),
            Some(_) => Err(DecodeError::BadEnd),
        },
    }
}

fn number(line: &[u8]) -> Result<i64, DecodeError> {
    let (negative, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 {
        return Err(DecodeError::BadNumber);
    }
    let mut sum = 0_i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return Err(DecodeError::BadNumber);
        }
        let signed = if negative { -digit } else { digit };
        sum = sum
            .checked_mul(10)
            .and_then(|sum| sum.checked_add(signed))
            .ok_or(DecodeError::BadNumber)?;
    }
    Ok(sum)
}

/// Appends to `out` the header of a command of `parts` parts; that many [`put_part`] must follow.
pub fn put_header(out: &mut Vec<u8>, parts: usize) {
    put_length(out, b'*', parts);
}

/// Appends one part of a command to `out`.
pub fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    put_length(out, b'$', part.len());
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number, as text, as one part of a command to `out`.
pub fn put_number(out: &mut Vec<u8>, number: u64) {
    put_part(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a whole command to `out`.
pub fn put_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    put_header(out, parts.len());
    for part in parts {
        put_part(out, part);
    }
}

fn put_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEPTH_MAX, DecodeError, ELEMENTS_MAX, Scanner, Value, put_command};

    /// Feeds `bytes` one at a time and decodes the reply once its end is found.
    fn check(bytes: &[u8], expected: &Result<Value, DecodeError>) {
        let mut scanner = Scanner::default();
        for seen in 0..=bytes.len() {
            match scanner.end(&bytes[..seen]) {
                Ok(None) => {}
                Ok(Some(end)) => {
                    assert_eq!(end, bytes.len(), "end of {bytes:?}");
                    assert_eq!(&Value::decode(bytes), expected);
                    return;
                }
                Err(error) => {
                    assert_eq!(&Err(error), expected);
                    return;
                }
            }
        }
        assert_eq!(&Err(DecodeError::Cut), expected, "{bytes:?} has no end");
    }

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn every_type_of_both_versions_is_read_byte_by_byte() {
        check(b"+OK\r\n", &Ok(Value::Simple(b"OK".to_vec())));
        check(b"-HELD 7 x\r\n", &Ok(Value::Error(b"HELD 7 x".to_vec())));
        check(b"!5\r\nERR a\r\n", &Ok(Value::Error(b"ERR a".to_vec())));
        check(b":-9223372036854775808\r\n", &Ok(Value::Integer(i64::MIN)));
        check(b"$4\r\na\r\nb\r\n", &Ok(bulk("a\r\nb")));
        check(b"=6\r\ntxt:ab\r\n", &Ok(bulk("ab")));
        check(b",1.5\r\n", &Ok(bulk("1.5")));
        check(b"(123456789012345678901\r\n", &Ok(bulk("123456789012345678901")));
        check(b"#t\r\n", &Ok(Value::Boolean(true)));
        for null in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
            check(null, &Ok(Value::Null));
        }
        let pair = vec![bulk("a"), Value::Array(vec![Value::Integer(1)])];
        check(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", &Ok(Value::Array(pair.clone())));
        check(b"%1\r\n$1\r\na\r\n~1\r\n:1\r\n", &Ok(Value::Array(pair)));
        check(b"*0\r\n", &Ok(Value::Array(vec![])));
    }

    #[test]
    fn malformed_bytes_are_refused_and_never_waited_for() {
        check(b"hello", &Err(DecodeError::UnknownType(b'h')));
        check(b":9223372036854775808\r\n", &Err(DecodeError::BadNumber));
        check(b":\r\n", &Err(DecodeError::BadNumber));
        check(b"$-2\r\n", &Err(DecodeError::BadNumber));
        check(b"$1\r\nabc", &Err(DecodeError::BadEnd));
        check(b"#x\r\n", &Err(DecodeError::BadEnd));
        check(b"+a\rb", &Err(DecodeError::BadEnd));
        check(b"$99999999999\r\n", &Err(DecodeError::TooBig));
        check(format!("*{}\r\n", ELEMENTS_MAX + 1).as_bytes(), &Err(DecodeError::TooBig));
        check(&b"+".repeat(super::LINE_BYTES_MAX + 2), &Err(DecodeError::TooBig));
        check(b"*2\r\n:1\r\n", &Err(DecodeError::Cut));
        let deep = [b"*1\r\n".repeat(DEPTH_MAX + 1), b":1\r\n".to_vec()].concat();
        check(&deep, &Err(DecodeError::TooBig));
    }

    proptest! {
        #[test]
        fn a_command_reads_back_as_the_array_of_its_parts(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)
        ) {
            let mut out = Vec::new();
            put_command(&mut out, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let value = Value::Array(parts.into_iter().map(Value::Bulk).collect());
            check(&out, &Ok(value));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(end)) = Scanner::default().end(&bytes) {
                prop_assert!(end <= bytes.len());
                prop_assert_ne!(Value::decode(&bytes[..end]), Err(DecodeError::Cut));
            }
        }
    }
}
