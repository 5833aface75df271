//! The bytes of one connection, without blocking. TLS becomes a second variant here, and no other
//! file learns of it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use quipu_lab::failure::Failure;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As they are.
    Plain(TcpStream),
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
    Broken,
}

impl Stream {
    /// Begins to connect; the socket is writable when it is connected or has failed.
    ///
    /// # Errors
    /// The class of what is known at once.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Failure> {
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
        Ok(Self::Plain(stream))
    }

    /// Says how connecting ended, once the socket is writable.
    ///
    /// # Errors
    /// The class of why it failed.
    pub(crate) fn connected(&self) -> Result<(), Failure> {
        match sockopt::socket_error(self) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) | Err(error) => Err(class_of(error)),
        }
    }

    /// Reads into `buffer`, which is not empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Moved {
        let Self::Plain(stream) = self;
        moved(stream.read(buffer))
    }

    /// Writes from `bytes`, which are not empty.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Moved {
        let Self::Plain(stream) = self;
        moved(stream.write(bytes))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let Self::Plain(stream) = self;
        stream.as_fd()
    }
}

fn moved(result: io::Result<usize>) -> Moved {
    match result {
        Ok(0) => Moved::End,
        Ok(count) => Moved::Bytes(count),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Moved::Later,
            _ => Moved::Broken,
        },
    }
}

fn class_of(error: Errno) -> Failure {
    match error {
        Errno::CONNREFUSED => Failure::ConnectRefused,
        Errno::TIMEDOUT => Failure::ConnectTimeout,
        _ => Failure::ConnectFailed,
    }
}
