//! What the admin listener reads from the disk: answers that come in parts, of any length.
//!
//! Asked in HTTP/1.0, so that an answer ends with its connection and has no framing of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use quipu_wire::archive::{ChunkError, HEAD_BYTES, Head};
use quipu_wire::resp::value::Value;
use thiserror::Error;

use crate::connection::{Connection, ConnectionError, dial};

/// Longest head of an answer. Guess: ours have 200 bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header lines of an answer. Guess: ours have five.
const HEADERS_MAX: usize = 32;

/// Longest body of a refusal that is read. Guess: ours have 300 bytes.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// How long an answer may pause. Guess: the node's disk is slow, or another reading comes first.
const PAUSE: Duration = Duration::from_secs(60);

/// Why there is no answer, or no end of it.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The node cannot be asked where its admin listener is.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The node does not say where its admin listener is.
    #[error("the node does not say where its admin listener is; name it with --admin")]
    NoAdmin,
    /// No connection came about.
    #[error("cannot connect to the admin listener at {address}")]
    Connect {
        /// Where to.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection to the admin listener broke")]
    Io(#[from] io::Error),
    /// What came is not HTTP.
    #[error("what answers at {address} does not speak HTTP")]
    NotHttp {
        /// Where.
        address: String,
    },
    /// The node refused.
    #[error("the node refuses ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        detail: String,
    },
    /// The answer ended too early.
    #[error("the node stopped before all was sent")]
    CutShort,
    /// A chunk cannot be read.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// Asks the node whose RESP listener is at `node` where its admin listener is.
///
/// # Errors
/// It does not answer, or does not say.
pub fn admin_address(node: &str, timeout: Duration) -> Result<String, ArchiveError> {
    let mut connection = Connection::connect(node, timeout)?;
    let answer = connection.call(&[b"INFO", b"server"])?;
    let Value::Bulk(text) = answer else { return Err(ArchiveError::NoAdmin) };
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().find_map(|line| line.trim().strip_prefix("quipu_admin_addr:"));
    found.map(str::to_owned).ok_or(ArchiveError::NoAdmin)
}

/// The body of an answer.
#[derive(Debug)]
pub struct Answer {
    reader: BufReader<TcpStream>,
    /// How many bytes the body has, where the node said so.
    pub length: Option<u64>,
}

/// Asks the admin listener at `address`; its answer begins within `patience`.
///
/// # Errors
/// Nobody answers there, or the node refuses.
pub fn ask(
    address: &str,
    (method, path): (&str, &str),
    patience: Duration,
) -> Result<Answer, ArchiveError> {
    let connect = |source| ArchiveError::Connect { address: address.to_owned(), source };
    let mut stream = dial(address, PAUSE).map_err(connect)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (status, length) = read_head(&mut reader, address)?;
    reader.get_ref().set_read_timeout(Some(PAUSE))?;
    if status == 200 {
        return Ok(Answer { reader, length });
    }
    let mut body = String::new();
    reader.take(REFUSAL_BYTES_MAX).read_to_string(&mut body)?;
    Err(ArchiveError::Refused { status, detail: detail(&body) })
}

/// Reads the head of an answer: its status, and how many bytes follow.
fn read_head(
    reader: &mut BufReader<TcpStream>,
    address: &str,
) -> Result<(u16, Option<u64>), ArchiveError> {
    let not_http = || ArchiveError::NotHttp { address: address.to_owned() };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = reader.read_until(b'\n', &mut head)?;
        if read == 0 || head.len() > HEAD_BYTES_MAX {
            return Err(not_http());
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&head).map_err(|_| not_http())?;
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|h| std::str::from_utf8(h.value).ok()?.parse().ok());
    Ok((response.code.ok_or_else(not_http)?, length))
}

/// What a problem says, or the text as it is.
fn detail(body: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    detail.unwrap_or(body).trim().to_owned()
}

impl Answer {
    /// Reads the next line; none at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub fn line(&mut self) -> Result<Option<String>, ArchiveError> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line)?;
        Ok((read > 0).then_some(line))
    }

    /// Reads the next chunk's payload into `payload`; none at the end.
    ///
    /// # Errors
    /// The connection broke, or the bytes are no chunk.
    pub fn chunk(&mut self, payload: &mut Vec<u8>) -> Result<Option<Head>, ArchiveError> {
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        self.reader.read_exact(&mut head).map_err(cut_short)?;
        let head = Head::decode(head)?;
        payload.clear();
        let read = self.reader.by_ref().take(head.length as u64).read_to_end(payload)?;
        if read < head.length { Err(ArchiveError::CutShort) } else { Ok(Some(head)) }
    }

    /// Hands all bytes to `visit`, in parts.
    ///
    /// # Errors
    /// The connection broke or ended too early; errors of the visitor pass through.
    pub fn bytes<E: From<ArchiveError>>(
        &mut self,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = 0;
        loop {
            let part = self.reader.fill_buf().map_err(ArchiveError::from)?;
            if part.is_empty() {
                break;
            }
            let length = part.len();
            visit(part)?;
            self.reader.consume(length);
            seen += length as u64;
        }
        if self.length.is_some_and(|length| length != seen) {
            return Err(ArchiveError::CutShort.into());
        }
        Ok(())
    }
}

fn cut_short(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::CutShort,
        _ => error.into(),
    }
}
