//! HTTP/2 (RFC 9113), over TLS or by prior knowledge: requests from templates, many at once on one
//! connection, answers read where they lie.
//!
//! The target's limits are kept: how many streams, how much of a body. Its own bodies are never held
//! back: windows are as wide as they can be. Requests that the target says it has not begun with
//! (`REFUSED_STREAM`, or beyond the last of a `GOAWAY`) fail in classes of their own.

mod decode;
pub mod encode;
mod frame;
mod static_table;

use std::collections::VecDeque;
use std::sync::Arc;

use quipu_lab::failure::Failure;
use quipu_lab::request::{self, Requests};
use quipu_lab::scenario::{Expect, Request};
use quipu_lab::slot::Slot;

use crate::driver::http2::decode::Decoder;
use crate::driver::http2::encode::{Encoder, Fields};
use crate::driver::http2::frame::Frame;
use crate::driver::{Done, Driver, answer};

/// The widest window (section 6.9.1).
const WINDOW_MAX: u32 = u32::MAX >> 1;
/// The window that both sides begin with (section 6.9.2).
const WINDOW_DEFAULT: u32 = 65_535;
/// How much of our window may be used up before it is filled again.
const WINDOW_USED_MAX: u32 = 1 << 30;
/// The last stream that is opened on a connection.
const STREAM_MAX: u32 = WINDOW_MAX - 2;
/// The longest block of headers of an answer; the usual bound of servers and clients.
const BLOCK_BYTES_MAX: usize = 64 << 10;
/// How many streams may be opened while the oldest has no end: what is kept of them is bounded, and
/// a target that answers others so often meanwhile is far out of order.
const SPAN_MAX: usize = 65_536;

/// Says HTTP/2 on one connection.
#[derive(Debug)]
pub struct Http2 {
    requests: Requests,
    fields: Arc<Fields>,
    /// How many streams are asked for at once.
    depth: usize,
    encoder: Encoder,
    decoder: Decoder,
    /// The streams from `first` on, those that have ended too until they are the first.
    streams: VecDeque<Stream>,
    first: u32,
    peer: Peer,
    /// Streams whose body waits for a window.
    blocked: VecDeque<u32>,
    /// What was received and not given back to the window of the connection.
    used: u32,
    /// A block of headers that goes on in the next frame.
    continued: Option<Continued>,
    block: Vec<u8>,
    is_last: bool,
}

/// What the other side allows.
#[derive(Debug)]
struct Peer {
    /// Whether it has said so yet.
    is_known: bool,
    streams_max: u32,
    stream_window: i64,
    /// What may still be sent on the connection.
    window: i64,
}

impl Default for Peer {
    fn default() -> Self {
        let window = i64::from(WINDOW_DEFAULT);
        Self { is_known: false, streams_max: u32::MAX, stream_window: window, window }
    }
}

/// One request and its answer.
#[derive(Debug)]
struct Stream {
    is_open: bool,
    operation: u16,
    status: u16,
    /// What may still be sent on it.
    window: i64,
    /// What of the request's body waits for a window.
    unsent: Vec<u8>,
    used: u32,
    /// The answer's body, if a text is expected in it.
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Continued {
    stream: u32,
    is_end: bool,
}

impl Http2 {
    /// Makes a driver with at most `depth` requests under way.
    pub fn new(requests: Requests, fields: Arc<Fields>, depth: u32) -> Self {
        Self {
            encoder: Encoder::new(&fields),
            requests,
            fields,
            depth: depth.max(1) as usize,
            decoder: Decoder::new(),
            streams: VecDeque::new(),
            first: 1,
            peer: Peer::default(),
            blocked: VecDeque::new(),
            used: 0,
            continued: None,
            block: Vec::new(),
            is_last: false,
        }
    }

    /// Returns the number of the next stream.
    fn next(&self) -> u32 {
        self.first + 2 * self.streams.len() as u32
    }

    /// Returns a stream that has not ended.
    fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        let place = id.checked_sub(self.first)? / 2;
        self.streams.get_mut(place as usize).filter(|stream| stream.is_open && id % 2 == 1)
    }

    fn expect(&self, operation: u16) -> Option<&Expect> {
        self.requests.operations().get(usize::from(operation)).map(|operation| &operation.expect)
    }

    fn take(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<(), Failure> {
        // What is not begun with settings is not of this protocol, such as an answer of HTTP/1.1.
        let is_first = !self.peer.is_known;
        let is_torn = self.continued.is_some() != (frame.kind == frame::CONTINUATION);
        if is_torn || (is_first && frame.kind != frame::SETTINGS) {
            return Err(Failure::Protocol);
        }
        match frame.kind {
            frame::DATA => self.data(frame, output, done),
            frame::HEADERS | frame::CONTINUATION => self.headers(frame, output, done),
            frame::RST_STREAM => self.reset(frame, done),
            frame::SETTINGS => self.settings(frame, output),
            // It was told to push nothing.
            frame::PUSH_PROMISE => Err(Failure::Protocol),
            frame::PING if !frame.has(frame::ACK) => {
                frame::head(frame.content.len(), frame::PING, frame::ACK, 0, output);
                output.extend_from_slice(frame.content);
                Ok(())
            }
            frame::GOAWAY => self.go_away(frame, done),
            frame::WINDOW_UPDATE => self.window(frame, output),
            _ => Ok(()),
        }
    }

    fn data(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<(), Failure> {
        let bytes = frame.content.len() as u32;
        give_back(&mut self.used, bytes, 0, output);
        let payload = frame.payload()?;
        let id = frame.stream;
        let Some(operation) = self.stream(id).map(|stream| stream.operation) else {
            // It was given up, and more of it was on its way.
            return if id < self.next() { Ok(()) } else { Err(Failure::Protocol) };
        };
        let wants_body = answer::wants_body(self.expect(operation));
        let Some(stream) = self.stream(id) else { return Ok(()) };
        if wants_body {
            answer::keep(payload, &mut stream.body);
        }
        if frame.has(frame::END_STREAM) {
            self.finish(id, output, done);
        } else {
            give_back(&mut stream.used, bytes, id, output);
        }
        Ok(())
    }

    fn headers(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<(), Failure> {
        let is_end = frame.has(frame::END_STREAM);
        let begun = Continued { stream: frame.stream, is_end };
        let begun = self.continued.take().unwrap_or(begun);
        if begun.stream != frame.stream {
            return Err(Failure::Protocol);
        }
        let part = if frame.kind == frame::HEADERS { frame.payload()? } else { frame.content };
        if frame.has(frame::END_HEADERS) && frame.kind == frame::HEADERS {
            return self.block(begun, part, output, done);
        }
        let mut block = std::mem::take(&mut self.block);
        block.extend_from_slice(part);
        if frame.has(frame::END_HEADERS) {
            self.block(begun, &block, output, done)?;
            block.clear();
        } else if block.len() > BLOCK_BYTES_MAX {
            return Err(Failure::Protocol);
        } else {
            self.continued = Some(begun);
        }
        self.block = block;
        Ok(())
    }

    /// Reads a complete block of headers. Those of streams that have ended change the table too.
    fn block(
        &mut self,
        begun: Continued,
        block: &[u8],
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<(), Failure> {
        let status = self.decoder.status(block)?;
        if begun.stream >= self.next() {
            return Err(Failure::Protocol);
        }
        let Some(stream) = self.stream(begun.stream) else { return Ok(()) };
        match status {
            // An answer that only says that another comes.
            Some(100..=199) => {}
            Some(status) if stream.status == 0 => stream.status = status,
            // Trailers.
            None if stream.status != 0 => {}
            _ => return Err(Failure::Protocol),
        }
        if begun.is_end {
            self.finish(begun.stream, output, done);
        }
        Ok(())
    }

    /// The answer is complete. If the request is not, the rest of it is not sent.
    fn finish(&mut self, id: u32, output: &mut Vec<u8>, done: &mut Vec<Done>) {
        let Some(stream) = self.stream(id) else { return };
        let (operation, status) = (stream.operation, stream.status);
        let body = std::mem::take(&mut stream.body);
        if !stream.unsent.is_empty() {
            frame::number(frame::RST_STREAM, id, frame::CANCEL, output);
        }
        let outcome = answer::judge(self.expect(operation), status, &body);
        self.close(id);
        done.push(Done { tag: u64::from(id), outcome });
    }

    /// Forgets a stream.
    fn close(&mut self, id: u32) {
        if let Some(stream) = self.stream(id) {
            stream.is_open = false;
            if !std::mem::take(&mut stream.unsent).is_empty() {
                self.blocked.retain(|blocked| *blocked != id);
            }
        }
        while self.streams.front().is_some_and(|stream| !stream.is_open) {
            self.streams.pop_front();
            self.first += 2;
        }
    }

    fn fail(&mut self, id: u32, failure: Failure, done: &mut Vec<Done>) {
        if self.stream(id).is_some() {
            self.close(id);
            done.push(Done { tag: u64::from(id), outcome: Err(failure) });
        }
    }

    fn reset(&mut self, frame: &Frame<'_>, done: &mut Vec<Done>) -> Result<(), Failure> {
        let failure = match frame.number(0)? {
            frame::REFUSED_STREAM => Failure::RefusedStream,
            _ => Failure::ResetStream,
        };
        self.fail(frame.stream, failure, done);
        Ok(())
    }

    fn settings(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), Failure> {
        if frame.has(frame::ACK) {
            return Ok(());
        }
        let (settings, rest) = frame.content.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Failure::Protocol);
        }
        for [a, b, value @ ..] in settings {
            self.set(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value));
        }
        self.peer.is_known = true;
        frame::head(0, frame::SETTINGS, frame::ACK, 0, output);
        self.send_blocked(output);
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) {
        match name {
            frame::SETTINGS_HEADER_TABLE_SIZE => self.encoder.resize(value as usize),
            frame::SETTINGS_MAX_CONCURRENT_STREAMS => self.peer.streams_max = value,
            frame::SETTINGS_INITIAL_WINDOW_SIZE => {
                let wider = i64::from(value) - self.peer.stream_window;
                self.peer.stream_window = i64::from(value);
                for stream in &mut self.streams {
                    stream.window += wider;
                }
            }
            _ => {}
        }
    }

    /// The target leaves: it has not begun with streams after the last that it names.
    fn go_away(&mut self, frame: &Frame<'_>, done: &mut Vec<Done>) -> Result<(), Failure> {
        let last = frame.number(0)? & WINDOW_MAX;
        self.is_last = true;
        let end = self.next();
        for id in (self.first..end).step_by(2).filter(|id| *id > last) {
            self.fail(id, Failure::GoAway, done);
        }
        Ok(())
    }

    fn window(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), Failure> {
        let wider = i64::from(frame.number(0)? & WINDOW_MAX);
        if frame.stream == 0 {
            self.peer.window += wider;
        } else if let Some(stream) = self.stream(frame.stream) {
            stream.window += wider;
        }
        self.send_blocked(output);
        Ok(())
    }

    /// Sends of the waiting bodies what the windows allow, the longest waiting first.
    fn send_blocked(&mut self, output: &mut Vec<u8>) {
        for _ in 0..self.blocked.len() {
            let Some(id) = self.blocked.pop_front() else { return };
            let place = (id - self.first) / 2;
            let Some(stream) = self.streams.get_mut(place as usize) else { continue };
            let sent =
                send_body(id, &stream.unsent, (&mut self.peer.window, &mut stream.window), output);
            stream.unsent.drain(..sent);
            if !stream.unsent.is_empty() {
                self.blocked.push_back(id);
            }
        }
    }
}

impl Driver for Http2 {
    fn open(&mut self, output: &mut Vec<u8>) {
        self.encoder.reset();
        self.decoder.reset();
        self.streams.clear();
        self.blocked.clear();
        self.block.clear();
        (self.first, self.used, self.continued) = (1, 0, None);
        (self.peer, self.is_last) = (Peer::default(), false);
        output.extend_from_slice(frame::PREFACE);
        frame::head(12, frame::SETTINGS, 0, 0, output);
        frame::setting(frame::SETTINGS_ENABLE_PUSH, 0, output);
        frame::setting(frame::SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_MAX, output);
        frame::number(frame::WINDOW_UPDATE, 0, WINDOW_MAX - WINDOW_DEFAULT, output);
    }

    fn send(&mut self, slot: &Slot, tokens: request::Stream, output: &mut Vec<u8>) -> u64 {
        let id = self.next();
        let drawn = self.requests.draw(*slot);
        let filling = self.requests.filling(drawn, tokens);
        let operation = self.requests.operations().get(usize::from(drawn.operation));
        let mut unsent = Vec::new();
        let mut window = self.peer.stream_window;
        if let Some(Request::Http(request)) = operation.map(|operation| &operation.request) {
            let mut body = std::mem::take(&mut self.block);
            request.body.render(&filling, &mut body);
            let has_body = !request.body.is_empty();
            let start = body.len();
            self.encoder.write(&self.fields, &filling, has_body.then_some(start), &mut body);
            let (content, block) = body.split_at(start);
            let flags = if content.is_empty() { frame::END_STREAM } else { 0 };
            frame::headers(block, flags, id, output);
            let sent = send_body(id, content, (&mut self.peer.window, &mut window), output);
            unsent.extend_from_slice(content.get(sent..).unwrap_or_default());
            body.clear();
            self.block = body;
        }
        if !unsent.is_empty() {
            self.blocked.push_back(id);
        }
        self.streams.push_back(Stream {
            is_open: true,
            operation: drawn.operation,
            status: 0,
            window,
            unsent,
            used: 0,
            body: Vec::new(),
        });
        u64::from(id)
    }

    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        done: &mut Vec<Done>,
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        while let Some(frame) = Frame::read(input.get(taken..).unwrap_or_default())? {
            self.take(&frame, output, done)?;
            taken += frame.len();
        }
        Ok(taken)
    }

    fn depth(&self) -> usize {
        if !self.peer.is_known {
            return 1;
        }
        let is_held = !self.blocked.is_empty() || self.streams.len() >= SPAN_MAX;
        if is_held { 0 } else { self.depth.min(self.peer.streams_max as usize) }
    }

    fn is_ready(&self) -> bool {
        self.peer.is_known
    }

    fn cancel(&mut self, tag: u64, output: &mut Vec<u8>) -> bool {
        let Ok(id) = u32::try_from(tag) else { return false };
        self.close(id);
        frame::number(frame::RST_STREAM, id, frame::CANCEL, output);
        true
    }

    fn ask(&mut self, output: &mut Vec<u8>) -> bool {
        frame::head(8, frame::PING, 0, 0, output);
        output.extend_from_slice(&[0; 8]);
        true
    }

    fn is_last(&self) -> bool {
        self.is_last || self.next() > STREAM_MAX
    }
}

/// Counts what was received, and gives it back to the other side from time to time.
fn give_back(used: &mut u32, bytes: u32, stream: u32, output: &mut Vec<u8>) {
    *used += bytes;
    if *used >= WINDOW_USED_MAX {
        frame::number(frame::WINDOW_UPDATE, stream, *used, output);
        *used = 0;
    }
}

/// Sends of a body what the windows of the connection and the stream allow; returns how much.
fn send_body(
    id: u32,
    body: &[u8],
    (connection, stream): (&mut i64, &mut i64),
    output: &mut Vec<u8>,
) -> usize {
    let mut sent = 0;
    while let Some(rest) = body.get(sent..).filter(|rest| !rest.is_empty()) {
        let room = usize::try_from((*connection).min(*stream)).unwrap_or(0);
        let len = rest.len().min(room).min(frame::CONTENT_BYTES_MAX);
        let Some(part) = rest.get(..len).filter(|part| !part.is_empty()) else { break };
        let flags = if len == rest.len() { frame::END_STREAM } else { 0 };
        frame::head(len, frame::DATA, flags, id, output);
        output.extend_from_slice(part);
        *connection -= len as i64;
        *stream -= len as i64;
        sent += len;
    }
    sent
}

#[cfg(test)]
mod tests;
