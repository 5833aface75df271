//! Entries as lines: JSON lines and CSV.
//!
//! A name has no line end, so an entry is a line in both. An expiry is a Unix time, so that a dump
//! means the same whenever it is read.

use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::transfer::entry::{Entry, Expiry, Unfit};

/// How entries stand in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"counter":"a","value":5}`, with `expires_at_ms` where it expires.
    JsonLines,
    /// `counter,value,expires_at_ms` as RFC 4180 quotes it, after a head that says so.
    Csv,
}

/// A name of a format that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a format is jsonl or csv")]
pub struct FormatError;

/// The head of a CSV dump.
pub const HEAD: &str = "counter,value,expires_at_ms";

/// Fields of a CSV entry; the last may be missing.
const FIELDS: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    counter: String,
    value: i64,
    #[serde(default)]
    expires_at_ms: Option<u64>,
}

impl Format {
    /// The format with this name, `jsonl` or `csv`.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, FormatError> {
        match name {
            "jsonl" => Ok(Self::JsonLines),
            "csv" => Ok(Self::Csv),
            _ => Err(FormatError),
        }
    }

    /// The format of a dump that begins with these bytes.
    pub fn of(first: u8) -> Self {
        if first == b'{' { Self::JsonLines } else { Self::Csv }
    }

    /// What stands before the first entry.
    pub fn head(self) -> &'static str {
        match self {
            Self::JsonLines => "",
            Self::Csv => "counter,value,expires_at_ms\n",
        }
    }

    /// An entry as a line, its end included.
    pub fn line(self, name: &str, value: i64, expires_at_ms: Option<u64>) -> String {
        match (self, expires_at_ms) {
            (Self::JsonLines, None) => format!("{}\n", json!({ "counter": name, "value": value })),
            (Self::JsonLines, Some(at)) => {
                format!("{}\n", json!({ "counter": name, "value": value, "expires_at_ms": at }))
            }
            (Self::Csv, at) => {
                let at = at.map(|at| at.to_string()).unwrap_or_default();
                format!("{},{value},{at}\n", quoted(name))
            }
        }
    }
}

/// Reads lines of one format.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    /// Kept, because making one costs more than reading a line.
    csv: csv_core::Reader,
}

impl Decoder {
    /// Reads lines of this format.
    pub fn new(format: Format) -> Self {
        Self { format, csv: csv_core::Reader::new() }
    }

    /// Reads a line without its end; none where it holds no entry, as the head of a CSV dump.
    ///
    /// # Errors
    /// It should hold one and does not.
    pub fn entry(&mut self, line: &[u8], is_first: bool) -> Result<Option<Entry>, Unfit> {
        let is_head = self.format == Format::Csv && is_first && line == HEAD.as_bytes();
        if line.is_empty() || is_head {
            return Ok(None);
        }
        match self.format {
            Format::JsonLines => json_entry(line).map(Some),
            Format::Csv => csv_entry(&csv_fields(&mut self.csv, line)?).map(Some),
        }
    }
}

fn json_entry(line: &[u8]) -> Result<Entry, Unfit> {
    let line: Line = serde_json::from_slice(line).map_err(|error| Unfit::bad(error.to_string()))?;
    Entry::new(line.counter.into_bytes(), line.value, line.expires_at_ms.map(Expiry::At))
}

/// A field of CSV. A name in quotes is read back whatever it begins or ends with.
fn quoted(name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@".contains(&b) || !b.is_ascii();
    // Readers take a mark of byte order away from where a text begins.
    let is_marked = name.starts_with('\u{feff}');
    if name.bytes().all(is_plain) && !is_marked { name.to_owned() } else { quote(name) }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn csv_entry(fields: &[Vec<u8>]) -> Result<Entry, Unfit> {
    let (name, value, expiry) = match fields {
        [name, value] => (name, value, &[][..]),
        [name, value, expiry] => (name, value, &expiry[..]),
        _ => return Err(Unfit::bad(format!("an entry is {HEAD}, not {} fields", fields.len()))),
    };
    let value = number(value).ok_or_else(|| Unfit::bad("the value is no 64-bit integer"))?;
    let expiry = match expiry {
        [] => None,
        at => Some(number(at).ok_or_else(|| Unfit::bad("the expiry is no Unix time"))?),
    };
    Entry::new(name.clone(), value, expiry.map(Expiry::At))
}

fn number<N: std::str::FromStr>(field: &[u8]) -> Option<N> {
    str::from_utf8(field).ok()?.parse().ok()
}

fn csv_fields(reader: &mut csv_core::Reader, line: &[u8]) -> Result<Vec<Vec<u8>>, Unfit> {
    reader.reset();
    let mut text = vec![0; line.len() + 1];
    let mut ends = [0; FIELDS + 1];
    let (_, _, written, ended) = reader.read_record(line, &mut text, &mut ends);
    let rest = text.get_mut(written..).unwrap_or_default();
    let places = ends.get_mut(ended..).unwrap_or_default();
    let (result, _, _, more) = reader.read_record(&[], rest, places);
    if result != csv_core::ReadRecordResult::Record {
        return Err(Unfit::bad(format!("an entry is {HEAD}, not more")));
    }
    let mut from = 0;
    let ends = ends.get(..ended + more).unwrap_or_default();
    Ok(ends
        .iter()
        .map(|end| {
            let field = text.get(from..*end).unwrap_or_default().to_vec();
            from = *end;
            field
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decoder, Format};
    use crate::transfer::entry::{Entry, Expiry};

    fn check(format: Format, line: &str, expected: Result<(&str, i64, Option<u64>), &str>) {
        let expected = expected.map(|(name, value, at)| {
            Some(Entry { name: name.to_owned(), value, expiry: at.map(Expiry::At) })
        });
        match (Decoder::new(format).entry(line.as_bytes(), false), expected) {
            (Err(unfit), Err(why)) => assert!(unfit.why.contains(why), "{line}: {unfit:?}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{line}"),
        }
    }

    #[test]
    fn lines_are_entries_or_say_why_not() {
        let json = |line, expected| check(Format::JsonLines, line, expected);
        json(r#"{"counter":"a","value":5}"#, Ok(("a", 5, None)));
        json(
            r#"{"value":-1,"counter":"\"\u00e9","expires_at_ms":9}"#,
            Ok(("\"\u{e9}", -1, Some(9))),
        );
        json(r#"{"counter":"a","value":9223372036854775808}"#, Err("invalid value"));
        json(r#"{"counter":"a","value":1.5}"#, Err("invalid type"));
        json(r#"{"counter":"a","valu"#, Err("EOF"));
        json(r#"{"counter":"","value":1}"#, Err("empty"));
        json(r#"{"counter":"a\nb","value":1}"#, Err("control"));
        json(r#"{"counter":"a","value":1,"ttl":3}"#, Err("unknown field"));
        let csv = |line, expected| check(Format::Csv, line, expected);
        csv("a,5", Ok(("a", 5, None)));
        csv("a,5,", Ok(("a", 5, None)));
        csv("\"a,\"\"b\",-5,17", Ok(("a,\"b", -5, Some(17))));
        csv("a", Err("not 1 fields"));
        csv("a,5,1,2", Err("not 4 fields"));
        csv("a,5,1,2,3,4", Err("not more"));
        csv("a,x", Err("no 64-bit"));
        csv("a,1,x", Err("no Unix time"));
        csv(",1", Err("empty"));
    }

    #[test]
    fn a_head_and_empty_lines_are_no_entries() {
        let mut csv = Decoder::new(Format::Csv);
        assert_eq!(csv.entry(super::HEAD.as_bytes(), true), Ok(None));
        assert!(csv.entry(super::HEAD.as_bytes(), false).is_err());
        assert_eq!(csv.entry(b"", false), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in "\u{feff}?[ -~\u{a0}-\u{24f}\u{1f600}\",' ]{1,60}", value in any::<i64>(),
            at in proptest::option::of(any::<u64>())
        ) {
            for format in [Format::JsonLines, Format::Csv] {
                let line = format.line(&name, value, at);
                let line = line.strip_suffix('\n').expect("a line");
                prop_assert!(!line.contains('\n'));
                let entry = Entry { name: name.clone(), value, expiry: at.map(Expiry::At) };
                prop_assert_eq!(Decoder::new(format).entry(line.as_bytes(), false), Ok(Some(entry)));
            }
        }
    }
}
