//! Where a target is, and one blocking connection to it beside the load: to ask it what it is, or what
//! it has counted.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use crate::tls::{self, Trust};

/// Where a target is, and what it must show if what is said is encrypted.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Option<Trust>,
}

impl Endpoint {
    /// Connects, and waits for nothing longer than `patience`.
    ///
    /// # Errors
    /// The target is not there, or not to be trusted.
    pub(crate) fn open(&self, patience: Duration) -> io::Result<Link> {
        let socket = TcpStream::connect_timeout(&self.address, patience)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        match &self.trust {
            None => Ok(Link::Plain(socket)),
            Some(trust) => Ok(Link::Tls(Box::new(tls::blocking(trust, socket)?))),
        }
    }

    /// Returns the same endpoint to be spoken to in another protocol.
    pub(crate) fn offering(&self, protocols: &[&str]) -> Self {
        let trust = self.trust.as_ref().map(|trust| trust.offering(protocols));
        Self { address: self.address, trust }
    }
}

/// One blocking connection.
#[derive(Debug)]
pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    /// Returns the protocol that ALPN agreed on.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.conn.alpn_protocol(),
        }
    }

    /// Returns the version and the cipher suite, if it is encrypted.
    pub(crate) fn encryption(&self) -> Option<String> {
        let Self::Tls(stream) = self else { return None };
        let (version, suite) =
            (stream.conn.protocol_version()?, stream.conn.negotiated_cipher_suite()?);
        let version = version.as_str().unwrap_or("unknown").replace('_', ".");
        Some(format!("{version} {}", suite.suite().as_str().unwrap_or("unknown")))
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
