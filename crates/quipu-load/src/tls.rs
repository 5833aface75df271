//! TLS below any protocol: what a target must show, and one session as a state machine between a
//! socket and its bytes.
//!
//! Sessions are not resumed and no data is sent early: each connection makes a whole handshake, as a
//! client that has not been there before.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use quipu_lab::failure::Failure;
use quipu_lab::scenario::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::stream::Moved;

/// What is read from a socket at once: a record has at most 16 KiB (RFC 8446, section 5.1).
const WIRE_BYTES: usize = 16 << 10;

/// Why nothing can be encrypted as the scenario asks.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities cannot be read, or holds none.
    #[error("cannot read certificates from {file}")]
    Authorities {
        /// The file.
        file: String,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate in the file of authorities is broken.
    #[error("a certificate in {file} is of no use")]
    Authority {
        /// The file.
        file: String,
        /// Why.
        source: Error,
    },
    /// Nobody is trusted.
    #[error("no certificate of an authority in {place}: set tls.ca to a PEM file of yours")]
    NoAuthorities {
        /// Where they were looked for.
        place: String,
    },
    /// The name is neither one of the DNS nor an address.
    #[error("{name:?} cannot be the name in a certificate")]
    Name {
        /// The name.
        name: String,
    },
    /// The library refuses what it is given.
    #[error("TLS cannot be set up")]
    Setup(#[from] Error),
}

/// What a target must show, and which protocols it is offered.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Trust {
    /// Reads the authorities. `protocols` are offered by ALPN, the best first.
    ///
    /// # Errors
    /// The authorities cannot be read, or `host` is no name.
    pub(crate) fn new(tls: &Tls, host: &str, protocols: &[&str]) -> Result<Self, TlsError> {
        let name = tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Name { name: name.to_owned() })?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let mut config = if tls.insecure {
            let anyone = Arc::new(Anyone { provider });
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        } else {
            let roots = Arc::new(authorities(tls.ca.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
            builder.with_webpki_verifier(verifier).with_no_client_auth()
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }

    /// Returns the same trust that offers other protocols.
    pub(crate) fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config), name: self.name.clone() }
    }

    /// Begins a session, which has nothing to do with a socket yet.
    ///
    /// # Errors
    /// The library refuses what it is given.
    pub(crate) fn session(&self) -> Result<ClientConnection, Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }

    /// Returns the class of a session that agreed on `protocol` and was offered others.
    fn agreed(&self, protocol: Option<&[u8]>) -> Result<(), Failure> {
        let is_offered = self.config.alpn_protocols.iter().any(|name| Some(&**name) == protocol);
        // A target that knows no ALPN speaks what was spoken before there was any.
        let is_old = protocol.is_none()
            && self.config.alpn_protocols.iter().all(|name| name.as_slice() != b"h2");
        if is_offered || is_old { Ok(()) } else { Err(Failure::TlsProtocol) }
    }
}

fn authorities(file: Option<&str>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return some(roots, "the system");
    };
    let failed = |source| TlsError::Authorities { file: file.to_owned(), source };
    for certificate in CertificateDer::pem_file_iter(Path::new(file)).map_err(failed)? {
        let refused = |source| TlsError::Authority { file: file.to_owned(), source };
        roots.add(certificate.map_err(failed)?).map_err(refused)?;
    }
    some(roots, file)
}

fn some(roots: RootCertStore, place: &str) -> Result<RootCertStore, TlsError> {
    if roots.is_empty() {
        return Err(TlsError::NoAuthorities { place: place.to_owned() });
    }
    Ok(roots)
}

/// Returns the class of what went wrong with a session.
pub(crate) fn class_of(error: &Error) -> Failure {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Failure::TlsCertificate,
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => Failure::TlsProtocol,
        _ => Failure::Tls,
    }
}

/// One encrypted connection.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
    trust: Trust,
    is_connected: bool,
    /// What came and was not decrypted yet.
    wire: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the other side has said goodbye: nothing follows what was read.
    is_ended: bool,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl TlsStream {
    pub(crate) fn new(socket: TcpStream, trust: &Trust) -> Result<Self, Failure> {
        let session = trust.session().map_err(|error| class_of(&error))?;
        let (trust, wire) = (trust.clone(), vec![0; WIRE_BYTES]);
        let (is_connected, is_ended) = (false, false);
        Ok(Self { socket, session, trust, is_connected, wire, start: 0, end: 0, is_ended })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether the socket is connected: what is missing is the handshake.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Goes on with the handshake and says whether it is over.
    ///
    /// # Errors
    /// The class of why it failed.
    pub(crate) fn shake_hands(&mut self) -> Result<bool, Failure> {
        self.is_connected = true;
        let of_handshake =
            |failure| if failure == Failure::Closed { Failure::Tls } else { failure };
        loop {
            if let Moved::Broken(_) = self.flush() {
                return Err(Failure::Tls);
            }
            if !self.session.is_handshaking() && !self.session.wants_write() {
                return self.trust.agreed(self.session.alpn_protocol()).map(|()| true);
            }
            match self.pull() {
                Moved::Bytes(_) => {}
                Moved::Later => return Ok(false),
                Moved::End => return Err(Failure::Tls),
                Moved::Broken(failure) => return Err(of_handshake(failure)),
            }
        }
    }

    /// Whether encrypted bytes wait for the socket.
    pub(crate) fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }

    /// Whether bytes were taken from the socket that nobody has read, or a goodbye that the next read
    /// tells: it may have come with the bytes before it.
    pub(crate) fn has_unread(&self) -> bool {
        self.start < self.end || self.is_ended
    }

    /// An end without a goodbye is a break: somebody may have cut it.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Moved {
        loop {
            match self.session.reader().read(buffer) {
                Ok(0) => return Moved::End,
                Ok(count) => return Moved::Bytes(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Moved::Broken(Failure::Closed),
            }
            match self.pull() {
                Moved::Bytes(_) => {}
                other => return other,
            }
        }
    }

    /// Takes bytes from the socket and decrypts what is complete.
    fn pull(&mut self) -> Moved {
        if self.start == self.end {
            match crate::stream::moved(self.socket.read(&mut self.wire)) {
                Moved::Bytes(count) => (self.start, self.end) = (0, count),
                Moved::End => return Moved::Broken(Failure::Closed),
                other => return other,
            }
        }
        let mut rest = self.wire.get(self.start..self.end).unwrap_or_default();
        let Ok(taken) = self.session.read_tls(&mut rest) else {
            return Moved::Broken(Failure::Tls);
        };
        self.start += taken;
        match self.session.process_new_packets() {
            Ok(state) => self.is_ended = state.peer_has_closed(),
            Err(error) => {
                // Tells the other side why, if it can be told at once.
                drop(self.session.write_tls(&mut self.socket));
                return Moved::Broken(class_of(&error));
            }
        }
        // What follows a goodbye is taken by nobody.
        if taken == 0 { Moved::End } else { Moved::Bytes(taken) }
    }

    /// Takes bytes to be encrypted, only when all from before are with the socket.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Moved {
        match self.flush() {
            Moved::End => {}
            other => return other,
        }
        match self.session.writer().write(bytes) {
            Ok(0) | Err(_) => Moved::Broken(Failure::Write),
            Ok(count) => match self.flush() {
                Moved::Broken(failure) => Moved::Broken(failure),
                _ => Moved::Bytes(count),
            },
        }
    }

    /// Gives the socket what is encrypted; the end is reached when it has all.
    pub(crate) fn flush(&mut self) -> Moved {
        while self.session.wants_write() {
            match crate::stream::moved(self.session.write_tls(&mut self.socket)) {
                Moved::Bytes(_) => {}
                Moved::Later => return Moved::Later,
                Moved::End | Moved::Broken(_) => return Moved::Broken(Failure::Write),
            }
        }
        Moved::End
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Believes whoever answers, as `tls.insecure` asks.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A session on a blocking socket, for what is asked beside the load.
///
/// # Errors
/// The handshake failed; the inner error of rustls says why.
pub(crate) fn blocking(
    trust: &Trust,
    mut socket: TcpStream,
) -> io::Result<rustls::StreamOwned<ClientConnection, TcpStream>> {
    let mut session = trust.session().map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(rustls::StreamOwned::new(session, socket))
}
