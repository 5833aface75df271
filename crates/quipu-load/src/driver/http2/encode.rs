//! Blocks of request headers (RFC 7541): what is the same in all requests is said once, after which
//! one byte names it; what a template fills in is written where it is sent.
//!
//! The table of the connection is filled once and never beyond its size, so nothing is ever evicted
//! and an index is a subtraction.

use quipu_lab::request::{Filling, Requests};
use quipu_lab::scenario::{HttpRequest, Request};
use quipu_lab::template::Template;

use crate::driver::http2::static_table;

/// The size of the table, as long as nobody agrees on another (RFC 9113, section 6.5.2).
const TABLE_BYTES: usize = 4_096;
/// What an entry takes beside its texts (RFC 7541, section 4.1).
const ENTRY_BYTES: usize = 32;
/// The least index of the table of the connection.
const DYNAMIC_FIRST: usize = 62;
/// Headers that speak of the connection and have no place in HTTP/2 (RFC 9113, section 8.2.2), beside
/// those that a scenario does not name.
const NOT_SENT: [&str; 3] = ["keep-alive", "proxy-connection", "upgrade"];

/// The requests of a scenario, as far as all connections have them in common.
#[derive(Debug)]
pub struct Fields {
    fixed: Vec<Fixed>,
    operations: Vec<Vec<Part>>,
}

/// A header that never changes.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    name: String,
    value: String,
}

/// A part of a block.
#[derive(Debug)]
enum Part {
    /// A header of the static table.
    Static(u8),
    /// A header that never changes, by its place.
    Fixed(usize),
    /// A header whose value is filled in.
    Filled(Vec<u8>, Template),
}

impl Fields {
    /// Prepares the requests of a scenario to `authority`.
    pub fn new(requests: &Requests, authority: &str, is_encrypted: bool) -> Self {
        let mut fields = Self { fixed: Vec::new(), operations: Vec::new() };
        for operation in requests.operations() {
            let Request::Http(request) = &operation.request else { continue };
            let parts = fields.parts(request, authority, is_encrypted);
            fields.operations.push(parts);
        }
        fields
    }

    fn parts(&mut self, request: &HttpRequest, authority: &str, is_encrypted: bool) -> Vec<Part> {
        let method = match request.method.as_str() {
            "GET" => Part::Static(2),
            "POST" => Part::Static(3),
            method => self.fixed(":method", method),
        };
        let mut parts = vec![
            method,
            Part::Static(if is_encrypted { 7 } else { 6 }),
            self.fixed(":authority", authority),
            self.part(":path", &request.path),
        ];
        for (name, value) in &request.headers {
            let name = name.to_ascii_lowercase();
            if !NOT_SENT.contains(&name.as_str()) {
                parts.push(self.part(&name, value));
            }
        }
        parts
    }

    fn part(&mut self, name: &str, value: &Template) -> Part {
        match value.as_text() {
            Some(text) => self.fixed(name, text),
            None => Part::Filled(literal(0, 4, name), value.clone()),
        }
    }

    fn fixed(&mut self, name: &str, value: &str) -> Part {
        let fixed = Fixed { name: name.to_owned(), value: value.to_owned() };
        let place = self.fixed.iter().position(|known| *known == fixed);
        Part::Fixed(place.unwrap_or_else(|| {
            self.fixed.push(fixed);
            self.fixed.len() - 1
        }))
    }
}

/// Writes blocks of one connection.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Which entry of the table each fixed header became.
    entries: Vec<Option<usize>>,
    count: usize,
    bytes: usize,
    limit: usize,
    /// Whether the other side must be told that the table is empty.
    is_resized: bool,
    value: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(fields: &Fields) -> Self {
        Self {
            entries: vec![None; fields.fixed.len()],
            count: 0,
            bytes: 0,
            limit: TABLE_BYTES,
            is_resized: false,
            value: Vec::new(),
        }
    }

    /// Begins with a new connection.
    pub(super) fn reset(&mut self) {
        self.clear();
        (self.limit, self.is_resized) = (TABLE_BYTES, false);
    }

    /// The other side keeps a table of so many bytes.
    pub(super) fn resize(&mut self, bytes: usize) {
        let limit = bytes.min(TABLE_BYTES);
        if limit != self.limit {
            self.clear();
            (self.limit, self.is_resized) = (limit, true);
        }
    }

    fn clear(&mut self) {
        self.entries.fill(None);
        (self.count, self.bytes) = (0, 0);
    }

    /// Appends the headers of an operation, with the length of the body if it has one.
    pub(super) fn write(
        &mut self,
        fields: &Fields,
        filling: &Filling<'_>,
        body_bytes: Option<usize>,
        block: &mut Vec<u8>,
    ) {
        if std::mem::take(&mut self.is_resized) {
            integer(0x20, 5, 0, block);
            integer(0x20, 5, self.limit, block);
        }
        let operation = usize::from(filling.drawn.operation);
        for part in fields.operations.get(operation).into_iter().flatten() {
            match part {
                Part::Static(index) => block.push(0x80 | index),
                Part::Fixed(place) => self.write_fixed(fields, *place, block),
                Part::Filled(name, value) => {
                    block.extend_from_slice(name);
                    self.value.clear();
                    value.render(filling, &mut self.value);
                    text(&self.value, block);
                }
            }
        }
        if let Some(bytes) = body_bytes {
            block.extend_from_slice(&CONTENT_LENGTH);
            text(itoa::Buffer::new().format(bytes).as_bytes(), block);
        }
    }

    fn write_fixed(&mut self, fields: &Fields, place: usize, block: &mut Vec<u8>) {
        let Some((fixed, entry)) = fields.fixed.get(place).zip(self.entries.get_mut(place)) else {
            return;
        };
        if let Some(number) = entry {
            return integer(0x80, 7, DYNAMIC_FIRST + self.count - 1 - *number, block);
        }
        let bytes = fixed.name.len() + fixed.value.len() + ENTRY_BYTES;
        let is_kept = self.bytes + bytes <= self.limit;
        let (pattern, bits) = if is_kept { (0x40, 6) } else { (0, 4) };
        block.extend_from_slice(&literal(pattern, bits, &fixed.name));
        text(fixed.value.as_bytes(), block);
        if is_kept {
            *entry = Some(self.count);
            self.count += 1;
            self.bytes += bytes;
        }
    }
}

/// `content-length` (28) before a value that is not kept.
const CONTENT_LENGTH: [u8; 2] = [0x0f, 28 - 15];

/// Returns the beginning of a literal header: what becomes of it, and its name.
fn literal(pattern: u8, bits: u32, name: &str) -> Vec<u8> {
    let mut block = Vec::new();
    if let Some(index) = static_table::index_of(name) {
        integer(pattern, bits, index, &mut block);
    } else {
        block.push(pattern);
        text(name.as_bytes(), &mut block);
    }
    block
}

/// Appends a text as it is.
fn text(bytes: &[u8], block: &mut Vec<u8>) {
    integer(0, 7, bytes.len(), block);
    block.extend_from_slice(bytes);
}

/// Appends an integer with a prefix of `bits` (RFC 7541, section 5.1).
fn integer(pattern: u8, bits: u32, value: usize, block: &mut Vec<u8>) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        return block.push(pattern | value as u8);
    }
    block.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}
