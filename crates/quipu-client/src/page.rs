//! One page of a node over HTTP: asked for, read whole, and the connection closed.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use thiserror::Error;

/// Longest answer in bytes. Guess: far above the figures of a node (some 20 KiB).
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Why there is no page.
#[derive(Debug, Error)]
pub enum PageError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Reading or writing failed, or took too long.
    #[error("no answer from {address}: {source}")]
    Io {
        /// From where.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What answers there speaks no HTTP.
    #[error("what answers at {address} is not the HTTP of a node; name its admin or HTTP address")]
    NoHttp {
        /// Where.
        address: String,
    },
    /// The node refused.
    #[error("{address} answers {path} with status {status}")]
    Status {
        /// Where.
        address: String,
        /// What was asked for.
        path: String,
        /// The status code.
        status: u16,
    },
}

/// Gets `path` as JSON from the node at `address` (`host:port`); `timeout` bounds every wait.
///
/// # Errors
/// Nobody answers there, or with no page.
pub fn get_json(address: &str, path: &str, timeout: Duration) -> Result<Vec<u8>, PageError> {
    let failed = |source| PageError::Io { address: address.to_owned(), source };
    let mut stream = dial(address, timeout)
        .map_err(|source| PageError::Connect { address: address.to_owned(), source })?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
    let no_http = || PageError::NoHttp { address: address.to_owned() };
    let (status, body) = split(&answer).ok_or_else(no_http)?;
    if status != 200 {
        let (address, path) = (address.to_owned(), path.to_owned());
        return Err(PageError::Status { address, path, status });
    }
    Ok(body.to_vec())
}

fn dial(address: &str, timeout: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "it resolves to nothing");
    for socket in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The status and the body of an answer that is whole.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let mut words = head.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    let body = answer.get(end + 4..)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    // Cut off on the way is no answer.
    (length? == body.len()).then_some((status, body))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_answer_is_whole_or_none() {
        let check = |text: &str, expected: Option<(u16, &str)>| {
            let expected = expected.map(|(status, body)| (status, body.as_bytes()));
            assert_eq!(split(text.as_bytes()), expected, "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some((200, "{}")));
        check("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Some((404, "")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", None);
        check("HTTP/1.1 200 OK\r\n\r\n{}", None);
        check("-ERR no\r\n\r\n", None);
    }
}
