//! Where a request ends: all that a target must know that gives every request the same answer.

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Resp,
    Http,
}

/// A request that has come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// How long it is.
    pub(super) len: usize,
    /// What it is answered.
    pub(super) answer: &'static [u8],
    /// Whether the connection ends with the answer.
    pub(super) is_last: bool,
}

/// What a command is answered: that of INCRBY.
const COUNT: &[u8] = b":1\r\n";
/// What a request for a page is answered.
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What a request for the head of a page is answered.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

/// The longest request that is taken: enough for any load tool, and a bound for anything else.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// The client sent what is no request, or too long a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Spoken {
    /// Tells from the first byte: RESP's commands are arrays.
    pub(super) fn of(first: u8) -> Self {
        if first == b'*' { Self::Resp } else { Self::Http }
    }

    /// Returns the first request, or nothing if it is not complete.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn request(self, input: &[u8]) -> Result<Option<Request>, Malformed> {
        let request = match self {
            Self::Resp => {
                command_len(input)?.map(|len| Request { len, answer: COUNT, is_last: false })
            }
            Self::Http => http(input)?,
        };
        if request.is_none() && input.len() > REQUEST_BYTES_MAX {
            return Err(Malformed);
        }
        Ok(request)
    }
}

fn command_len(input: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((count, mut end)) = line(input, b'*')? else { return Ok(None) };
    for _ in 0..count {
        let rest = input.get(end..).unwrap_or_default();
        let Some((bytes, head)) = line(rest, b'$')? else { return Ok(None) };
        end = end.saturating_add(head).saturating_add(bytes).saturating_add(2);
    }
    Ok((end <= input.len()).then_some(end))
}

/// Reads a line of one kind: its number, and its length with the line end.
fn line(input: &[u8], kind: u8) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((first, rest)) = input.split_first() else { return Ok(None) };
    let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
    let digits = rest.get(..end).unwrap_or_default().trim_ascii_end();
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    match number {
        Some(number) if *first == kind && number <= REQUEST_BYTES_MAX => {
            Ok(Some((number, end + 2)))
        }
        _ => Err(Malformed),
    }
}

/// The most headers of a request; wrk and its like send under 10.
const HEADERS_MAX: usize = 64;

fn http(input: &[u8]) -> Result<Option<Request>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed),
    };
    let value = |name: &str| {
        let mut headers = request.headers.iter();
        headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    let body = value("content-length")
        .map_or(Some(0), |digits| std::str::from_utf8(digits).ok()?.trim().parse::<usize>().ok());
    let len = head.saturating_add(body.ok_or(Malformed)?);
    // HTTP/1.0 asks for a connection that stays.
    let usual: &[u8] = if request.version == Some(0) { b"close" } else { b"keep-alive" };
    let connection = value("connection").unwrap_or(usual);
    let answer = if request.method == Some("HEAD") { HEAD } else { PAGE };
    let is_last = connection.eq_ignore_ascii_case(b"close");
    Ok((len <= input.len()).then_some(Request { len, answer, is_last }))
}

#[cfg(test)]
mod tests {
    use super::{COUNT, HEAD, Malformed, PAGE, Request, Spoken};

    #[test]
    fn a_request_ends_where_it_ends_however_it_comes() {
        let check = |request: &str, answer: &'static [u8], is_last: bool| {
            let bytes = request.as_bytes();
            let spoken = Spoken::of(bytes[0]);
            for len in 1..bytes.len() {
                assert_eq!(spoken.request(&bytes[..len]), Ok(None), "{request:?} at {len}");
            }
            let more = [bytes, bytes].concat();
            let expected = Request { len: bytes.len(), answer, is_last };
            assert_eq!(spoken.request(&more), Ok(Some(expected)), "{request:?}");
        };
        check("*1\r\n$4\r\nPING\r\n", COUNT, false);
        check("*3\r\n$6\r\nINCRBY\r\n$2\r\na\n\r\n$1\r\n1\r\n", COUNT, false);
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", PAGE, false);
        check("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", PAGE, false);
        check("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n", HEAD, true);
        check("GET / HTTP/1.0\r\n\r\n", PAGE, true);
        check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", PAGE, false);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in ["*x\r\n", "*1\r\n:4\r\n", "*9999999999\r\n", "\0\0\r\n\r\n"] {
            let bytes = bad.as_bytes();
            assert_eq!(Spoken::of(bytes[0]).request(bytes), Err(Malformed), "{bad:?}");
        }
    }
}
