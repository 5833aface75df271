//! Comma-separated values, by RFC 4180 except that a value cannot have an end of line in it.

use std::borrow::Cow;

use thiserror::Error;

use crate::format::{UnknownField, position};
use crate::record::{Place, Record};

/// The first line of a source does not name the columns that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It is not CSV.
    #[error("the first line does not name columns; name them with --csv-header a,b,c")]
    NotCsv,
    /// A column is missing.
    #[error("the first line has no column '{column}', it has: {known}")]
    Missing {
        /// What is asked for.
        column: String,
        /// What there is.
        known: String,
    },
}

/// What is known of the columns.
#[derive(Debug)]
pub(super) struct Csv {
    /// The columns, if they were named on the command line.
    columns: Option<Vec<String>>,
    /// The columns that are asked for, in the order of their fields.
    wanted: Vec<String>,
    /// Of each column, the field that it fills.
    fields: Vec<Option<usize>>,
}

impl Csv {
    pub(super) fn new(columns: Option<Vec<String>>) -> Csv {
        Csv { columns, wanted: Vec::new(), fields: Vec::new() }
    }

    /// Says whether the first line of a source names its columns.
    pub(super) fn has_header(&self) -> bool {
        self.columns.is_none()
    }

    pub(super) fn resolve(&mut self, name: &str) -> Result<usize, UnknownField> {
        if let Some(known) = self.wanted.iter().position(|known| known == name) {
            return Ok(known);
        }
        let field = self.wanted.len();
        if let Some(columns) = &self.columns {
            let names: Vec<_> = columns.iter().map(String::as_str).collect();
            let column = position(&names, name)?;
            fill(&mut self.fields, column, field);
        }
        self.wanted.push(name.to_owned());
        Ok(field)
    }

    /// Learns the columns from the first line of a source.
    pub(super) fn start(&mut self, first: &[u8]) -> Result<(), HeaderError> {
        if !self.has_header() {
            return Ok(());
        }
        let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
        let mut names = Vec::new();
        for value in Values::new(first) {
            let value = value.ok_or(HeaderError::NotCsv)?;
            let text = value.text(first);
            names.push(String::from_utf8(text.into_owned()).map_err(|_| HeaderError::NotCsv)?);
        }
        self.fields.clear();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        for (field, name) in self.wanted.iter().enumerate() {
            let missing = |unknown: UnknownField| HeaderError::Missing {
                column: unknown.field,
                known: unknown.known,
            };
            let column = position(&names, name).map_err(missing)?;
            fill(&mut self.fields, column, field);
        }
        Ok(())
    }

    pub(super) fn parse(&self, line: &[u8], record: &mut Record) -> bool {
        record.clear();
        if line.is_empty() {
            return false;
        }
        let mut fields = self.fields.iter();
        for value in Values::new(line) {
            let Some(value) = value else { return false };
            let Some(field) = fields.next().copied().flatten() else { continue };
            match value.text(line) {
                Cow::Borrowed(_) => record.put(field, Place::of(value.start, value.end)),
                Cow::Owned(text) => record.put_decoded(field, &text),
            }
        }
        true
    }
}

fn fill(fields: &mut Vec<Option<usize>>, column: usize, field: usize) {
    if fields.len() <= column {
        fields.resize(column + 1, None);
    }
    if let Some(place) = fields.get_mut(column) {
        *place = Some(field);
    }
}

/// One value: from where to where, without its quotes.
#[derive(Clone, Copy)]
struct Value {
    start: usize,
    end: usize,
    /// Whether there are doubled quotes in it.
    has_quotes: bool,
}

impl Value {
    fn text(self, line: &[u8]) -> Cow<'_, [u8]> {
        let text = line.get(self.start..self.end).unwrap_or_default();
        if !self.has_quotes {
            return Cow::Borrowed(text);
        }
        let mut single = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(quote) = memchr::memchr(b'"', rest) {
            let (before, after) = rest.split_at(quote + 1);
            single.extend_from_slice(before);
            rest = after.get(1..).unwrap_or_default();
        }
        single.extend_from_slice(rest);
        Cow::Owned(single)
    }
}

/// The values of a line in order; `None` in place of one whose quotes do not pair.
struct Values<'a> {
    line: &'a [u8],
    next: Option<usize>,
}

impl<'a> Values<'a> {
    fn new(line: &'a [u8]) -> Values<'a> {
        Values { line, next: Some(0) }
    }

    fn plain(&self, start: usize) -> (Value, usize) {
        let rest = self.line.get(start..).unwrap_or_default();
        let end = start + memchr::memchr(b',', rest).unwrap_or(rest.len());
        (Value { start, end, has_quotes: false }, end)
    }

    /// Reads a value whose quote opens before `start`.
    fn quoted(&self, start: usize) -> Option<(Value, usize)> {
        let (mut at, mut has_quotes) = (start, false);
        loop {
            let end = at + memchr::memchr(b'"', self.line.get(at..)?)?;
            if self.line.get(end + 1) != Some(&b'"') {
                return Some((Value { start, end, has_quotes }, end + 1));
            }
            (at, has_quotes) = (end + 2, true);
        }
    }
}

impl Iterator for Values<'_> {
    type Item = Option<Value>;

    fn next(&mut self) -> Option<Option<Value>> {
        let start = self.next.take()?;
        let read = match self.line.get(start) {
            Some(b'"') => self.quoted(start + 1),
            _ => Some(self.plain(start)),
        };
        let Some((value, end)) = read else { return Some(None) };
        match self.line.get(end) {
            None => {}
            Some(b',') => self.next = Some(end + 1),
            Some(_) => return Some(None),
        }
        Some(Some(value))
    }
}
