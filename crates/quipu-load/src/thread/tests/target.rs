//! A target in whose place a test speaks HTTP/2 over TLS: it reads and writes a few bytes a turn.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

/// The length of what a client says before its frames.
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// How a target behaves.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    pub(super) version: &'static SupportedProtocolVersion,
    /// Bytes that it reads from and writes to each connection in a turn.
    pub(super) piece: usize,
    /// The longest record.
    pub(super) record_bytes: usize,
    /// Requests of a connection that it answers, after which it leaves that.
    pub(super) requests_max: u32,
    pub(super) leave: Leave,
    /// How long an answer is.
    pub(super) body_bytes: usize,
    /// Streams that it lets be open at once.
    pub(super) streams_max: u32,
    /// Whether its settings come with the end of its handshake, before that of the client's.
    pub(super) is_early: bool,
    /// What its first connections are like, and how many of them.
    pub(super) first: (Mood, u32),
}

/// What a connection is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers.
    Willing,
    /// It reads, and says nothing after its settings.
    Mute,
    /// It says with its settings that it takes no request, and nothing more.
    Refusing,
}

/// How a target leaves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It names the last stream, answers what it has begun, and closes.
    GoAway,
    /// As a proxy that gives notice: first it names the greatest stream there is, then the last.
    Notice,
    /// It says goodbye to TLS and closes, without a word of HTTP/2.
    Close,
    /// It says goodbye to TLS, and neither reads nor closes from then on.
    HalfClose,
    /// It says goodbye to TLS, reads on, and says nothing more.
    Goodbye,
    /// It is gone.
    Cut,
}

/// A target.
pub(super) struct Target {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    manners: Manners,
    peers: Vec<Peer>,
    pub(super) accepted: u32,
    pub(super) answered: u32,
    pub(super) pongs: u32,
}

/// One connection.
struct Peer {
    socket: TcpStream,
    session: ServerConnection,
    /// What was encrypted and not yet written.
    wire: Vec<u8>,
    input: Vec<u8>,
    mood: Mood,
    has_preface: bool,
    taken: u32,
    is_leaving: bool,
    is_shut: bool,
}

impl Target {
    pub(super) fn new(manners: Manners) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[manners.version])
            .expect("a known version")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a key of the certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_half_rtt_data = manners.is_early;
        config.max_fragment_size = Some(manners.record_bytes);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let (config, peers) = (Arc::new(config), Vec::new());
        Self { listener, config, manners, peers, accepted: 0, answered: 0, pongs: 0 }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// Reads and writes a little on each connection, and says whether anything moved.
    pub(super) fn turn(&mut self) -> bool {
        let mut has_moved = false;
        if let Ok((socket, _)) = self.listener.accept() {
            let (mood, count) = self.manners.first;
            let mood = if self.accepted < count { mood } else { Mood::Willing };
            let mut peer = Peer::new(socket, &self.config, mood);
            peer.greet(self.manners.streams_max);
            self.peers.push(peer);
            self.accepted += 1;
            has_moved = true;
        }
        let mut peers = std::mem::take(&mut self.peers);
        peers.retain_mut(|peer| {
            let Some(bytes) = peer.read(self.manners.piece) else { return false };
            self.serve(peer);
            let written = peer.write(self.manners.piece);
            has_moved |= bytes + written > 0;
            !(peer.is_leaving && self.ends(peer))
        });
        self.peers = peers;
        has_moved
    }

    /// Whether a connection that is to be left can be forgotten.
    fn ends(&self, peer: &mut Peer) -> bool {
        let is_written = peer.wire.is_empty() && !peer.session.wants_write();
        match self.manners.leave {
            Leave::Cut => true,
            Leave::HalfClose => {
                if is_written && !std::mem::replace(&mut peer.is_shut, true) {
                    // Errors mean that the client has left, which the next read tells.
                    drop(peer.socket.shutdown(Shutdown::Write));
                }
                false
            }
            Leave::Goodbye => false,
            Leave::GoAway | Leave::Notice | Leave::Close => is_written,
        }
    }

    fn serve(&mut self, peer: &mut Peer) {
        if !peer.has_preface && peer.input.len() >= PREFACE_BYTES {
            assert!(peer.input.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
            peer.input.drain(..PREFACE_BYTES);
            peer.has_preface = true;
        }
        while let Some((kind, flags, stream)) = peer.frame() {
            self.take(peer, kind, flags, stream);
        }
    }

    fn take(&mut self, peer: &mut Peer, kind: u8, flags: u8, stream: u32) {
        let is_request = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        if kind == PING && flags & ACK != 0 {
            self.pongs += 1;
        }
        if !is_request || peer.is_leaving || peer.mood != Mood::Willing {
            return;
        }
        peer.taken += 1;
        let is_last = peer.taken >= self.manners.requests_max;
        if is_last && matches!(self.manners.leave, Leave::GoAway | Leave::Notice) {
            if self.manners.leave == Leave::Notice {
                peer.say(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
            }
            peer.say(GOAWAY, 0, 0, &[&stream.to_be_bytes()[..], &[0; 4]].concat());
        }
        peer.say(PING, 0, 0, b"12345678");
        peer.say(HEADERS, END_HEADERS, stream, b"\x88");
        let body = vec![b'x'; self.manners.body_bytes];
        let mut parts = body.chunks(16_384).peekable();
        while let Some(part) = parts.next() {
            peer.say(DATA, u8::from(parts.peek().is_none()), stream, part);
        }
        self.answered += 1;
        if is_last {
            peer.is_leaving = true;
            peer.session.send_close_notify();
        }
    }
}

impl Peer {
    fn new(socket: TcpStream, config: &Arc<ServerConfig>, mood: Mood) -> Self {
        socket.set_nonblocking(true).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        let mut session = ServerConnection::new(Arc::clone(config)).expect("a session");
        session.set_buffer_limit(None);
        Self {
            socket,
            session,
            wire: Vec::new(),
            input: Vec::new(),
            mood,
            has_preface: false,
            taken: 0,
            is_leaving: false,
            is_shut: false,
        }
    }

    /// Says what goes out as soon as the handshake permits.
    fn greet(&mut self, streams_max: u32) {
        let mut settings = vec![0, 3];
        settings.extend_from_slice(&streams_max.to_be_bytes());
        settings.extend_from_slice(&[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        self.say(SETTINGS, 0, 0, &settings);
        self.say(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes());
        if self.mood == Mood::Refusing {
            self.say(GOAWAY, 0, 0, &[0; 8]);
        }
    }

    /// Reads at most `piece` bytes and returns how many; nothing if the client has left.
    fn read(&mut self, piece: usize) -> Option<usize> {
        if self.is_shut {
            return Some(0);
        }
        let mut bytes = vec![0; piece];
        let count = match self.socket.read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(0),
            Err(_) => return None,
        };
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            let taken = self.session.read_tls(&mut rest).expect("there is room");
            let state = self.session.process_new_packets().expect("it is TLS");
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.session.reader().read_exact(&mut plain).expect("it was promised");
            self.input.append(&mut plain);
            if taken == 0 {
                // The client has said goodbye.
                return None;
            }
        }
        Some(count)
    }

    /// Writes at most `piece` bytes and returns how many.
    fn write(&mut self, piece: usize) -> usize {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.wire).expect("memory takes all");
        }
        let part = &self.wire[..piece.min(self.wire.len())];
        // Errors mean that the client has left, which the next read tells.
        let count = if part.is_empty() { 0 } else { self.socket.write(part).unwrap_or(0) };
        self.wire.drain(..count);
        count
    }

    fn say(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        let [_, a, b, c] = (content.len() as u32).to_be_bytes();
        let head = [&[a, b, c, kind, flags][..], &stream.to_be_bytes()].concat();
        let mut writer = self.session.writer();
        writer.write_all(&[&head, content].concat()).expect("there is no limit");
    }

    /// Takes the head of the next frame that is whole.
    fn frame(&mut self) -> Option<(u8, u8, u32)> {
        let [a, b, c, kind, flags, stream @ ..] = *self.input.first_chunk::<9>()?;
        let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        (self.has_preface && self.input.len() >= end).then(|| {
            self.input.drain(..end);
            (kind, flags, u32::from_be_bytes(stream))
        })
    }
}
