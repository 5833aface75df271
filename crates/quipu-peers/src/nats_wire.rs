//! As much of the NATS client protocol as requests with one reply need: `CONNECT`, `SUB`, `PUB`,
//! `HPUB`, `MSG`, `HMSG`, `PING` and `PONG`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use quipu_proof::node::PATIENCE;
use serde_json::json;

use crate::system::NoAnswer;

/// Connections of this process, so that no two have the same inbox.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Where to publish, and with which header line.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The subject.
    pub(crate) subject: String,
    /// A line such as `Name: value`.
    pub(crate) header: Option<String>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Nats {
    socket: BufReader<TcpStream>,
    inbox: String,
    asked: u64,
}

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Message { subject: String, payload: Vec<u8> },
    Ping,
    Other,
}

impl Nats {
    /// Connects, and waits until the server has taken the connection.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, NoAnswer> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("_INBOX.{}.{number}", std::process::id());
        let mut nats = Self { socket: BufReader::new(socket), inbox, asked: 0 };
        let options = json!({ "verbose": false, "pedantic": false, "tls_required": false,
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "headers": true,
            "no_responders": true });
        let inbox = &nats.inbox;
        let greeting = format!("CONNECT {options}\r\nSUB {inbox}.* 1\r\n");
        nats.send(greeting.as_bytes())?;
        Ok(nats)
    }

    /// Publishes with a place for the reply, and waits for that.
    pub(crate) fn request(
        &mut self,
        message: &Published,
        payload: &[u8],
    ) -> Result<Vec<u8>, NoAnswer> {
        self.asked += 1;
        let reply_to = format!("{}.{}", self.inbox, self.asked);
        let bytes = encode(message, &reply_to, payload);
        self.send(&bytes)?;
        loop {
            match self.receive()? {
                Frame::Message { subject, payload } if subject == reply_to => return Ok(payload),
                Frame::Ping => self.send(b"PONG\r\n")?,
                Frame::Message { .. } | Frame::Other => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        Ok(self.socket.get_mut().write_all(bytes)?)
    }

    fn receive(&mut self) -> Result<Frame, NoAnswer> {
        let mut line = String::new();
        if self.socket.read_line(&mut line)? == 0 {
            return Err(NoAnswer("closed".to_owned()));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => Ok(Frame::Ping),
            ["-ERR", ..] => Err(NoAnswer(line.trim().to_owned())),
            ["MSG", subject, .., length] => self.message(subject, "0", length),
            ["HMSG", subject, .., header, length] => self.message(subject, header, length),
            _ => Ok(Frame::Other),
        }
    }

    fn message(&mut self, subject: &str, header: &str, length: &str) -> Result<Frame, NoAnswer> {
        let number = |text: &str| {
            text.parse::<usize>().map_err(|_| NoAnswer(format!("not a length: {text}")))
        };
        let (header, length) = (number(header)?, number(length)?);
        let mut bytes = vec![0; length + 2];
        self.socket.read_exact(&mut bytes)?;
        bytes.truncate(length);
        let payload = bytes.get(header..).unwrap_or_default().to_vec();
        if header > 0 && payload.is_empty() {
            let status = String::from_utf8_lossy(&bytes);
            return Err(NoAnswer(status.lines().next().unwrap_or_default().to_owned()));
        }
        Ok(Frame::Message { subject: subject.to_owned(), payload })
    }
}

fn encode(message: &Published, reply_to: &str, payload: &[u8]) -> Vec<u8> {
    let Published { subject, header } = message;
    let header = header.as_ref().map(|line| format!("NATS/1.0\r\n{line}\r\n\r\n"));
    let head = header.map_or_else(
        || format!("PUB {subject} {reply_to} {}\r\n", payload.len()),
        |header| {
            let total = header.len() + payload.len();
            format!("HPUB {subject} {reply_to} {} {total}\r\n{header}", header.len())
        },
    );
    [head.as_bytes(), payload, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, expected: &str) {
        let message = Published { subject: "a".to_owned(), header: header.map(str::to_owned) };
        assert_eq!(encode(&message, "r", b"41"), expected.as_bytes());
    }

    #[test]
    fn lengths_count_header_and_payload() {
        check(None, "PUB a r 2\r\n41\r\n");
        check(Some("X: 1"), "HPUB a r 18 20\r\nNATS/1.0\r\nX: 1\r\n\r\n41\r\n");
    }
}
