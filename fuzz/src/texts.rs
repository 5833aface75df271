//! Small texts: amounts with units, numbers, patterns, percent-encoding, names.
//!
//! The first byte chooses what the rest is read as. What is printed reads back; two readers of the
//! same rule agree; a pattern matches as the plain rule says.

use std::fmt::{Display, Write};
use std::str::FromStr;

use quipu_client::matcher;
use quipu_core::name;
use quipu_wire::http::percent::{decode_query, decode_segment};
use quipu_wire::resp::{number, pattern};
use stdx::units::{Bytes, Nanos, Ratio};

/// Tries one input.
pub fn run(input: &[u8]) {
    let Some((way, bytes)) = input.split_first() else { return };
    let text = str::from_utf8(bytes).unwrap_or_default();
    match way & 7 {
        0 => amount::<Bytes>(text, |read| Bytes(read.0 ^ 1)),
        1 => amount::<Nanos>(text, |read| Nanos(read.0 ^ 1)),
        2 => amount::<Ratio>(text, |read| Ratio::new(1.0 - read.get()).expect("a ratio")),
        3 => numbers(bytes),
        4 => patterns(bytes),
        5 => percent(bytes, text),
        6 => names(bytes),
        _ => printed(bytes),
    }
}

/// What is read prints as something that reads as the same, and so does its neighbour.
fn amount<T>(text: &str, neighbour: fn(T) -> T)
where
    T: FromStr + Display + PartialEq + Copy + std::fmt::Debug,
    T::Err: Display,
{
    match text.parse::<T>() {
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(text) && said.len() < text.len() + 200, "{said}");
        }
        Ok(read) => {
            for value in [read, neighbour(read)] {
                let printed = value.to_string();
                assert_eq!(printed.parse::<T>().ok(), Some(value), "{printed} from {text}");
            }
        }
    }
}

/// Every amount prints as something that reads as itself.
fn printed(bytes: &[u8]) {
    let mut word = [0; 8];
    let count = bytes.len().min(8);
    word[..count].copy_from_slice(&bytes[..count]);
    let number = u64::from_le_bytes(word);
    assert_eq!(Bytes(number).to_string().parse(), Ok(Bytes(number)));
    assert_eq!(Nanos(number).to_string().parse(), Ok(Nanos(number)));
    if let Some(ratio) = Ratio::new(f64::from_bits(number)) {
        assert_eq!(ratio.to_string().parse(), Ok(ratio));
    }
    drop((Bytes(number).approximate(), Nanos(number).approximate()));
    assert_eq!(number::unsigned(number.to_string().as_bytes()), Some(number));
    let signed = number as i64;
    assert_eq!(number::signed(signed.to_string().as_bytes()), Some(signed));
}

/// A number is read only in its canonical form, which is how it prints.
fn numbers(bytes: &[u8]) {
    if let Some(read) = number::signed(bytes) {
        assert_eq!(read.to_string().as_bytes(), bytes);
    }
    if let Some(read) = number::unsigned(bytes) {
        assert_eq!(read.to_string().as_bytes(), bytes);
    }
    let plain = str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
    let is_canonical = plain.is_some_and(|read| read.to_string().as_bytes() == bytes);
    assert_eq!(number::signed(bytes), plain.filter(|_| is_canonical));
}

/// The first zero byte parts pattern and text.
fn patterns(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (glob, text) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let found = pattern::matches(glob, text);
    let stars = glob.split(|byte| *byte == b'*').count() - 1;
    let is_plain = !glob.iter().any(|byte| b"[]\\^".contains(byte));
    if is_plain && stars <= 4 && text.len() <= 24 {
        assert_eq!(found, plainly(glob, text), "{} {}", glob.escape_ascii(), text.escape_ascii());
    }
}

/// The rule of stars and question marks without any thought of cost.
fn plainly(glob: &[u8], text: &[u8]) -> bool {
    match (glob, text) {
        ([], []) => true,
        ([b'*', after @ ..], _) => (0..=text.len()).any(|at| plainly(after, &text[at..])),
        ([b'?', after @ ..], [_, rest @ ..]) => plainly(after, rest),
        ([g, after @ ..], [t, rest @ ..]) => g == t && plainly(after, rest),
        _ => false,
    }
}

/// Any bytes that are encoded decode to themselves; decoding never makes a text longer.
fn percent(bytes: &[u8], text: &str) {
    let mut encoded = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(*byte as char),
            other => write!(encoded, "%{other:02x}").expect("a string takes all"),
        }
    }
    assert_eq!(decode_segment(&encoded).as_deref(), Ok(bytes));
    assert_eq!(decode_query(&encoded.to_ascii_uppercase()).map(|d| d.len()), Ok(bytes.len()));
    match (decode_segment(text), decode_query(text)) {
        (Ok(segment), Ok(query)) => {
            assert!(segment.len() <= text.len());
            let spaced = |b: &u8| if *b == b'+' { b' ' } else { *b };
            let same =
                text.contains('%') || query.iter().copied().eq(text.bytes().map(|b| spaced(&b)));
            assert!(same && segment.len() == query.len());
        }
        (Err(segment), Err(query)) => {
            assert_eq!(segment, query);
            assert_eq!(text.as_bytes().get(segment.at), Some(&b'%'));
        }
        (segment, query) => panic!("one alone fails: {segment:?} {query:?}"),
    }
}

/// The node and the client know the same names.
fn names(bytes: &[u8]) {
    let node = name::check(bytes);
    assert_eq!(node.is_ok(), matcher::check_name(bytes).is_ok(), "{node:?}");
    if let Ok(name) = node {
        assert!(name.as_bytes() == bytes && !name.chars().any(char::is_control));
    }
}
