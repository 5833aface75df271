//! One connection to a node: requests out and replies in, both in any number at once.
//!
//! The socket does not block and both directions move in one place, so a client that has much
//! to send and a node that has much to answer cannot wait for each other. Every wait has an end:
//! a node that says nothing for the timeout is given up.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use quipu_wire::resp::value::{self, DecodeError, Scanner, Value};
use rustix::event::{PollFd, PollFlags, Timespec};
use thiserror::Error;

/// Size of the first input buffer, in bytes; it doubles for replies that do not fit. Guess.
const INPUT_BYTES: usize = 64 << 10;

/// Why a connection is of no further use.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The node closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// The node said nothing for too long.
    #[error("the node did not answer within {0:?}")]
    Timeout(Duration),
    /// What came is not RESP.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More replies than requests, or a reply of another shape than its request has.
    #[error("the node answered something that was not asked")]
    Unexpected,
}

/// Whether to wait for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Move what can be moved now.
    None,
    /// Wait until something can be moved.
    Wait,
}

/// A connection, its unsent requests and its untaken replies.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    timeout: Duration,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    start: usize,
    filled: usize,
    scanner: Scanner,
}

impl Connection {
    /// Connects to `address` (`host:port`); `timeout` bounds this and every later wait.
    ///
    /// # Errors
    /// The address does not resolve, or nobody accepts there.
    pub fn connect(address: &str, timeout: Duration) -> Result<Connection, ConnectionError> {
        let stream = dial(address, timeout)
            .map_err(|source| ConnectionError::Connect { address: address.to_owned(), source })?;
        Ok(Connection {
            stream,
            timeout,
            out: Vec::new(),
            written: 0,
            input: vec![0; INPUT_BYTES],
            start: 0,
            filled: 0,
            scanner: Scanner::default(),
        })
    }

    /// Returns the queue of encoded requests; what is appended leaves with the next [`Self::pump`].
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Returns how many bytes of requests have not left yet.
    pub fn queued(&self) -> usize {
        self.out.len() - self.written
    }

    /// Moves bytes in both directions; with [`Patience::Wait`] returns when some were moved.
    ///
    /// # Errors
    /// The connection broke, was closed, or nothing moved within the timeout.
    pub fn pump(&mut self, patience: Patience) -> Result<(), ConnectionError> {
        let moved = self.write()? + self.read()?;
        if moved > 0 || patience == Patience::None {
            return Ok(());
        }
        self.wait()?;
        self.write()?;
        self.read()?;
        Ok(())
    }

    /// Takes the next reply, if a complete one has arrived.
    ///
    /// # Errors
    /// What arrived is not RESP.
    pub fn reply(&mut self) -> Result<Option<&[u8]>, ConnectionError> {
        let arrived = self.input.get(self.start..self.filled).unwrap_or_default();
        let Some(length) = self.scanner.end(arrived)? else { return Ok(None) };
        self.start += length;
        Ok(self.input.get(self.start - length..self.start))
    }

    /// Sends the command of `parts` and waits for its reply, with no other request in flight.
    ///
    /// # Errors
    /// As [`Self::pump`] and [`Self::reply`]; an error reply of the node is not one of them.
    pub fn call(&mut self, parts: &[&[u8]]) -> Result<Value, ConnectionError> {
        value::put_command(&mut self.out, parts);
        loop {
            if let Some(reply) = self.reply()? {
                return Ok(Value::decode(reply)?);
            }
            self.pump(Patience::Wait)?;
        }
    }

    /// Waits for the replies to the `count` requests that were queued, with no others in flight.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn replies(&mut self, count: usize) -> Result<Vec<Value>, ConnectionError> {
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            match self.reply()? {
                Some(reply) => replies.push(Value::decode(reply)?),
                None => self.pump(Patience::Wait)?,
            }
        }
        Ok(replies)
    }

    /// Writes what the socket takes and returns how much that was.
    fn write(&mut self) -> Result<usize, ConnectionError> {
        let before = self.written;
        while self.written < self.out.len() {
            match self.stream.write(self.out.get(self.written..).unwrap_or_default()) {
                Ok(0) => return Err(ConnectionError::Closed),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let moved = self.written - before;
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Ok(moved)
    }

    /// Reads once what has arrived and returns how much that was.
    fn read(&mut self) -> Result<usize, ConnectionError> {
        self.make_room();
        loop {
            match self.stream.read(self.input.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Err(ConnectionError::Closed),
                Ok(bytes) => {
                    self.filled += bytes;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 && self.start >= self.filled / 2 {
            self.input.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.filled == self.input.len() {
            self.input.resize(2 * self.filled, 0);
        }
    }

    fn wait(&self) -> Result<(), ConnectionError> {
        let mut wanted = PollFlags::IN;
        if self.queued() > 0 {
            wanted |= PollFlags::OUT;
        }
        let timeout = Timespec::try_from(self.timeout).ok();
        let mut polled = [PollFd::new(&self.stream, wanted)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(0) => Err(ConnectionError::Timeout(self.timeout)),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(ConnectionError::Io(error.into())),
        }
    }
}

/// Tries each address that `address` resolves to.
/// Connects a socket that does not block.
pub(crate) fn dial(address: &str, timeout: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the address resolves to nothing");
    for socket in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(stream) => {
                refuse_oneself(&stream)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A dial to a closed port of the ephemeral range of this machine can, by TCP's simultaneous
/// open, reach its own socket, and would then keep the node from binding its port.
fn refuse_oneself(stream: &TcpStream) -> std::io::Result<()> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}
