//! The common and the combined log of web servers, as nginx and Apache write them.
//!
//! `host ident user [time] "request" status bytes "referer" "user agent"`, see
//! <https://httpd.apache.org/docs/2.4/logs.html>. Quotes inside a quoted field come with a
//! backslash (Apache) or as `\x22` (nginx). What follows the last field is passed over: many
//! servers add fields of their own.

use memchr::{memchr, memrchr};

use crate::format::{Field, field};
use crate::record::Place;

/// The fields of the combined log.
pub(super) const FIELDS: [Field; 14] = [
    field("host", "address of the client"),
    field("ident", "its user by RFC 1413, nearly always `-`"),
    field("user", "its authenticated user, or `-`"),
    field("time", "when, as `21/Nov/2026:13:55:36 +0000`"),
    field("request", "the whole request line"),
    field("method", "GET, POST, ...; absent if the request line is not one"),
    field("uri", "what was asked for, with its query; absent like method"),
    field("path", "the uri up to the first `?`"),
    field("query", "what follows the first `?`"),
    field("protocol", "HTTP/1.1, ..."),
    field("status", "three digits"),
    field("bytes", "size of the answer, or `-`"),
    field("referer", "where the client came from, or `-`"),
    field("user_agent", "what the client calls itself, or `-`"),
];

/// The fields of the common log: all but the last two.
pub(super) const COMMON_FIELDS: &[Field] = FIELDS.split_at(COMMON).0;
const COMMON: usize = 12;

/// Length of the time: the spec has fixed widths.
const TIME_BYTES: usize = "21/Nov/2026:13:55:36 +0000".len();

/// Which parts of the request line are asked for: what nobody asks for is not looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    parts: bool,
    query: bool,
}

impl Wanted {
    /// Asks for field number `field` too.
    pub(super) fn and(self, field: usize) -> Wanted {
        let name = FIELDS.get(field).map_or("", |field| field.name);
        let query = self.query || matches!(name, "path" | "query");
        Wanted {
            query,
            parts: self.parts || query || matches!(name, "method" | "uri" | "protocol"),
        }
    }
}

/// Finds the fields of a line of the combined log.
#[inline]
pub(super) fn combined(line: &[u8], wanted: Wanted, places: &mut [Place]) -> bool {
    let Some((first, last)) = places.split_first_chunk_mut::<COMMON>() else { return false };
    let [referer, user_agent, ..] = last else { return false };
    let Some(at) = head(line, wanted, first) else { return false };
    let Some((place, at)) = quoted(line, at) else { return false };
    *referer = place;
    let Some((place, _)) = quoted(line, at) else { return false };
    *user_agent = place;
    true
}

/// Finds the fields of a line of the common log.
pub(super) fn common(line: &[u8], wanted: Wanted, places: &mut [Place]) -> bool {
    places.first_chunk_mut::<COMMON>().is_some_and(|first| head(line, wanted, first).is_some())
}

/// Finds the fields that both have; returns where they end.
#[inline]
fn head(line: &[u8], wanted: Wanted, places: &mut [Place; COMMON]) -> Option<usize> {
    let [host, ident, user, time, request, parts @ ..] = places;
    let host_end = memchr(b' ', line)?;
    *host = Place::of(0, host_end);
    let time_start = persons(line, host_end, ident, user)?;
    let time_end = time_start + TIME_BYTES;
    let time_end = match line.get(time_end) {
        Some(b']') => time_end,
        _ => time_start + memchr(b']', line.get(time_start..)?)?,
    };
    *time = Place::of(time_start, time_end);
    let (place, request_end) = quoted(line, time_end + 1)?;
    *request = place;
    let [method, uri, path, query, protocol, status, bytes] = parts;
    if wanted.parts {
        split_request(line, place, wanted.query, [method, uri, path, query, protocol]);
    }
    let status_start = request_end + 1;
    let [b' ', a, b, c, b' '] = line.get(request_end..status_start + 4)? else { return None };
    if ![a, b, c].iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    *status = Place::of(status_start, status_start + 3);
    let bytes_start = status_start + 4;
    let rest = line.get(bytes_start..)?;
    let length = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    *bytes = Place::of(bytes_start, bytes_start + length);
    (length > 0).then_some(bytes_start + length)
}

/// Finds ident and user after the host; returns where the time begins.
#[inline]
fn persons(line: &[u8], host_end: usize, ident: &mut Place, user: &mut Place) -> Option<usize> {
    let rest = line.get(host_end..)?;
    if rest.starts_with(b" - - [") {
        *ident = Place::of(host_end + 1, host_end + 2);
        *user = Place::of(host_end + 3, host_end + 4);
        return Some(host_end + 6);
    }
    // A user may have blanks in its name: the last ` [` before the time decides.
    let open = memchr(b'[', rest)?;
    let ident_end = 1 + memchr(b' ', rest.get(1..open)?)?;
    let user_end = open.checked_sub(1).filter(|end| *end > ident_end)?;
    if rest.get(user_end) != Some(&b' ') {
        return None;
    }
    *ident = Place::of(host_end + 1, host_end + ident_end);
    *user = Place::of(host_end + ident_end + 1, host_end + user_end);
    Some(host_end + open + 1)
}

/// Finds a blank and a quoted field from `at` on; returns the field and where it ends.
#[inline]
fn quoted(line: &[u8], at: usize) -> Option<(Place, usize)> {
    if line.get(at..at + 2)? != b" \"" {
        return None;
    }
    let start = at + 2;
    let mut from = start;
    loop {
        let end = from + memchr(b'"', line.get(from..)?)?;
        if !is_escaped(line.get(start..end)?) {
            return Some((Place::of(start, end), end + 1));
        }
        from = end + 1;
    }
}

/// Says whether what follows `before` is escaped: an odd number of backslashes stands there.
#[inline]
fn is_escaped(before: &[u8]) -> bool {
    before.last() == Some(&b'\\')
        && before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Finds the parts of a request line; all stay absent where it is none, such as the first bytes of
/// TLS spoken to a plain port.
#[inline]
fn split_request(line: &[u8], request: Place, wants_query: bool, parts: [&mut Place; 5]) {
    let [method, uri, path, query, protocol] = parts;
    (*method, *uri, *path) = (Place::Absent, Place::Absent, Place::Absent);
    (*query, *protocol) = (Place::Absent, Place::Absent);
    let Place::Line(start, end) = request else { return };
    let (start, end) = (start as usize, end as usize);
    let text = line.get(start..end).unwrap_or_default();
    let Some(method_end) = text.iter().position(|byte| *byte == b' ') else { return };
    if !text.first().is_some_and(u8::is_ascii_uppercase) {
        return;
    }
    let rest = text.get(method_end + 1..).unwrap_or_default();
    let last = memrchr(b' ', rest).filter(|at| rest.get(at + 1..).is_some_and(is_protocol));
    let uri_bytes = last.unwrap_or(rest.len());
    let uri_start = start + method_end + 1;
    *method = Place::of(start, start + method_end);
    *uri = Place::of(uri_start, uri_start + uri_bytes);
    let text = rest.get(..uri_bytes).filter(|_| wants_query).unwrap_or_default();
    let mark = memchr(b'?', text);
    *path = Place::of(uri_start, uri_start + mark.unwrap_or(uri_bytes));
    if let Some(mark) = mark {
        *query = Place::of(uri_start + mark + 1, uri_start + uri_bytes);
    }
    if let Some(last) = last {
        *protocol = Place::of(uri_start + last + 1, end);
    }
}

fn is_protocol(text: &[u8]) -> bool {
    text.starts_with(b"HTTP/")
}
