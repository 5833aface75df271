//! A plain request: one operation on one counter, worded in a way that leaves no question.
//!
//! Most requests are plain, and a general HTTP library spends more on them than their operation
//! costs. So these are read here, with the library's own parser of heads, and only where all of the
//! following holds; the library is asked about everything else, from the first byte on:
//!
//! - HTTP/1.1; `GET`, `POST`, `PUT` or `DELETE`; a path of plain bytes without a query, which leads
//!   to one counter;
//! - a body whose length is said once, in digits, or none; whole, with its head, within
//!   [`REQUEST_BYTES_MAX`];
//! - no header that says how the connection or the body is to be treated, but for `Content-Length`
//!   and `Connection: keep-alive`.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};
use quipu_wire::http::ask::{self, Asks};
use quipu_wire::http::route::{self, Endpoint, Route};

use crate::http::limits::HttpLimits;

/// Longest plain request, head and body, in bytes. Guess: the heads of browsers have up to 2 KiB,
/// those of services a quarter of that.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;

/// Most header lines of a plain request. Guess: browsers send up to 20.
const HEADERS_MAX: usize = 32;

/// Digits of the longest length that is read: more than a plain request may have.
const LENGTH_DIGITS_MAX: usize = 4;

/// What other libraries and proxies on the way act upon. A request with one of these is not plain.
const TREATMENTS: &[&str] =
    &["transfer-encoding", "expect", "upgrade", "trailer", "te", "http2-settings"];

/// A plain request.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    /// Where it goes: to one counter.
    pub(crate) route: Route<'a>,
    /// What its headers ask for.
    pub(crate) asks: Asks<'a>,
    /// Its body.
    pub(crate) body: &'a [u8],
}

/// What the bytes of a connection begin with.
#[derive(Debug)]
pub(crate) enum Begin<'a> {
    /// A plain request of so many bytes.
    Plain(Plain<'a>, usize),
    /// A part of a head, or nothing.
    Head,
    /// The head of what may become a plain request, and a part of its body.
    Body,
    /// Something else.
    Other,
}

/// Looks at the bytes that a connection begins with.
pub(crate) fn begin<'a>(input: &'a [u8], limits: &HttpLimits) -> Begin<'a> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut headers) {
        Ok(Status::Complete(head_bytes)) => {
            whole(&request, input, head_bytes, limits).unwrap_or(Begin::Other)
        }
        Ok(Status::Partial) if input.len() < REQUEST_BYTES_MAX => Begin::Head,
        _ => Begin::Other,
    }
}

/// None where it is not plain.
fn whole<'a>(
    request: &Request<'_, 'a>,
    input: &'a [u8],
    head_bytes: usize,
    limits: &HttpLimits,
) -> Option<Begin<'a>> {
    let length = length(request.headers)?;
    let end = head_bytes + length;
    let fits = end <= REQUEST_BYTES_MAX
        && length <= limits.body_bytes
        && request.headers.len() <= limits.headers;
    if !fits || request.version != Some(1) {
        return None;
    }
    let route = counter_route(request.method?, request.path?, limits)?;
    let headers = request.headers.iter().map(|header| (header.name, header.value));
    let asks = ask::parse(headers).ok()?;
    let Some(body) = input.get(head_bytes..end) else { return Some(Begin::Body) };
    Some(Begin::Plain(Plain { route, asks, body }, end))
}

/// The length of the body; none where a header leaves a question.
fn length(headers: &[Header<'_>]) -> Option<usize> {
    let mut length = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = header.value;
            let is_number = (1..=LENGTH_DIGITS_MAX).contains(&value.len())
                && value.iter().all(u8::is_ascii_digit)
                && length.is_none();
            let digits = std::str::from_utf8(value).ok().filter(|_| is_number)?;
            length = Some(digits.parse().ok()?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            header.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
        } else if TREATMENTS.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
            return None;
        }
    }
    Some(length.unwrap_or(0))
}

fn counter_route<'a>(method: &str, target: &'a str, limits: &HttpLimits) -> Option<Route<'a>> {
    let is_known = matches!(method, "GET" | "POST" | "PUT" | "DELETE");
    if !is_known || target.len() > limits.target_bytes || !target.bytes().all(is_of_path) {
        return None;
    }
    let is_of_counter = |endpoint| {
        matches!(
            endpoint,
            Endpoint::Get | Endpoint::Add | Endpoint::Put | Endpoint::Delete | Endpoint::Take
        )
    };
    route::find(method, target, is_of_counter).ok()
}

/// Whether a byte may stand in the path of a plain request: what RFC 3986 lets stand in a segment,
/// and the slash.
fn is_of_path(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b':' | b'%' | b'-' | b'.' | b'_'
        | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'@')
}

#[cfg(test)]
mod tests {
    use super::{Begin, REQUEST_BYTES_MAX, begin};
    use crate::http::limits::HttpLimits;

    const LIMITS: fn() -> HttpLimits = HttpLimits::default;
    const ADD: &str = "POST /v1/default/counters/a HTTP/1.1\r\n";

    /// What a request begins with, as a word, and the bytes of its body and of all of it.
    fn check(input: impl AsRef<[u8]>, expected: (&str, &str, usize)) {
        let input = input.as_ref();
        let found = match begin(input, &LIMITS()) {
            Begin::Plain(plain, bytes) => {
                ("plain", std::str::from_utf8(plain.body).expect("it is text"), bytes)
            }
            Begin::Head => ("head", "", 0),
            Begin::Body => ("body", "", 0),
            Begin::Other => ("other", "", 0),
        };
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(input));
    }

    fn check_other(text: &str) {
        check(text, ("other", "", 0));
    }

    #[test]
    fn a_plain_request_is_found_when_it_is_whole() {
        let text = format!("{ADD}Host: h\r\nContent-Length: 9\r\n\r\n{{\"add\":1}}GET");
        let whole = text.len() - 3;
        let body = whole - 9;
        for bytes in 0..body {
            check(&text.as_bytes()[..bytes], ("head", "", 0));
        }
        for bytes in body..whole {
            check(&text.as_bytes()[..bytes], ("body", "", 0));
        }
        check(&text.as_bytes()[..whole], ("plain", "{\"add\":1}", whole));
        check(&text, ("plain", "{\"add\":1}", whole));
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let text = format!("{method} /v1/default/counters/a%2Fb HTTP/1.1\r\n\r\n");
            check(&text, ("plain", "", text.len()));
        }
        let kept = format!("{ADD}connection: Keep-Alive\r\nIdempotency-Key: k\r\n\r\n");
        check(&kept, ("plain", "", kept.len()));
    }

    #[test]
    fn what_leaves_a_question_about_the_body_is_not_plain() {
        for lines in [
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "Content-Length: 0\r\nContent-Length: 0",
            "Content-Length: 1\r\ncontent-length: 2",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 1, 1",
            "Content-Length:",
            "Content-Length: 1 1",
            "Content-Length: 00001",
            "Content-Length: 18446744073709551616",
            "Content-Length : 1",
            "Content-Length: 1\r\n Content-Length: 2",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, close",
            "Connection: upgrade",
            "TE: trailers",
            "Trailer: x",
            "X: \0",
            " X: y",
        ] {
            check_other(&format!("{ADD}{lines}\r\n\r\n"));
        }
    }

    #[test]
    fn other_methods_targets_and_versions_are_not_plain() {
        for line in [
            "HEAD /v1/default/counters/a HTTP/1.1",
            "PATCH /v1/default/counters/a HTTP/1.1",
            "get /v1/default/counters/a HTTP/1.1",
            "GET /v1/default/counters/a HTTP/1.0",
            "GET /v1/default/counters/a HTTP/2.0",
            "GET http://h/v1/default/counters/a HTTP/1.1",
            "GET /v1/default/counters/a?x=1 HTTP/1.1",
            "GET /v1/default/counters/a#x HTTP/1.1",
            "GET /v1/default/counters/a\"b HTTP/1.1",
            "GET /v1/default/counters/a%2 HTTP/1.1",
            "GET /v1/other/counters/a HTTP/1.1",
            "GET /v1/default/counters/ HTTP/1.1",
            "GET /v1/default/counters HTTP/1.1",
            "GET /v1/default/counters/a/history HTTP/1.1",
            "POST /v1/default/batch HTTP/1.1",
            "GET /health HTTP/1.1",
            "OPTIONS * HTTP/1.1",
        ] {
            check_other(&format!("{line}\r\n\r\n"));
        }
    }

    #[test]
    fn headers_that_ask_for_what_there_is_not_are_not_plain() {
        for lines in ["Quipu-Ack: all", "Idempotency-Key: k\r\nidempotency-key: k"] {
            check_other(&format!("{ADD}{lines}\r\n\r\n"));
        }
    }

    #[test]
    fn what_is_too_long_is_not_plain() {
        let head = format!("{ADD}X: ");
        check(format!("{head}{}", "x".repeat(REQUEST_BYTES_MAX - head.len() - 1)), ("head", "", 0));
        check_other(&format!("{head}{}", "x".repeat(REQUEST_BYTES_MAX - head.len())));
        check_other(&format!("{ADD}Content-Length: {REQUEST_BYTES_MAX}\r\n\r\n"));
        check_other(&format!("{ADD}{}\r\n", "X: y\r\n".repeat(33)));
        let target = format!("GET /v1/default/counters/a HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(9));
        let tight = HttpLimits { headers: 8, ..LIMITS() };
        assert!(matches!(begin(target.as_bytes(), &tight), Begin::Other));
        let tight = HttpLimits { target_bytes: 8, ..LIMITS() };
        assert!(matches!(begin(target.as_bytes(), &tight), Begin::Other));
        let tight = HttpLimits { body_bytes: 8, ..LIMITS() };
        let add = format!("{ADD}Content-Length: 9\r\n\r\n{{\"add\":1}}");
        assert!(matches!(begin(add.as_bytes(), &tight), Begin::Other));
    }
}
