//! The bytes of one connection, with their deadlines.
//!
//! hyper's own header timeout also runs while a kept connection is idle, and its way of gathering
//! the replies of pipelined requests (`pipeline_flush`) keeps them all, without a bound, while any
//! part of a further request is there. So both live here: a [`Link`] tells idle from a head that is
//! coming, and gathers what is written until the connection's turn ends, up to a bound.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::limits::HttpLimits;
use crate::http::refusal::{no_request, raw_problem};

/// Most bytes that are gathered before they are written. Guess: a socket buffer's worth.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a request.
    Idle,
    /// For the rest of a head.
    Head,
    /// For us.
    Busy,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// No request came.
    Idle,
    /// A head did not become complete.
    Head,
    /// The client takes nothing of what waits for it.
    Stalled,
}

/// When a connection is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When.
    pub(crate) at: Instant,
    /// Why.
    pub(crate) lapse: Lapse,
    /// Whether it had passed when the turn began.
    pub(crate) is_over: bool,
}

/// One connection's socket, deadlines and gathered output. Only its own task touches it; the lock
/// is there because hyper owns the other end.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// Whether the node stops.
    stopping: AtomicBool,
    header_timeout: Duration,
    idle_timeout: Duration,
    stall_timeout: Duration,
}

#[derive(Debug)]
struct State {
    stream: TcpStream,
    phase: Phase,
    since: Instant,
    /// When the connection's turn began: the one clock reading for all deadlines.
    turn: Instant,
    stalled: Option<Instant>,
    /// What was read and left to hyper.
    unread: Vec<u8>,
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    /// Bytes read and written since they were last taken.
    traffic: (u64, u64),
}

impl Link {
    /// A connection that was just accepted.
    pub(crate) fn new(stream: TcpStream, limits: &HttpLimits) -> Self {
        let now = Instant::now();
        let state = State {
            stream,
            phase: Phase::Idle,
            since: now,
            turn: now,
            stalled: None,
            unread: Vec::new(),
            gathered: Vec::new(),
            written: 0,
            traffic: (0, 0),
        };
        Self {
            state: Mutex::new(state),
            stopping: AtomicBool::new(false),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            stall_timeout: limits.body_timeout,
        }
    }

    /// The socket, when nothing else uses the link.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.state.into_inner().stream
    }

    /// Begins a turn of the connection.
    pub(crate) fn begin_turn(&self) {
        let now = Instant::now();
        self.state.lock().turn = now;
    }

    /// Ends a turn of the connection: writes what was gathered, and says what the next deadline is,
    /// if there is one, and whether it has passed.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn end_turn(&self, cx: &mut Context<'_>) -> io::Result<Option<Deadline>> {
        let mut state = self.state.lock();
        if let Poll::Ready(Err(error)) = state.poll_drain(cx) {
            return Err(error);
        }
        let (since, most, lapse) = match (state.stalled, state.phase) {
            (Some(since), _) => (since, self.stall_timeout, Lapse::Stalled),
            (None, Phase::Idle) => (state.since, self.idle_timeout, Lapse::Idle),
            (None, Phase::Head) => (state.since, self.header_timeout, Lapse::Head),
            (None, Phase::Busy) => return Ok(None),
        };
        Ok(Some(Deadline { at: since + most, lapse, is_over: since + most <= state.turn }))
    }

    /// The node stops: what is asked is answered, and nothing after it.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the node stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A head is complete; says since when.
    pub(crate) fn begin_request(&self) -> Instant {
        let mut state = self.state.lock();
        if state.phase != Phase::Busy {
            state.enter(Phase::Busy);
        }
        state.since
    }

    /// A request is answered; a part of the next one may be there.
    pub(crate) fn end_request(&self, has_more: bool) {
        self.state.lock().end_request(has_more);
    }

    /// Leaves bytes that were read to hyper.
    pub(crate) fn hand_over(&self, unread: &[u8]) {
        self.state.lock().unread.extend_from_slice(unread);
    }

    /// Bytes read and written since the last call.
    pub(crate) fn take_traffic(&self) -> (u64, u64) {
        std::mem::take(&mut self.state.lock().traffic)
    }

    /// Gathers what `word` appends, without a bound: for single answers and for the last words of a
    /// connection.
    pub(crate) fn gather(&self, word: impl FnOnce(&mut Vec<u8>)) {
        word(&mut self.state.lock().gathered);
    }

    /// Ends a request with what `word` appends, as [`Link::gather`] and [`Link::end_request`] do, and
    /// says how many bytes were read and written since that was last said.
    pub(crate) fn answer(&self, has_more: bool, word: impl FnOnce(&mut Vec<u8>)) -> (u64, u64) {
        let mut state = self.state.lock();
        word(&mut state.gathered);
        state.end_request(has_more);
        std::mem::take(&mut state.traffic)
    }

    /// Ready when there is room for another answer.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().poll_room(cx)
    }

    /// Ready when the client has left, or says that it sends no more. Where it has sent more, that is
    /// not seen.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let state = self.state.lock();
        match ready!(state.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
            Ok(1..) => Poll::Pending,
            Ok(0) | Err(_) => Poll::Ready(()),
        }
    }

    /// Puts a problem in the place of the bare status with which hyper answers what is no request.
    fn word_refusal(&self) {
        let mut state = self.state.lock();
        if let Some(status) = state.retract_bare() {
            state.gathered.append(&mut raw_problem(&no_request(status)));
        }
    }

    /// Writes what was gathered.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().poll_drain(cx)
    }

    /// Reads what there is.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if !state.unread.is_empty() {
            state.give_unread(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        // A read that leaves room in the buffer tells the runtime that there is no more, which
        // spares asking again.
        ready!(Pin::new(&mut state.stream).poll_read(cx, buf))?;
        state.note_read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        ready!(state.poll_room(cx))?;
        let room = GATHER_BYTES_MAX - state.gathered.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        state.gathered.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }
}

impl State {
    fn note_read(&mut self, bytes: usize) {
        self.traffic.0 += bytes as u64;
        if bytes > 0 && self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    fn give_unread(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..bytes).unwrap_or_default());
        self.unread.drain(..bytes);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
    }

    fn end_request(&mut self, has_more: bool) {
        self.enter(if has_more { Phase::Head } else { Phase::Idle });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = self.turn;
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() >= GATHER_BYTES_MAX {
            ready!(self.poll_drain(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.gathered.get(self.written..).filter(|rest| !rest.is_empty()) {
            let Poll::Ready(bytes) = Pin::new(&mut self.stream).poll_write(cx, rest)? else {
                self.stalled.get_or_insert(self.turn);
                return Poll::Pending;
            };
            self.written += bytes;
            self.traffic.1 += bytes as u64;
            self.moved();
        }
        self.gathered.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes back the last response that was gathered and returns its status, if its body is empty
    /// and nothing of it was written: hyper's own answer to what is no request. Ours have bodies.
    fn retract_bare(&mut self) -> Option<u16> {
        const START: &[u8] = b"HTTP/1.";
        let starts = |bytes: &[u8]| bytes == START;
        let at = self.gathered.windows(START.len()).rposition(starts)?;
        let response = self.gathered.get(at..).filter(|_| at >= self.written)?;
        let head = std::str::from_utf8(response).ok().filter(|head| head.ends_with("\r\n\r\n"))?;
        if !head.to_ascii_lowercase().contains("\r\ncontent-length: 0\r\n") {
            return None;
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        self.gathered.truncate(at);
        Some(status)
    }

    /// The client took something: neither stalled nor, in the middle of an answer, idle.
    fn moved(&mut self) {
        self.stalled = None;
        if self.phase == Phase::Idle {
            self.since = self.turn;
        }
    }
}

/// hyper's end of a link. A flush is left to the end of the connection's turn.
#[derive(Debug)]
pub(crate) struct LinkIo(pub(crate) Arc<Link>);

impl AsyncRead for LinkIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for LinkIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.word_refusal();
        self.0.poll_drain(cx)
    }
}
