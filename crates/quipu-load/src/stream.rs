//! The bytes of one connection, without blocking: as they are, or encrypted.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use quipu_lab::failure::Failure;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use crate::link::Endpoint;
use crate::tls::TlsStream;

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream>),
}

/// What came of trying to read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes; not 0.
    Bytes(usize),
    /// Nothing yet.
    Later,
    /// The other side has ended.
    End,
    /// The connection is broken.
    Broken(Failure),
}

impl Stream {
    /// Begins to connect; the socket is writable when it is connected or has failed.
    ///
    /// # Errors
    /// The class of what is known at once.
    pub(crate) fn connect(endpoint: &Endpoint) -> Result<Self, Failure> {
        let address = endpoint.address;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
            .map_err(|_| Failure::ConnectFailed)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(class_of(error)),
        }
        let stream = TcpStream::from(socket);
        // Only a socket that is gone already refuses, and then the connect fails.
        drop(stream.set_nodelay(true));
        match &endpoint.trust {
            None => Ok(Self::Plain(stream)),
            Some(trust) => Ok(Self::Tls(Box::new(TlsStream::new(stream, trust)?))),
        }
    }

    /// Goes on with connecting, once the socket is ready, and says whether bytes can be sent.
    ///
    /// # Errors
    /// The class of why it failed.
    pub(crate) fn connected(&mut self) -> Result<bool, Failure> {
        match self {
            Self::Plain(stream) => reached(stream).map(|()| true),
            Self::Tls(stream) => {
                if !stream.is_connected() {
                    reached(stream.socket())?;
                }
                stream.shake_hands()
            }
        }
    }

    /// Returns the class of a connection that is not made in time.
    pub(crate) fn late_class(&self) -> Failure {
        match self {
            Self::Tls(stream) if stream.is_connected() => Failure::TlsTimeout,
            Self::Plain(_) | Self::Tls(_) => Failure::ConnectTimeout,
        }
    }

    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether bytes that were written have not all gone to the socket.
    pub(crate) fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.has_unsent())
    }

    /// Whether bytes have left the socket that were not read: waiting for the socket would not tell.
    pub(crate) fn has_unread(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.has_unread())
    }

    /// Reads into `buffer`, which is not empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Moved {
        match self {
            Self::Plain(stream) => moved(stream.read(buffer)),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes from `bytes`, which are not empty.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Moved {
        match self {
            Self::Plain(stream) => moved(stream.write(bytes)),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// Gives the socket what was written; the end is reached when it has all.
    pub(crate) fn flush(&mut self) -> Moved {
        match self {
            Self::Plain(_) => Moved::End,
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.as_fd(),
        }
    }
}

pub(crate) fn moved(result: io::Result<usize>) -> Moved {
    match result {
        Ok(0) => Moved::End,
        Ok(count) => Moved::Bytes(count),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Moved::Later,
            _ => Moved::Broken(Failure::Closed),
        },
    }
}

/// Says how connecting a socket ended.
fn reached(socket: &TcpStream) -> Result<(), Failure> {
    match sockopt::socket_error(socket) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) | Err(error) => Err(class_of(error)),
    }
}

fn class_of(error: Errno) -> Failure {
    match error {
        Errno::CONNREFUSED => Failure::ConnectRefused,
        Errno::TIMEDOUT => Failure::ConnectTimeout,
        _ => Failure::ConnectFailed,
    }
}
