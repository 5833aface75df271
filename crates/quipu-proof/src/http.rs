//! A small HTTP/1.1 client: one connection, one request at a time, replies read whole.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::node::PATIENCE;
use crate::resp::is_timeout;

/// A reply: status and body.
#[derive(Debug)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
}

impl HttpReply {
    /// Returns the body as JSON; null when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A request: method, path, headers, body.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// Header lines such as `Quipu-Ack: memory`.
    pub headers: &'a [&'a str],
    /// The body; empty for none.
    pub body: &'a str,
}

/// Returns a request without headers.
pub const fn request<'a>(method: &'a str, path: &'a str, body: &'a str) -> Request<'a> {
    Request { method, path, headers: &[], body }
}

/// A connection.
#[derive(Debug)]
pub struct Http {
    socket: TcpStream,
    pending: Vec<u8>,
}

impl Http {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, pending: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends a request without waiting for its reply.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let Request { method, path, headers, body } = request;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in *headers {
            head += header;
            head += "\r\n";
        }
        let length = body.len();
        head += "Content-Type: application/json\r\nContent-Length: ";
        head += &length.to_string();
        head += "\r\n\r\n";
        head += body;
        self.send_bytes(head.as_bytes())
    }

    /// Sends a request and returns its reply.
    ///
    /// # Panics
    /// If the connection breaks or the reply does not come.
    pub fn call(&mut self, request: &Request<'_>) -> HttpReply {
        self.try_call(request).unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// Sends a request and returns its reply.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn try_call(&mut self, request: &Request<'_>) -> io::Result<HttpReply> {
        self.send(request)?;
        self.receive_within(PATIENCE)?
            .ok_or_else(|| io::Error::new(ErrorKind::TimedOut, "no reply within patience"))
    }

    /// Receives one reply; `None` if none came within `patience`.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn receive_within(&mut self, patience: Duration) -> io::Result<Option<HttpReply>> {
        self.socket.set_read_timeout(Some(patience))?;
        loop {
            if let Some((reply, length)) = parse(&self.pending) {
                self.pending.drain(..length);
                return Ok(Some(reply));
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed")),
                Ok(length) => self.pending.extend_from_slice(&chunk[..length]),
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until the other side closes; answers whether it did before patience was over.
    pub fn closes(&mut self) -> bool {
        loop {
            match self.receive_within(PATIENCE) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// Reads one reply at the start of `input`; `None` if it is not complete yet.
fn parse(input: &[u8]) -> Option<(HttpReply, usize)> {
    let head_length = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&input[..head_length]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let start = head_length + 4;
    let (body, end) = if headers.get("transfer-encoding").is_some_and(|how| how == "chunked") {
        chunks(input, start)?
    } else {
        let length = headers.get("content-length").map_or(Some(0), |text| text.parse().ok())?;
        (input.get(start..start + length)?.to_vec(), start + length)
    };
    Some((HttpReply { status, body }, end))
}

/// Reads a body in chunks from `at`: the body and where it ends.
fn chunks(input: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let line_end = at + input.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let length = std::str::from_utf8(&input[at..line_end]).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        let start = line_end + 2;
        body.extend_from_slice(input.get(start..start + length)?);
        at = start + length + 2;
        input.get(..at)?;
        if length == 0 {
            return Some((body, at));
        }
    }
}

#[test]
fn a_reply_in_chunks_is_read_whole_and_never_early() {
    let wire =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    for length in 0..wire.len() {
        assert!(parse(&wire[..length]).is_none(), "after {length} bytes");
    }
    let (reply, length) = parse(wire).expect("complete");
    assert_eq!((reply.status, reply.body.as_slice(), length), (200, &b"abcd"[..], wire.len()));
}
