//! A RESP2 and RESP3 client that keeps every byte that matters: two replies are equal exactly when
//! their bytes on the wire are.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::node::PATIENCE;

/// Bytes read from the socket at once (guess).
const READ_BYTES: usize = 16 * 1024;

/// One reply. The first field is always the type byte of the protocol.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+ - : _ # , (`: the text of one line.
    Line(u8, Vec<u8>),
    /// `$ = !`: bytes with a length.
    Bulk(u8, Vec<u8>),
    /// `$-1` and `*-1`.
    Null(u8),
    /// `* ~ > %`: replies in order; a map has keys and values in turn.
    Aggregate(u8, Vec<Reply>),
}

impl Reply {
    /// Returns the number of an integer reply, or of a bulk string that holds one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Line(b':', text) | Self::Bulk(b'$', text) => {
                std::str::from_utf8(text).ok()?.parse().ok()
            }
            _ => None,
        }
    }

    /// Returns the text of a line or bulk string that is not an error.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Line(kind, text) | Self::Bulk(kind, text) if !b"-!".contains(kind) => {
                std::str::from_utf8(text).ok()
            }
            _ => None,
        }
    }

    /// Returns the text of an error, without the type byte.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Line(b'-', text) | Self::Bulk(b'!', text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Returns whether this is an error whose text begins with `prefix`.
    pub fn fails_with(&self, prefix: &str) -> bool {
        self.error().is_some_and(|text| text.starts_with(prefix))
    }

    /// Returns whether this is a null of either protocol.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null(_) | Self::Line(b'_', _))
    }

    /// Returns the replies inside an aggregate; none for anything else.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Aggregate(_, items) => items,
            _ => &[],
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind, text) | Self::Bulk(kind, text) => {
                write!(out, "{}{}", char::from(*kind), text.escape_ascii())
            }
            Self::Null(kind) => write!(out, "{}-1", char::from(*kind)),
            Self::Aggregate(kind, items) => {
                write!(out, "{}", char::from(*kind))?;
                out.debug_list().entries(items).finish()
            }
        }
    }
}

/// Reads one reply at the start of `input`: the reply and its length, or `None` if it is not
/// complete yet.
///
/// # Errors
/// The connection broke, or what came is not the protocol.
pub fn parse(input: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (kind, text) = input[..end].split_first().ok_or_else(|| garbled(input))?;
    let body = end + 2;
    match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
            Ok(Some((Reply::Line(*kind, text.to_vec()), body)))
        }
        b'$' | b'=' | b'!' => {
            let Some(length) = length_of(text, input)? else {
                return Ok(Some((Reply::Null(*kind), body)));
            };
            let Some(bytes) = input.get(body..body + length + 2) else { return Ok(None) };
            let bytes = bytes.strip_suffix(b"\r\n").ok_or_else(|| garbled(input))?;
            Ok(Some((Reply::Bulk(*kind, bytes.to_vec()), body + length + 2)))
        }
        b'*' | b'~' | b'>' | b'%' => {
            let Some(length) = length_of(text, input)? else {
                return Ok(Some((Reply::Null(*kind), body)));
            };
            let count = if *kind == b'%' { 2 * length } else { length };
            parse_items(*kind, count, input, body)
        }
        _ => Err(garbled(input)),
    }
}

fn parse_items(
    kind: u8,
    count: usize,
    input: &[u8],
    mut at: usize,
) -> io::Result<Option<(Reply, usize)>> {
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, length)) = parse(&input[at..])? else { return Ok(None) };
        items.push(item);
        at += length;
    }
    Ok(Some((Reply::Aggregate(kind, items), at)))
}

/// Reads a length; `None` is the null of RESP2.
fn length_of(text: &[u8], input: &[u8]) -> io::Result<Option<usize>> {
    if text == b"-1" {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).map_err(|_| garbled(input))?;
    text.parse().map(Some).map_err(|_| garbled(input))
}

fn garbled(input: &[u8]) -> io::Error {
    let shown = &input[..input.len().min(80)];
    io::Error::new(ErrorKind::InvalidData, format!("not RESP: {}", shown.escape_ascii()))
}

/// Encodes a command as an array of bulk strings.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Encodes a command given as words between blanks.
pub fn encode_line(line: &str) -> Vec<u8> {
    encode(&line.split(' ').collect::<Vec<_>>())
}

trait Socket: Read + Write + Send + fmt::Debug {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

impl Socket for UnixStream {
    fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Resp {
    socket: Box<dyn Socket>,
    pending: Vec<u8>,
    patience: Duration,
}

impl Resp {
    /// Connects over TCP.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::try_tcp(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects over TCP.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn try_tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Self::over(Box::new(socket))
    }

    /// Connects over a Unix socket.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn try_unix(path: &Path) -> io::Result<Self> {
        Self::over(Box::new(UnixStream::connect(path)?))
    }

    fn over(socket: Box<dyn Socket>) -> io::Result<Self> {
        socket.wait_at_most(PATIENCE)?;
        Ok(Self { socket, pending: Vec::new(), patience: PATIENCE })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Receives one reply.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn receive(&mut self) -> io::Result<Reply> {
        self.receive_within(PATIENCE)?
            .ok_or_else(|| io::Error::new(ErrorKind::TimedOut, "no reply within patience"))
    }

    /// Receives one reply; `None` if none came within `patience`.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn receive_within(&mut self, patience: Duration) -> io::Result<Option<Reply>> {
        loop {
            if let Some((reply, length)) = parse(&self.pending)? {
                self.pending.drain(..length);
                return Ok(Some(reply));
            }
            match self.fill(patience) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed")),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self, patience: Duration) -> io::Result<usize> {
        if patience != self.patience {
            self.socket.wait_at_most(patience)?;
            self.patience = patience;
        }
        let mut chunk = [0; READ_BYTES];
        let length = self.socket.read(&mut chunk)?;
        self.pending.extend_from_slice(&chunk[..length]);
        Ok(length)
    }

    /// Sends a command given as words between blanks and returns its reply.
    ///
    /// # Panics
    /// If the connection breaks or the reply does not come.
    pub fn call(&mut self, line: &str) -> Reply {
        self.try_call(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Sends a command given as words between blanks and returns its reply.
    ///
    /// # Errors
    /// The connection broke, or what came is not the protocol.
    pub fn try_call(&mut self, line: &str) -> io::Result<Reply> {
        self.send(&encode_line(line))?;
        self.receive()
    }

    /// Reads until the other side closes; answers whether it did before patience was over.
    pub fn closes(&mut self) -> bool {
        loop {
            match self.fill(PATIENCE) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !is_timeout(&error),
            }
        }
    }
}

/// Returns whether a socket operation ended because its time was over.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn every_type_of_reply_is_read_whole_and_never_early() {
    let wire = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n%1\r\n+k\r\n_\r\n*-1\r\n";
    for length in 0..wire.len() {
        assert!(parse(&wire[..length]).expect("a prefix is not garbled").is_none());
    }
    let (reply, length) = parse(wire).expect("valid").expect("complete");
    assert_eq!(length, wire.len());
    assert_eq!(format!("{reply:?}"), r"*[$a\r\n, :-7, %[+k, _], *-1]");
}
