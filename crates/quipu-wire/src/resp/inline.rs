//! Inline commands: one line of words, quoted as in a shell.

use crate::resp::error::ProtocolError;

/// Where the words of a line stand in the text that they were unquoted to.
pub(crate) type Word = (usize, usize);

/// Splits `line` by Redis's rules: words stand apart by white space; within double quotes
/// `\n \r \t \b \a \xHH` and `\` before any other byte escape; within single quotes only `\'`; a
/// closing quote ends its word. Appends the words' bytes to `text` and tells `word` of each.
///
/// # Errors
/// A quote does not close, or something follows it at once.
pub(crate) fn split(
    line: &[u8],
    text: &mut Vec<u8>,
    mut word: impl FnMut(Word),
) -> Result<(), ProtocolError> {
    let mut rest = line;
    loop {
        rest = trim(rest);
        if rest.is_empty() {
            return Ok(());
        }
        let start = text.len();
        rest = one(rest, text)?;
        word((start, text.len()));
    }
}

/// Reads one word and returns what follows it.
fn one<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [] => return Ok(rest),
            [b, ..] if is_space(*b) || *b == 0 => return Ok(rest.get(1..).unwrap_or_default()),
            [b'"', inner @ ..] => return closed(double(inner, text)?),
            [b'\'', inner @ ..] => return closed(single(inner, text)?),
            [b, after @ ..] => {
                text.push(*b);
                rest = after;
            }
        }
    }
}

fn closed(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest {
        [b, ..] if !is_space(*b) => Err(ProtocolError::Quotes),
        _ => Ok(rest),
    }
}

/// Reads up to the closing double quote.
fn double<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(ProtocolError::Quotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [b, after @ ..] => (*b, after),
        };
        text.push(byte);
        rest = after;
    }
}

/// Reads up to the closing single quote.
fn single<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(ProtocolError::Quotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b, after @ ..] => (*b, after),
        };
        text.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// White space as C's `isspace` has it: with the vertical tab that `is_ascii_whitespace` lacks.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !is_space(*b)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::resp::error::ProtocolError;

    fn check(line: &str, expected: Result<&[&[u8]], ProtocolError>) {
        let (mut text, mut words) = (Vec::new(), Vec::new());
        let result = split(line.as_bytes(), &mut text, |w| words.push(w));
        let words: Vec<&[u8]> = words.iter().map(|&(start, end)| &text[start..end]).collect();
        assert_eq!(result.map(|()| words.as_slice()), expected, "{line:?}");
    }

    #[test]
    fn a_line_splits_as_in_redis() {
        check("", Ok(&[]));
        check("  \t ", Ok(&[]));
        check("incr a", Ok(&[b"incr", b"a"]));
        check("  set  a\t1 ", Ok(&[b"set", b"a", b"1"]));
        check(r#"get "a b""#, Ok(&[b"get", b"a b"]));
        check(r#"get "" ''"#, Ok(&[b"get", b"", b""]));
        check(r#""\x41\x4a\n\t\"\\\q\xZ""#, Ok(&[b"AJ\n\t\"\\qxZ"]));
        check(r"'a\'b\n'", Ok(&[b"a'b\\n"]));
        check(r#"ab"cd""#, Ok(&[b"abcd"]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in ["\"abc", "'abc", "\"a\"b", "'a'b", "\"a\\", "\"a\\\""] {
            check(line, Err(ProtocolError::Quotes));
        }
    }
}
