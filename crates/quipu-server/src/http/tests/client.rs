//! A client that says exactly what it is told.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::http::tests::node::PATIENCE;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    pending: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    /// The status code.
    pub(super) status: u16,
    /// The headers, their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Response {
    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("it is JSON")
    }
}

/// A request as text.
pub(super) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    // The empty one at the end makes every line end.
    let headers = [headers, &[""]].concat().join("\r\n");
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\
         \r\n{body}"
    )
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        socket.set_nodelay(true).expect("it is a socket");
        Self { socket, pending: Vec::new() }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("the server reads");
    }

    /// Sends while the other side takes it; says how many bytes it took before it closed.
    pub(super) fn send_until_closed(&mut self, chunk: &[u8]) -> usize {
        let mut sent = 0;
        self.socket.set_write_timeout(Some(PATIENCE)).expect("it is a socket");
        loop {
            match self.socket.write(chunk) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the server neither reads nor closes")
                }
                Err(_) => return sent,
            }
        }
    }

    pub(super) fn call(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.call_with(method, path, &[], body)
    }

    pub(super) fn call_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Response {
        self.send(&request(method, path, headers, body));
        self.receive()
    }

    /// The next response.
    pub(super) fn receive(&mut self) -> Response {
        self.receive_of(true)
    }

    /// The next response; its body is there or, as for HEAD, is not.
    pub(super) fn receive_of(&mut self, has_body: bool) -> Response {
        loop {
            if let Some((response, length)) = parse(&self.pending, has_body) {
                self.pending.drain(..length);
                return response;
            }
            let mut chunk = [0; 4096];
            let bytes = self.socket.read(&mut chunk).expect("a response comes");
            assert!(bytes > 0, "closed after {:?}", String::from_utf8_lossy(&self.pending));
            self.pending.extend_from_slice(&chunk[..bytes]);
        }
    }

    /// Whether nothing has come, at this moment.
    pub(super) fn has_nothing(&mut self) -> bool {
        self.socket.set_nonblocking(true).expect("it is a socket");
        let mut byte = [0];
        let seen = self.socket.peek(&mut byte);
        self.socket.set_nonblocking(false).expect("it is a socket");
        self.pending.is_empty() && seen.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }

    /// Waits until the other side closes; nothing else may come.
    pub(super) fn closes(&mut self) {
        assert_eq!(self.rest(), "");
    }

    /// All that comes until the other side closes.
    pub(super) fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.pending);
        match self.socket.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("it is open");
    }
}

fn parse(input: &[u8], has_body: bool) -> Option<(Response, usize)> {
    let head_length = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(input[..head_length].to_vec()).expect("heads are text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status is a number");
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = match headers.get("content-length") {
        Some(length) if has_body => length.parse().expect("a length is a number"),
        _ => 0,
    };
    let body = input.get(head_length + 4..head_length + 4 + length)?.to_vec();
    Some((Response { status, headers, body }, head_length + 4 + length))
}
