//! A blocking Redis connection and an HTTP request, enough to drive servers from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longer than any answer of a healthy server takes, with slowed syncs too.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A reply, as far as the bench reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Integer(i64),
    Null,
    Array(Vec<Self>),
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Replies<R>(R);

/// One connection, both halves.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    replies: Replies<BufReader<TcpStream>>,
}

impl Connection {
    /// Connects to a port of the loopback interface.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let replies = Replies(BufReader::new(stream.try_clone()?));
        Ok(Self { stream, replies })
    }

    /// Sends a command and returns its reply.
    ///
    /// # Errors
    /// The connection ended, or the reply is an error.
    pub(crate) fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.stream.write_all(&encode(words))?;
        self.replies.next().with_context(|| format!("calling {}", words.join(" ")))
    }

    /// Splits into the writing and the reading half.
    pub(crate) fn split(self) -> (TcpStream, Replies<BufReader<TcpStream>>) {
        (self.stream, self.replies)
    }
}

/// Encodes a command as an array of bulk strings.
pub(crate) fn encode(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

impl<R: BufRead> Replies<R> {
    /// Reads the next reply.
    ///
    /// # Errors
    /// The connection ended, the reply is an error, or it is of a kind the bench does not know.
    pub(crate) fn next(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let Some(line) = line.strip_suffix("\r\n") else { bail!("the connection ended") };
        let Some(rest) = line.get(1..) else { bail!("a reply of one byte") };
        match line.as_bytes().first() {
            Some(b'+') => Ok(Reply::Text(rest.to_owned())),
            Some(b':') => Ok(Reply::Integer(rest.parse()?)),
            Some(b'$') => self.bulk(rest.parse()?),
            Some(b'*') => {
                (0..rest.parse()?).map(|_| self.next()).collect::<Result<_>>().map(Reply::Array)
            }
            Some(b'-') => bail!("the server answered: {rest}"),
            _ => bail!("an unknown kind of reply: {line}"),
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Reply> {
        let Ok(length) = usize::try_from(length) else { return Ok(Reply::Null) };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Reply::Text(String::from_utf8(bytes)?))
    }
}

/// Fetches a page over HTTP and returns its body.
///
/// # Errors
/// Nobody listens, or the answer is not 200.
pub(crate) fn fetch(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no end of headers") };
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{path} answered {}", head.lines().next().unwrap_or(""));
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &Reply) {
        assert_eq!(&Replies(bytes).next().unwrap(), expected);
    }

    #[test]
    fn replies_are_read() {
        check(b"+PONG\r\n", &Reply::Text("PONG".into()));
        check(b":-7\r\n", &Reply::Integer(-7));
        check(b"$-1\r\n", &Reply::Null);
        check(b"$3\r\na\r\n\r\n", &Reply::Text("a\r\n".into()));
        let two = Reply::Array(vec![Reply::Integer(1), Reply::Text("b".into())]);
        check(b"*2\r\n:1\r\n$1\r\nb\r\n", &two);
    }

    #[test]
    fn errors_and_ends_are_errors() {
        for bytes in [b"-ERR no\r\n".as_slice(), b"", b":1", b"$3\r\nab"] {
            assert!(Replies(bytes).next().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        assert_eq!(encode(&["GET", "a"]), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }
}
