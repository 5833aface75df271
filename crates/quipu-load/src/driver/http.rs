//! HTTP/1.1: requests from templates, answers read where they lie. One request at a time.

use std::io::Write as _;

use quipu_lab::failure::Failure;
use quipu_lab::request::{Filling, Requests, Stream};
use quipu_lab::scenario::{Expect, HttpRequest, Request};
use quipu_lab::slot::Slot;

use crate::driver::{Done, Driver, answer};

/// The most headers of an answer; nginx and hyper send under 20.
const HEADERS_MAX: usize = 64;
/// The longest head of an answer; the usual bound of servers and clients.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest line with the length of a chunk.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Places left for the length of a body, which is known after the body is written: up to 10 GB.
const LENGTH_DIGITS: usize = 10;

/// Says HTTP/1.1 on one connection.
#[derive(Debug)]
pub struct Http {
    requests: Requests,
    /// The value of `Host`.
    host: String,
    tag: u64,
    /// The operation of the request that is under way.
    operation: Option<usize>,
    /// Whether its answer has no body, whatever the headers say.
    is_head: bool,
    reading: Reading,
    status: u16,
    is_last: bool,
    body: Vec<u8>,
}

/// How far the answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Head,
    /// So many bytes of the body are left.
    Body(u64),
    /// The body ends with the connection.
    UntilEnd,
    /// The line with the length of a chunk comes next.
    ChunkLine,
    /// So many bytes of a chunk and its line end are left.
    Chunk(u64),
    /// Lines after the last chunk.
    Trailer,
}

impl Http {
    /// Makes a driver for `host`, the value of the header.
    pub fn new(requests: Requests, host: &str) -> Self {
        Self {
            requests,
            host: host.to_owned(),
            tag: 0,
            operation: None,
            is_head: false,
            reading: Reading::Head,
            status: 0,
            is_last: false,
            body: Vec::new(),
        }
    }

    fn expect(&self) -> Option<&Expect> {
        let operation = self.requests.operations().get(self.operation?)?;
        Some(&operation.expect)
    }

    /// Takes one step through the answer; 0 bytes if more must come.
    fn step(&mut self, input: &[u8], done: &mut Vec<Done>) -> Result<usize, Failure> {
        match self.reading {
            Reading::Head => self.read_head(input, done),
            Reading::Body(left) => {
                let taken = self.read_body(input, left);
                self.reading = Reading::Body(left - taken as u64);
                if left == taken as u64 {
                    self.finish(done);
                }
                Ok(taken)
            }
            Reading::UntilEnd => Ok(self.read_body(input, u64::MAX)),
            Reading::ChunkLine => self.read_chunk_line(input),
            Reading::Chunk(left) => {
                let taken = self.read_body(input, left);
                let left = left - taken as u64;
                self.reading = if left > 0 { Reading::Chunk(left) } else { Reading::ChunkLine };
                Ok(taken)
            }
            Reading::Trailer => {
                let Some((line, len)) = line(input)? else { return Ok(0) };
                if line.is_empty() {
                    self.finish(done);
                }
                Ok(len)
            }
        }
    }

    fn read_head(&mut self, input: &[u8], done: &mut Vec<Done>) -> Result<usize, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(input) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(0),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Failure::Protocol),
        };
        let status = response.code.ok_or(Failure::Protocol)?;
        if self.operation.is_none() {
            return Err(Failure::Protocol);
        }
        if status < 200 {
            return Ok(len);
        }
        self.status = status;
        self.is_last = response.version == Some(0);
        let framing = Framing::of(response.headers)?;
        self.is_last = framing.is_last.unwrap_or(self.is_last);
        self.reading = if self.is_head || status == 204 || status == 304 {
            Reading::Body(0)
        } else {
            framing.reading
        };
        if self.reading == Reading::Body(0) {
            self.finish(done);
        }
        Ok(len)
    }

    fn read_chunk_line(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let Some((line, len)) = line(input)? else { return Ok(0) };
        if line.is_empty() {
            // The line end of the chunk before.
            return Ok(len);
        }
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let text = std::str::from_utf8(digits).map_err(|_| Failure::Protocol)?;
        let bytes = u64::from_str_radix(text, 16).map_err(|_| Failure::Protocol)?;
        self.reading = if bytes == 0 { Reading::Trailer } else { Reading::Chunk(bytes) };
        Ok(len)
    }

    /// Takes at most `left` bytes of the body, and keeps them if a text is expected.
    fn read_body(&mut self, input: &[u8], left: u64) -> usize {
        let len = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if answer::wants_body(self.expect()) {
            answer::keep(input.get(..len).unwrap_or_default(), &mut self.body);
        }
        len
    }

    /// The answer is complete.
    fn finish(&mut self, done: &mut Vec<Done>) {
        let outcome = answer::judge(self.expect(), self.status, &self.body);
        done.push(Done { tag: self.tag, outcome });
        self.tag += 1;
        self.operation = None;
        self.reading = Reading::Head;
        self.body.clear();
    }
}

impl Driver for Http {
    fn open(&mut self, _output: &mut Vec<u8>) {
        self.tag += u64::from(self.operation.take().is_some());
        self.reading = Reading::Head;
        self.is_last = false;
        self.body.clear();
    }

    fn send(&mut self, slot: &Slot, stream: Stream, output: &mut Vec<u8>) -> u64 {
        let drawn = self.requests.draw(*slot);
        let filling = self.requests.filling(drawn, stream);
        let number = usize::from(drawn.operation);
        if let Some(Request::Http(request)) =
            self.requests.operations().get(number).map(|operation| &operation.request)
        {
            write_request(request, &self.host, &filling, output);
            self.is_head = request.method == "HEAD";
        }
        self.operation = Some(number);
        self.tag
    }

    fn receive(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, done)? {
                0 => break,
                len => taken += len,
            }
        }
        Ok(taken)
    }

    fn end(&mut self, done: &mut Vec<Done>) {
        if self.reading == Reading::UntilEnd {
            self.finish(done);
        }
    }

    fn depth(&self) -> usize {
        1
    }

    fn is_last(&self) -> bool {
        self.is_last
    }
}

/// What the headers say of the body and of the connection.
struct Framing {
    reading: Reading,
    is_last: Option<bool>,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Failure> {
        let (mut length, mut is_chunked, mut is_last) = (None, false, None);
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Some(body_length(header.value)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = true;
            } else if header.name.eq_ignore_ascii_case("connection") {
                is_last = Some(header.value.eq_ignore_ascii_case(b"close"));
            }
        }
        let reading = match length {
            // A length beside chunks is none (RFC 9112, section 6.3).
            _ if is_chunked => Reading::ChunkLine,
            Some(bytes) => Reading::Body(bytes),
            None => Reading::UntilEnd,
        };
        Ok(Self { reading, is_last })
    }
}

fn body_length(value: &[u8]) -> Result<u64, Failure> {
    let text = std::str::from_utf8(value).map_err(|_| Failure::Protocol)?;
    text.trim().parse().map_err(|_| Failure::Protocol)
}

/// Returns the first line without its end, and its whole length.
fn line(input: &[u8]) -> Result<Option<(&[u8], usize)>, Failure> {
    match memchr::memchr(b'\n', input) {
        Some(end) => Ok(Some((input.get(..end).unwrap_or_default().trim_ascii_end(), end + 1))),
        None if input.len() > CHUNK_LINE_BYTES_MAX => Err(Failure::Protocol),
        None => Ok(None),
    }
}

fn write_request(request: &HttpRequest, host: &str, filling: &Filling<'_>, output: &mut Vec<u8>) {
    output.extend_from_slice(request.method.as_bytes());
    output.push(b' ');
    request.path.render(filling, output);
    output.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    output.extend_from_slice(host.as_bytes());
    for (name, value) in &request.headers {
        output.extend_from_slice(b"\r\n");
        output.extend_from_slice(name.as_bytes());
        output.extend_from_slice(b": ");
        value.render(filling, output);
    }
    if request.body.is_empty() && matches!(request.method.as_str(), "GET" | "HEAD") {
        output.extend_from_slice(b"\r\n\r\n");
        return;
    }
    output.extend_from_slice(b"\r\nContent-Length: ");
    let at = output.len();
    output.extend_from_slice(&[b' '; LENGTH_DIGITS]);
    output.extend_from_slice(b"\r\n\r\n");
    let start = output.len();
    request.body.render(filling, output);
    let len = output.len() - start;
    patch_length(output, at, len);
}

/// Writes a length into the blanks that were left for it, to the right: blanks before a value are
/// none of it (RFC 9110, section 5.5).
fn patch_length(output: &mut [u8], at: usize, len: usize) {
    let mut blanks = output.get_mut(at..at + LENGTH_DIGITS).unwrap_or_default();
    write!(blanks, "{len:>LENGTH_DIGITS$}").expect("a body in memory is below 10 GB");
}

#[cfg(test)]
mod tests;
